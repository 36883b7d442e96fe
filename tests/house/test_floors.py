"""The floors as a running interpreter sees them: what import-linter reads in the source, proved at import time."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "doorward"

# docs/architecture.md §2: none of this in the relay and below.
IMPURE = ("asyncio", "socket", "ssl", "sqlite3", "subprocess", "time", "random", "secrets", "logging")
FOREIGN = ("mcp", "mcp_types", "pydantic", "starlette", "uvicorn", "aiohttp", "httpx", "httpx2", "anyio")
UPSTAIRS = (
    "doorward.cli",
    "doorward.lab",
    "doorward.guard",
    "doorward.gateway",
    "doorward.confine",
    "doorward.audit.stores",
    "doorward.audit.reader",
    "doorward.audit.reconcile",
    "doorward.audit.verify",
)

# Imports one module and tells what that loaded, and which modules of its package asked for something impure. The second
# is needed for what the interpreter itself has always loaded, such as `time`.
PROBE = """
import builtins, importlib, json, sys
module, impure = sys.argv[1], set(sys.argv[2].split())
package = module.partition(".")[0]
sys.path[:0] = sys.argv[3:]
before, asked, plain = set(sys.modules), [], builtins.__import__

def watched(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__") or ""
    if level == 0 and name.partition(".")[0] in impure and importer.partition(".")[0] == package:
        asked.append(f"{importer} imports {name}")
    return plain(name, globals, locals, fromlist, level)

builtins.__import__ = watched
importlib.import_module(module)
builtins.__import__ = plain
print(json.dumps({"loaded": sorted(set(sys.modules) - before), "asked": asked}))
"""


class Seen(TypedDict):
    loaded: list[str]
    asked: list[str]


def import_alone(module: str, *paths: Path) -> Seen:
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROBE, module, " ".join(IMPURE), *map(str, paths)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    seen: Seen = json.loads(done.stdout)
    return seen


def within(loaded: list[str], forbidden: tuple[str, ...]) -> list[str]:
    return [name for name in loaded if any(name == f or name.startswith(f"{f}.") for f in forbidden)]


def test_the_relay_loads_neither_io_nor_clock_nor_randomness_nor_any_floor_above_it() -> None:
    seen = import_alone("doorward.relay.relay")
    assert "doorward.relay.relay" in seen["loaded"]
    assert within(seen["loaded"], IMPURE + FOREIGN + UPSTAIRS) == []
    assert seen["asked"] == []


@pytest.mark.parametrize("impure", IMPURE)
def test_the_probe_sees_an_impure_import_through_another_module(tmp_path: Path, impure: str) -> None:
    (tmp_path / "suspect").mkdir()
    (tmp_path / "suspect" / "__init__.py").write_text("from suspect import inner\n")
    (tmp_path / "suspect" / "inner.py").write_text(f"import {impure}\n")
    assert f"suspect.inner imports {impure}" in import_alone("suspect", tmp_path)["asked"]


def test_importing_doorward_loads_nothing_else() -> None:
    assert import_alone("doorward")["loaded"] == ["doorward"]


def imports_of(file: Path) -> set[str]:
    """Every module named by an import anywhere in the file, also inside functions and type-checking blocks."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import hides which floor it reaches"
            found.add(node.module or "")
    return found


def test_the_checker_imports_only_the_standard_library_cryptography_and_the_errors() -> None:
    files = sorted(SOURCE.glob("audit/verify.py")) + sorted(SOURCE.glob("audit/verify/**/*.py"))
    assert files
    for file in files:
        foreign = {m for m in imports_of(file) if m.partition(".")[0] not in sys.stdlib_module_names}
        allowed = {m for m in foreign if m.partition(".")[0] == "cryptography" or m == "doorward.errors"}
        allowed |= {m for m in foreign if m.startswith("doorward.audit.verify.")}
        assert foreign - allowed == set(), file


def test_ctypes_appears_only_where_the_operating_system_is_spoken_to() -> None:
    users = {
        file.relative_to(SOURCE).parts[0]
        for file in SOURCE.rglob("*.py")
        if any(m.partition(".")[0] == "ctypes" for m in imports_of(file))
    }
    assert users <= {"confine"}

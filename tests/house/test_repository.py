"""What holds for every file of the repository."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "doorward"

LONGEST_MODULE = 450
LONGER_WITH_REASON: dict[str, str] = {
    "audit/verify.py": "the checker shares no code with the writer, so all that it needs stands in it",
    "controls.py": "it is one table, with a row for each control and nothing else",
}
"""Modules of more than 450 lines, by path below src/doorward, each with the reason why it is one thought."""

# Spelt in pieces, or this file would find itself.
REGISTRY_HOSTS = (
    "registry." + "npmjs.org",
    "registry." + "yarnpkg.com",
    "files." + "pythonhosted.org",
    "pypi." + "org",
    "pypi." + "python.org",
    "deb." + "debian.org",
)
# The places where this project is developed and checked, as far as they can be told from a path in an example.
MACHINE_PATHS = re.compile(r"/(?:work/(?:main|shared|\.)|root/\.(?:pyenv|cache|local)|home/runner|Users/\w|opt/wheels)")


def git_files() -> list[Path]:
    """Every file that is, or with the next `git add` would be, part of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    files = [ROOT / name for name in sorted(set(listed.stdout.decode().split("\0"))) if name]
    return [file for file in files if file.is_file()]


FILES = git_files()
MODULES = [file for file in FILES if file.is_relative_to(SOURCE) and file.suffix == ".py"]
PYTHON_LOCKS = sorted(f for f in FILES if f.name == "requirements.txt" or f.parent.name == "requirements")
NPM_LOCKS = sorted(f for f in FILES if f.name == "package-lock.json")


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def texts() -> list[tuple[Path, str]]:
    readable = []
    for file in FILES:
        try:
            readable.append((file, file.read_text()))
        except UnicodeDecodeError:
            continue  # a picture or a vector of bytes
    return readable


def test_the_repository_was_found() -> None:
    names = {name(file) for file in FILES}
    assert {"pyproject.toml", "src/doorward/errors.py", "requirements/dev.txt", name(Path(__file__))} <= names


def test_no_file_names_the_host_of_a_registry() -> None:
    assert [(name(f), host) for f, text in texts() for host in REGISTRY_HOSTS if host in text] == []


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    texts_of_others = [(f, text) for f, text in texts() if f != Path(__file__)]
    found = [(name(f), m.group()) for f, text in texts_of_others for m in MACHINE_PATHS.finditer(text)]
    assert found == []


@pytest.mark.parametrize("lock", [f for f in PYTHON_LOCKS if f.suffix == ".txt"], ids=name)
def test_a_python_lock_has_a_hash_for_everything_and_no_address(lock: Path) -> None:
    lines = [line for line in lock.read_text().replace("\\\n", " ").splitlines() if not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==\S+( ; [^#]+?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*", line), line
        assert "//" not in line


@pytest.mark.parametrize("lock", NPM_LOCKS, ids=name)
def test_an_npm_lock_has_a_hash_for_everything_and_no_address(lock: Path) -> None:
    packages = json.loads(lock.read_bytes())["packages"]
    for path, package in packages.items():
        if path:
            assert package["integrity"].startswith("sha512-"), path
            assert "resolved" not in package, path


def locked_versions(file: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", file.read_text(), re.MULTILINE))


def test_every_python_lock_names_what_its_source_asks_for() -> None:
    sources = [f for f in PYTHON_LOCKS if f.suffix == ".in"]
    package = re.compile(r"^([a-z0-9][a-z0-9-]*)", re.MULTILINE)
    asked = {(f, found) for f in sources for found in package.findall(f.read_text())}
    assert (ROOT / "requirements" / "dev.in", "pytest") in asked
    assert [(name(f), p) for f, p in sorted(asked) if p not in locked_versions(f.with_suffix(".txt"))] == []


@pytest.mark.parametrize("level", ["runtime", "demo", "build"])
def test_one_package_has_one_version_in_all_our_locks(level: str) -> None:
    locked = locked_versions(ROOT / "requirements" / f"{level}.txt")
    assert locked
    assert locked.items() <= locked_versions(ROOT / "requirements" / "dev.txt").items()


def test_what_the_project_needs_is_locked_for_users_and_for_the_demo() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[<>=~! ]", d)[0] for d in project["dependencies"]}
    assert needed <= locked_versions(ROOT / "requirements" / "runtime.txt").keys()
    needed |= {re.split(r"[<>=~! ]", d)[0] for d in project["optional-dependencies"]["lab"]}
    assert needed <= locked_versions(ROOT / "requirements" / "demo.txt").keys()


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_every_module_says_what_it_is(module: Path) -> None:
    docstring = ast.get_docstring(ast.parse(module.read_text()))
    assert docstring
    assert len(docstring.split()) >= 4


def lines_of(module: Path) -> int:
    return len(module.read_text().splitlines())


def test_no_module_outgrows_one_thought_without_a_reason() -> None:
    long = {m.relative_to(SOURCE).as_posix() for m in MODULES if lines_of(m) > LONGEST_MODULE}
    assert long == set(LONGER_WITH_REASON)
    assert all(len(reason.split()) >= 5 for reason in LONGER_WITH_REASON.values())


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "manager", "managers", "base", "core", "common", "misc"}
    assert [name(m) for m in MODULES if empty & {m.stem, *m.relative_to(SOURCE).parts}] == []


def test_every_ignored_lint_rule_has_its_reason_beside_it() -> None:
    # A rule in quotes as the only thing on its line is an ignore; selections stand several to a line.
    ignores = re.findall(r'^  "[A-Z]+[0-9]+",(.*)$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert ignores
    assert [rest for rest in ignores if not re.fullmatch(r"\s+# .{8,}", rest)] == []


def test_every_exception_from_lint_or_types_in_the_source_names_its_rule() -> None:
    bare = re.compile(r"#\s*(?:noqa(?!: [A-Z]+[0-9]+)|type:\s*ignore(?!\[))", re.IGNORECASE)
    files = [f for f, _ in texts() if f.suffix == ".py" and f != Path(__file__)]
    assert [name(f) for f in files if bare.search(f.read_text())] == []


def test_release_notes_are_of_a_known_kind() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]
    kinds = "|".join(kind["directory"] for kind in config["type"])
    fragments = [f.name for f in FILES if f.parent == ROOT / "changes" and f.name != "README.md"]
    assert [f for f in fragments if not re.fullmatch(rf"[+a-z0-9-]+\.({kinds})\.md", f)] == []


def test_decision_records_are_numbered_without_gaps_and_name_what_they_cost() -> None:
    records = sorted(f for f in FILES if f.parent == ROOT / "docs" / "adr")
    assert [int(f.name[:4]) for f in records] == list(range(1, len(records) + 1))
    for record in records:
        text = record.read_text()
        for heading in ("## Context and Problem Statement", "## Decision Outcome", "### Consequences"):
            assert heading in text, record.name
        assert "Bad, because" in text, record.name

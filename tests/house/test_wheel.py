"""The wheel as a user gets it: built, installed into a clean environment from the lock, and used for real.

One build and one installation serve all of these tests: the Makefile keeps the tests of a file in one process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHEELHOUSE = ROOT / ".cache" / "wheelhouse"
LIMIT_SECONDS = 60

SERVER = """
import json, sys

for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "initialize":
        result = {
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {},
            "serverInfo": {"name": "tiny", "version": "1"},
        }
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 7,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "wheel-test", "version": "1"},
    },
}


def run(*argv: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        list(map(str, argv)), check=False, capture_output=True, text=True, timeout=LIMIT_SECONDS, env=env, cwd="/"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    flags = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    run(sys.executable, "-m", "pip", "wheel", *flags, "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the wheel and what the lock names, and nothing else."""
    assert WHEELHOUSE.is_dir(), "the wheels of requirements/runtime.txt are not there: run `make test`"
    environment = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", environment)
    binaries = environment / "bin"
    install = (binaries / "python", "-m", "pip", "install", "--quiet", "--no-index")
    lock = ROOT / "requirements" / "runtime.txt"
    run(*install, "--require-hashes", "--find-links", WHEELHOUSE, "-r", lock)
    run(*install, "--no-deps", wheel)
    return binaries


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment variables of a user who has never run Doorward."""
    fresh = {"HOME": str(tmp_path / "home"), "DOORWARD_STATE": str(tmp_path / "state"), "LANG": "C.UTF-8"}
    (tmp_path / "home").mkdir()
    return fresh | {"PATH": os.environ["PATH"]}


def test_everything_below_src_is_in_the_wheel_and_nothing_else(wheel: Path) -> None:
    source = ROOT / "src"
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "src"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    expected = {(ROOT / f).relative_to(source).as_posix() for f in tracked if f and (ROOT / f).is_file()}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == expected
    assert {"doorward/py.typed", "doorward/errors.py"} <= packed
    published = "doorward/lab/targets/published/server-filesystem-2025.3.28/"
    assert {f"{published}package.json", f"{published}package-lock.json"} <= packed


def test_the_wheel_carries_its_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]


def test_what_the_wheel_says_it_needs_is_what_the_lock_brings(clean: Path) -> None:
    assert "No broken requirements found" in run(clean / "python", "-m", "pip", "check").stdout


def test_help_names_every_verb(clean: Path, home: dict[str, str]) -> None:
    told = run(clean / "doorward", "--help", env=home).stdout
    assert [verb for verb in ("wrap", "audit", "consent", "pin", "policy", "demo") if verb not in told] == []


def test_the_policy_in_force_can_be_shown(clean: Path, home: dict[str, str]) -> None:
    told = run(clean / "doorward", "policy", "show", env=home).stdout
    assert "standard" in told
    assert "sampling" in told


def test_a_server_is_initialized_through_wrap_and_leaves_a_log_that_verifies(
    clean: Path, home: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "server").mkdir()
    script = tmp_path / "server" / "tiny.py"
    script.write_text(SERVER)
    complaints = tmp_path / "stderr"
    with (
        complaints.open("w") as stderr,
        subprocess.Popen(
            [str(clean / "doorward"), "wrap", "--", str(clean / "python"), str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=home,
            cwd=tmp_path / "server",
            text=True,
        ) as wrapped,
    ):
        assert wrapped.stdin is not None
        assert wrapped.stdout is not None
        bound = threading.Timer(LIMIT_SECONDS, wrapped.kill)
        bound.start()
        try:
            wrapped.stdin.write(json.dumps(INITIALIZE) + "\n")
            wrapped.stdin.flush()
            answer = wrapped.stdout.readline()
            assert answer, complaints.read_text()
            wrapped.stdin.close()
            status = wrapped.wait(LIMIT_SECONDS)
        finally:
            bound.cancel()
            wrapped.kill()
    message = json.loads(answer)
    assert message["id"] == INITIALIZE["id"]
    assert message["result"]["protocolVersion"] == "2025-11-25"
    assert status == 0, complaints.read_text()
    run(clean / "doorward", "audit", "verify", env=home)

"""tools/machine.sh: what a new machine is told when it lacks something. Played with a PATH of our own making."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Machine = Callable[..., subprocess.CompletedProcess[str]]

SCRIPT = Path(__file__).parents[2] / "tools" / "machine.sh"
SHELL = shutil.which("sh") or "/bin/sh"

TOO_OLD = """#!/bin/sh
case "$*" in
*exit*) exit 1 ;;
*platform*) echo 3.9.2 ;;
esac
"""
WITHOUT_VENV = f"""#!/bin/sh
case "$*" in
*ensurepip*) exit 1 ;;
esac
exec {sys.executable} "$@"
"""
BROKEN = "#!/bin/sh\nexit 127\n"
USABLE = f'#!/bin/sh\nexec {sys.executable} "$@"\n'
PRESENT = "#!/bin/sh\n"
NOT_ROOT = "#!/bin/sh\necho 1000\n"
ROOT_USER = "#!/bin/sh\necho 0\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with just these programs; answers how tools/machine.sh ended there."""

    def run(*arguments: str, python: str = "", **programs: str) -> subprocess.CompletedProcess[str]:
        for program, body in ({"id": NOT_ROOT} | programs).items():
            path = tmp_path / program.replace("_", ".").replace("apt.get", "apt-get")
            path.write_text(body)
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        environment = {"PATH": str(tmp_path), "HOME": os.environ.get("HOME", "/")}
        if python:
            environment["PYTHON"] = python
        return subprocess.run(
            [SHELL, str(SCRIPT), *arguments],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_a_machine_with_everything_is_told_which_python_was_chosen(machine: Machine) -> None:
    done = machine(make=PRESENT, git=PRESENT, python3_12=USABLE)
    assert done.returncode == 0
    assert Path(done.stdout.strip()).resolve() == Path(sys.executable).resolve()
    assert f"using Python {sys.version.split()[0]} at {done.stdout.strip()}" in done.stderr


def test_a_bare_machine_is_given_the_exact_command(machine: Machine) -> None:
    done = machine()
    assert done.returncode == 2
    assert done.stdout == ""
    assert "    apt-get install -y make git python3-venv\n" in done.stderr


def test_only_what_is_missing_is_asked_for(machine: Machine) -> None:
    done = machine(make=PRESENT, python3=USABLE)
    assert done.returncode == 2
    assert "    apt-get install -y git\n" in done.stderr


def test_a_python_that_is_too_old_is_named_with_its_version(machine: Machine, tmp_path: Path) -> None:
    done = machine(make=PRESENT, git=PRESENT, python3=TOO_OLD)
    assert done.returncode == 2
    assert f"python3 is Python 3.9.2 at {tmp_path}/python3: too old, 3.11 or newer is needed" in done.stderr


def test_an_old_python_does_not_hide_a_newer_one(machine: Machine) -> None:
    assert machine(make=PRESENT, git=PRESENT, python3_11=TOO_OLD, python3_13=USABLE).returncode == 0


def test_a_version_managers_empty_shim_is_passed_over(machine: Machine) -> None:
    assert machine(make=PRESENT, git=PRESENT, python3_11=BROKEN, python3=USABLE).returncode == 0


def test_a_python_without_venv_is_told_the_package_that_brings_it(machine: Machine) -> None:
    done = machine(make=PRESENT, git=PRESENT, python3=WITHOUT_VENV)
    assert done.returncode == 2
    assert "cannot make environments (no venv)" in done.stderr
    assert "    apt-get install -y python3-venv\n" in done.stderr


def test_a_chosen_python_that_cannot_serve_is_not_replaced_by_another(machine: Machine, tmp_path: Path) -> None:
    done = machine(make=PRESENT, git=PRESENT, python3=USABLE, old=TOO_OLD, python=str(tmp_path / "old"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert "too old" in done.stderr


APT = """#!/bin/sh
echo "$*" >> "{log}"
case "$*" in
*install*) printf '#!/bin/sh\\n' > "{git}"; /bin/chmod +x "{git}" ;;
esac
"""


def test_root_gets_it_installed_when_asked_to(machine: Machine, tmp_path: Path) -> None:
    apt = APT.format(log=tmp_path / "log", git=tmp_path / "git")
    done = machine("--install", make=PRESENT, python3=USABLE, id=ROOT_USER, apt_get=apt)
    assert done.returncode == 0
    assert (tmp_path / "log").read_text().splitlines() == ["update", "install -y --no-install-recommends git"]


@pytest.mark.parametrize(("arguments", "user"), [((), ROOT_USER), (("--install",), NOT_ROOT)])
def test_nothing_is_installed_unasked_or_without_being_root(
    machine: Machine, tmp_path: Path, arguments: tuple[str, ...], user: str
) -> None:
    apt = APT.format(log=tmp_path / "log", git=tmp_path / "git")
    done = machine(*arguments, make=PRESENT, python3=USABLE, id=user, apt_get=apt)
    assert done.returncode == 2
    assert not (tmp_path / "log").exists()

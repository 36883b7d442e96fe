"""The second user of a stage and their sudo: what it can do, what it cannot, and that it never outlives the lab."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from doorward.lab import second_user

ROOT = os.geteuid() == 0
HOLD = """
import ctypes, pathlib, sys
from doorward.lab import second_user
if "no_new_privs" in sys.argv:
    ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
with second_user.sudo(pathlib.Path(sys.argv[1])) as doubt:
    print(doubt, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def sudo() -> Iterator[Path]:
    """Where it goes: a place that a second user may pass through, as stages are."""
    folder = Path("/tmp", f"lab-{os.getpid()}-sudo")
    folder.mkdir(mode=0o711)
    yield folder / "sudo"
    shutil.rmtree(folder)


def holding(sudo: Path, *more: str) -> subprocess.Popen[str]:
    argv = (sys.executable, "-P", "-c", HOLD, str(sudo), *more)
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(holder: subprocess.Popen[str]) -> str:
    assert holder.stdout is not None
    return holder.stdout.readline().strip()


def test_the_second_user_has_no_account_and_exists_only_where_the_lab_is_root() -> None:
    user = second_user.number()
    assert (user is not None) is ROOT
    if user is not None:
        assert subprocess.run(("getent", "passwd", str(user)), capture_output=True, check=False).stdout == b""


def test_their_sudo_makes_root_of_them_and_of_nobody_else(sudo: Path) -> None:
    with second_user.sudo(sudo) as doubt:
        assert doubt == ""
        about = sudo.stat()
        assert bool(about.st_mode & stat.S_ISUID) is ROOT
        assert stat.S_IMODE(about.st_mode) & 0o007 == 0
        assert about.st_gid == (second_user.number() or os.getegid())
    assert not sudo.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_their_sudo_is_gone_whatever_ends_the_lab(sudo: Path, number: int) -> None:
    holder = holding(sudo)
    assert said(holder) == ""
    assert sudo.exists()
    holder.send_signal(number)
    holder.communicate(timeout=30)  # comes to its end when the remover does, which has the same output
    assert not sudo.exists()


def test_it_is_said_where_a_process_may_gain_nothing(sudo: Path) -> None:
    holder = holding(sudo, "no_new_privs")
    assert ("no_new_privs" in said(holder)) is ROOT
    holder.communicate(timeout=30)


def test_it_is_said_where_a_file_system_honours_no_such_bit(sudo: Path) -> None:
    mounted = ("unshare", "--mount", "mount", "-t", "tmpfs", "-o", "mode=711,nosuid", "lab", str(sudo.parent))
    if subprocess.run(mounted, capture_output=True, check=False).returncode != 0:
        pytest.skip("only whoever may mount can try a file system that is mounted nosuid")
    within = ("unshare", "--mount", "/bin/sh", "-c", '"$@" && exec "$PYTHON" -P -c "$HOLD" "$SUDO"', "sh", *mounted[2:])
    env = {**os.environ, "PYTHON": sys.executable, "HOLD": HOLD, "SUDO": str(sudo)}
    held = subprocess.run(within, env=env, input="", capture_output=True, text=True, timeout=60, check=False)
    assert "mounted nosuid" in held.stdout, held.stderr


def test_it_is_said_where_the_second_user_may_not_pass(sudo: Path) -> None:
    sudo.parent.chmod(0o700)
    with second_user.sudo(sudo) as doubt:
        assert ("a second user cannot run" in doubt) is ROOT

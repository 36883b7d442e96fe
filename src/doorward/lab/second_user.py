"""A second user for a target, and the program that makes root of them: what ``sudo`` is where no password is asked.

Only root can start something as somebody else, so there is a second user only where the lab runs as root. Their number
is one that no account has. Their ``sudo`` is the machine's own ``env``, copied into the stage with the bit that makes
it run as its owner; only their group, which nobody is in, may execute it. It lives as long as its block: a process of
its own waits for our end, whatever that is, and then removes it.

Where the lab does not run as root there is no second user, and ``sudo`` is the same program without the bit: what it
runs has the rights of whoever runs the lab.

Whether the bit works is found out by trying. It does not on a file system that is mounted ``nosuid``, for a process
that may gain no privileges, nor where the stage lies in a folder that the second user may not enter.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAST_USER = 59_999
"""The last number that distributions leave to people; those above belong to the system."""

ONLY_THEIRS, ONLY_OURS = 0o4710, 0o700
LIMIT_SECONDS = 10.0
_REMOVAL = 'cat > /dev/null; rm -f -- "$1"'


def number() -> int | None:
    """The second user's number, which is their group's too; None where the lab does not run as root."""
    if os.geteuid() != 0:
        return None
    taken = {account.pw_uid for account in pwd.getpwall()}
    return next(uid for uid in range(LAST_USER, 0, -1) if uid not in taken)


def give(*places: Path) -> None:
    """Make the second user the owner of ``places``; nothing where there is none."""
    user = number()
    for place in places if user is not None else ():
        os.chown(place, user or 0, user or 0)


@contextmanager
def sudo(program: Path) -> Iterator[str]:
    """``program`` is there while the block runs; why it makes root of nobody here, or nothing.

    What it runs comes with its arguments: ``sudo COMMAND ARGUMENT…``.
    """
    user = number()
    # It outlives us on purpose, so no signal to our group reaches it.
    remover = subprocess.Popen(
        ("/bin/sh", "-c", _REMOVAL, "sh", str(program)), stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        _place(program, user)
        yield "" if user is None else _doubt(program, user)
    finally:
        remover.communicate(timeout=LIMIT_SECONDS)
        program.unlink(missing_ok=True)


def _place(program: Path, user: int | None) -> None:
    shutil.copyfile(shutil.which("env") or "/usr/bin/env", program)
    if user is not None:
        os.chown(program, 0, user)  # takes the bit away, so it comes after
    program.chmod(ONLY_OURS if user is None else ONLY_THEIRS)


def _doubt(program: Path, user: int) -> str:
    """Why ``program`` does not make root of ``user`` on this machine; empty when it did."""
    asked = (str(program), "id", "-u")
    try:
        said = subprocess.run(
            asked, user=user, group=user, extra_groups=(), capture_output=True, timeout=LIMIT_SECONDS, check=False
        )
    except OSError as problem:
        return f"a second user cannot run {program}: {problem.strerror}"
    if said.stdout.strip() == b"0":
        return ""
    if os.statvfs(program).f_flag & os.ST_NOSUID:
        return f"{program.parent} is mounted nosuid, so nobody becomes root there; TMPDIR may name another place"
    if _gains_nothing():
        return "the lab itself runs with no_new_privs, so nobody whom it starts becomes root"
    return f"{program} did not make root of a second user, and it is not known why"


def _gains_nothing() -> bool:
    with open("/proc/self/status", encoding="ascii") as status:
        return any(line.split() == ["NoNewPrivs:", "1"] for line in status)

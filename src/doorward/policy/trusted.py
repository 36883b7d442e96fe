"""Reading files that decide: only what nobody else could have written is believed.

The file is opened first and examined through its descriptor, so that what was examined is what is read. The folder
that holds it (and, for a symbolic link, the folder of the link too) is examined as well, since whoever may rename in
it may replace the file.

Does not protect against a folder further up that others may write, and not against another program of the same user.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from doorward.errors import PolicyError, Problem

_MAX_BYTES = 1024 * 1024  # a hundred bytes for each of ten thousand servers
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def read_trusted(path: Path) -> str:
    """The text of ``path``, which belongs to this user or to root and is writable by its owner only.

    Raises:
        FileNotFoundError: there is nothing at ``path``.
        PolicyError: it is not a regular file, is not ours alone, is over 1 MiB or is not UTF-8, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        raise
    except OSError as problem:
        raise _refused(path, f"cannot be read: {_reason(problem)}") from None
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):  # `open` would refuse it in words of its own
        os.close(descriptor)
        raise _refused(path, "is a folder", "name the file itself")
    with open(descriptor, "rb") as file:
        _examine(path, os.fstat(descriptor))
        for folder in dict.fromkeys((path.absolute().parent, Path(os.path.realpath(path)).parent)):
            _examine_folder(path, folder)
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise _refused(path, f"is over {_MAX_BYTES} bytes long")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise PolicyError((Problem(f"{path}:{line}", "is not UTF-8"),)) from None


def _examine(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _refused(path, "is not a regular file")
    if status.st_uid not in (os.geteuid(), 0):
        raise _refused(path, f"belongs to user {status.st_uid}", "only a file of your own or of root is believed")
    if status.st_mode & _OTHERS_MAY_WRITE:
        raise _refused(path, "can be written by others", f"chmod go-w '{path}'")


def _examine_folder(path: Path, folder: Path) -> None:
    status = os.stat(folder)
    if status.st_uid not in (os.geteuid(), 0):
        raise _refused(path, f"lies in {folder}, which belongs to user {status.st_uid}")
    # In a sticky folder such as /tmp others may create files, but not rename ours.
    if status.st_mode & _OTHERS_MAY_WRITE and not status.st_mode & stat.S_ISVTX:
        raise _refused(path, f"lies in {folder}, where others can replace it", f"chmod go-w '{folder}'")


def _refused(path: Path, what: str, hint: str = "") -> PolicyError:
    return PolicyError((Problem(str(path), what, hint),))


def _reason(problem: OSError) -> str:
    return (problem.strerror or str(problem)).lower()

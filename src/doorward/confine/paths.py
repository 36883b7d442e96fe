"""Where a path really leads and how much lies there, for the judge, who may not look: the questions of the relay.

The answer is about now. Between it and the server's own opening of the path a link can be swapped: what holds at that
moment is the wall (``landlock``), not this.
"""

from __future__ import annotations

import os
import stat

MAX_PATH_BYTES = 4096
"""PATH_MAX of Linux: the kernel opens nothing longer."""
MAX_LINKS = 40
"""MAXSYMLINKS of Linux: the kernel follows no more in one path."""


def real_path(path: str) -> str | None:
    """The absolute path that the kernel would arrive at, every symbolic link resolved; None where there is none.

    A tail that does not exist is kept, so that a file to be created has an answer; a ``..`` in it takes back the part
    before. Servers that normalise before they open would do the same, and the kernel would open nothing.

    None for what the kernel would refuse in any case: a relative or empty path, NUL, more than 4,096 bytes, more than
    40 links, something beneath a file that is no folder; and where a part may not be examined.
    """
    if not path.startswith("/") or "\0" in path:
        return None
    try:
        if len(os.fsencode(path)) > MAX_PATH_BYTES:
            return None
    except UnicodeEncodeError:
        return None  # a lone surrogate that stands for no byte
    try:
        return _follow(path)
    except OSError:
        return None


def file_size(path: str) -> int | None:
    """How many bytes the regular file at ``path`` holds, links followed, holes counted; 0 where none is.

    What is no regular file (a folder, a pipe, a device) has no size of its own. None where it may not be examined.
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except (OSError, ValueError):  # ValueError: NUL, or a lone surrogate that stands for no byte
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def is_below(path: str, folder: str) -> bool:
    """Whether a resolved path is a folder, or lies in it, by its text."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def links_on_the_way(path: str) -> tuple[str, ...]:
    """Where the symbolic links lie that the kernel follows along an absolute path, each as a resolved path, in order.

    Whoever may write in the folder of one of them decides where ``path`` leads. At most 40, as the kernel follows.
    """
    found: list[str] = []
    resolved = ""
    waiting = path.split("/")[::-1]
    while waiting and len(found) < MAX_LINKS:
        part = waiting.pop()
        if part in ("", "."):
            continue
        if part == "..":
            resolved = resolved.rpartition("/")[0]
            continue
        place = f"{resolved}/{part}"
        try:
            target = os.readlink(place)
        except OSError:
            resolved = place
            continue
        found.append(place)
        resolved = "" if target.startswith("/") else resolved
        waiting += target.split("/")[::-1]
    return tuple(found)


def _follow(path: str) -> str | None:
    resolved, links, exists = "", 0, True
    waiting = path.split("/")[::-1]
    while waiting:
        part = waiting.pop()
        if part in ("", "."):
            continue
        if part == "..":
            resolved = resolved.rpartition("/")[0]
            exists = exists or os.path.lexists(resolved or "/")
            continue
        resolved = f"{resolved}/{part}"
        mode = _mode(resolved) if exists else 0
        exists = mode != 0
        if stat.S_ISLNK(mode):
            links += 1
            if links > MAX_LINKS:
                return None
            target = os.readlink(resolved)
            resolved = "" if target.startswith("/") else resolved.rpartition("/")[0]
            waiting += target.split("/")[::-1]
        elif exists and waiting and not stat.S_ISDIR(mode):
            return None
    return resolved or "/"


def _mode(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return 0

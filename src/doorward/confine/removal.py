"""Removing what a server left in its temporary folder, however it was built.

The server chose the tree: deeper than Python recurses, longer than a path may be, closed to its own owner, full of
links. So nothing here recurses, joins paths or follows a link: a folder within a folder is lifted to the top before it
is emptied. Only for trees that nobody changes any more. Imports nothing slow: the launcher loads it by path.
"""

from __future__ import annotations

import os
import stat

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(top: bytes | str) -> None:
    """Remove a folder with everything in it. What the kernel does not let go (an immutable file) stays, unsaid.

    Linear in what is there, and at most three descriptors at a time.
    """
    try:
        place = os.open(top, _OPEN_FOLDER)
    except OSError:
        return
    lifted = f"{os.urandom(8).hex()}-"  # followed by a number: names that the server cannot have taken
    count = 0
    staying: set[str] = set()
    try:
        while names := [name for name in os.listdir(place) if name not in staying]:
            for name in names:
                count = _empty(name, place, lifted, count)
                if not _is_removed(name, place):
                    staying.add(name)
        os.rmdir(top)
    except OSError:
        pass
    finally:
        os.close(place)


def _empty(name: str, top: int, lifted: str, count: int) -> int:
    """Remove the files of one folder and lift its folders up beside it; returns how many were lifted in all."""
    if not _open_up(name, top):
        return count
    try:
        place = os.open(name, _OPEN_FOLDER, dir_fd=top)
    except OSError:
        return count
    try:
        for inner in os.listdir(place):
            # A folder can only be moved by whoever may write in it.
            if not _is_removed(inner, place) and _open_up(inner, place):
                count += 1
                os.rename(inner, f"{lifted}{count}", src_dir_fd=place, dst_dir_fd=top)
    except OSError:
        pass  # then it stays, and with it what holds it
    finally:
        os.close(place)
    return count


def _open_up(name: str, place: int) -> bool:
    """Whether ``name`` is a folder, which its owner may enter from now on."""
    try:
        if not stat.S_ISDIR(os.lstat(name, dir_fd=place).st_mode):
            return False
        os.chmod(name, 0o700, dir_fd=place)  # it is no link: looked at above, and nobody is left to exchange it
    except OSError:
        return False
    return True


def _is_removed(name: str, place: int) -> bool:
    for remove in (os.unlink, os.rmdir):
        try:
            remove(name, dir_fd=place)
        except OSError:
            continue
        return True
    return False

"""Opening beneath a folder, with the kernel as the judge: there is no moment between the check and the opening.

``openat2`` resolves a path so that no part of it, no ``..`` and no symbolic link, leads out of the folder whose
descriptor is given, whatever others do to the tree meanwhile. Where the kernel lacks it (before 5.6) or a filter hides
it, the path is opened part by part, each beneath the last, and no link is followed at all: as strict against leaving,
and stricter about links. ``follows_links`` tells which of both holds here.

Does not protect: hard links to files elsewhere and file systems mounted below the folder are in the folder, as far as
the kernel is concerned; and a folder that somebody moves out while it is being walked is still walked.

Source: openat2(2); the numbers are the same on every architecture of Linux.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from functools import cache
from typing import Final

_OPENAT2: Final = 437
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_ATTEMPTS: Final = 128
"""The kernel gives up on ``..`` with EAGAIN when anything was renamed meanwhile; most pass at the second attempt."""

_libc = ctypes.CDLL(None, use_errno=True)


def open_beneath(folder: int, path: bytes, flags: int, mode: int = 0, *, links: bool = True) -> int:
    """A new descriptor of ``path``, which is relative to the open ``folder`` and may not lead out of it.

    ``links`` lets symbolic links be followed as long as they stay beneath; links of ``/proc`` never are. Always
    close-on-exec. Raises OSError as the kernel gave it: EXDEV for what would lead out, ELOOP for a link that may not be
    followed, EAGAIN when others rename without pause.
    """
    if b"\0" in path:
        raise OSError(errno.EINVAL, "a path holds no NUL")
    flags |= os.O_CLOEXEC
    mode = mode if flags & os.O_CREAT else 0
    if not _has_openat2():
        return _open_by_parts(folder, path, flags, mode)
    resolve = _BENEATH | _NO_MAGICLINKS | (0 if links else _NO_SYMLINKS)
    for _ in range(_ATTEMPTS):
        descriptor = _openat2(folder, path, flags, mode, resolve)
        if descriptor >= 0:
            return descriptor
        if ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def follows_links() -> bool:
    """Whether links that stay beneath can be followed on this machine: it has ``openat2``."""
    return _has_openat2()


@cache
def _has_openat2() -> bool:
    here = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        found = _openat2(here, b".", os.O_PATH | os.O_CLOEXEC, 0, _BENEATH)
    finally:
        os.close(here)
    if found < 0:
        return False
    os.close(found)
    return True


def _openat2(folder: int, path: bytes, flags: int, mode: int, resolve: int) -> int:
    how = struct.pack("QQQ", flags, mode, resolve)
    number, size = ctypes.c_long(_OPENAT2), ctypes.c_size_t(len(how))
    return int(_libc.syscall(number, ctypes.c_int(folder), ctypes.c_char_p(path), ctypes.c_char_p(how), size))


def _open_by_parts(folder: int, path: bytes, flags: int, mode: int) -> int:
    if path.startswith(b"/"):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    if not path:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    *folders, last = [part for part in path.split(b"/") if part not in (b"", b".")] or [b"."]
    if b".." in (*folders, last):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    if path.endswith((b"/", b"/.")):
        flags |= os.O_DIRECTORY
    here = os.dup(folder)
    try:
        for part in folders:
            deeper = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = deeper
            if stat.S_ISLNK(os.fstat(here).st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        return os.open(last, flags | os.O_NOFOLLOW, mode, dir_fd=here)
    finally:
        os.close(here)

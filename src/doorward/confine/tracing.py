"""Seeing what a server asks the kernel for: each call that names a file or an address is told before it is carried out.

A filter stops those calls of the server, and of all that it starts, until whoever holds its descriptor has read what
they name and lets them go on (seccomp's user notification). Nothing is allowed by that: the call goes on into the walls
that stand, so the filter can neither widen nor replace them. ``install`` is for the launcher, which sends the
descriptor out beside its reports; ``Tracer`` for the one who watches.

Not seen: what a refusal of ``seccomp`` has already ended; names that only a resolver would have known; what goes
through descriptors. Between the look and the call a server can exchange the words: this is for learning what an honest
server needs, never for deciding. A traced call takes some fifty microseconds.

Imports nothing of Doorward and nothing slow, since the launcher loads it by path. Numbers as in ``seccomp``. Sources:
seccomp_unotify(2), seccomp(2). Needs Linux 5.5.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doorward.confine import landlock, seccomp
else:
    try:
        import landlock  # beside us: the launcher has no packages
        import seccomp
    except ImportError:
        from doorward.confine import landlock, seccomp

OPEN, OPEN_HOW, LOOK, RUN, CHANGE, CONNECT = "open", "open_how", "look", "run", "change", "connect"
_Call = tuple[str, tuple[tuple[int, int], ...], int]
"""What a call does; where its paths are (argument of the folder, -1 for none, and of the path); where its flags are."""

_BOTH_RENAMED: tuple[tuple[int, int], ...] = ((0, 1), (2, 3))
_X86_64: dict[int, _Call] = {
    2: (OPEN, ((-1, 0),), 1),
    85: (CHANGE, ((-1, 0),), -1),  # creat
    257: (OPEN, ((0, 1),), 2),
    59: (RUN, ((-1, 0),), -1),
    322: (RUN, ((0, 1),), -1),
    **dict.fromkeys((4, 6, 21, 89, 80), (LOOK, ((-1, 0),), -1)),  # stat, lstat, access, readlink, chdir
    **dict.fromkeys((262, 269, 267), (LOOK, ((0, 1),), -1)),  # newfstatat, faccessat, readlinkat
    332: (LOOK, ((0, 1),), -1),  # statx
    **dict.fromkeys((87, 84, 83, 76, 133), (CHANGE, ((-1, 0),), -1)),  # unlink, rmdir, mkdir, truncate, mknod
    **dict.fromkeys((263, 258, 259), (CHANGE, ((0, 1),), -1)),  # unlinkat, mkdirat, mknodat
    82: (CHANGE, ((-1, 0), (-1, 1)), -1),  # rename
    **dict.fromkeys((264, 316), (CHANGE, _BOTH_RENAMED, -1)),
    86: (CHANGE, ((-1, 1),), -1),  # link, symlink: the new name
    88: (CHANGE, ((-1, 1),), -1),
    265: (CHANGE, ((2, 3),), -1),
    266: (CHANGE, ((1, 2),), -1),
    42: (CONNECT, (), -1),
}
_AARCH64: dict[int, _Call] = {
    56: (OPEN, ((0, 1),), 2),
    221: (RUN, ((-1, 0),), -1),
    281: (RUN, ((0, 1),), -1),
    49: (LOOK, ((-1, 0),), -1),
    **dict.fromkeys((79, 48, 78, 291), (LOOK, ((0, 1),), -1)),
    45: (CHANGE, ((-1, 0),), -1),
    **dict.fromkeys((35, 34, 33), (CHANGE, ((0, 1),), -1)),
    **dict.fromkeys((38, 276), (CHANGE, _BOTH_RENAMED, -1)),
    37: (CHANGE, ((2, 3),), -1),
    36: (CHANGE, ((1, 2),), -1),
    203: (CONNECT, (), -1),
}
_EVERYWHERE: dict[int, _Call] = {437: (OPEN_HOW, ((0, 1),), 2), 439: (LOOK, ((0, 1),), -1)}  # openat2, faccessat2
_MACHINES = {"x86_64": (0xC000003E, 317, _X86_64), "aarch64": (0xC00000B7, 277, _AARCH64)}

_SET_MODE_FILTER, _NEW_LISTENER, _WAIT_KILLABLE = 1, 1 << 3, 1 << 5
_USER_NOTIFICATION, _CONTINUE = 0x7FC00000, 1
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_PATH_MAX, _PAGE = 4096, 4096
_HERE = -100  # AT_FDCWD
_INTERNET, _INTERNET_6 = 2, 10


def install() -> int:
    """Stop the calls of this process, and of all that it will ever start, from now on; the descriptor to watch them by.

    Needs ``no_new_privs``. Raises OSError: ENOSYS for a machine whose numbers are not known here, EBUSY where another
    one watches already, else as the kernel gave it.
    """
    architecture, number, calls = _machine()
    code = seccomp.stopping((*calls, *_EVERYWHERE), architecture, _USER_NOTIFICATION)
    held = ctypes.create_string_buffer(code, len(code))
    told = struct.pack("HP", len(code) // seccomp.SIZE, ctypes.addressof(held))
    try:
        # With the second flag a signal does not take a call back that is being looked at (Linux 5.19).
        return landlock.syscall(number, _SET_MODE_FILTER, _NEW_LISTENER | _WAIT_KILLABLE, told)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return landlock.syscall(number, _SET_MODE_FILTER, _NEW_LISTENER, told)


def _machine() -> tuple[int, int, dict[int, _Call]]:
    name = os.uname().machine
    if name not in _MACHINES or sys.maxsize <= 1 << 32:
        raise OSError(errno.ENOSYS, f"no numbers of calls for {name}")
    return _MACHINES[name]


class Seen:
    """One call: what it ``does`` (``read``, ``write``, ``look``, ``run`` or ``connect``), and to what: an absolute path
    as the process named it, or HOST:PORT.
    """

    __slots__ = ("does", "what")

    def __init__(self, does: str, what: str) -> None:
        self.does, self.what = does, what


class Tracer:
    """Takes calls from the descriptor of ``install`` and lets each go on. Readable while one waits.

    For a process that may look into those that it watches: the one that started them.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._calls = {**_machine()[2], **_EVERYWHERE}

    def fileno(self) -> int:
        return self.descriptor

    def take(self) -> list[Seen]:
        """The call that waits, which goes on. Empty when it has none that can be read, or whoever made it is gone."""
        notification = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self.descriptor, _RECEIVE, notification, True)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                return []
            raise
        id_, pid, _, number, _, _, *arguments = _NOTIFICATION.unpack(notification)
        try:
            seen = self._read(pid, number, arguments)
        except (OSError, ValueError, OverflowError):
            seen = []  # its memory cannot be read: it has not been executed yet, ends, or names a place where none is
        try:
            fcntl.ioctl(self.descriptor, _SEND, _ANSWER.pack(id_, 0, 0, _CONTINUE))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
        return seen

    def close(self) -> None:
        """Stop watching. Calls that are made from now on fail (ENOSYS): only when nobody is left to make any."""
        os.close(self.descriptor)

    def _read(self, pid: int, number: int, arguments: list[int]) -> list[Seen]:
        what, paths, flags_at = self._calls[number]
        memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if what == CONNECT:
                address = os.pread(memory, min(arguments[2], 128), arguments[1])
                return [Seen("connect", spelt)] if (spelt := _spelt(address)) else []
            flags = arguments[flags_at] if flags_at >= 0 else 0
            if what == OPEN_HOW:
                flags = int.from_bytes(os.pread(memory, 8, flags), sys.byteorder)
            does = _does(what, flags)
            return [
                Seen(does, path)
                for folder, at in paths
                if (path := _absolute(pid, arguments[folder] if folder >= 0 else _HERE, _text(memory, arguments[at])))
            ]
        finally:
            os.close(memory)


def _does(what: str, flags: int) -> str:
    if what in (OPEN, OPEN_HOW):
        return "write" if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC) else "read"
    return {LOOK: "look", RUN: "run", CHANGE: "write"}[what]


def _text(memory: int, address: int) -> bytes:
    """Up to the NUL; page by page, since the next one may not be there."""
    found = b""
    while b"\0" not in found and len(found) < _PATH_MAX:
        at = address + len(found)
        piece = os.pread(memory, _PAGE - at % _PAGE, at)
        if not piece:
            break
        found += piece
    return found.partition(b"\0")[0]


def _absolute(pid: int, folder: int, path: bytes) -> str:
    if path.startswith(b"/"):
        return os.fsdecode(path)
    number = ctypes.c_int(folder & 0xFFFFFFFF).value
    if not path and number == _HERE:
        return ""
    above = os.readlink(f"/proc/{pid}/cwd" if number == _HERE else f"/proc/{pid}/fd/{number}")
    if not path or not above.startswith("/"):
        return ""  # a look at what is open already
    return os.path.join(above, os.fsdecode(path))


def _spelt(address: bytes) -> str:
    import _socket

    family = int.from_bytes(address[:2], sys.byteorder)
    port = int.from_bytes(address[2:4], "big")
    if family == _INTERNET:
        return f"{_socket.inet_ntop(_socket.AF_INET, address[4:8])}:{port}"
    if family == _INTERNET_6:
        return f"[{_socket.inet_ntop(_socket.AF_INET6, address[8:24])}]:{port}"
    return ""

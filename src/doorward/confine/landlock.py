"""Landlock: a process gives up the file system, except the paths named, for itself and all that it will ever start.

Only in this room is there any ctypes. This module imports nothing of Doorward and nothing slow, since the launcher
loads it by path before the server starts; for the same reason it raises ``OSError`` as the kernel gave it, and
``process`` and ``probe`` turn that into a ``ConfinementError``.

Rights, structures and the rights that each ABI brought: the kernel's documentation, userspace-api/landlock.

Does not protect: the network beyond TCP ports (datagrams, fast open and multipath TCP pass by it: ``seccomp`` refuses
them); sockets that have a path (``connect`` is no access to a file: ``seccomp`` refuses such sockets); metadata
(``stat``, ``readlink``, ``access``, ``chmod``, ``utime``, extended attributes and access lists work everywhere, unless
there is no everywhere: ``namespaces``), as do watches (``inotify`` tells the names of what changes in a folder); the
tables of the network in a process's own ``/proc`` entry; descriptors that were open before. On ABI 1 and 2 ``truncate``
is not covered, below 6 abstract sockets (``seccomp`` refuses both); below 5 ``ioctl`` on devices, below 6 signals:
``GAPS`` has the words. Rights add up: what is to be read only and lies in a folder to be written is written (a mount
holds it, ``namespaces``).
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

EXECUTE = 1 << 0
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
REMOVE_DIR = 1 << 4
REMOVE_FILE = 1 << 5
MAKE_CHAR = 1 << 6
MAKE_DIR = 1 << 7
MAKE_REG = 1 << 8
MAKE_SOCK = 1 << 9
MAKE_FIFO = 1 << 10
MAKE_BLOCK = 1 << 11
MAKE_SYM = 1 << 12
REFER = 1 << 13
TRUNCATE = 1 << 14
IOCTL_DEV = 1 << 15

READ = EXECUTE | READ_FILE | READ_DIR
# Never granted anywhere: device nodes (root could make one for the disk below a folder of its own) and their ioctls.
WRITE = (
    READ
    | WRITE_FILE
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_DIR
    | MAKE_REG
    | MAKE_SOCK
    | MAKE_FIFO
    | MAKE_SYM
    | REFER
    | TRUNCATE
)
_ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE

_SCOPE_ABSTRACT_SOCKETS = 1 << 0
_SCOPE_SIGNALS = 1 << 1

ABI_WITH_TRUNCATION = 3
_ABI_WITH_NETWORK, _ABI_WITH_SCOPES = 4, 6

# (first ABI in which it holds, what a server can do before that it should not, or cannot though it might)
GAPS = (
    (ABI_WITH_TRUNCATION, "a file is emptied only through its descriptor, and truncate by name refused"),
    (5, "device files that are readable can be given any ioctl"),
    (6, "processes of the same user can be signalled"),
)

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

# The numbers are the same on every architecture of Linux.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_OPENAT2, _AT_FDCWD = 437, -100
_RESOLVE_NO_MAGIC_LINKS, _RESOLVE_NO_LINKS = 0x02, 0x04
_VERSION_FLAG = 1
_PATH_BENEATH, _NET_PORT = 1, 2
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1

_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int, more: bytes | None = None) -> None:
    """Set one attribute of this process; ``more`` is what an option points to. Raises OSError as the kernel gave it."""
    unsigned = ctypes.c_ulong
    checked(_libc.prctl(ctypes.c_int(option), unsigned(value), ctypes.c_char_p(more), unsigned(0), unsigned(0)))


def default_signal(number: int) -> None:
    """Give a signal its default action back: an ignored one would stay ignored in the program executed next.

    ``signal.signal`` does the same and costs four milliseconds of import on the way of every server.
    """
    _libc.signal(ctypes.c_int(number), None)


def syscall(number: int, *arguments: int | bytes | None) -> int:
    """Make one system call by its number. Raises OSError as the kernel gave it."""
    converted = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments]
    return checked(_libc.syscall(ctypes.c_long(number), *converted))


def checked(result: int) -> int:
    """What a function of the C library answered. Raises OSError with its errno where that is below zero."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def detect_abi() -> int:
    """The running kernel's Landlock ABI, 0 where it has none (not built in, not booted, or the call is filtered).

    Asked by the system call: securityfs, which lists the security modules, is often not mounted.
    """
    try:
        return syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            return 0
        raise


def restrict(read: Iterable[str | bytes], write: Iterable[str | bytes], ports: Collection[int] = ()) -> int:
    """Confine the calling thread, and whatever it starts, to these paths; returns the ABI that holds.

    With ``ports``, TCP connects to these and to no others, of any address, and takes no port itself; without, TCP is
    left as it is.

    ``read`` grants reading, listing and executing; ``write`` also changing. A directory means everything beneath it. A
    path that is not there, or may not be opened, grants nothing, so the process is only poorer for it. The paths
    are expected to be resolved: one of which a part became a symbolic link since is not followed.

    Needs ``no_new_privs`` or CAP_SYS_ADMIN. Raises OSError: ENOSYS where Landlock is missing, E2BIG inside sixteen
    domains already, EPERM without the above. ENOSYS as well for ``ports`` below ABI 4, which knows none.
    """
    abi = detect_abi()
    if abi < (_ABI_WITH_NETWORK if ports else 1):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    handled = _handled(abi)
    ruleset = _create_ruleset(abi, handled, _BIND_TCP | _CONNECT_TCP if ports else 0)
    try:
        for port in ports:
            rule = _CONNECT_TCP.to_bytes(8, sys.byteorder) + port.to_bytes(8, sys.byteorder)
            syscall(_ADD_RULE, ruleset, _NET_PORT, rule, 0)
        for paths, rights in ((read, READ), (write, WRITE)):
            for path in paths:
                _allow(ruleset, path, rights & handled)
        syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return abi


def open_without_links(path: str | bytes) -> int:
    """A descriptor that stands for a path (O_PATH), none of whose parts may be a link: ELOOP where one is.

    Whoever may write in a folder on the way could put one there after the path was resolved. Raises OSError as the
    kernel gave it, which knows this call for longer than it has Landlock (5.6).
    """
    fields = (os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, 0, _RESOLVE_NO_LINKS | _RESOLVE_NO_MAGIC_LINKS)
    how = b"".join(field.to_bytes(8, sys.byteorder) for field in fields)
    place = syscall(_OPENAT2, _AT_FDCWD, os.fsencode(path), how, len(how))
    if stat.S_ISLNK(os.fstat(place).st_mode):  # the last part is opened as such
        os.close(place)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return place


def _handled(abi: int) -> int:
    handled = (1 << 13) - 1
    for first_abi, right in ((2, REFER), (ABI_WITH_TRUNCATION, TRUNCATE), (5, IOCTL_DEV)):
        if abi >= first_abi:
            handled |= right
    return handled


def _create_ruleset(abi: int, handled: int, handled_network: int) -> int:
    fields = [handled]
    if abi >= _ABI_WITH_NETWORK:
        fields.append(handled_network)
    if abi >= _ABI_WITH_SCOPES:
        fields.append(_SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS)
    attributes = b"".join(field.to_bytes(8, sys.byteorder) for field in fields)
    return syscall(_CREATE_RULESET, attributes, len(attributes), 0)


def _allow(ruleset: int, path: str | bytes, rights: int) -> None:
    try:
        place = open_without_links(path)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _ON_FILES  # the kernel refuses a rule that grants a file what only directories have
        rule = rights.to_bytes(8, sys.byteorder) + place.to_bytes(4, sys.byteorder, signed=True)
        syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(place)

"""Namespaces: a machine of its own for one server, in which only what its profile names is there at all.

Landlock refuses what is outside; here there is no outside. The server gets its own root folder (what it may read and
write, bound to the same paths, and empty folders above), its own processes (nobody else's are in its ``/proc``, and all
of its own end with the first), its own network (a loopback and nothing else, ``loopback``), System V objects, host name
and control groups. All belong to a user namespace in which it has no capability, so nothing of the machine's own is
asked for: whoever may make a user namespace needs no privilege.

Three processes: the supervisor, outside; the first process of the new namespace, which waits for orphans, and whose end
the kernel makes the end of all others in it; the server. What root starts runs as the first other owner of a folder
that it may write. Where all are root's, it is user 1000 in here: no capability, and outside it still owns what root
owns, of which it sees what it was given. Files of others are closed to it: it can no longer override their modes.

Watches of files (``inotify``) the kernel counts by user, in this user namespace and in those above: in this one there
are half as many, so that no server takes them from all other programs of its user.

Mounts are made by descriptors (open_tree, mount_setattr, move_mount: Linux 5.12, one version before Landlock), opened
without following a link anywhere: what was swapped since the profile was derived is left out, not followed.

Sources: user_namespaces(7), pid_namespaces(7), mount_setattr(2), pivot_root(2). ADR 0013 says why not bubblewrap.

Does not protect: what lies inside the folders; the kernel itself, which shows more of its surface to whoever has a
user namespace (``seccomp`` keeps the server from making another). Memory of files is not counted here (``caps``). Two
servers together may still have all watches of their user, and one where ``/proc/sys`` is read-only, as in containers.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from doorward.confine import landlock
else:
    try:
        import landlock  # beside us: the launcher has no packages
    except ImportError:
        from doorward.confine import landlock

_NEW_MOUNTS, _NEW_CGROUPS, _NEW_NAMES, _NEW_IPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
_NEW_USERS, _NEW_PIDS, _NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
_ALL = _NEW_MOUNTS | _NEW_CGROUPS | _NEW_NAMES | _NEW_IPC | _NEW_USERS | _NEW_PIDS | _NEW_NETWORK

USER_OF_ROOT = 1000
"""Who root's server is, inside: nobody, which other users' files show as, would make them look like its own."""

# The same on every architecture but the first.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_SET_TEXT, _CREATE, _CLOSE_ON_EXEC = 1, 6, 1
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_CLONE = {"x86_64": 56, "aarch64": 220}
_SIGCHLD = 17
_AT_EMPTY_PATH, _AT_RECURSIVE, _AT_FDCWD = 0x1000, 0x8000, -100
_TREE_CLONE, _TREE_CLOEXEC = 1, os.O_CLOEXEC
_FROM_EMPTY_PATH, _TO_EMPTY_PATH = 0x04, 0x40
_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_EXEC = 0x1, 0x2, 0x4, 0x8
_MS_READ_ONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_PRIVATE, _MS_RECURSIVE = 1, 2, 4, 8, 1 << 18, 1 << 14
_DETACH = 2
_ROOT_OPTIONS = {b"mode": b"0755", b"size": b"4m", b"nr_inodes": b"64k"}
"""The root holds folders, links and a host table, and is read-only once they are made."""

_MASKED_FILES = (
    *("config.gz", "interrupts", "iomem", "ioports", "kallsyms", "kcore", "key-users", "keys", "kmsg", "latency_stats"),
    *("modules", "sched_debug", "schedstat", "slabinfo", "sysrq-trigger", "timer_list", "timer_stats", "vmallocinfo"),
)
_MASKED_FOLDERS = ("acpi", "asound", "bus", "driver", "fs", "irq", "scsi", "tty")
"""What a container runtime masks in /proc or makes read-only, and more of that kind: the machine's, of no namespace."""

_SETTINGS = "/proc/sys/user"
_COUNTED = ("max_inotify_instances", "max_inotify_watches")
_DESCRIPTORS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
_NOTHING, _EMPTY = "nothing", "empty"

_libc = ctypes.CDLL(None, use_errno=True)


def fork() -> int:
    """As ``os.fork``, but the child is the first process of namespaces of its own: 0 in the child, its pid here.

    For a process with one thread. Raises OSError as the kernel gave it: EPERM where user namespaces are forbidden,
    ENOSPC where there are too many.
    """
    # Flags and the signal of its end; no stack of its own, so that it goes on here, on a copy of this one.
    return landlock.syscall(_CLONE[os.uname().machine], _ALL | _SIGCHLD, 0, 0, 0, 0)


def name_user(process: int | str, user: int, group: int) -> None:
    """Say who ``user`` and ``group`` of the machine are in the namespace of its first process: the only ones there are.

    By itself (``self``) it may name the user that it already is; root, outside, may name any.
    """
    # Who may not be dumped does not own its own entries in /proc. No other process has a right to this one by it: it
    # has capabilities in a namespace in which nobody else is.
    landlock.prctl(landlock.PR_SET_DUMPABLE, 1)
    _write(f"/proc/{process}/setgroups", "deny")
    _write(f"/proc/{process}/uid_map", f"{user or USER_OF_ROOT} {user} 1")
    _write(f"/proc/{process}/gid_map", f"{group or USER_OF_ROOT} {group} 1")
    landlock.prctl(landlock.PR_SET_DUMPABLE, 0)


def most_watches() -> dict[str, int]:
    """What a user may watch, by the name of the kernel's setting, in the user namespace in which we are."""
    found = {}
    for name in _COUNTED:
        try:
            with open(f"{_SETTINGS}/{name}", "rb", buffering=0) as file:
                found[name] = int(file.read(64))
        except OSError:
            pass  # a kernel without it
    return found


def halve_watches(most: Mapping[str, int]) -> None:
    """Let nobody in this user namespace have more than half of ``most``, which is of the one above it: this one begins
    without a bound. Before capabilities are given up.
    """
    for name, number in most.items():
        try:  # noqa: SIM105 - contextlib would cost three milliseconds
            _write(f"{_SETTINGS}/{name}", str(number // 2))
        except OSError:
            pass  # read-only


def become(user: int, group: int) -> None:
    """Be who was named. What is done after that is done as that user; what was opened before stays open."""
    user, group = user or USER_OF_ROOT, group or USER_OF_ROOT
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    landlock.prctl(landlock.PR_SET_DUMPABLE, 0)


def collect(read: Iterable[bytes], write: Iterable[bytes]) -> list[tuple[bytes, int]]:
    """What the root folder will be made of: paths, each with a mount of its own of what lies there and below.

    A path that is not there, or leads through a link, is left out. Raises OSError as the kernel gave it.
    """
    _mount(None, b"/", None, _MS_PRIVATE | _MS_RECURSIVE)
    trees = [(path, tree) for path in write if (tree := _clone(path, read_only=False)) >= 0]
    trees += [(path, tree) for path in read if (tree := _clone(path, read_only=True)) >= 0]
    return sorted(trees)  # what is above comes first


def build_root(
    base: int,
    trees: Iterable[tuple[bytes, int]],
    *,
    empty: Iterable[bytes] = (),
    links: Iterable[bytes] = (),
    files: Mapping[str, bytes] | None = None,
) -> None:
    """Make the root folder of what was collected, and enter it; for the first process of a new namespace.

    ``base`` is a descriptor of a folder of the machine over which it is built, in this namespace only. ``empty`` are
    folders that are there without content; ``links`` are places and targets, a line feed between them; ``files`` have
    content of ours. Ends in ``/``, everything else of the machine out of reach.

    Raises OSError as the kernel gave it.
    """
    os.fchdir(_mount_root(base))
    for name, content in (files or {}).items():
        _make_folder(os.path.dirname(name))
        with open(name, "wb", buffering=0) as file:
            file.write(content)
    _make_folder("proc")
    # Root's server would own the kernel's settings in there, too.
    _mount(b"proc", b"proc", b"proc", _MS_READ_ONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    _hide_tables()
    # Entered before anything of the server is in it: a link that lies in there would otherwise lead us to the machine.
    landlock.syscall(_PIVOT_ROOT[os.uname().machine], b".", b".")
    landlock.checked(_libc.umount2(ctypes.c_char_p(b"."), ctypes.c_int(_DETACH)))
    os.chdir("/")
    for path, tree in trees:
        if os.fsdecode(path[1:]) not in (files or {}):
            _attach(os.fsdecode(path[1:]), tree)
        os.close(tree)
    for path in empty:
        _make_folder(os.fsdecode(path[1:]))
    for record in links:
        place, _, target = os.fsdecode(record).partition("\n")
        _make_link(place[1:], target)
    for name, target in _DESCRIPTORS.items():
        _make_link(f"dev/{name}", target)
    root = _open(".")
    _set_attributes(root, _READ_ONLY, recursive=False)
    os.close(root)


def stay(server: int) -> int:
    """Be the first process: wait for whoever has lost its parent, until the server has ended; its exit code then.

    128+n where a signal ended it, as a shell has it.
    """
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == server:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _mount_root(base: int) -> int:
    """An empty file system in memory, over ``base``. By descriptors, since who we are may not be let to where it is."""
    system = landlock.syscall(_FSOPEN, b"tmpfs", _CLOSE_ON_EXEC)
    for name, value in _ROOT_OPTIONS.items():
        landlock.syscall(_FSCONFIG, system, _SET_TEXT, name, value, 0)
    landlock.syscall(_FSCONFIG, system, _CREATE, None, None, 0)
    root = landlock.syscall(_FSMOUNT, system, _CLOSE_ON_EXEC, _NO_SUID | _NO_DEVICES)
    landlock.syscall(_MOVE_MOUNT, root, b"", base, b"", _FROM_EMPTY_PATH | _TO_EMPTY_PATH)
    os.close(system)
    return root


def _clone(path: bytes, *, read_only: bool) -> int:
    """A mount of its own of what lies there and below, attached nowhere yet; -1 where nothing does."""
    try:
        place = landlock.open_without_links(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.EACCES, errno.ENOTDIR, errno.ESTALE):
            return -1
        raise
    try:
        is_device = stat.S_ISCHR(os.fstat(place).st_mode)
        tree = landlock.syscall(_OPEN_TREE, place, b"", _TREE_CLONE | _TREE_CLOEXEC | _AT_EMPTY_PATH | _AT_RECURSIVE)
    finally:
        os.close(place)
    # A device of a read-only mount can be written to, but not be changed: root would own the machine's /dev/null.
    added = (_READ_ONLY if read_only or is_device else 0) | _NO_SUID | (_NO_EXEC if is_device else _NO_DEVICES)
    _set_attributes(tree, added, recursive=True)
    return tree


def _attach(path: str, tree: int) -> None:
    """Put a mount at its place; one whose place is another meanwhile is left out: a link above it, a file for a folder,
    or none at all.

    No error, or whoever exchanges the two could have the server started by the next, lesser mechanism.
    """
    is_folder = stat.S_ISDIR(os.fstat(tree).st_mode)
    try:
        if not os.path.lexists(path):
            _make_folder(path if is_folder else os.path.dirname(path))
            if not is_folder:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        place = landlock.open_without_links(path)
    except OSError:
        return
    try:
        if stat.S_ISDIR(os.fstat(place).st_mode) == is_folder:
            landlock.syscall(_MOVE_MOUNT, tree, b"", place, b"", _FROM_EMPTY_PATH | _TO_EMPTY_PATH)
    except OSError as error:
        if error.errno != errno.ENOENT:  # removed since it was opened
            raise
    finally:
        os.close(place)


def _hide_tables() -> None:
    """Put an empty file or folder over what in ``/proc`` is the whole machine's: what is masked by name, and each file
    that only its owner may read, where we are that. Without a capability root still owns them.
    """
    with open(_NOTHING, "wb"):
        pass
    os.mkdir(_EMPTY, 0o555)
    for name in os.listdir("proc"):
        status = os.lstat(f"proc/{name}")
        if stat.S_ISDIR(status.st_mode):
            if name in _MASKED_FOLDERS:
                _cover(f"proc/{name}", _EMPTY)
        elif stat.S_ISREG(status.st_mode):
            is_ours_alone = not status.st_mode & stat.S_IROTH and status.st_uid == os.geteuid()
            if is_ours_alone or name in _MASKED_FILES:
                _cover(f"proc/{name}", _NOTHING)
    os.unlink(_NOTHING)
    os.rmdir(_EMPTY)


def _cover(path: str, cover: str) -> None:
    tree = landlock.syscall(_OPEN_TREE, _AT_FDCWD, cover.encode(), _TREE_CLONE | _TREE_CLOEXEC)
    _set_attributes(tree, _READ_ONLY, recursive=False)
    landlock.syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, path.encode(), _FROM_EMPTY_PATH)
    os.close(tree)


def _make_folder(path: str) -> None:
    """With those above; where one is, or something else stands in the way, nothing."""
    if not path or os.path.lexists(path):
        return
    _make_folder(os.path.dirname(path))
    try:  # noqa: SIM105 - contextlib would cost three milliseconds
        os.mkdir(path, 0o755)
    except OSError:
        pass  # below a folder that is read-only, or below a file


def _make_link(path: str, target: str) -> None:
    if os.path.lexists(path):
        return
    _make_folder(os.path.dirname(path))
    try:  # noqa: SIM105 - as above
        os.symlink(target, path)
    except OSError:
        pass


def _open(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def _set_attributes(tree: int, added: int, *, recursive: bool) -> None:
    # struct mount_attr: set, clear, propagation, user namespace
    attributes = b"".join(field.to_bytes(8, sys.byteorder) for field in (added, 0, 0, 0))
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    landlock.syscall(_MOUNT_SETATTR, tree, b"", flags, attributes, len(attributes))


def _mount(source: bytes | None, target: bytes, kind: bytes | None, flags: int) -> None:
    words = map(ctypes.c_char_p, (source, target, kind))
    landlock.checked(_libc.mount(*words, ctypes.c_ulong(flags), None))


def _write(path: str, content: str) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(content.encode())

"""The few calls that a confined server never gets, since what guards paths does not see them.

*prlimit on other processes.* The kernel lets every process of one user set the limits of the others: with
``RLIMIT_CPU`` that is a kill, with ``RLIMIT_NOFILE`` it makes the supervisor unable to find what it must end. On itself
(process 0) a server may use it. *Keyrings*, where sessions keep tickets and disk keys. *What a server that runs as root
could still do to the machine*: modules, another kernel, the clock (our entries carry its time), swap, ports, bpf, the
names of the host, the kernel's log, mounts. *What leads around walls or deep into the kernel, and that servers do
without*: user namespaces (in them whoever likes is root, for a kernel that was never asked to expect it), io_uring (its
operations are no calls, so no filter sees them), ``userfaultfd``, ``perf_event_open``, files by handle, ``fanotify``.

*Leases* (``fcntl``), by which whoever may only read a file of its user's makes all who open it for writing wait, 45
seconds each time.

*Modes that make a program another user's* (set-user-ID, by chmod and mknod): one that it left in a folder would give
whoever starts it outside the rights of the server's user; where that is root, all of them. Set-group-ID is left, since
folders have it.

*Where it has no namespaces* (``internet`` is not ``ALL``): System V's shared memory, queues and semaphores, and queues
with a name, which belong to no folder (ENOSYS); scheduling and priorities, of any process but itself.

*Emptying a file by its name*, where Landlock does not see it (ABI 1 and 2, kernels before 6.2): ``truncate``, and to
open with ``O_TRUNC`` what is not opened to be written, are refused (EACCES); so is ``openat2`` (ENOSYS), which keeps
its flags in memory. What is opened to be written Landlock judges; it may be cut through its descriptor.

*Sockets.* Of IPv4 and IPv6 as ``restrict`` is told. Unix sockets only as connected pairs: one of its own could reach
whatever listens at a path or a name, an agent or a bus, which no wall around files sees. Only pairs of streams and of
packets in order: datagrams, for which the kernel takes the raw type as well, can be turned to another address. Where
the network is the machine's own, it may not listen, nor take an address: the end of a pair could keep a name from
others. No others: netlink, raw packets, a virtual machine's host (vsock), the kernel's ciphers, Bluetooth.

A filter is inherited and cannot be taken off. A call by another architecture's table (32-bit programs, x32) is refused
whole, as its numbers mean other calls. Refused calls return EPERM; io_uring and ``clone3`` return ENOSYS and families
EAFNOSUPPORT, as where there are none: libraries then take the older way. ``clone3`` keeps its flags in memory, where a
filter cannot look.

A browser that a server starts must do without its own sandbox of namespaces (``--no-sandbox``): it stands in ours.

Does not protect: addresses, which no filter sees; without namespaces, which processors other processes of the user run
on (threads are told so by the same call), and modes and times of the user's files.

Numbers: the kernel's ``syscall_64.tbl`` and ``asm-generic/unistd.h``; instructions: seccomp(2), linux/bpf_common.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from doorward.confine import landlock
else:
    try:
        import landlock  # beside us: the launcher has no packages
    except ImportError:
        from doorward.confine import landlock


# Where the kernel's description of a call keeps what is looked at (struct seccomp_data).
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND, _THIRD, _FOURTH = 0, 4, 16, 24, 32, 40


class _Numbers:
    """One machine's numbers: its audit architecture, the calls that are looked at, those that are never allowed."""

    def __init__(self, architecture: int, *, prlimit: int, clone: int, unshare: int, socket: int, pair: int) -> None:
        self.architecture = architecture
        self.prlimit, self.clone, self.unshare, self.socket, self.pair = prlimit, clone, unshare, socket, pair
        self.listen = self.bind = self.control = 0
        self.never: tuple[int, ...] = ()
        self.shared: tuple[int, ...] = ()
        self.of_process_first: tuple[int, ...] = ()
        self.of_process_second: tuple[tuple[int, int], ...] = ()
        self.with_mode_second: tuple[int, ...] = ()
        self.with_mode_third: tuple[int, ...] = ()
        self.with_flags_third: tuple[int, ...] = ()
        self.with_flags_fourth: tuple[int, ...] = ()
        self.truncate = 0
        self.opens: tuple[tuple[int, int], ...] = ()


_X86_64 = _Numbers(0xC000003E, prlimit=302, clone=56, unshare=272, socket=41, pair=53)
_X86_64.never = (
    *(248, 249, 250),  # add_key, request_key, keyctl
    *(175, 313, 176, 246, 320),  # init_module, finit_module, delete_module, kexec_load, kexec_file_load
    *(164, 227, 159, 305),  # settimeofday, clock_settime, adjtimex, clock_adjtime
    *(169, 167, 168, 172, 173, 321, 163),  # reboot, swapon, swapoff, iopl, ioperm, bpf, acct
    *(308, 323, 298, 304, 300),  # setns, userfaultfd, perf_event_open, open_by_handle_at, fanotify_init
    *(170, 171, 103, 153, 179, 212),  # sethostname, setdomainname, syslog, vhangup, quotactl, lookup_dcookie
    *(165, 166, 155, 161),  # mount, umount2, pivot_root, chroot
)
_X86_64.listen, _X86_64.bind, _X86_64.control = 50, 49, 72  # listen, bind, fcntl
_X86_64.shared = (
    *(29, 30, 31),  # shmget, shmat, shmctl
    *(64, 65, 66, 220),  # semget, semop, semctl, semtimedop
    *(68, 69, 70, 71),  # msgget, msgsnd, msgrcv, msgctl
    *(240, 241),  # mq_open, mq_unlink
)
_X86_64.of_process_first = (142, 144, 314)  # sched_setparam, sched_setscheduler, sched_setattr
_X86_64.of_process_second = ((141, 0), (251, 1))  # setpriority, ioprio_set; with what means one process
_X86_64.with_mode_second, _X86_64.with_mode_third = (90, 91, 133), (268, 259)  # chmod, fchmod, mknod; fchmodat, mknodat
_X86_64.with_flags_third, _X86_64.with_flags_fourth = (46,), (44, 307)  # sendmsg; sendto, sendmmsg
_X86_64.truncate, _X86_64.opens = 76, ((2, _SECOND), (257, _THIRD))  # open, openat; with the argument that has flags
_AARCH64 = _Numbers(0xC00000B7, prlimit=261, clone=220, unshare=97, socket=198, pair=199)
_AARCH64.never = (
    *(217, 218, 219),
    *(105, 273, 106, 104, 294),
    *(170, 112, 171, 266),
    *(142, 224, 225, 280, 89),
    *(268, 282, 241, 265, 262),
    *(161, 162, 116, 58, 60, 18),
    *(40, 39, 41, 51),
)
_AARCH64.listen, _AARCH64.bind, _AARCH64.control = 201, 200, 25
_AARCH64.shared = (*(194, 196, 195), *(190, 193, 191, 192), *(186, 189, 188, 187), *(180, 181))
_AARCH64.of_process_first = (118, 119, 274)
_AARCH64.of_process_second = ((140, 0), (30, 1))
_AARCH64.with_mode_second, _AARCH64.with_mode_third = (52,), (53, 33)
_AARCH64.with_flags_third, _AARCH64.with_flags_fourth = (211,), (206, 269)
_AARCH64.truncate, _AARCH64.opens = 45, ((56, _THIRD),)
_MACHINES = {"x86_64": _X86_64, "aarch64": _AARCH64}
_ABSENT = (425, 426, 427, 435)  # io_uring_setup, io_uring_enter, io_uring_register, clone3: the same everywhere
# open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr, open_tree_attr: as well
_MOUNTS = (428, 429, 430, 431, 432, 433, 442, 467)
_QUOTA = 443  # quotactl_fd, the same everywhere
_FCHMODAT2, _SET_LEASE = 452, 1024
_OPENAT2 = 437
_TRUNCATES, _ACCESS_BITS, _TO_BE_WRITTEN = 0o1000, 0o3, (1, 2)  # O_TRUNC; O_WRONLY, O_RDWR
_SET_USER_ID = 0o4000
_UNIX, _INTERNET = 1, (2, 10)
_STREAM, _PACKETS, _TYPE_BITS = 1, 5, 0xF
_TCP_PROTOCOLS = (0, 6)  # multipath TCP is another, and no rule about ports sees it
_FAST_OPEN = 0x20000000  # a flag of sending by which TCP connects, past every rule about connecting
ALL, TCP, NONE = "all", "tcp", "none"
"""What ``restrict`` is told of the internet's sockets: any; TCP alone; none."""
_NEW_USER_NAMESPACE = 0x10000000
_X32_BIT = 0x40000000

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
SIZE = 8
"""Bytes of one instruction."""
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_LOAD, _KEEP_BITS, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06


def restrict(internet: str, *, truncation_is_seen: bool = True) -> None:
    """Refuse these calls to this thread and to all that it will ever start. Needs ``no_new_privs``.

    ``internet`` is ``ALL``, ``TCP`` or ``NONE``: which sockets of IPv4 and IPv6 it may still make.
    ``truncation_is_seen`` by another wall, so that files may be emptied by their names.

    Raises OSError: ENOSYS for a machine whose numbers are not known here, else as the kernel gave it.
    """
    instructions = program(os.uname().machine, internet, truncation_is_seen=truncation_is_seen)
    code = ctypes.create_string_buffer(instructions, len(instructions))
    # struct sock_fprog: how many instructions, and where they are
    told = struct.pack("HP", len(instructions) // SIZE, ctypes.addressof(code))
    landlock.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, told)


def program(machine: str, internet: str, *, truncation_is_seen: bool = True) -> bytes:
    """The filter for a machine, as the kernel reads it. Raises OSError (ENOSYS) where its numbers are not known."""
    if machine not in _MACHINES or sys.maxsize <= 1 << 32:
        raise OSError(errno.ENOSYS, f"no seccomp numbers for {machine}")
    numbers = _MACHINES[machine]
    code = _instruction(_LOAD, _ARCHITECTURE) + _instruction(_IF_EQUAL, numbers.architecture, 1, 0)
    code += _refuse() + _instruction(_LOAD, _NUMBER) + _instruction(_IF_AT_LEAST, _X32_BIT, 0, 1) + _refuse()
    for number in (*numbers.never, *_MOUNTS, _QUOTA):
        code += _when(_IF_EQUAL, number, _refuse())
    for number in _ABSENT:
        code += _when(_IF_EQUAL, number, _refuse(errno.ENOSYS))
    # Each of these loads an argument, so it ends with its own answer.
    first = _lower_half(_FIRST)
    code += _when(_IF_EQUAL, numbers.prlimit, first + _unless(_IF_EQUAL, (0,), _refuse()) + _allow())
    for number in (numbers.clone, numbers.unshare):
        code += _when(_IF_EQUAL, number, first + _when(_IF_ANY, _NEW_USER_NAMESPACE, _refuse()) + _allow())
    no_lease = _lower_half(_SECOND) + _when(_IF_EQUAL, _SET_LEASE, _refuse()) + _allow()
    code += _when(_IF_EQUAL, numbers.control, no_lease)
    code += _about_modes(numbers)
    if not truncation_is_seen:
        code += _about_truncation(numbers)
    if internet != ALL:
        code += _about_others(numbers)
    code += _when(_IF_EQUAL, numbers.socket, _about_sockets(internet))
    code += _when(_IF_EQUAL, numbers.pair, _about_pairs())
    if internet == TCP:
        code += _when(_IF_EQUAL, numbers.listen, _refuse())
        for argument, calls in ((_THIRD, numbers.with_flags_third), (_FOURTH, numbers.with_flags_fourth)):
            for number in calls:
                no_fast_open = _when(_IF_ANY, _FAST_OPEN, _refuse(errno.EOPNOTSUPP))
                code += _when(_IF_EQUAL, number, _lower_half(argument) + no_fast_open + _allow())
    return code + _allow()


def stopping(calls: Iterable[int], architecture: int, answer: int) -> bytes:
    """Another filter, which gives ``answer`` to these calls and lets all others pass."""
    code = _instruction(_LOAD, _ARCHITECTURE) + _instruction(_IF_EQUAL, architecture, 1, 0) + _allow()
    code += _instruction(_LOAD, _NUMBER)
    return code + b"".join(_when(_IF_EQUAL, call, _instruction(_RETURN, answer)) for call in calls) + _allow()


def _about_modes(numbers: _Numbers) -> bytes:
    code = b""
    for argument, calls in ((_SECOND, numbers.with_mode_second), (_THIRD, (*numbers.with_mode_third, _FCHMODAT2))):
        answer = _lower_half(argument) + _when(_IF_ANY, _SET_USER_ID, _refuse()) + _allow()
        code += b"".join(_when(_IF_EQUAL, number, answer) for number in calls)
    return code


def _about_truncation(numbers: _Numbers) -> bytes:
    code = _when(_IF_EQUAL, numbers.truncate, _refuse(errno.EACCES))
    code += _when(_IF_EQUAL, _OPENAT2, _refuse(errno.ENOSYS))
    to_be_written = _instruction(_KEEP_BITS, _ACCESS_BITS) + _unless(_IF_EQUAL, _TO_BE_WRITTEN, _refuse(errno.EACCES))
    for number, flags in numbers.opens:
        code += _when(_IF_EQUAL, number, _lower_half(flags) + _when(_IF_ANY, _TRUNCATES, to_be_written) + _allow())
    return code


def _about_others(numbers: _Numbers) -> bytes:
    """What reaches other programs of the machine, for whoever has no namespaces."""
    code = b"".join(_when(_IF_EQUAL, number, _refuse(errno.ENOSYS)) for number in numbers.shared)
    code += _when(_IF_EQUAL, numbers.bind, _refuse(errno.EACCES))  # as Landlock has it, for TCP
    itself = _unless(_IF_EQUAL, (0,), _refuse())
    for number in numbers.of_process_first:
        code += _when(_IF_EQUAL, number, _lower_half(_FIRST) + itself + _allow())
    for number, one_process in numbers.of_process_second:
        of_one = _lower_half(_FIRST) + _unless(_IF_EQUAL, (one_process,), _refuse())
        code += _when(_IF_EQUAL, number, of_one + _lower_half(_SECOND) + itself + _allow())
    return code


def _about_sockets(internet: str) -> bytes:
    no_family = _refuse(errno.EAFNOSUPPORT)
    if internet == NONE:
        return no_family
    code = _lower_half(_FIRST) + _unless(_IF_EQUAL, _INTERNET, no_family)
    if internet == TCP:
        no_protocol = _refuse(errno.EPROTONOSUPPORT)
        code += _type() + _unless(_IF_EQUAL, (_STREAM,), no_protocol)
        code += _lower_half(_THIRD) + _unless(_IF_EQUAL, _TCP_PROTOCOLS, no_protocol)
    return code + _allow()


def _about_pairs() -> bytes:
    code = _lower_half(_FIRST) + _unless(_IF_EQUAL, (_UNIX,), _refuse(errno.EAFNOSUPPORT))
    return code + _type() + _unless(_IF_EQUAL, (_STREAM, _PACKETS), _refuse(errno.EPROTONOSUPPORT)) + _allow()


def _type() -> bytes:
    """Load a socket's type without the flags that stand beside it."""
    return _lower_half(_SECOND) + _instruction(_KEEP_BITS, _TYPE_BITS)


def _lower_half(argument: int) -> bytes:
    """Load what is an int or flags: the kernel looks at the lower half only."""
    return _instruction(_LOAD, argument if sys.byteorder == "little" else argument + 4)


def _when(question: int, value: int, then: bytes) -> bytes:
    """``then`` where the answer is yes; it stands behind the question, which jumps over it where not."""
    return _instruction(question, value, 0, len(then) // SIZE) + then


def _unless(question: int, values: tuple[int, ...], then: bytes) -> bytes:
    """``then`` where the answer is no for all ``values``."""
    asked = b""
    for value in reversed(values):
        asked = _instruction(question, value, (len(asked) + len(then)) // SIZE, 0) + asked
    return asked + then


def _refuse(error: int = errno.EPERM) -> bytes:
    return _instruction(_RETURN, _ERRNO | error)


def _allow() -> bytes:
    return _instruction(_RETURN, _ALLOW)


def _instruction(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", operation, if_true, if_false, value)

"""The few calls that a confined server never gets, since Landlock, which guards paths, does not see them.

*prlimit on other processes.* The kernel lets every process of one user set the limits of the others: with
``RLIMIT_CPU`` that is a kill, with ``RLIMIT_NOFILE`` it makes the supervisor unable to find what it must end. On itself
(process 0) a server may use it. *Keyrings*, where sessions keep tickets and disk keys. *What a server that runs as root
could still do to the machine*: modules, another kernel, the clock (our entries carry its time), swap, ports, bpf.

A filter is inherited and cannot be taken off. A call by another architecture's table (32-bit programs, x32) is refused
whole, as its numbers mean other calls. Refused calls return EPERM.

Does not protect: sockets that have a path, netlink, niceness, affinity and attributes of other processes or files. Nor
does it replace dropping capabilities.

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
    from doorward.confine import landlock
else:
    try:
        import landlock  # beside us: the launcher has no packages
    except ImportError:
        from doorward.confine import landlock

# machine: (audit architecture, prlimit64, calls that are never allowed)
_CALLS = {
    "x86_64": (
        0xC000003E,
        302,
        (
            *(248, 249, 250),  # add_key, request_key, keyctl
            *(175, 313, 176, 246, 320),  # init_module, finit_module, delete_module, kexec_load, kexec_file_load
            *(164, 227, 159, 305),  # settimeofday, clock_settime, adjtimex, clock_adjtime
            *(169, 167, 168, 172, 173, 321, 163),  # reboot, swapon, swapoff, iopl, ioperm, bpf, acct
        ),
    ),
    "aarch64": (
        0xC00000B7,
        261,
        (
            *(217, 218, 219),
            *(105, 273, 106, 104, 294),
            *(170, 112, 171, 266),
            *(142, 224, 225, 280, 89),
        ),
    ),
}
_X32_BIT = 0x40000000

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
# Where the kernel's description of a call keeps what is looked at (struct seccomp_data).
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06


def restrict() -> None:
    """Refuse these calls to this thread and to all that it will ever start. Needs ``no_new_privs``.

    Raises OSError: ENOSYS for a machine whose numbers are not known here, else as the kernel gave it.
    """
    program = _program(os.uname().machine)
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: how many instructions, and where they are
    told = struct.pack("HP", len(program) // 8, ctypes.addressof(code))
    landlock.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, told)


def _program(machine: str) -> bytes:
    if machine not in _CALLS or sys.maxsize <= 1 << 32:
        raise OSError(errno.ENOSYS, f"no seccomp numbers for {machine}")
    architecture, prlimit, never = _CALLS[machine]
    refuse = _instruction(_RETURN, _REFUSE)
    allow = _instruction(_RETURN, _ALLOW)
    # Each question jumps over the refusal that follows it where the answer is harmless.
    code = _instruction(_LOAD, _ARCHITECTURE) + _instruction(_IF_EQUAL, architecture, 1, 0) + refuse
    code += _instruction(_LOAD, _NUMBER) + _instruction(_IF_AT_LEAST, _X32_BIT, 0, 1) + refuse
    for number in never:
        code += _instruction(_IF_EQUAL, number, 0, 1) + refuse
    # The argument is an int: the kernel looks at its lower half only.
    lower = _FIRST_ARGUMENT if sys.byteorder == "little" else _FIRST_ARGUMENT + 4
    code += _instruction(_IF_EQUAL, prlimit, 0, 3) + _instruction(_LOAD, lower)
    return code + _instruction(_IF_EQUAL, 0, 1, 0) + refuse + allow


def _instruction(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", operation, if_true, if_false, value)

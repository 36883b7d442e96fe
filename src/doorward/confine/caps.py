"""What a server may use up of the machine: the launcher's last step but one, for the server and all that it starts.

*Memory* is what a process may write to and shares with nobody (``RLIMIT_DATA``: heap, private mappings, stacks of
threads). Address space is not bounded: runtimes reserve hundreds of gigabytes of it that they never touch. A program
over the cap gets no more memory; most end themselves then, and only they. *File size* is of each file it writes: beyond
it, it gets SIGXFSZ. *Descriptors*: the most that it may raise its own limit to. *Core dumps* are not written, since
they hold whatever a server was told. *Signals that wait, timers, and room in queues with a name* the kernel counts by
user: a server that had them all would take them from every other program of its user, so it has few.

Whoever has CAP_SYS_RESOURCE may raise its limits again, so it is taken from a server that root starts.

These are caps of each process. The whole tree of a server is counted and capped together where it has a control group
(``cgroups``): its memory, with the same number, its *processes*, and its share of the *processors*. Where it has none,
processes are bounded by ``RLIMIT_NPROC``, which the kernel counts by user and user namespace. With one of its own
(``namespaces``) the server counts alone. Else a server may bring the count of its user to so many more than there
were when it started; on a busy machine it may be refused a process before. That is left out for root, whom it does not
bind, and where Doorward itself runs in a process namespace (a container): the same user may run processes that we do
not see. Of the processors it then has what nobody else wants: it yields to others (``nice`` 5).

Does not protect: without a control group a server that starts many processes may use many times the memory, what is
shared does not count either, and its share of the processors has no bound. Nothing here limits a sum of time: a server
may live for weeks, nor a sum of files: it may fill the disk on which its folders and its temporary folder lie. What the
kernel counts by user and bounds by no limit a server shares with its user's other programs: room in pipes and watches
of ``epoll``, and where it has no namespaces (``namespaces``) those of ``inotify``. A gateway with ambient capabilities
passes them on.
"""

from __future__ import annotations

import os
import resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doorward.confine import landlock
else:
    try:
        import landlock  # beside us: the launcher has no packages
    except ImportError:
        from doorward.confine import landlock

_WAITING_SIGNALS, _QUEUE_BYTES = 1024, 256 << 10
_YIELDING = 5
"""A third of what another gets that wants a processor at the same time."""
_PR_CAPBSET_DROP, _CAP_SYS_RESOURCE = 24, 24
_FIRST_PID_NAMESPACE = 0xEFFFFFFC  # the inode of the one that sees every process (PROC_PID_INIT_INO)


def restrict(memory_bytes: int, file_bytes: int, descriptors: int, processes: int = 0, *, alone: bool = False) -> None:
    """Cap this process and all that it will ever start; 0 leaves a limit as it was. None is ever raised.

    ``processes`` is how many more its user may have, each thread counted; ``alone``: in a user namespace of its own,
    where they are counted for themselves. Raises OSError as the kernel gave it.
    """
    if processes and not alone:
        processes = bound_of_user(processes)
    for kind, most in (
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, descriptors),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_SIGPENDING, _WAITING_SIGNALS),
        (resource.RLIMIT_MSGQUEUE, _QUEUE_BYTES),
    ):
        if most:
            soft, hard = (_lower(limit, most) for limit in resource.getrlimit(kind))
            resource.setrlimit(kind, (soft, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:  # noqa: SIM105 - contextlib would cost three milliseconds
        landlock.prctl(_PR_CAPBSET_DROP, _CAP_SYS_RESOURCE)
    except PermissionError:
        pass  # who may not take it away has none to pass on


def yield_to_others() -> None:
    """Let others run first, for good, where no group bounds the time of this process and of what it will ever start."""
    resource.setrlimit(resource.RLIMIT_NICE, (0, 0))  # nobody goes back
    os.nice(_YIELDING)


def bound_of_user(more: int) -> int:
    """How many processes our user may have where it may have ``more`` than now; 0 where such a limit would not bind, or
    would count what we cannot see.
    """
    user = os.getuid()
    if user == 0 or os.stat("/proc/self/ns/pid").st_ino != _FIRST_PID_NAMESPACE:
        return 0
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                tasks = os.stat(f"/proc/{name}/task")
                if tasks.st_uid == user or (tasks.st_uid == 0 and _is_of(name, user)):
                    count += tasks.st_nlink - 2  # a folder for each thread
            except OSError:
                continue
    return count + more


def _is_of(process: str, user: int) -> bool:
    """Whether a process that says it is root's is our user's, and only closed to others as Doorward itself is."""
    with open(f"/proc/{process}/status", "rb", buffering=0) as status:
        return b"\nUid:\t%d\t" % user in status.read(512)


def _lower(limit: int, most: int) -> int:
    return most if limit == resource.RLIM_INFINITY else min(limit, most)

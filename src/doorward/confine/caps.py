"""What a server may use up of the machine: the launcher's last step but one, for the server and all that it starts.

*Memory* is what a process may write to and shares with nobody (``RLIMIT_DATA``: heap, private mappings, stacks of
threads). Address space is not bounded: runtimes reserve hundreds of gigabytes of it that they never touch. A program
over the cap gets no more memory; most end themselves then, and only they. *File size* is of each file it writes: beyond
it, it gets SIGXFSZ. *Descriptors*: the most that it may raise its own limit to. *Core dumps* are not written, since
they hold whatever a server was told.

Whoever has CAP_SYS_RESOURCE may raise its limits again, so it is taken from a server that root starts.

Does not protect: each process has a cap of its own, so a server that starts many may use many times as much, and none
of these is a limit on time. Control groups would count the whole tree; unprivileged users rarely have any to give, and
root of a container often none either. Memory that is shared, and pages of files in the cache, do not count. CPU time is
not bounded: a server may live for weeks. Nor is the number of processes, which the kernel counts by user, so that one
server would starve the rest. A gateway with ambient capabilities passes them on.
"""

from __future__ import annotations

import resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doorward.confine import landlock
else:
    try:
        import landlock  # beside us: the launcher has no packages
    except ImportError:
        from doorward.confine import landlock

_PR_CAPBSET_DROP, _CAP_SYS_RESOURCE = 24, 24


def restrict(memory_bytes: int, file_bytes: int, descriptors: int) -> None:
    """Cap this process and all that it will ever start; 0 leaves a limit as it was. None is ever raised.

    Raises OSError as the kernel gave it.
    """
    for kind, most in (
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, descriptors),
    ):
        if most:
            soft, hard = (_lower(limit, most) for limit in resource.getrlimit(kind))
            resource.setrlimit(kind, (soft, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:  # noqa: SIM105 - contextlib would cost three milliseconds
        landlock.prctl(_PR_CAPBSET_DROP, _CAP_SYS_RESOURCE)
    except PermissionError:
        pass  # who may not take it away has none to pass on


def _lower(limit: int, most: int) -> int:
    return most if limit == resource.RLIM_INFINITY else min(limit, most)

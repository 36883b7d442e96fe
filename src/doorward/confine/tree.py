"""The processes below this one: who they are, and how to end them so that none is left.

Used by the supervisor (for the whole tree of a server) and by the gateway (for what a killed supervisor left behind).
Both are subreapers, so whatever daemonises stays below them. Imports nothing but ``os``: the launcher loads it by path.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_SIGKILL = 9  # the same everywhere; importing signal for it costs four milliseconds


def is_visible() -> bool:
    """Whether processes can be found here at all: inside the walls of Landlock nobody has an entry but the server."""
    try:
        os.listdir("/proc/self/task")
    except OSError:
        return False
    return True


def children(pid: int) -> list[int]:
    """The direct children of a process, dead ones that nobody has waited for included; none if it is gone itself.

    The kernel's own list, or, where it was built without (CONFIG_PROC_CHILDREN), a walk over all processes. While
    processes come and go it can miss one: a caller who needs certainty asks again until ``waitpid`` says there is none.
    """
    found: list[int] = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/children", "rb", buffering=0) as listing:
                found += map(int, listing.read().split())
        except OSError:
            if not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
                return children_by_search(pid)
    return found


def descendants(pid: int) -> list[int]:
    """All processes below one, parents before their children."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = [child for child in children(waiting.pop()) if child not in found]
        found += below
        waiting += below
    return found


def end_children(keep: Collection[int] = ()) -> dict[int, int]:
    """Kill every child of this process with everything below it, except ``keep``; returns their wait statuses.

    Ends when no such child is left, which for a process in uninterruptible sleep is when it wakes.
    """
    statuses: dict[int, int] = {}
    while strangers := [pid for pid in children(os.getpid()) if pid not in keep]:
        # Killing a parent hands its children to us, and they are found in the next round.
        for stranger in strangers:
            for pid in (stranger, *descendants(stranger)):
                _kill(pid)
        for stranger in strangers:
            try:
                statuses[stranger] = os.waitpid(stranger, 0)[1]
            except ChildProcessError:
                continue
    return statuses


def parent(pid: int) -> int | None:
    """The parent of a process; 0 when it lies outside our namespace, None when the process cannot be seen."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as status:
            # The name in parentheses may hold spaces and parentheses; what follows the last one may not.
            return int(status.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def children_by_search(pid: int) -> list[int]:
    """The same by a walk over all processes, for kernels built without the list."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and parent(int(name)) == pid]


def _kill(pid: int) -> None:
    try:  # noqa: SIM105 - contextlib would cost the launcher three milliseconds
        os.kill(pid, _SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # gone, or, without no_new_privs, of another user now: then waiting for it is all that is left

"""A control group of its own for each server, where one can be had: what its whole tree uses is counted, and capped.

The caps of ``caps`` are of each process, so a server that forks has them several times. In a group the kernel counts
all that the server ever starts together, daemons too: *memory* with what is shared and what lies in files of memory
(tmpfs), swap included, and *processes*, of which each thread is one. Over the memory the kernel takes back what it can
(pages of files), then kills the largest process of the group, never one outside of it; over the processes, a fork or a
new thread fails with EAGAIN. All of this holds for root as well.

*Processors* are a share, not a sum: a server lives for weeks, and an honest one uses up any number of seconds. In each
tenth of a second its tree may run for so many percent of what all processors could do that Doorward itself may use, and
then stands still until the next (``cpu.max``, ``cpu.cfs_quota_us``). So nothing that a server does takes a machine
whole. In its group it is also one among others, however many processes it has, when the kernel shares out what is
wanted.

The gateway makes the group before it is known what to start, and what becomes the server's first process goes into it
while it waits: that takes the kernel ten milliseconds. The group is capped before anything of the server runs; from
then on Landlock lets nobody of the tree write to a control group, so none leaves it. The supervisor removes the group
when nothing of the server is left. Where it was killed the gateway does, and what a killed gateway left behind is ended
and removed by the next one that starts a server (``_sweep``).

Version 1 of control groups has a hierarchy for each resource: the group is made below our own in each. Version 2 has
one for all, in which a group that holds processes cannot share out to groups below it: the group is made beside ours,
below the first ancestor that shares out memory and processes, that we may write to, and from which we may move a
process; processors are bounded where that one shares them out too.
That is what systemd delegates to a user's own manager (``user@UID.service``) and to a unit with ``Delegate=yes``. A
login by SSH is outside of that: ``systemd-run --user --scope`` goes in. The controllers are never switched on for a
folder that is not ours.

Does not protect: where no group can be had, as for most users outside of systemd and in most containers, the caps of
each process are all (``caps``, which then also bounds processes where that can be, and lets the server yield to others
on the processors). A server without walls (``--unsafe-no-sandbox``) that runs as whoever owns the group can leave it.

Imports nothing but ``os`` and ``time``, which is built in: the launcher loads it by path.
"""

from __future__ import annotations

import os
import time

_SIGKILL, _SIGCONT, _EINVAL = 9, 18, 22
_OCTAL_SPACE = "\\040"
_UNIFIED = ""  # what stands where version 1 names a controller
_PREFIX, _FIELDS = "doorward", 7
_PATIENCE_S, _PAUSE_S = 2.0, 0.005
# Where the cap of a resource is written, and what no cap is.
_V1 = {"memory": ("memory.limit_in_bytes", "-1"), "pids": ("pids.max", "max"), "cpu": ("cpu.cfs_quota_us", "-1")}
_V2 = {"memory": ("memory.max", "max"), "pids": ("pids.max", "max"), "cpu": ("cpu.max", "max")}
_PERIOD_US, _LEAST_QUOTA_US = 100_000, 1_000  # as kernels have them

Groups = dict[str, str]
"""By resource that is held, ``memory``, ``pids`` and ``cpu``, the folder that holds it; in version 2 one for all."""


def make(*, supervisor: int = 0, root: str = "/") -> Groups:
    """Make a group that counts these and caps nothing. Empty where none can be had; never raises for that.

    A resource is left out that cannot be capped. ``supervisor`` is who removes the group at the end; ``root`` is where
    ``/proc`` and the mounts are looked for.
    """
    name = _name(supervisor)
    made: Groups = {}
    for resource, (parent, unified) in _parents(root).items():
        _sweep(parent)
        folder = os.path.join(parent, name)
        file, unbounded = (_V2 if unified else _V1)[resource]
        try:
            if folder not in made.values():
                os.mkdir(folder, 0o755)
        except OSError:
            continue
        try:
            _write(os.path.join(folder, file), unbounded)
        except OSError:
            if folder not in made.values():
                os.rmdir(folder)
            continue
        made[resource] = folder
    return made


def cap(groups: Groups, memory_bytes: int, processes: int, processor_percent: int = 0) -> tuple[str, ...]:
    """Cap what the groups count; 0 caps nothing. Which of them are held so; never raises for the others.

    ``processor_percent`` is of the time of all processors that this process may use.
    """
    most = {"memory": memory_bytes, "pids": processes, "cpu": processor_percent}
    held = []
    for resource, folder in groups.items():
        try:
            if most[resource]:
                _cap(folder, resource, most[resource])
        except OSError:
            continue
        held.append(resource)
    return tuple(held)


def held(root: str = "/") -> tuple[str, ...]:
    """What a group can hold on this machine: found out by making one, which goes again."""
    made = make(root=root)
    for folder in {*made.values()}:
        remove(folder)
    return tuple(made)


def enter(folder: str | bytes, pid: int) -> None:
    """Put a process into a group; what it starts from then on is in it too. Raises OSError as the kernel gave it.

    Groups that bound processors have no room for a process in real time (sched(7)), as what a gateway in real time
    starts is at first. In version 2, where one group holds everything, it becomes an ordinary process; in version 1 it
    stays what it is, and out of that one group: whoever runs the gateway so has wished it.
    """
    folder = os.fsdecode(folder)
    procs = os.path.join(folder, "cgroup.procs")
    try:
        _write(procs, str(pid))
    except OSError as error:
        if error.errno != _EINVAL or os.sched_getscheduler(pid) not in (os.SCHED_FIFO, os.SCHED_RR):
            raise
        if os.path.exists(os.path.join(folder, _V2["cpu"][0])):
            os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
            _write(procs, str(pid))


def remove(folder: str | bytes) -> bool:
    """Kill whatever is in a group and remove it with all below it; false when that could not be done in two seconds.

    A process that has just ended can keep its group for a moment. One in uninterruptible sleep keeps it for longer:
    then it is left to a later sweep.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while not _removed(os.fsdecode(folder)):
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_S)
    return True


def members(folder: str) -> list[int]:
    """The processes of a group; none when it is gone. 0 stands for one outside of our process namespace."""
    try:
        return [int(line) for line in _read(os.path.join(folder, "cgroup.procs")).split()]
    except OSError:
        return []


def _parents(root: str) -> dict[str, tuple[str, bool]]:
    """For each resource in which folder a group can be made, and whether its hierarchy is that of version 2."""
    try:
        own, mounts = _own_groups(root), _mounts(root)
    except OSError:
        return {}
    shared = [resource for resource in _V2 if resource not in own]
    # A process is in one group of version 2, so its processors are bounded there, or not.
    wanted = [resource for resource in shared if resource != "cpu"] or shared
    found = {}
    for resource in _V2:
        controller = _UNIFIED if resource in shared else resource
        top, place = mounts.get(controller, ("", ""))
        below = _below(top, own.get(controller, ""))
        if not place or below is None:
            continue
        parent = _sharing(place, below, wanted) if resource in shared else os.path.join(place, below)
        if resource in shared and resource not in _shared_out(parent):
            continue
        if parent and os.access(parent, os.W_OK | os.X_OK):
            found[resource] = os.path.normpath(parent), resource in shared
    return found


def _own_groups(root: str) -> dict[str, str]:
    """By controller, in which group we are."""
    found: dict[str, str] = {}
    for line in _read(os.path.join(root, "proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(","), path)
    return found


def _mounts(root: str) -> dict[str, tuple[str, str]]:
    """By controller, the top of what is mounted of its hierarchy, and where (proc(5))."""
    found: dict[str, tuple[str, str]] = {}
    for line in _read(os.path.join(root, "proc/self/mountinfo")).splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(" "), after.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            top, place = (field.replace(_OCTAL_SPACE, " ") for field in fields[3:5])
            for controller in [_UNIFIED] if kind == "cgroup2" else options.split(","):
                found.setdefault(controller, (top, os.path.join(root, place.lstrip("/"))))
    return found


def _below(top: str, path: str) -> str | None:
    """Where ``path`` lies below what is mounted; None where it does not, or we are in no group of that hierarchy."""
    top = top.rstrip("/")
    if not path.startswith("/") or ".." in path.split("/") or not (path + "/").startswith(top + "/"):
        return None
    return path[len(top) :].lstrip("/")


def _sharing(place: str, below: str, wanted: list[str]) -> str:
    """The nearest ancestor that shares out what is wanted and from which we may move a process; empty if there is none.

    Whoever moves a process must be able to write ``cgroup.procs`` of the common ancestor of both groups.
    """
    folder = below
    while folder:
        folder = os.path.dirname(folder)
        parent = os.path.join(place, folder)
        if all(resource in _shared_out(parent) for resource in wanted) and all(
            os.access(path, os.W_OK) for path in (parent, os.path.join(parent, "cgroup.procs"))
        ):
            return parent
    return ""


def _shared_out(folder: str) -> list[str]:
    try:
        return _read(os.path.join(folder, "cgroup.subtree_control")).split()
    except OSError:
        return []


def _cap(folder: str, resource: str, most: int) -> None:
    unified = os.path.exists(os.path.join(folder, _V2[resource][0]))
    if resource == "cpu":
        most = max(round(_processors(os.path.dirname(folder)) * _PERIOD_US * most / 100), _LEAST_QUOTA_US)
    period = f" {_PERIOD_US}" if resource == "cpu" and unified else ""
    _write(os.path.join(folder, (_V2 if unified else _V1)[resource][0]), f"{most}{period}")
    if resource != "memory":
        return
    # Else what is over the cap would go to swap. Kernels that count no swap lack the file.
    swap, bound = ("memory.swap.max", "0") if unified else ("memory.memsw.limit_in_bytes", str(most))
    try:  # noqa: SIM105 - contextlib would cost the launcher three milliseconds
        _write(os.path.join(folder, swap), bound)
    except OSError:
        pass


def _processors(folder: str) -> float:
    """How many processors, whole ones, work for what is in a group: those that we may use, or as many as the narrowest
    quota of the groups above lets run.
    """
    most = float(len(os.sched_getaffinity(0)))
    while (quota := _quota(folder)) is not None:
        most = min(most, quota)
        folder = os.path.dirname(folder)
    return most


def _quota(folder: str) -> float | None:
    """How many processors a group may use; None where that is no group, or one that bounds nothing ever (the top)."""
    try:
        quota, period = _read(os.path.join(folder, "cpu.max")).split()
    except OSError:
        try:
            quota, period = (_read(os.path.join(folder, f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
        except OSError:
            return None
    return int(quota) / int(period) if quota.strip() not in ("max", "-1") else float("inf")


def _sweep(parent: str) -> None:
    """End and remove the groups of doorwards that are no more: killed together with the supervisor of a server, or
    while somebody had stopped that one, which then goes on and ends what it has.
    """
    try:
        names = [name for name in os.listdir(parent) if name.startswith(f"{_PREFIX}-")]
    except OSError:
        return
    for name in names:
        fields = name.split("-")
        # In another process namespace numbers mean others: whoever made that may be alive.
        if len(fields) != _FIELDS or fields[1] != _space() or _is(*fields[2:4]):
            continue
        if _is(*fields[4:6]):
            _signal(int(fields[4]), _SIGCONT)
        remove(os.path.join(parent, name))


def _name(supervisor: int) -> str:
    """Names its maker and who removes it, so that others know when these are dead: process namespace, two numbers, each
    with when it began.
    """
    known = "-".join(f"{pid}-{_began(pid)}" for pid in (os.getpid(), supervisor))
    return f"{_PREFIX}-{_space()}-{known}-{os.urandom(6).hex()}"


def _is(pid: str, began: str) -> bool:
    return pid.isdigit() and began != "" and _began(int(pid)) == began


def _space() -> str:
    return str(os.stat("/proc/self/ns/pid").st_ino)


def _began(pid: int) -> str:
    """When a process began, in clock ticks since the machine did; empty when it is gone or has ended."""
    try:
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]


def _removed(folder: str) -> bool:
    try:
        below = [entry.path for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return True
    for pid in members(folder):
        _signal(pid, _SIGKILL)
    if not all([_removed(inner) for inner in below]):  # noqa: C419 - each is tried, whatever becomes of the others
        return False
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _signal(pid: int, number: int) -> None:
    try:
        if pid > 0:  # 0 is one that we do not see
            os.kill(pid, number)
    except OSError:
        pass


def _read(path: str) -> str:
    with open(path, "rb", buffering=0) as file:
        content = b""
        while piece := file.read(1 << 16):
            content += piece
        return content.decode(errors="surrogateescape")


def _write(path: str, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, content.encode())
    finally:
        os.close(descriptor)

"""The launcher: the small program between the gateway and a server, run by way of ``launch.py``.

It forks, and then reads its plan from descriptor 3; the child turns itself into the server inside its walls, and the
parent stays as its supervisor (``supervise``). It never runs anything of the server before the walls stand. The
environment and the arguments of the server come with the plan: its own command line, which everybody may read, says
nothing.

What takes long is done before there is a plan: whoever knows later what to start (``process.boot``) then waits for none
of it. The child that stands ready is in the control groups already, since the kernel takes some ten milliseconds to put
a process into one: it waits until no processor can be in the middle of a fork.

The plan names mechanisms in the order in which they are tried. ``namespaces``: between the two stands the first process
of a machine of its own (``namespaces``), and Landlock stands inside as well where the kernel has it. ``landlock``:
Landlock alone keeps files and processes, and seccomp the network. The next one is tried only where the kernel refused
the one before to build its walls; where none is left, nothing runs.

Descriptors: 0, 1, 2 are the server's; 3 brings the plan, then orders, and its end means that the gateway is gone;
4 takes reports. Everything else that was inherited is closed.

Two messages come, first the control groups (records of kind ``group``), then the plan. A message is a length (eight
bytes, big endian) and records ``kind:value``, each ended by NUL, which no path, argument or variable can contain. No
JSON and no package imports: they would double the start-up of every server.
"""

from __future__ import annotations

import errno
import marshal
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

    from doorward.confine import caps, cgroups, landlock, loopback, namespaces, privileges, seccomp
else:
    import caps  # beside us: the launcher has no packages
    import cgroups
    import landlock
    import loopback
    import namespaces
    import privileges
    import seccomp

PLAN_FD, REPORT_FD = 3, 4
_MOST_DESCRIPTORS = 1 << 20  # fs.nr_open, as kernels come
_SIGKILL, _SIGPIPE, _SIGXFSZ = 9, 13, 25

Plan = dict[bytes, list[bytes]]


def main() -> None:
    """Start the server of the plan and stay until nothing of it is left."""
    _close_inherited()
    os.set_inheritable(PLAN_FD, False)
    os.set_inheritable(REPORT_FD, False)
    landlock.prctl(landlock.PR_SET_CHILD_SUBREAPER, 1)
    # A process that may not be dumped cannot be traced nor its memory read by others of the same user.
    landlock.prctl(landlock.PR_SET_DUMPABLE, 0)
    groups = _read_records()
    if groups is None:
        os._exit(1)  # the gateway died while it wrote
    try:
        ready = _Ready(groups.get(b"group", ()))
    except OSError:
        ready = None  # tried once more, and said, when there is something to start
    _load("supervise")
    said = _read_records()
    if said is None:
        _end_unused(groups, ready)
    plan = said | groups
    if b"trace" in plan:
        _load("tracing")  # while our own files can be read
    waiting = plan[b"mechanism"]
    mechanism = waiting.pop(0)
    if mechanism:
        _leave_groups_of_root()
    child, failure = _launch(plan, mechanism, ready)
    while failure.startswith("namespaces") and waiting:
        mechanism = waiting.pop(0)
        child, failure = _launch(plan, mechanism, None)
    _let_go_of_standard_streams()
    _supervise(plan, child, mechanism, failure)


def _end_unused(groups: Plan, ready: _Ready | None) -> NoReturn:
    """The gateway is gone, or has nothing to start."""
    if ready is not None:
        ready.dismiss()
    for folder in groups.get(b"group", ()):
        cgroups.remove(folder)
    os._exit(0)


def _launch(plan: Plan, mechanism: bytes, ready: _Ready | None) -> tuple[int, str]:
    """Start the server behind the walls of one mechanism: our child, and what failed, nothing where it was executed."""
    try:
        if mechanism == b"namespaces":
            if ready is not None:
                ready.dismiss()
            child, outcome = _fork_first(plan)
        else:
            ready = ready or _Ready(plan.get(b"group", ()))
            if os.geteuid() == 0:
                _give_away(plan, 0, 0)
            child, outcome = ready.pid, ready.become(plan, mechanism)
    except OSError as error:
        return 0, f"namespaces {error.errno}"
    failure = b""
    while piece := os.read(outcome, 256):  # ends without a word when the program was executed
        failure += piece
    os.close(outcome)
    if failure:
        os.waitpid(child, 0)
    return child, failure.decode()


class _Ready:
    """A process that stands ready to become the server, and does nothing but wait: ``pid``. Raises OSError where it
    cannot be made.
    """

    def __init__(self, groups: Sequence[bytes]) -> None:
        plan, self._plan = os.pipe()
        self._outcome, outcome = os.pipe()
        supervisor = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            for theirs in (PLAN_FD, self._plan, self._outcome):
                os.close(theirs)
            _stand_ready(plan, outcome, supervisor, groups)
        os.close(plan)
        os.close(outcome)

    def become(self, plan: Plan, mechanism: bytes) -> int:
        """Let it be the server; returns the descriptor that says what failed, or ends when it was executed."""
        # The rule for its own /proc entry hangs on this inode: held, it cannot be replaced while the server lives.
        os.open(f"/proc/{self.pid}", os.O_PATH | os.O_CLOEXEC)
        content = memoryview(marshal.dumps((plan, mechanism)))
        try:
            while content:
                content = content[os.write(self._plan, content) :]
        except BrokenPipeError:
            pass  # it has ended, and said why
        os.close(self._plan)
        return self._outcome

    def dismiss(self) -> None:
        """Let it end: somebody else is the server, or nobody."""
        os.close(self._plan)
        os.close(self._outcome)
        os.waitpid(self.pid, 0)


def _stand_ready(source: int, outcome: int, supervisor: int, groups: Sequence[bytes]) -> NoReturn:
    stage = "session"
    try:
        os.setsid()
        landlock.prctl(landlock.PR_SET_PDEATHSIG, _SIGKILL)
        if os.getppid() != supervisor:
            os._exit(1)
        stage = "group"
        for folder in groups:
            cgroups.enter(folder, os.getpid())
        stage = "plan"
        content = b""
        while piece := os.read(source, 1 << 16):
            content += piece
        if not content:
            os._exit(0)  # dismissed
        os.close(source)
        plan, mechanism = marshal.loads(content)  # noqa: S302 - from whom we were forked from
        if b"trace" in plan:
            _load("tracing")
        if mechanism:
            _leave_groups_of_root()
        _become_server(plan, mechanism, outcome)
    except Exception as error:  # noqa: BLE001 - whatever it was: said, and nothing was executed
        os.write(outcome, _failure(stage, error))
    finally:
        os._exit(127)


def _fork_first(plan: Plan) -> tuple[int, int]:
    """The first process of namespaces, and the descriptor that says what failed, as of ``_Ready.become``."""
    said, outcome = os.pipe()
    alive, _life = os.pipe()  # the second end is ours as long as we live
    user, group = int(plan[b"user"][0]), int(plan[b"owner"][0])
    root = os.geteuid() == 0
    if root:
        _give_away(plan, user, group)
    watches = namespaces.most_watches()
    child = namespaces.fork()
    if child == 0:
        os.close(_life)
        _be_first(plan, outcome, alive, user, group, watches, root=root)
    for theirs in (alive, outcome):
        os.close(theirs)
    try:
        if root:
            namespaces.name_user(child, user, group)
            os.write(_life, b"!")
        # From here: in a namespace of control groups nobody moves to a group outside of it.
        for folder in plan.get(b"group", ()):
            cgroups.enter(folder, child)
    except OSError:
        os.kill(child, _SIGKILL)
        os.waitpid(child, 0)
        raise
    os.write(_life, b"!")
    return child, said


def _give_away(plan: Plan, user: int, group: int) -> None:
    """Make ``user`` the owner of the folders that Doorward made for the server; without following a link, since other
    servers may run in them and exchange what lies there. One descriptor at a time: a server may leave a tree of any
    depth there. What lies deeper than a path is long stays whose it was.
    """
    for top in (plan[b"temp"][0], plan[b"cache"][0]):
        waiting = [top] if os.stat(top).st_uid != user else []
        while waiting:
            _give_away_content(waiting, user, group)
        os.chown(top, user, group, follow_symlinks=False)


def _give_away_content(waiting: list[bytes], user: int, group: int) -> None:
    """Of the last folder that waits; those in it wait from then on."""
    path = waiting.pop()
    try:
        held = landlock.open_without_links(path)
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return
        raise
    try:
        place = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=held)
    finally:
        os.close(held)
    try:
        for entry in os.scandir(place):
            try:
                os.chown(entry.name, user, group, dir_fd=place, follow_symlinks=False)
            except FileNotFoundError:
                continue  # another process of the same server has removed it meanwhile
            if entry.is_dir(follow_symlinks=False):
                waiting.append(os.path.join(path, os.fsencode(entry.name)))
    finally:
        os.close(place)


def _be_first(
    plan: Plan, outcome: int, alive: int, user: int, group: int, watches: dict[str, int], *, root: bool
) -> NoReturn:
    try:
        if root:
            _wait(alive)  # who we are is said from outside
        else:
            namespaces.name_user("self", user, group)
        namespaces.halve_watches(watches)
        targets = plan.get(b"connect", [])
        loopback.bring_up()
        found = loopback.listen(targets, proxy=plan[b"network"] == [b"public"])
        read = [path for path in plan.get(b"read", ()) if not path.startswith(b"/proc/")]
        trees = namespaces.collect(read, plan.get(b"write", ()))
        base = os.open(plan[b"temp"][0], os.O_PATH | os.O_CLOEXEC)
        namespaces.become(user, group)
        landlock.prctl(landlock.PR_SET_PDEATHSIG, _SIGKILL)
        namespaces.build_root(
            base,
            trees,
            empty=plan.get(b"empty", ()),
            links=plan.get(b"link", ()),
            files=_files(plan, targets, user or namespaces.USER_OF_ROOT, group or namespaces.USER_OF_ROOT),
        )
        loopback.hand_over(REPORT_FD, found)
        _wait(alive)
        os.close(alive)
        server = os.fork()
        if server == 0:
            os.setsid()
            _become_server(plan, b"namespaces", outcome)
        for ours in (outcome, PLAN_FD, REPORT_FD):
            os.close(ours)
        _let_go_of_standard_streams()
        privileges.give_up_new()
        privileges.drop()
    except Exception as error:  # noqa: BLE001 - whatever it was: said, and nothing was executed
        os.write(outcome, _failure("namespaces", error))
        os._exit(127)
    os._exit(namespaces.stay(server))


def _files(plan: Plan, targets: list[bytes], user: int, group: int) -> dict[str, bytes]:
    """Who the server is, in the words of getpwuid(3), which much software cannot do without; and its hosts, if any."""
    name, home = plan[b"account"][0], plan[b"home"][0]
    files = {
        "etc/passwd": b"%s:x:%d:%d::%s:/bin/sh\n" % (name, user, group, home),
        "etc/group": b"%s:x:%d:\n" % (name, group),
    }
    return files | {"etc/hosts": loopback.hosts(targets)} if targets else files


def _wait(alive: int) -> None:
    """Go on when the supervisor says so. End now if it is gone: it holds the other end, and may have been gone before
    we asked to die with it.
    """
    if not os.read(alive, 1):
        os._exit(1)


def _load(module: str) -> Any:
    """One of ours that lies beside us, and that not every start needs at once."""
    return __import__(module)


def _supervise(plan: Plan, child: int, mechanism: bytes, failure: str) -> NoReturn:
    supervise = _load("supervise")
    supervisor = supervise.Supervisor(child, orders=PLAN_FD, report=REPORT_FD)
    # Only now: before, this signal would have ended us without ending the tree. Descriptor 3 tells us anyway.
    if b"bound" in plan:
        landlock.prctl(landlock.PR_SET_PDEATHSIG, supervise.END_SIGNAL)
    groups = plan.get(b"group", ())
    if failure:
        supervisor.give_up(failure, plan[b"temp"][0], groups)
    else:
        abi = landlock.detect_abi() if mechanism else 0
        supervisor.run(mechanism.decode(), abi, plan[b"temp"][0], groups)
    os._exit(0)  # nothing to tidy up, and the gateway waits for the end of our reports


def _become_server(plan: Plan, mechanism: bytes, outcome: int) -> NoReturn:
    stage = "folder"
    try:
        os.chdir(plan[b"cwd"][0])
        os.umask(int(plan[b"umask"][0], 8))
        stage = "caps"
        numbers = (int(plan[kind][0]) for kind in (b"memory", b"file", b"descriptors", b"tasks"))
        caps.restrict(*numbers, alone=mechanism == b"namespaces")
        if plan[b"nice"] == [b"1"]:
            caps.yield_to_others()
        if mechanism:
            stage = "landlock"
            privileges.give_up_new()
            _arm_landlock(plan, mechanism)
            stage = "seccomp"
            seen = mechanism == b"namespaces" or landlock.detect_abi() >= landlock.ABI_WITH_TRUNCATION
            seccomp.restrict(_sockets(plan, mechanism), truncation_is_seen=seen)
            stage = "privileges"
            privileges.drop()
        if b"trace" in plan:
            stage = "tracing"
            _let_watch()
        stage = "program"
        for ignored_by_python in (_SIGPIPE, _SIGXFSZ):
            landlock.default_signal(ignored_by_python)
        found = plan.get(b"proxy", ()) if mechanism == b"namespaces" else ()
        variables = (record.partition(b"=") for record in (*plan.get(b"env", ()), *found))
        environment = {name: value for name, _, value in variables}
        os.execve(plan[b"program"][0], plan[b"argument"], environment)  # noqa: S606 - a list, no shell
    except Exception as error:  # noqa: BLE001 - whatever it was: said, and nothing was executed
        os.write(outcome, _failure(stage, error))
    finally:
        os._exit(127)


def _failure(stage: str, error: Exception) -> bytes:
    """As the gateway understands it (``shortfalls.explain``)."""
    return f"{stage} {getattr(error, 'errno', None) or 0}".encode()


def _leave_groups_of_root() -> None:
    """A server of root's has none of root's groups of users."""
    if os.geteuid() == 0:
        try:
            os.setgroups([])
        except PermissionError:  # root without capabilities: inside walls like these, which have taken the groups
            if os.getgroups():
                raise


def _let_watch() -> None:
    """From here the gateway sees each call that names a file or an address, the execution of the server first."""
    privileges.give_up_new()
    loopback.hand_over(REPORT_FD, [(b"", _load("tracing").install())], word=b"watched")


def _arm_landlock(plan: Plan, mechanism: bytes) -> None:
    read, write = plan.get(b"read", ()), plan.get(b"write", ())
    if mechanism == b"landlock":
        ports = [int(target.rpartition(b":")[2]) for target in plan.get(b"connect", ())]
        landlock.restrict([*read, f"/proc/{os.getpid()}"], write, ports)
    elif landlock.detect_abi():  # the root folder stands without it
        landlock.restrict([*read, b"/proc", b"/etc/passwd", b"/etc/group", b"/etc/hosts"], write)


def _sockets(plan: Plan, mechanism: bytes) -> str:
    """Which sockets of the internet it may have: its own network has nothing that they could reach."""
    if mechanism == b"namespaces":
        return seccomp.ALL
    return seccomp.TCP if plan.get(b"connect") else seccomp.NONE


def _close_inherited() -> None:
    # By name: one that was opened before the limit was lowered lies above it, where closing a range would not reach.
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:  # inside walls like these, where we have no entry: what lies above would be the outer server's
        os.closerange(REPORT_FD + 1, _MOST_DESCRIPTORS)
        return
    for name in names:
        if int(name) > REPORT_FD:
            try:  # noqa: SIM105 - contextlib would cost three milliseconds
                os.close(int(name))
            except OSError:
                pass  # the listing's own


def _read_records() -> Plan | None:
    """The next message; None where none comes any more."""
    size = _read_exactly(8)
    content = _read_exactly(int.from_bytes(size, "big")) if size else None
    if content is None:
        return None
    records: Plan = {}
    for record in content.split(b"\0")[:-1]:
        kind, _, value = record.partition(b":")
        records.setdefault(kind, []).append(value)
    return records


def _read_exactly(size: int) -> bytes | None:
    received = b""
    while len(received) < size:
        piece = os.read(PLAN_FD, min(size - len(received), 1 << 20))
        if not piece:
            return None
        received += piece
    return received


def _let_go_of_standard_streams() -> None:
    # Held here, the server's pipes would never come to their end.
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream, inheritable=False)
    os.close(nothing)
    os.chdir("/")

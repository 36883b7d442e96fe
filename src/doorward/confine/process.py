"""Start a server inside its walls, and never lose a process of it.

The gateway starts the launcher (``launch.py``), and the launcher the server: nothing of ours runs between fork and exec
in the gateway, which has threads. A pipe carries the plan to the launcher, then orders, and ends when the gateway does;
by a socket come reports, and the descriptors that go with them. This module is synchronous: a gateway watches
``Child.control`` in its own loop and calls ``receive`` when it is readable.
"""

from __future__ import annotations

import _socket
import _thread
import contextlib
import fcntl
import os
import select
import sys
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from doorward.confine import cgroups, plan, tree
from doorward.confine.shortfalls import explain
from doorward.errors import ConfinementError

if TYPE_CHECKING:
    from doorward.confine.profile import SandboxProfile

_LAUNCHER = ("-I", "-S", os.path.join(os.path.dirname(os.path.abspath(__file__)), "launch.py"))
_SIGKILL, _SIGSTOP = 9, 19
_ROOM_FOR_DESCRIPTORS = _socket.CMSG_SPACE(253 * 4)
"""The kernel passes no more at once (SCM_MAX_FD)."""
_REPORTS = 4
"""Where the launcher writes its reports; a socket, since descriptors come with them."""
_FIRST_FREE_DESCRIPTOR = 16
"""Above all that the launcher gets, so that putting its descriptors into place overwrites none of them."""

spared: set[int] = set()
"""Children that this process started by other means than ``start``: ``sweep`` leaves them alone."""

_supervisors: set[int] = set()
_is_subreaper = False


class Listener(NamedTuple):
    """A socket that listens in the server's own network, held on this side: ``target`` is the HOST:PORT to which it
    leads, empty for the proxy.
    """

    descriptor: int
    target: str


class Child:
    """One server: its pipes, what the launcher reported, and the means to end it.

    ``stdin``, ``stdout`` and ``stderr`` are raw descriptors of this side and belong to the caller, who closes them.
    ``control`` is readable when there is something to ``receive``, and at its end nothing of the server is left.
    ``listeners`` are its ways out; their descriptors belong to the caller too, once it ``started``.
    ``watched`` is the descriptor by which its calls are watched, None before it is there and where it was not asked
    for; whoever takes it closes it, after the end.
    ``groups`` are the control groups that hold its whole tree, by resource (``cgroups``); none where none can be had.
    ``pid``, ``mechanism`` (empty: not confined), ``abi`` (Landlock's, 0 where it does not stand) and ``status`` (the
    exit code, 128+n for a signal) are None until reported.
    """

    def __init__(self, launcher: Launcher, temp: str) -> None:
        self.stdin, self.stdout, self.stderr = launcher.pipes
        self.control = launcher.control
        self.temp = temp
        self.groups = launcher.groups
        self.supervisor = launcher.supervisor
        self.pid: int | None = None
        self.mechanism: str | None = None
        self.abi: int | None = None
        self.status: int | None = None
        self.listeners: tuple[Listener, ...] = ()
        self.watched: int | None = None
        self.ended = False
        self._failure = ""
        self._orders = launcher.orders
        self._passed: list[int] = []
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def started(self, timeout_seconds: float = 10.0) -> int:
        """Wait until the server was executed inside its walls; returns its pid.

        ``start`` does not wait for this, so that the caller can load the rest of itself meanwhile. Ten seconds are for
        a machine that swaps; it takes about 20 ms. Raises ConfinementError when the server could not be confined or
        executed, or the time is over; then nothing of it is left.
        """
        self._receive_until(lambda: self.pid is not None or self._failure != "" or self.ended, timeout_seconds)
        if self.pid is not None:
            return self.pid
        self.kill_tree()
        raise explain(self._failure)

    def receive(self) -> None:
        """Take in what the launcher reported, without waiting. Call when ``control`` is readable."""
        while not self.ended:
            try:
                received = self._read_reports()
            except BlockingIOError:
                return
            if not received:
                self._finish()
                return
            *lines, self._unread = (self._unread + received).split(b"\n")
            for line in lines:
                self._understand(*line.decode().split())

    def wait(self, timeout_seconds: float | None = None) -> int | None:
        """Wait until nothing of the server is left; returns ``status``, None when the time is over before."""
        self._receive_until(lambda: self.ended, timeout_seconds)
        return self.status if self.ended else None

    def send_signal(self, number: int) -> None:
        """Send a signal to the server and its process group, as a terminal would. Without effect once it has ended.

        Through the supervisor, which knows whether the number still is the server's: it may be another's by now.
        """
        self._order(f"signal {number}\n")

    def order_end(self) -> None:
        """Order that the server and everything below it is killed, and do not wait for it; from any thread."""
        self._order("kill\n")

    def kill_tree(self, timeout_seconds: float = 5.0) -> None:
        """Kill the server and everything below it, and wait until it is gone.

        A supervisor that does not answer in time (someone stopped it) is killed, and what it leaves behind is swept.
        """
        self._order("kill\n")
        self._receive_until(lambda: self.ended, timeout_seconds)
        if not self.ended:
            os.kill(self.supervisor, _SIGKILL)
            self._receive_until(lambda: self.ended, timeout_seconds)

    def close(self) -> None:
        """End whatever still runs and give back the descriptors of this object (not the three of the caller)."""
        if not self.ended:
            self.kill_tree()
        for name in ("_orders", "control"):
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
                setattr(self, name, -1)

    def _order(self, line: str) -> None:
        if self.ended or self._orders < 0:
            return
        with contextlib.suppress(BrokenPipeError):  # it has just ended; its last report is on the way
            os.write(self._orders, line.encode())

    def _read_reports(self) -> bytes:
        reports = _socket.socket(fileno=self.control)
        try:
            received, passed, _, _ = reports.recvmsg(4096, _ROOM_FOR_DESCRIPTORS, _socket.MSG_CMSG_CLOEXEC)
        finally:
            reports.detach()
        for _, _, content in passed:
            self._passed += array("i", content)
        return received

    def _understand(self, word: str, *details: str) -> None:
        if word == "listening":
            targets = ["" if target == "-" else target for target in details]
            self.listeners = tuple(map(Listener, self._passed, targets))
        elif word == "watched":
            self.watched = self._passed.pop()
        elif word == "started":
            self.pid, self.abi = int(details[0]), int(details[2])
            self.mechanism = "" if details[1] == "none" else details[1]
        elif word == "failed":
            self._failure = " ".join(details)
        elif word == "exited":
            self.status = int(details[0])
        elif word == "killed":
            self.status = 128 + int(details[0])

    def _finish(self) -> None:
        self.ended = True
        with contextlib.suppress(ChildProcessError):  # whoever follows `control` and `kill_tree` may both see the end
            os.waitpid(self.supervisor, 0)
        _supervisors.discard(self.supervisor)
        if self.status is None:
            # No last report: the supervisor was killed, and the server with it.
            self.status = 128 + _SIGKILL if self.pid is not None else None
            sweep()
        for group in {*self.groups.values()}:
            cgroups.remove(group)  # a supervisor that was not killed did it
        if self.temp and os.path.isdir(self.temp):
            from doorward.confine.removal import remove_tree  # only here: a supervisor that was not killed did it

            remove_tree(self.temp)

    def _receive_until(self, done: Callable[[], bool], timeout_seconds: float | None) -> None:
        if done():
            return
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        readable = select.poll()
        readable.register(self.control, select.POLLIN)
        while not done():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            readable.poll(None if left is None else left * 1000)
            self.receive()


class Launcher:
    """A launcher that waits for its plan: its pid, the server's three pipes, and the two that lead to it. ``groups``
    are the control groups of what it will start, which nothing caps yet.
    """

    def __init__(self, supervisor: int, pipes: tuple[int, int, int], orders: int, control: int) -> None:
        self.supervisor = supervisor
        self.pipes = pipes
        self.orders = orders
        self.control = control
        self.groups = cgroups.make(supervisor=supervisor)
        self.is_of_main_thread = _thread.get_native_id() == os.getpid()
        self.used = False

    def abandon(self) -> None:
        """Let it end without having started anything. Does nothing once ``start`` has used it up."""
        if self.used:
            return
        self.used = True
        _close((*self.pipes, self.orders, self.control))
        os.waitpid(self.supervisor, 0)
        _supervisors.discard(self.supervisor)
        for group in {*self.groups.values()}:
            cgroups.remove(group)  # a supervisor that was not killed did it


def boot() -> Launcher:
    """Start a launcher before it is known what it shall start: its interpreter then comes up while that is found out,
    and what will be the server waits in its control group, where one can be had.

    Give it to ``start``, or abandon it. Raises ConfinementError as ``start`` does.
    """
    if not sys.executable:
        raise ConfinementError("there is no python to start")
    try:
        launcher = _spawn()
    except OSError as error:
        raise ConfinementError(f"the launcher could not be started: {error.strerror}") from error
    with contextlib.suppress(BrokenPipeError):  # it died at once: its missing report will say so
        _write_all(launcher.orders, plan.encode(("group", {*launcher.groups.values()})))
    return launcher


def start(
    argv: Sequence[str],
    profile: SandboxProfile,
    *,
    unsafe_no_sandbox: bool = False,
    umask: int | None = None,
    launcher: Launcher | None = None,
    trace: bool = False,
) -> Child:
    """Start a server's command line inside its profile; returns at once, ``Child.started`` tells how it went.

    Makes the server's cache folder and a fresh temporary one (both 0700; the latter goes when the server does), points
    TMPDIR, TMP and TEMP at it, and caps its control group where it has one. ``umask`` is the server's; None keeps this
    process's. ``unsafe_no_sandbox`` leaves out the walls and ``no_new_privs``, never the caps, the supervision, the
    environment's rules or the closing of descriptors. ``launcher`` is one that was booted before; it is used up in any
    case. With ``trace`` each call of the server that names a file or an address waits for whoever reads
    ``Child.watched`` (``tracing``): then ``started`` cannot be waited for before.

    From any thread. The supervisor ends the server when this process is gone: the pipe of its orders ends then. What
    was booted by the main thread is told by a signal as well, even where a child of ours that was forked without an
    exec holds that pipe. The kernel sends it at the end of the thread, so others do without.

    Raises ConfinementError when a folder cannot be made, and when there is no launcher to start.
    """
    launcher = launcher or boot()
    temp = ""
    try:
        if not argv:
            raise ConfinementError("there is no command to start")
        temp = _make_folders(profile)
        held = cgroups.cap(launcher.groups, profile.memory_bytes, profile.processes, profile.processor_percent)
        bound, walls = launcher.is_of_main_thread, not unsafe_no_sandbox
        text = plan.encode_plan(argv, profile, temp, held, walls=walls, bound=bound, umask=umask, trace=trace)
    except BaseException:
        launcher.abandon()
        if temp:
            os.rmdir(temp)
        raise
    launcher.used = True
    child = Child(launcher, temp)
    with contextlib.suppress(BrokenPipeError):  # the launcher died at once: its missing report says so
        _write_all(launcher.orders, text)
    return child


def become_subreaper() -> None:
    """Make this process the new parent of whatever loses its own below it, so that ``sweep`` can find it.

    For a gateway, once, at start. Raises ConfinementError where the kernel cannot.
    """
    global _is_subreaper  # noqa: PLW0603 - it is a fact about the process, of which there is one
    from doorward.confine import landlock  # ctypes, not needed before

    try:
        landlock.prctl(landlock.PR_SET_CHILD_SUBREAPER, 1)
    except OSError as error:
        raise ConfinementError(f"this process cannot adopt orphans: {error.strerror}") from error
    _is_subreaper = True


def sweep() -> None:
    """Kill every child of this process that is neither one of our supervisors nor in ``spared``, with all below it.

    Happens by itself when a supervisor was killed. Does nothing without ``become_subreaper``: then nothing was adopted.
    """
    if _is_subreaper:
        tree.end_children(_supervisors | spared)


def _make_folders(profile: SandboxProfile) -> str:
    temp = os.path.join(profile.temp, f"doorward-{os.urandom(8).hex()}")
    try:
        _make_private(profile.cache)
        os.mkdir(temp, 0o700)
    except OSError as error:
        raise ConfinementError(
            f"the server's folder {error.filename} cannot be made: {error.strerror}",
            hint="check the owner of the state directory, and TMPDIR",
        ) from error
    return temp


def _make_private(folder: str) -> None:
    """``os.makedirs`` gives its mode to the last folder only."""
    if not os.path.isdir(folder):
        _make_private(os.path.dirname(folder))
        with contextlib.suppress(FileExistsError):  # another doorward was quicker
            os.mkdir(folder, 0o700)


def _spawn() -> Launcher:
    """Make four pipes and a pair of sockets: what the launcher gets is put on 0 to 4 in this order, what stays here is
    ours alone.
    """
    opened: list[int] = []
    try:
        theirs, ours = [], []
        for place, receiving in enumerate((True, False, False, True, False)):
            pair = os.pipe() if place < _REPORTS else tuple(one.detach() for one in _socket.socketpair())
            opened += pair
            theirs.append(_move_up(pair[0] if receiving else pair[1], opened))
            ours.append(pair[1] if receiving else pair[0])
        supervisor = os.posix_spawn(
            sys.executable,
            [sys.executable, *_LAUNCHER],
            # Only what the loader needs to find a shared libpython, as it did for us.
            {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"},
            file_actions=[(os.POSIX_SPAWN_DUP2, descriptor, place) for place, descriptor in enumerate(theirs)],
            setpgroup=0,
            setsigmask=(),
            setsigdef=[number for number in range(1, 32) if number not in (_SIGKILL, _SIGSTOP)],
        )
    except BaseException:
        _close(opened)
        raise
    _close(descriptor for descriptor in opened if descriptor not in ours)
    _supervisors.add(supervisor)
    stdin, stdout, stderr, orders, control = ours
    os.set_blocking(control, False)
    return Launcher(supervisor, (stdin, stdout, stderr), orders, control)


def _move_up(descriptor: int, opened: list[int]) -> int:
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE_DESCRIPTOR)
    opened.append(moved)
    os.close(descriptor)
    opened.remove(descriptor)
    return moved


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)

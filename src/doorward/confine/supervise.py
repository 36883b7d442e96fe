"""The supervisor: what the launcher is once the server runs. It ends when nothing of the server is left, never before.

It waits for three things at once. The server ended: whatever it started is killed. An order came from the gateway
(``signal N`` for the server's process group, ``kill`` for the tree). The gateway is gone, seen by the end of the order
pipe even after a SIGKILL, or ``END_SIGNAL`` came: everything is killed.

It reports in lines: ``started PID MECHANISM ABI`` (``none 0``: not confined), or ``failed STAGE ERRNO`` and nothing
more; then ``exited CODE`` or ``killed SIGNAL``, only when the tree is gone and its temporary folder and control group
are removed.

Its child is the server, or the first process of the server's namespaces: then that one's end is the server's, and its
exit code tells of a signal as a shell does.

Does not survive its own SIGKILL, as nothing does: then the server dies with it (PDEATHSIG) and the rest falls to the
gateway, itself a subreaper (``process.sweep``). Both killed in the same instant by someone outside: with namespaces all
of it dies; without, the server does, and a daemon it had started may live on, confined. Stopped by someone outside,
and its gateway killed, it ends nothing. What is left so ends when the next gateway starts a server, where there are
control groups (``cgroups``), by which that one knows it.
"""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence

    from doorward.confine import cgroups, removal, tree
else:
    import _signal as signal  # what signal is made of, without the enumerations: they cost four milliseconds

    import cgroups  # beside us: the launcher has no packages
    import removal
    import tree

END_SIGNAL = signal.SIGTERM


class Supervisor:
    """What one launcher keeps while its server runs. Made before the first wait, so that no signal is lost."""

    def __init__(self, child: int, *, orders: int, report: int) -> None:
        self._child = child
        self._server, self._parent = child, os.getpid()
        self._orders = orders
        self._report = report
        self._unread = b""
        self._status: int | None = None
        self._ending = False
        self._woken, wake = os.pipe()
        for end in (self._woken, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, END_SIGNAL):
            signal.signal(number, _only_wake)
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)

    def give_up(self, failure: str, temp: bytes, groups: Sequence[bytes] = ()) -> None:
        """Report that nothing was started, and remove ``temp`` and ``groups``."""
        self._remove(temp, groups)
        self._say(f"failed {failure}")

    def run(self, mechanism: str, abi: int, temp: bytes, groups: Sequence[bytes] = ()) -> None:
        """Stay until the server has ended or has to, end all that is below, remove ``temp`` and ``groups``, report."""
        if mechanism == "namespaces":
            self._server, self._parent = next(iter(tree.children(self._child)), self._child), self._child
        self._say(f"started {self._server} {mechanism or 'none'} {abi}")
        ready = select.poll()
        for descriptor in (self._orders, self._woken):
            ready.register(descriptor, select.POLLIN)
        self._reap()
        while self._status is None and not self._ending:
            for descriptor, _ in ready.poll():
                if descriptor == self._orders:
                    self._obey()
                else:
                    self._ending |= END_SIGNAL in os.read(self._woken, 512)
            self._reap()
        self._end_tree()
        self._remove(temp, groups)
        if self._status is not None:
            code = os.waitstatus_to_exitcode(self._status)
            self._say(f"exited {code}" if code >= 0 else f"killed {-code}")

    def _remove(self, temp: bytes, groups: Sequence[bytes]) -> None:
        for group in groups:
            cgroups.remove(group)
        if temp:
            removal.remove_tree(temp)

    def _obey(self) -> None:
        received = os.read(self._orders, 4096)
        if not received:
            self._ending = True
            return
        *orders, self._unread = (self._unread + received).split(b"\n")
        for order in orders:
            word, _, number = order.partition(b" ")
            if word == b"signal" and self._status is None:
                self._signal(int(number))
            elif word == b"kill":
                self._ending = True

    def _signal(self, number: int) -> None:
        if tree.parent(self._server) != self._parent:
            return  # the first process has taken it in: the number may be another's by now
        # The group, as a terminal does: npx and sh, between us and the real server, do not pass signals on.
        try:
            os.killpg(self._server, number)
        except ProcessLookupError:
            os.kill(self._server, number)  # so early that it has no group yet
        except PermissionError:
            pass

    def _reap(self) -> bool:
        """Take in whoever ended; false when no child is left at all."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._child:
                self._status = status

    def _end_tree(self) -> None:
        if not tree.is_visible():
            self._end_group()
            return
        while self._reap():
            statuses = tree.end_children()
            self._status = statuses.get(self._child, self._status)

    def _end_group(self) -> None:
        """All that can be ended where processes cannot be found; a daemon is left to the supervisor around us."""
        for kill in (os.killpg, os.kill):
            try:  # noqa: SIM105 - contextlib would cost three milliseconds
                kill(self._child, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        if self._status is None:
            self._status = os.waitpid(self._child, 0)[1]

    def _say(self, line: str) -> None:
        try:
            os.write(self._report, line.encode() + b"\n")
        except OSError:
            self._ending = True  # nobody listens any more


def _only_wake(number: int, frame: object) -> None:
    """Nothing to do here: the number is in the wake-up pipe already."""

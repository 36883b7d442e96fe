"""The stdio door: one client on our own stdin and stdout, one server as our child.

Lines come in counted and limited, are decoded strictly, wait for what ``foresee`` asks, and go to the relay. What is no
message goes to the operator, masked, and so does what the server says that its walls keep from it (``unshown``).
However it ends, the child and all that it started are gone and the log is closed.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from doorward.confine.process import Child
from doorward.gateway.arrivals import Arrivals, limits_of
from doorward.gateway.perform import Performer
from doorward.gateway.ports import Intake, Outlet, readable
from doorward.gateway.reporter import Reporter
from doorward.gateway.unshown import Unshown
from doorward.policy.model import Policy
from doorward.relay.commands import Closed
from doorward.wire.lines import Overlong

_MAX_STDERR_LINE: Final = 64 * 1024
# How long a server may take to end by itself: after its stdin was closed while calls are still open, without any, and
# after it was asked by a signal. The MCP lifecycle names these steps and leaves the times to the client.
_PATIENCE_BUSY_S: Final = 30.0
_PATIENCE_IDLE_S: Final = 3.0
_PATIENCE_SIGNAL_S: Final = 2.0
_LAST_WORDS_S: Final = 1.0

STDIN, STDOUT = 0, 1


class StdioDoor:
    """Runs one link until it ends; :meth:`run` returns the child's exit code. ``unshown`` is None without walls."""

    def __init__(
        self, *, child: Child, policy: Policy, reporter: Reporter, unshown: Unshown | None, clock: Callable[[], int]
    ) -> None:
        self._child = child
        self._reporter = reporter
        self._unshown = unshown
        self._clock = clock
        self._sizes = policy.sizes
        self._limits = limits_of(policy.sizes)
        self._ending = asyncio.Event()
        self._passed_on: signal.Signals | None = None  # a signal that we got, and the server with us
        self._why = ""
        self.to_client = Outlet(STDOUT, self._client_broke)
        self.to_server = Outlet(child.stdin, self._server_broke)
        self._performer: Performer | None = None

    async def run(self, performer: Performer) -> int:
        self._performer = performer
        arrivals = Arrivals(performer, self._sizes)
        asyncio.get_running_loop().set_exception_handler(self._crashed)
        self._watch_signals()
        performer.begin()
        server = asyncio.create_task(self._read_server(arrivals))
        stderr = asyncio.create_task(self._read_stderr())
        client = asyncio.create_task(self._read_client(arrivals))
        ended = asyncio.create_task(self._child_ended())
        stopping = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait({client, ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await self._end_server(ended, stopping)
            await self._last_words(server, stderr)
            if self._unshown is not None:
                await self._unshown.close()
        finally:
            for task in (client, stopping, server, stderr, ended):
                task.cancel()
            self._child.close()
        performer.feed(Closed("server", 0, self._why or "the server ended", performer.facts()))
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SIGNAL_S):
                await performer.settled()
        return self._child.status if self._child.status is not None else 1

    def stop(self, why: str) -> None:
        """End the link: the client is gone, a signal came, or the relay says so."""
        self._why = self._why or why
        self._ending.set()

    def _crashed(self, _: asyncio.AbstractEventLoop, what: dict[str, Any]) -> None:
        """Something failed where nobody waits for it. Nothing passes any more; no stack trace for the client's log."""
        self._reporter.say(f"the door failed: {what.get('exception') or what.get('message')}")
        self.stop("the door failed")

    def _performing(self) -> Performer:
        if self._performer is None:
            raise RuntimeError("the door was not opened")
        return self._performer

    # -- what comes in ------------------------------------------------------------------------------------------------

    async def _read_client(self, arrivals: Arrivals) -> None:
        await Intake(STDIN, self._limits["client"].max_bytes, lambda line: arrivals.take(line, "client")).run()
        await self._client_left()

    async def _read_server(self, arrivals: Arrivals) -> None:
        def take(line: bytes | Overlong) -> Awaitable[None] | None:
            if isinstance(line, Overlong):
                if line.endless:
                    self.stop("a line of the server has no end")
            elif line.lstrip()[:1] not in (b"{", b"["):
                self._pass_on(line, "stdout")
                return None
            elif self._unshown is not None:
                self._unshown.hear_message(line)
            return arrivals.take(line, "server")

        await Intake(self._child.stdout, self._limits["server"].max_bytes, take).run()
        # As a rule it ended, which is seen at once. If it lives on, nobody will have an answer of it any more.
        asyncio.get_running_loop().call_later(_PATIENCE_IDLE_S, self.stop, "the server closed its output")

    async def _read_stderr(self) -> None:
        def take(line: bytes | Overlong) -> None:
            whole = line if isinstance(line, bytes) else f"(a line of {line.size} bytes was dropped)".encode()
            self._pass_on(whole, "stderr")

        await Intake(self._child.stderr, _MAX_STDERR_LINE, take).run()

    def _pass_on(self, line: bytes, source: str) -> None:
        self._reporter.pass_on(line, self._clock(), source)
        if self._unshown is not None:
            self._unshown.hear_line(line)

    # -- how it ends --------------------------------------------------------------------------------------------------

    async def _client_left(self) -> None:
        """The client closed its side: what waits for a person is void; the server is told by the end of its stdin."""
        performer = self._performing()
        self._why = self._why or "the client closed its input"
        performer.feed(Closed("client", 0, self._why, performer.facts()))
        while performer.relay.fetching and not self._ending.is_set():
            await performer.settled()
            await asyncio.sleep(0.01)
        await performer.settled()

    async def _end_server(self, ended: asyncio.Task[None], stopping: asyncio.Task[Any]) -> None:
        """Step by step: let it act on the signal that it got, close its stdin, ask, kill."""
        performer = self._performing()
        if self._passed_on is not None:
            await asyncio.wait({ended}, timeout=_PATIENCE_SIGNAL_S)
        if not self.to_server.broken:
            self.to_server.close()
        if not self._ending.is_set():
            patience = _PATIENCE_BUSY_S if performer.relay.busy else _PATIENCE_IDLE_S
            await asyncio.wait({ended, stopping}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            if self._passed_on != signal.SIGTERM:
                self._child.send_signal(signal.SIGTERM)
            await asyncio.wait({ended}, timeout=_PATIENCE_SIGNAL_S)
        if not ended.done():
            await asyncio.to_thread(self._child.kill_tree)
            await ended

    async def _last_words(self, server: asyncio.Task[None], stderr: asyncio.Task[None]) -> None:
        """Take in what the server wrote before it ended."""
        await asyncio.wait({server, stderr}, timeout=_LAST_WORDS_S)

    async def _child_ended(self) -> None:
        """Follow the launcher's reports until nothing of the server is left."""
        loop = asyncio.get_running_loop()
        while not self._child.ended:
            await readable(loop, self._child.control)
            self._child.receive()

    def _client_broke(self, why: str) -> None:
        self.stop(f"the client no longer reads: {why}")

    def _server_broke(self, why: str) -> None:
        """It may be about to end by itself, and may still answer; after that nobody can use it."""
        self._why = self._why or f"the server no longer reads: {why}"
        busy = self._performer is not None and self._performer.relay.busy
        patience = _PATIENCE_BUSY_S if busy else _PATIENCE_IDLE_S
        asyncio.get_running_loop().call_later(patience, self.stop, self._why)

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        stopping = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        for number in stopping:
            loop.add_signal_handler(number, self._signalled, number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stopping)  # what came while we started comes now

    def _signalled(self, number: signal.Signals) -> None:
        self._passed_on = number
        self._child.send_signal(number)
        self.stop(f"signal {number.name}")

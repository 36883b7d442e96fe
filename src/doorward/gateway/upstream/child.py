"""The connector for a server that is our child: its stdin, stdout and stderr, and an orderly end.

Does not start it: it gets a child that runs inside its walls (``confine.process``). What it writes to stdout that is no
message, and what it writes to stderr, goes to the operator.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from doorward.confine.process import Child
from doorward.gateway.egress.server import Egress
from doorward.gateway.ports import Intake, Outlet, readable
from doorward.gateway.upstream.connector import MAX_ANSWER_S, Receiver
from doorward.gateway.upstream.exchanges import Exchanges
from doorward.relay.commands import Send
from doorward.wire.jsonrpc import FrameLimits
from doorward.wire.lines import Overlong

_MAX_STDERR_LINE: Final = 64 * 1024
# As in gateway.stdio: the MCP lifecycle names these steps and leaves the times to the client.
_PATIENCE_IDLE_S: Final = 3.0
_PATIENCE_SIGNAL_S: Final = 2.0
_LAST_WORDS_S: Final = 1.0

PassOn = Callable[[bytes, str], None]
"""Gets a line that is no message, and where it was written: ``stdout`` or ``stderr``. It is not masked yet."""

Overhear = Callable[[bytes], None]
"""Gets each message, as it came and before anything is judged."""


class ChildConnector:
    """One link's child (see ``connector.Connector``), which it ends with all that it started. The answer to a request
    has the request's exchange; everything else that comes has 0. ``on_closed`` is called once nothing of it is left,
    and ``on_ended`` before, where it ended although nobody asked it to. ``egress`` is its way out, which ends with it.
    ``overhear`` hears what it says to the client.
    """

    def __init__(  # noqa: PLR0913 - what it carries, and who is to know of what
        self,
        child: Child,
        receiver: Receiver,
        pass_on: PassOn,
        *,
        egress: Egress | None = None,
        overhear: Overhear | None = None,
        limits: FrameLimits | None = None,
        on_closed: Callable[[], None] = lambda: None,
        on_ended: Callable[[], None] = lambda: None,
        max_answer_s: float = MAX_ANSWER_S,
    ) -> None:
        self._child = child
        self._receiver = receiver
        self._pass_on = pass_on
        self._egress = egress
        self._overhear = overhear
        self._on_closed = on_closed
        self._on_ended = on_ended
        self._max_bytes = (limits or FrameLimits(max_bytes=16 * 1024 * 1024)).max_bytes
        self._exchanges = Exchanges(receiver.lost, max_answer_s)
        self._outlet = Outlet(child.stdin, self._no_longer_reads)
        loop = asyncio.get_running_loop()
        self._readers = (loop.create_task(self._read_stdout()), loop.create_task(self._read_stderr()))
        self._ended = loop.create_task(self._follow())
        self._ending: asyncio.Task[None] | None = None
        self._told = False
        self._closing = False
        self._over = asyncio.Event()
        self._why = ""

    # -- the contract -------------------------------------------------------------------------------------------------

    @property
    def broken(self) -> bool:
        return self._told or self._closing or self._outlet.broken

    @property
    def is_full(self) -> bool:
        return self._outlet.is_full

    async def room(self) -> None:
        await self._outlet.room()

    async def drained(self) -> None:
        await self._outlet.drained()

    def put(self, send: Send) -> bool:
        if self.broken:
            return False
        self._exchanges.note(send)
        return self._outlet.put(send)

    def listen(self) -> None:
        """There is one stream, and it is open."""

    async def close(self) -> None:
        """Step by step: close its stdin, wait, ask it by a signal, kill everything."""
        self._closing = True
        self._exchanges.close()
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end())
        await asyncio.shield(self._ending)

    # -- what comes ---------------------------------------------------------------------------------------------------

    async def _read_stdout(self) -> None:
        await Intake(self._child.stdout, self._max_bytes, self._take).run()
        # As a rule it ended, which is seen at once. If it lives on, nobody will have an answer of it any more.
        asyncio.get_running_loop().call_later(_PATIENCE_IDLE_S, self._silenced)

    def _take(self, line: bytes | Overlong) -> Awaitable[None] | None:
        if self._closing:
            return None
        if isinstance(line, Overlong):
            if line.endless:
                self._why = "a line of the server has no end"
                asyncio.get_running_loop().call_soon(self._kill_soon)
            return self._receiver.overlong(line, 0)
        if line.lstrip()[:1] not in (b"{", b"["):
            self._pass_on(line, "stdout")
            return None
        if self._overhear is not None:
            self._overhear(line)
        return self._receiver.arrive(line, self._exchanges.of_answer(line))

    async def _read_stderr(self) -> None:
        def take(line: bytes | Overlong) -> None:
            whole = line if isinstance(line, bytes) else f"(a line of {line.size} bytes was dropped)".encode()
            self._pass_on(whole, "stderr")

        await Intake(self._child.stderr, _MAX_STDERR_LINE, take).run()

    # -- how it ends --------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Until nothing of it is left; then what it wrote before is taken in, and the receiver is told."""
        loop = asyncio.get_running_loop()
        while not self._child.ended:
            await readable(loop, self._child.control)
            self._child.receive()
        await asyncio.wait(self._readers, timeout=_LAST_WORDS_S)
        if not self._closing:
            self._told = True
            self._on_ended()
            self._exchanges.close()
            self._receiver.broke(self._why or f"the server ended (code {self._child.status})")

    def _no_longer_reads(self, why: str) -> None:
        """It may be about to end by itself, and may still answer; after a while nobody can use it."""
        self._why = f"the server no longer reads: {why}"
        asyncio.get_running_loop().call_later(_PATIENCE_IDLE_S, self._kill_soon)

    def _silenced(self) -> None:
        if not self._child.ended:
            self._why = self._why or "the server closed its output"
            self._kill_soon()

    def _kill_soon(self) -> None:
        if not self._child.ended and not self._closing:
            self._child.send_signal(signal.SIGKILL)

    async def _end(self) -> None:
        self._outlet.close()
        await asyncio.wait({self._ended}, timeout=_PATIENCE_IDLE_S)
        if not self._ended.done():
            self._child.send_signal(signal.SIGTERM)
            await asyncio.wait({self._ended}, timeout=_PATIENCE_SIGNAL_S)
        if not self._ended.done():
            await asyncio.to_thread(self._child.kill_tree)
            await asyncio.wait({self._ended}, timeout=_LAST_WORDS_S * 2)
        for task in (*self._readers, self._ended):
            task.cancel()
        await asyncio.gather(*self._readers, self._ended, return_exceptions=True)
        if self._egress is not None:
            await self._egress.close()
        self._child.close()
        for descriptor in (self._child.stdout, self._child.stderr):
            with suppress(OSError):
                os.close(descriptor)
        self._on_closed()

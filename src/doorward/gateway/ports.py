"""Pipes: bytes in as they come, messages out in order, bounded in bytes and time.

A descriptor that can be polled (a pipe, a socket) is used without blocking. One that cannot (a file, a terminal
that is shared with a shell) is read by a thread and written as it is, because making it non-blocking would do so
for everybody who has it; a person who stops that terminal stops the link.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import stat
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from doorward.gateway.turns import SHARE_S, Share, turns
from doorward.relay.commands import Send
from doorward.wire.lines import LineSplitter, Overlong

READ_BYTES = 64 * 1024
MAX_QUEUED_BYTES = 32 * 1024 * 1024  # twice the largest message from a server
WRITE_TIMEOUT_S = 30.0
_AT_ONCE = 64  # lines in one write


class Port(Protocol):
    """One side of a link, as messages leave for it. ``put`` never blocks; what cannot leave yet is queued, bounded."""

    @property
    def broken(self) -> bool: ...
    @property
    def is_full(self) -> bool: ...
    def put(self, send: Send) -> bool: ...
    async def room(self) -> None: ...
    async def drained(self) -> None: ...


def can_poll(descriptor: int) -> bool:
    """Whether a descriptor can be waited for: a pipe or a socket."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


class Intake:
    """Reads lines until the end of a descriptor, none longer than ``max_bytes`` (see ``wire.lines``).

    ``on_line`` takes one line and never fails; what it returns, if anything, is awaited before the next line is taken
    and before more is read, so a slow reader slows its writer. Of many lines that came at once, some are taken at a
    time, and others have their turn (``gateway.turns``); a hop through the loop costs as much as a message.
    """

    def __init__(
        self, descriptor: int, max_bytes: int, on_line: Callable[[bytes | Overlong], Awaitable[None] | None]
    ) -> None:
        self._descriptor = descriptor
        self._on_line = on_line
        self._splitter = LineSplitter(max_bytes)
        self._lines: deque[bytes | Overlong] = deque()  # came, and were not taken yet
        self._turns = turns()
        self._share = Share(self._turns)
        self._loop = asyncio.get_running_loop()
        self._polls = can_poll(descriptor)
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._behind: asyncio.Future[None] | None = None  # done when all that came was taken
        self._waiting: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Ends at the end of the stream, or when the other end broke it."""
        try:
            await (self._polled() if self._polls else self._threaded())
        finally:
            self._lines.clear()
            if self._waiting is not None:
                self._waiting.cancel()

    def _begin(self) -> None:
        """Take what came, as far as it may be taken at once. The rest of it when it is its turn; until then nothing
        more is read.
        """
        while self._lines and self._share.take():
            if self._take_one():
                return
        self._go_on()

    def _take(self) -> None:
        """A share of what came, when it is its turn."""
        until = self._turns.now() + SHARE_S
        while self._lines:
            if self._take_one():
                return
            if self._turns.now() >= until:
                break
        self._go_on()

    def _take_one(self) -> bool:
        """Whether what comes next must wait for something first."""
        waiting = self._on_line(self._lines.popleft())
        if waiting is None:
            return False
        self._fall_behind()
        self._waiting = self._loop.create_task(self._take_after(waiting))
        return True

    async def _take_after(self, waiting: Awaitable[None]) -> None:
        await waiting
        self._take()

    def _go_on(self) -> None:
        if self._lines:
            self._fall_behind()
            self._turns.join(self._take)
        elif self._behind is not None:
            self._catch_up(self._behind)

    def _fall_behind(self) -> None:
        if self._behind is None:
            self._behind = self._loop.create_future()
            if self._polls:
                self._loop.remove_reader(self._descriptor)

    def _catch_up(self, behind: asyncio.Future[None]) -> None:
        self._behind = None
        _resolve(behind)
        if self._polls and not self._ended.done():
            self._loop.add_reader(self._descriptor, self._read)

    async def _polled(self) -> None:
        """The descriptor stays watched from one message to the next: watching it anew costs more than reading it."""
        os.set_blocking(self._descriptor, False)
        self._loop.add_reader(self._descriptor, self._read)
        try:
            await self._ended
        finally:
            self._loop.remove_reader(self._descriptor)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._descriptor)
            _resolve(self._ended)
            return
        self._lines += self._splitter.feed(data)
        self._begin()

    async def _threaded(self) -> None:
        arrived: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)

        def read() -> None:
            while True:
                try:
                    data = os.read(self._descriptor, READ_BYTES)
                except OSError:
                    data = b""
                try:
                    asyncio.run_coroutine_threadsafe(arrived.put(data), self._loop).result()
                except RuntimeError:
                    return
                if not data:
                    return

        threading.Thread(target=read, name="intake", daemon=True).start()
        while data := await arrived.get():
            self._lines += self._splitter.feed(data)
            self._begin()
            if self._behind is not None:
                await self._behind


async def readable(loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
    """Wait until there is something to read, or its end."""
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _resolve, ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Outlet:
    """Writes lines to a descriptor in order. ``on_broken`` is called once, when nobody reads any more or in time.

    A line leaves at once; what comes after it in the same turn of the loop leaves together, in the next one: to write a
    line wakes its reader, which costs more than most lines do.
    """

    def __init__(
        self, descriptor: int, on_broken: Callable[[str], None], *, timeout_s: float = WRITE_TIMEOUT_S
    ) -> None:
        self._descriptor = descriptor
        self._on_broken = on_broken
        self._timeout_s = timeout_s
        self._queue: deque[memoryview] = deque()
        self._waiters: list[asyncio.Future[None]] = []
        self._watching = False
        self._gathering = False
        self._timer: asyncio.TimerHandle | None = None
        self.queued_bytes = 0
        self.broken = False
        self._polls = can_poll(descriptor)
        if self._polls:
            os.set_blocking(descriptor, False)

    def put(self, send: Send) -> bool:
        """Queue one message; False when nobody reads it any more."""
        return self.put_line(send.body)

    def put_line(self, line: bytes) -> bool:
        """The same of a line."""
        if self.broken:
            return False
        self._queue.append(memoryview(line + b"\n"))
        self.queued_bytes += len(line) + 1
        if not (self._watching or self._gathering):
            self._write()
            self._gather()
        return not self.broken

    def _gather(self) -> None:
        """Let what comes in this turn wait for its end."""
        self._gathering = True
        asyncio.get_running_loop().call_soon(self._write_gathered)

    def _write_gathered(self) -> None:
        self._gathering = False
        if self._queue and not self._watching:
            self._write()
            self._gather()

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be put for now."""
        return not self.broken and self.queued_bytes > MAX_QUEUED_BYTES

    async def room(self) -> None:
        """Wait until it is not full any more."""
        while self.is_full:
            await self._wait()

    async def drained(self) -> None:
        while self._queue and not self.broken:
            await self._wait()

    def close(self) -> None:
        """Close the descriptor; what it does not take now is lost."""
        if self._queue and not self._watching:
            self._write()
        self._stop()
        self.broken = True
        self._queue.clear()
        self.queued_bytes = 0
        self._wake()
        os.close(self._descriptor)

    def _wait(self) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter

    def _write(self) -> None:
        while self._queue:
            try:
                sent = os.writev(self._descriptor, tuple(itertools.islice(self._queue, _AT_ONCE)))
            except BlockingIOError:
                self._watch()
                return
            except OSError as problem:
                self._break(problem.strerror or "broken")
                return
            self.queued_bytes -= sent
            self._progress()
            while self._queue and sent >= len(self._queue[0]):
                sent -= len(self._queue.popleft())
            if sent:
                self._queue[0] = self._queue[0][sent:]
        self._stop()
        self._wake()

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        if not self._watching:
            self._watching = True
            loop.add_writer(self._descriptor, self._write)
        if self._timer is None:
            self._timer = loop.call_later(self._timeout_s, self._break, f"nobody read for {self._timeout_s:g} s")

    def _progress(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.queued_bytes <= MAX_QUEUED_BYTES // 2:
            self._wake()

    def _stop(self) -> None:
        if self._watching:
            asyncio.get_running_loop().remove_writer(self._descriptor)
            self._watching = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            _resolve(waiter)

    def _break(self, why: str) -> None:
        self._stop()
        self.broken = True
        self._queue.clear()
        self.queued_bytes = 0
        self._wake()
        self._on_broken(why)

"""Pipes: bytes in as they come, messages out in order, bounded in bytes and time.

A descriptor that can be polled (a pipe, a socket) is used without blocking. One that cannot (a file, a terminal
that is shared with a shell) is read by a thread and written as it is, because making it non-blocking would do so
for everybody who has it; a person who stops that terminal stops the link.
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections import deque
from collections.abc import Awaitable, Callable

READ_BYTES = 64 * 1024
MAX_QUEUED_BYTES = 32 * 1024 * 1024  # twice the largest message from a server
WRITE_TIMEOUT_S = 30.0


def can_poll(descriptor: int) -> bool:
    """Whether a descriptor can be waited for: a pipe or a socket."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


class Intake:
    """Reads a descriptor until its end. ``on_bytes`` is awaited before more is read, so a slow reader slows its
    writer.
    """

    def __init__(self, descriptor: int, on_bytes: Callable[[bytes], Awaitable[None]]) -> None:
        self._descriptor = descriptor
        self._on_bytes = on_bytes

    async def run(self) -> None:
        """Ends at the end of the stream, or when the other end broke it."""
        await (self._polled() if can_poll(self._descriptor) else self._threaded())

    async def _polled(self) -> None:
        """The descriptor stays watched from one message to the next: watching it anew costs more than reading it."""
        loop = asyncio.get_running_loop()
        os.set_blocking(self._descriptor, False)
        arrived: asyncio.Future[bytes] = loop.create_future()
        watched = False

        def read() -> None:
            nonlocal watched
            if arrived.done():  # what came before is still being taken in: the writer waits
                loop.remove_reader(self._descriptor)
                watched = False
                return
            try:
                arrived.set_result(os.read(self._descriptor, READ_BYTES))
            except BlockingIOError:
                return
            except OSError:
                arrived.set_result(b"")

        try:
            while True:
                if not watched:
                    loop.add_reader(self._descriptor, read)
                    watched = True
                data = await arrived
                if not data:
                    return
                await self._on_bytes(data)
                arrived = loop.create_future()
        finally:
            loop.remove_reader(self._descriptor)

    async def _threaded(self) -> None:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)

        def read() -> None:
            while True:
                try:
                    data = os.read(self._descriptor, READ_BYTES)
                except OSError:
                    data = b""
                try:
                    asyncio.run_coroutine_threadsafe(arrived.put(data), loop).result()
                except RuntimeError:
                    return
                if not data:
                    return

        threading.Thread(target=read, name="intake", daemon=True).start()
        while data := await arrived.get():
            await self._on_bytes(data)


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
    """Writes lines to a descriptor in order. ``on_broken`` is called once, when nobody reads any more or in time."""

    def __init__(
        self, descriptor: int, on_broken: Callable[[str], None], *, timeout_s: float = WRITE_TIMEOUT_S
    ) -> None:
        self._descriptor = descriptor
        self._on_broken = on_broken
        self._timeout_s = timeout_s
        self._queue: deque[memoryview] = deque()
        self._waiters: list[asyncio.Future[None]] = []
        self._watching = False
        self._timer: asyncio.TimerHandle | None = None
        self.queued_bytes = 0
        self.broken = False
        self._polls = can_poll(descriptor)
        if self._polls:
            os.set_blocking(descriptor, False)

    def put(self, line: bytes) -> bool:
        """Queue one line; False when nobody reads it any more."""
        if self.broken:
            return False
        self._queue.append(memoryview(line + b"\n"))
        self.queued_bytes += len(line) + 1
        if not self._watching:
            self._write()
        return not self.broken

    def full(self) -> asyncio.Future[None] | None:
        """What to wait for before more is put, or None."""
        if self.broken or self.queued_bytes <= MAX_QUEUED_BYTES:
            return None
        return self._wait()

    async def drained(self) -> None:
        while self._queue and not self.broken:
            await self._wait()

    def close(self) -> None:
        """Close the descriptor; what is still queued is lost."""
        self._stop()
        self.broken = True
        self._queue.clear()
        os.close(self._descriptor)

    def _wait(self) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter

    def _write(self) -> None:
        while self._queue:
            piece = self._queue[0]
            try:
                sent = os.write(self._descriptor, piece)
            except BlockingIOError:
                self._watch()
                return
            except OSError as problem:
                self._break(problem.strerror or "broken")
                return
            self.queued_bytes -= sent
            self._progress()
            if sent < len(piece):
                self._queue[0] = piece[sent:]
            else:
                self._queue.popleft()
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

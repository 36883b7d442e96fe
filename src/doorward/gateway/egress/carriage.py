"""Bytes between two connections: as they come, no faster than they are read, and until nothing moves any more."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Final

from doorward.gateway.egress.request import Body

_PIECE: Final = 64 * 1024
_MOST_DISCARDED: Final = 1024 * 1024
_LINGER_S: Final = 2.0


class Stream:
    """One connection, to read and to write."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def accepted(cls, connection: socket.socket, limit: int) -> Stream:
        """Of a socket that was accepted, which it takes over."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=limit, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection)
        return cls(reader, asyncio.StreamWriter(transport, protocol, reader, loop))

    @classmethod
    async def connected(cls, address: str, port: int) -> Stream:
        """To an IP address. Raises OSError where nobody answers."""
        reader, writer = await asyncio.open_connection(address, port, limit=_PIECE)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return cls(reader, writer)

    async def read_until(self, end: bytes) -> bytes:
        """Raises asyncio.LimitOverrunError and EOFError where ``end`` does not come."""
        return await self._reader.readuntil(end)

    async def read(self) -> bytes:
        return await self._reader.read(_PIECE)

    async def write(self, data: bytes) -> None:
        """Waits while too much is unread."""
        self._writer.write(data)
        await self._writer.drain()

    def end(self) -> None:
        """Nothing more is written; it is still read."""
        with suppress(OSError):
            self._writer.write_eof()

    async def finish(self) -> None:
        """End it so that what was written arrives: what still comes is read, for a moment, or the kernel would reset
        the connection and the peer might never see the answer.
        """
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                await self._writer.drain()
                self.end()
                discarded = 0
                while discarded < _MOST_DISCARDED and (piece := await self.read()):
                    discarded += len(piece)

    def abort(self) -> None:
        self._writer.transport.abort()


class _Idle:
    """How long nothing moved."""

    def __init__(self, most_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._most_s = most_s
        self.moved()

    def moved(self) -> None:
        self._at = self._loop.time()

    @property
    def left_s(self) -> float:
        return max(0.0, self._at + self._most_s - self._loop.time())


async def tunnel(near: Stream, far: Stream, idle_s: float) -> None:
    """Both directions, each until its own end; all of it when one breaks, or nothing moves for ``idle_s``."""
    idle = _Idle(idle_s)
    loop = asyncio.get_running_loop()
    there, back = loop.create_task(_pump(near, far, idle)), loop.create_task(_pump(far, near, idle))
    await _run((there, back), (there, back), idle)


async def one_request(near: Stream, far: Stream, body: Body, idle_s: float) -> None:
    """The rest of a request there, and its answer back. The answer's end is the end, and so is a second request."""
    idle = _Idle(idle_s)
    loop = asyncio.get_running_loop()
    there, back = loop.create_task(_send_body(near, far, body, idle)), loop.create_task(_pump(far, near, idle))
    await _run((there, back), (back,), idle)


async def _run(tasks: tuple[asyncio.Task[None], ...], last: tuple[asyncio.Task[None], ...], idle: _Idle) -> None:
    try:
        while not all(task.done() for task in last):
            working = [task for task in tasks if not task.done()]
            await asyncio.wait(working, timeout=idle.left_s, return_when=asyncio.FIRST_COMPLETED)
            if not idle.left_s or any(task.done() and task.exception() for task in tasks):
                return
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(source: Stream, sink: Stream, idle: _Idle) -> None:
    while piece := await source.read():
        idle.moved()
        await sink.write(piece)
        idle.moved()
    sink.end()


async def _send_body(near: Stream, far: Stream, body: Body, idle: _Idle) -> None:
    while piece := await near.read():
        idle.moved()
        body.take(piece)
        await far.write(piece)
        idle.moved()
    if not body.complete:
        raise EOFError("the request has no end")

"""What leaves on one connection, and whether its client takes it.

The transport's buffer is told to have no room at all, so that it is heard of everything that the kernel did not take.
How much the *client* took is asked of the kernel, which is willing to hold megabytes for a client that reads nothing.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from contextlib import suppress
from typing import Final

from doorward.gateway.http.untaken import Part

_STEADY_BYTES: Final = 16 * 1024
_LEFT: Final = (7, 8)  # TCP_CLOSE and TCP_CLOSE_WAIT of <netinet/tcp.h>: reset, or closed by the client


class Outflow:
    """The sending side of a transport. ``stalled``: something waits for the client to take what came before it."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, untaken: Part) -> None:
        transport.set_write_buffer_limits(high=0)
        self.stalled = False
        self._transport = transport
        self._loop = loop
        self._untaken = untaken
        self._socket: socket.socket = transport.get_extra_info("socket")
        self._sent = 0
        self._since = 0.0
        self._taken_then = 0
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def buffered(self) -> int:
        """Bytes that wait here; the kernel may hold some more."""
        return self._transport.get_write_buffer_size()

    def send(self, data: bytes) -> None:
        """Write, or queue. Where the client is gone it is lost, and ``connection_lost`` is about to say so."""
        self._sent += len(data)
        waits = self.stalled
        self._transport.write(data)
        if waits:
            self._untaken.more(len(data))

    def end(self) -> None:
        """Nothing more is sent; what was is still delivered."""
        if not self._transport.is_closing():
            self._transport.write_eof()

    def pause(self) -> None:
        """The kernel takes no more."""
        self.stalled = True
        self._since = self._loop.time()
        self._taken_then = self._taken()
        self._untaken.more(self.buffered)

    def resume(self) -> None:
        """The kernel has all of it, or nobody ever will."""
        if self.stalled:
            self._untaken.over()
        self.stalled = False
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            _resolve(waiter)

    def taken(self) -> asyncio.Future[None]:
        """Done when nothing waits here any more."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        if self.stalled:
            self._waiters.append(waiter)
        else:
            self._loop.call_soon(_resolve, waiter)
        return waiter

    def is_stuck(self, now: float, seconds: float) -> bool:
        """Whether something waits, and the client took less than 16 KiB for longer than ``seconds``."""
        if not self.stalled:
            return False
        taken = self._taken()
        if taken - self._taken_then >= _STEADY_BYTES:
            self._since, self._taken_then = now, taken
        return now - self._since > seconds

    def has_left(self) -> bool:
        """Whether the client closed or reset the connection, for when nothing of it is read. Behind more than the
        kernel holds of its bytes, its closing is not seen; a reset is.
        """
        with suppress(OSError):
            return self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in _LEFT
        return True

    def _taken(self) -> int:
        queued = struct.pack("i", 0)
        with suppress(OSError, ValueError):  # the connection ended in this moment
            queued = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, queued)
        return self._sent - self.buffered - int(struct.unpack("i", queued)[0])


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)

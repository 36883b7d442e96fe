"""A lean HTTP/1.1 server: transport only, on one event loop, on asyncio's own and on uvloop.

It bounds, frames and carries; what a path or a body means is the application's (``call.Application``). There is no TLS:
a listener is on loopback, or behind a proxy that has it. Times are looked at in sweeps over all connections, a few for
each of the shortest time and at least one a second: a timer for each request would cost more than reading it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from doorward.gateway.http.call import Application
from doorward.gateway.http.connection import Connection
from doorward.gateway.http.head import Address
from doorward.gateway.http.limits import HttpLimits
from doorward.gateway.http.listener import Listener

_BACKLOG: Final = 1024
_AT_ONCE: Final = 16  # new connections that are accepted before anybody else is served
_SWEEPS: Final = 5
_LONGEST_SWEEP_S: Final = 1.0
_LOOK_S: Final = 0.02


class Server:
    """A listener and its connections; made by :func:`listen`. ``address`` is where it really listens."""

    def __init__(self, listener: Listener, sockets: asyncio.Server, address: Address) -> None:
        self.address = address
        self._listener = listener
        self._sockets = sockets
        limits = listener.limits
        shortest = min(limits.head_seconds, limits.body_seconds, limits.idle_seconds, limits.write_seconds)
        self._every = min(shortest / _SWEEPS, _LONGEST_SWEEP_S)
        self._sweeping = listener.loop.call_later(self._every, self._sweep)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._listener.connections)

    def stop_accepting(self) -> None:
        """Nobody new; whoever is connected gets the answer to its request, and the connection is closed after it."""
        self._sockets.close()
        self._listener.draining = True
        for connection in tuple(self._listener.connections):
            if connection.is_waiting:
                connection.cut()

    async def close(self, drain_seconds: float) -> None:
        """Stop accepting, wait so long for what is being answered, then cut off what is left. Streams are ended by the
        application, or cut. Idempotent.
        """
        self.stop_accepting()
        with suppress(TimeoutError):
            async with asyncio.timeout(drain_seconds):
                await self._empty()
        self.abort()
        await self._empty()
        self._sweeping.cancel()

    def abort(self) -> None:
        """Cut every connection off."""
        for connection in tuple(self._listener.connections):
            connection.abort()

    async def _empty(self) -> None:
        while self._listener.connections:  # noqa: ASYNC110 (at the end of a process, for a moment)
            await asyncio.sleep(_LOOK_S)

    def _sweep(self) -> None:
        loop = self._listener.loop
        now = loop.time()
        for connection in tuple(self._listener.connections):
            connection.sweep(now)
        self._sweeping = loop.call_later(self._every, self._sweep)


async def listen(app: Application, host: str, port: int, limits: HttpLimits | None = None) -> Server:
    """Accept connections for ``app``. Port 0 lets the kernel choose; see ``Server.address``.

    Raises:
        OSError: It cannot listen there.
    """
    loop = asyncio.get_running_loop()
    listener = Listener(app, limits or HttpLimits(), loop)
    sockets = await loop.create_server(lambda: Connection(listener), host, port, backlog=_AT_ONCE)
    for one in sockets.sockets:  # asyncio accepts as many in one go as may wait; here others come between
        with one.dup() as listening:
            listening.listen(_BACKLOG)
    name = sockets.sockets[0].getsockname()
    return Server(listener, sockets, (name[0], name[1]))

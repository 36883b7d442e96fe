"""The client's side of one link over HTTP: which message leaves on which answer or stream.

An answer leaves on the POST that asked. What belongs to no open request leaves on the standing stream, a GET of the
session's; while there is none, a little waits for it. Back-pressure is per stream: a client that does not read slows
what it asked for, and is cut off in the end, by the HTTP server.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from doorward.gateway.http.call import HttpCall
from doorward.gateway.http.carriage import KEEP_ALIVE, RETRY_AFTER, SSE, STREAM_HEADERS, Carriage
from doorward.gateway.http.events import Replay
from doorward.gateway.link import Link
from doorward.relay.commands import Send

_MAX_WAITING: Final = 64
_MAX_WAITING_BYTES: Final = 256 * 1024


class Downstream:
    """The port of a link towards its client. ``legacy`` links have sessions, standing streams and resumption.
    ``on_idle`` is called whenever nobody waits any more.
    """

    def __init__(self, *, legacy: bool) -> None:
        self.broken = False
        self.replay = Replay() if legacy else None
        self._carriages: dict[int, Carriage] = {}
        self._standing: dict[int, HttpCall] = {}
        self._waiting: deque[Send] = deque()
        self._waiting_bytes = 0
        self._slow: HttpCall | None = None
        self.on_idle: Callable[[], None] = lambda: None

    # -- the port -----------------------------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """Never as a whole: see :meth:`full`."""
        return False

    def put(self, send: Send) -> bool:
        if self.broken:
            return False
        carriage = self._carriages.get(send.exchange)
        if carriage is None:
            return self._put_standing(send) if self.replay is not None else False
        delivered = carriage.put(send.body)
        if carriage.call.is_full:
            self._slow = carriage.call
        if carriage.done or (carriage.call.gone and not carriage.resumable):
            self._forget(send.exchange)
        return delivered

    async def room(self) -> None:
        """Nothing to wait for."""

    async def drained(self) -> None:
        for call in (*(carriage.call for carriage in self._carriages.values()), *self._standing.values()):
            await call.drained()

    def full(self, exchange: int) -> Awaitable[None] | None:
        """What must be awaited before more is read that would go to a client that does not take what it got: only on
        the exchange where that is, unless all of them come on one stream.
        """
        if exchange > 0:
            carriage = self._carriages.get(exchange)
            return carriage.call.room() if carriage is not None and carriage.call.is_full else None
        call, self._slow = self._slow, None
        return call.room() if call is not None and call.is_full else None

    # -- answers ------------------------------------------------------------------------------------------------------

    def carry(self, carriage: Carriage) -> None:
        """A POST whose answers leave through here."""
        self._carriages[carriage.exchange] = carriage

    def drop(self, exchange: int) -> bool:
        """Its client left; whether there was something to take back. A stream that can be taken up again stays."""
        carriage = self._carriages.get(exchange)
        if carriage is None or carriage.resumable:
            return False
        self._forget(exchange)
        return True

    def _forget(self, exchange: int) -> None:
        self._carriages.pop(exchange).on_done()
        if not self.busy:
            self.on_idle()

    # -- standing streams ---------------------------------------------------------------------------------------------

    def listen(self, call: HttpCall, exchange: int, last_event_id: str, *, primed: bool) -> None:
        """A GET: a new standing stream, or the one that broke off, from where it did."""
        if self.replay is None:
            raise ValueError("a modern link has no standing stream")
        call.open_stream(200, SSE, STREAM_HEADERS)
        found = self.replay.after(last_event_id) if last_event_id else None
        if found is None:
            priming = self.replay.begin(exchange)
            call.write(priming if primed else b": open\n\n")
            self._stand(call, exchange)
            return
        stream, events, ended = found
        for event in events or (b": nothing was missed\n\n",):
            call.write(event)
        carriage = self._carriages.get(stream)
        if ended:
            call.end()
        elif carriage is not None:
            before, carriage.call.on_gone = carriage.call, None
            if before.streaming:
                before.end()
            carriage.continue_on(call)
        else:
            self._stand(call, stream)

    def _stand(self, call: HttpCall, stream: int) -> None:
        before = self._standing.pop(stream, None)
        if before is not None and before.streaming:
            before.end()
        self._standing[stream] = call
        waiting, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
        for send in waiting:
            self._put_standing(send)

        def gone() -> None:
            if self._standing.get(stream) is call:
                del self._standing[stream]

        call.on_gone = gone

    def _put_standing(self, send: Send) -> bool:
        """On one of them, the latest, and never on several (MCP: "MUST NOT broadcast")."""
        if self._standing and self.replay is not None:
            stream, call = next(reversed(self._standing.items()))
            if call.is_full:
                self._slow = call
            return call.write(self.replay.add(stream, send.body))
        if send.exchange > 0 or len(self._waiting) >= _MAX_WAITING or self._waiting_bytes > _MAX_WAITING_BYTES:
            return False
        self._waiting.append(send)
        self._waiting_bytes += len(send.body)
        return True

    # -- time, and the end --------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether somebody waits for an answer or listens."""
        return bool(self._carriages or self._standing)

    def keep_alive(self) -> None:
        for carriage in self._carriages.values():
            carriage.keep_alive()
        for call in self._standing.values():
            call.write(KEEP_ALIVE)

    def close(self) -> None:
        """The link is over: streams end; a POST that got no answer until now gets none."""
        self.broken = True
        for carriage in self._carriages.values():
            if carriage.call.streaming:
                carriage.call.end()
            elif not carriage.call.gone and not carriage.call.answered:
                carriage.call.answer(503, headers=RETRY_AFTER, close=True)
            carriage.on_done()
        for call in self._standing.values():
            if call.streaming:
                call.end()
        self._carriages.clear()
        self._standing.clear()
        self._waiting.clear()


HttpLink = Link[Downstream]

"""The client's side of one link over HTTP: which message leaves on which answer or stream.

An answer leaves on the POST that asked, or nowhere. What belongs to no open request leaves on the standing stream, a
GET of the session's; while there is none, a little waits for it. Back-pressure is per stream: a client that does not
read slows what it asked for. Where that would slow others (a child's one pipe carries the answers of several clients),
what waits for it is bounded instead. Either way it is cut off in the end: by the HTTP server after a time, or here.
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
from doorward.wire.jsonrpc import outline

_MAX_WAITING: Final = 64
_MAX_WAITING_BYTES: Final = 256 * 1024
MAX_STANDING: Final = 16
"""Of one session. Clients open one; with one more, the oldest is ended, and can be taken up again."""
MAX_LEFT_BYTES: Final = 16 * 1024 * 1024
"""What may wait for one client when the next message comes and nothing slows its sender: as much as the largest
message. Where its sender is slowed, that happens earlier; but what waits to be recorded (``perform``) still comes.
"""
MAX_LATE_BYTES: Final = 64 * 1024 * 1024


class Downstream:
    """The port of a link towards its client. ``legacy`` links have sessions, standing streams and resumption.
    ``one_pipe`` says that all that the server sends comes the same way. ``on_idle`` is called whenever nobody waits any
    more.
    """

    def __init__(self, *, legacy: bool, one_pipe: bool) -> None:
        self.broken = False
        self.is_full = False  # never as a whole: see :meth:`full`
        self._one_pipe = one_pipe
        self._most_left = MAX_LEFT_BYTES if one_pipe and not legacy else MAX_LATE_BYTES
        self.replay = Replay() if legacy else None
        self._carriages: dict[int, Carriage] = {}
        self._standing: dict[int, HttpCall] = {}
        self._waiting: deque[Send] = deque()
        self._waiting_bytes = 0
        self.on_idle: Callable[[], None] = lambda: None

    # -- the port -----------------------------------------------------------------------------------------------------

    def put(self, send: Send) -> bool:
        if self.broken:
            return False
        carriage = self._carriages.get(send.exchange)
        if carriage is None or (carriage.call.gone and not carriage.resumable):
            delivered = self._put_elsewhere(send, carriage)
        else:
            if carriage.call.streaming:
                self._cut_if_left(carriage.call)
            delivered = carriage.put(send.body)
        if carriage is not None and carriage.awaited <= 0:
            self._forget(send.exchange)
        return delivered

    def _put_elsewhere(self, send: Send, carriage: Carriage | None) -> bool:
        """Its POST is over or its client left it. An answer is then for nobody; a legacy server's own messages are for
        whoever listens.
        """
        if outline(send.body).answers:
            return carriage.put(send.body) if carriage is not None else False
        return self._put_standing(send) if self.replay is not None else False

    def end(self, exchange: int) -> None:
        """A request on an exchange ended without an answer."""
        carriage = self._carriages.get(exchange)
        if carriage is not None:
            carriage.forgo()
            if carriage.done:
                self._forget(exchange)

    async def room(self) -> None:
        """Nothing to wait for."""

    async def drained(self) -> None:
        for call in self._calls():
            await call.drained()

    def full(self, exchange: int) -> Awaitable[None] | None:
        """What must be awaited before more is read of an exchange whose client does not take what it got. Where one
        pipe serves several clients (modern), nothing: none of them waits for another.
        """
        if exchange > 0 and not self._one_pipe:
            carriage = self._carriages.get(exchange)
            return carriage.call.room() if carriage is not None and carriage.call.is_full else None
        if self.replay is None:
            return None
        for call in self._calls():
            if call.is_full:
                return call.room()
        return None

    def _calls(self) -> tuple[HttpCall, ...]:
        return (*(carriage.call for carriage in self._carriages.values()), *self._standing.values())

    # -- answers ------------------------------------------------------------------------------------------------------

    def carry(self, carriage: Carriage) -> None:
        """A POST whose answers leave through here."""
        self._carriages[carriage.exchange] = carriage

    def drop(self, exchange: int) -> bool:
        """Its client left; whether there was something to take back. A stream that can be taken up again stays."""
        carriage = self._carriages.get(exchange)
        if carriage is None or carriage.resumable:
            return False
        carriage.taken_back = True
        self._forget(exchange)
        return True

    def _forget(self, exchange: int) -> None:
        carriage = self._carriages.pop(exchange, None)
        if carriage is None:
            return
        carriage.on_done()
        if not (self._carriages or self._standing):
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
        self._unseat(stream)
        if len(self._standing) >= MAX_STANDING:
            self._unseat(next(iter(self._standing)))
        self._standing[stream] = call
        if self.replay is not None:
            self.replay.take_up(stream)
        waiting, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
        for send in waiting:
            self._put_standing(send)

        def gone() -> None:
            if self._standing.get(stream) is call:
                self._unseat(stream)

        call.on_gone = gone

    def _unseat(self, stream: int) -> None:
        """Whoever stands on ``stream`` stands there no more."""
        before = self._standing.pop(stream, None)
        if before is None:
            return
        if self.replay is not None:
            self.replay.rest(stream)
        before.on_gone = None
        if before.streaming:
            before.end()

    def _put_standing(self, send: Send) -> bool:
        """On one of them, the latest, and never on several (MCP: "MUST NOT broadcast")."""
        if self._standing and self.replay is not None:
            stream, call = next(reversed(self._standing.items()))
            self._cut_if_left(call)  # what it misses is kept for its return
            return call.write(self.replay.add(stream, send.body))
        if send.exchange > 0 or len(self._waiting) >= _MAX_WAITING or self._waiting_bytes > _MAX_WAITING_BYTES:
            return False
        self._waiting.append(send)
        self._waiting_bytes += len(send.body)
        return True

    def _cut_if_left(self, call: HttpCall) -> None:
        """Give up a client that leaves too much untaken."""
        if call.buffered > self._most_left:
            call.cut()

    # -- time, and the end --------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether somebody waits for an answer or listens."""
        return bool(self._carriages or self._standing)

    def keep_alive(self) -> None:
        for carriage in tuple(self._carriages.values()):
            carriage.keep_alive()
        for call in tuple(self._standing.values()):
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

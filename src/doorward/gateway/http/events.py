"""Streams of a legacy session: each event has an id of ours, and what was sent lately can be sent again.

An id names a stream and a place in it. A client that lost its connection comes back with the last one it saw, and gets
what followed on that very stream, never what went to another (MCP 2025-11-25, "Resumability and Redelivery"). Kept are
bytes that were judged already, bounded, and only for the session they were sent to.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from doorward.wire.sse import encode_event

MAX_KEPT_BYTES: Final = 1024 * 1024
MAX_KEPT_EVENTS: Final = 256
"""Of one session: seconds of a busy stream. What a client misses beyond it is lost, as without resumption."""
MAX_RESTING: Final = 64
"""Streams of one session that are remembered although nobody is on them: ended ones, and those whose client left."""


class _Kept(msgspec.Struct, frozen=True):
    stream: int
    place: int
    event: bytes


class Replay:
    """What a session's client may ask for again. Streams are named by their exchange."""

    def __init__(self) -> None:
        self._kept: deque[_Kept] = deque()
        self._bytes = 0
        self._places: dict[int, int] = {}
        self._resting: dict[int, None] = {}
        self._ended: set[int] = set()

    def begin(self, stream: int) -> bytes:
        """The priming event: an id and no data, so that a client can come back before anything was said."""
        self._places[stream] = 0
        return b"id: %d-0\ndata: \n\n" % stream

    def add(self, stream: int, body: bytes) -> bytes:
        """The event for ``body`` on ``stream``, kept."""
        place = self._places.get(stream, 0) + 1
        self._places[stream] = place
        event = encode_event(body, event_id=f"{stream}-{place}", event="message")
        self._kept.append(_Kept(stream, place, event))
        self._bytes += len(event)
        while self._kept and (self._bytes > MAX_KEPT_BYTES or len(self._kept) > MAX_KEPT_EVENTS):
            self._bytes -= len(self._kept.popleft().event)
        return event

    def end(self, stream: int) -> None:
        """Nothing follows on ``stream``. What was kept of it can still be asked for."""
        self._ended.add(stream)
        self.rest(stream)

    def rest(self, stream: int) -> None:
        """Nobody is on ``stream`` any more. One that somebody is on is never forgotten: its ids would begin anew."""
        self._resting.pop(stream, None)
        self._resting[stream] = None
        if len(self._resting) > MAX_RESTING:
            oldest = next(iter(self._resting))
            del self._resting[oldest]
            self._places.pop(oldest, None)
            self._ended.discard(oldest)

    def take_up(self, stream: int) -> None:
        """Somebody is on ``stream`` again."""
        self._resting.pop(stream, None)

    def after(self, last_event_id: str) -> tuple[int, list[bytes], bool] | None:
        """What followed an event: (its stream, the events, whether the stream has ended). None: not of this session,
        or too long ago.
        """
        stream, _, place = last_event_id.partition("-")
        if not (stream.isdecimal() and place.isdecimal() and len(last_event_id) <= 40):  # noqa: PLR2004 - two numbers
            return None
        number, seen = int(stream), int(place)
        if number not in self._places or seen > self._places[number]:
            return None
        events = [kept.event for kept in self._kept if kept.stream == number and kept.place > seen]
        if self._places[number] - seen != len(events):
            return None  # there is a gap: nothing is better than a part that looks whole
        return number, events, number in self._ended

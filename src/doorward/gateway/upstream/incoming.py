"""An answer that brings frames: a JSON body, or server-sent events, counted while they arrive and handed on in order.

While whoever receives a frame is busy, or it is the turn of others (``gateway.turns``), reading is paused on this
answer only; what was already read waits here (at most one read of a socket). Nothing is judged: what a frame means is
looked at only as far as to know whom it answers.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable
from typing import Final, Literal

import msgspec

from doorward.gateway.turns import SHARE_S, Share, turns
from doorward.gateway.upstream.connection import Carriage
from doorward.gateway.upstream.connector import Receiver
from doorward.wire.jsonrpc import Id, key_of
from doorward.wire.lines import ENDLESS, Overlong
from doorward.wire.sse import Event, EventParser

_KEEP: Final = 512
_MAX_ERROR_BYTES: Final = 64 * 1024
_SMALL: Final = 4 * 1024  # pieces of a body below it share a buffer: each of its own costs fifty bytes more
_WORK: Final = 64
"""What a piece of a body or a line of a stream counts beside its bytes: a server that sends two bytes in each chunk, or
a comment without an end, is one that wants to be expensive.
"""
_OK, MULTIPLE, _FIRST_REFUSAL = 200, 300, 400

Form = Literal["frame", "events", "refusal", "nothing", "other"]


_FORMS: Final[dict[bytes, Form]] = {b"application/json": "frame", b"text/event-stream": "events"}


class _Envelope(msgspec.Struct):
    id: Id | None = None
    method: str | msgspec.UnsetType = msgspec.UNSET


_envelope: Final = msgspec.json.Decoder(_Envelope)
# How many servers begin an answer, so that a large one need not be gone through to its end. What is no message after
# all is refused by whoever decodes it, and ends its request as well.
_ANSWERS: Final = re.compile(
    rb'\{"jsonrpc":"2\.0","id":(0|-?[1-9][0-9]{0,17}|"[ !#-\[\]-~]{0,256}"),"(?:result|error)":'
)


def answered_key(frame: bytes) -> str:
    """The key of the request that a frame answers; empty when it is no answer or cannot be read."""
    begins = _ANSWERS.match(frame)
    if begins is not None:
        return begins[1].decode()
    try:
        envelope = _envelope.decode(frame)
    except (ValueError, RecursionError):
        return ""
    if envelope.method is not msgspec.UNSET or envelope.id is None:
        return ""
    return key_of(envelope.id)


def _form(content_type: bytes) -> Form:
    """What the content of an answer is, where its status is a good one."""
    kind = content_type if content_type in _FORMS else content_type.partition(b";")[0].strip().lower()
    return _FORMS.get(kind, "other")


class Incoming(Carriage):
    """One request whose answer may bring frames. ``exchange`` is what the receiver knows it by.

    Subclasses get ``noted`` for each event (before its frame is handed on), ``refused`` for the content of a status of
    400 and above (up to 64 KiB), and ``ended``, once, when all that came was handed on. Neither comes after ``drop``.
    """

    def __init__(self, wire: bytes, exchange: int, receiver: Receiver, max_bytes: int) -> None:
        super().__init__(wire)
        self.exchange = exchange
        self.status = 0
        self.form: Form = "nothing"
        self.headers: dict[bytes, bytes] = {}
        self._receiver = receiver
        self._max_bytes = max_bytes
        self._parts: list[bytes | bytearray] = []
        self._size = 0
        self._work = 0  # bytes and pieces of a body, or of a stream since its last event
        self.endless = False
        self._events: EventParser | None = None
        self._share: Share | None = None  # of a stream; a body is one frame
        self._behind: deque[Event] = deque()
        self._busy: asyncio.Task[None] | None = None
        self._cause: str | None = None

    # -- for subclasses -----------------------------------------------------------------------------------------------

    def noted(self, event: Event) -> None:
        """An event came, or a whole JSON body as one."""

    def refused(self, content: bytes) -> bytes | None:  # noqa: ARG002 - for those who can make something of it
        """The status was 400 or above. Returns the frame that it stands for, if any."""
        return None

    def ended(self, cause: str) -> None:
        """No more comes: ``cause`` is empty where the answer was complete as HTTP."""

    # -- what the connection tells ------------------------------------------------------------------------------------

    def head(self, status: int, headers: dict[bytes, bytes]) -> None:
        self.status = status
        self.headers = headers
        if status >= _FIRST_REFUSAL:
            self.form = "refusal"
        elif not _OK <= status < MULTIPLE:
            self.form = "nothing"
        else:
            self.form = _form(headers.get(b"content-type", b""))
        if self.form == "events":
            self._events = EventParser(self._max_bytes)
            self._share = Share(turns())

    def body(self, data: bytes) -> None:
        if self._events is not None:
            self._stream(data, self._events)
            return
        size = len(data)
        self._size += size
        self._work += size + _WORK
        limit = self._max_bytes if self.form == "frame" else _MAX_ERROR_BYTES
        if self._size <= limit and self._work <= ENDLESS * limit:
            if self._parts:
                self._keep(data)
            else:
                self._parts.append(data)
            return
        too_long = self._size > limit
        if self.form == "frame" and too_long:
            whole = b"".join((*self._parts, data))
            self._take(Event(Overlong(self._size, whole[:_KEEP], whole[-_KEEP:])))
        self._parts.clear()
        self.abort()
        self._end("its answer is too long" if too_long else "its answer comes in too many pieces")

    def _stream(self, data: bytes, parser: EventParser) -> None:
        events = parser.feed(data)
        for event in events:
            self._take(event)
        self._work = 0 if events else self._work + len(data) + _WORK * (1 + data.count(b"\n"))
        if self._work <= ENDLESS * max(self._max_bytes, _MAX_ERROR_BYTES):
            return
        self.endless = True
        overlong = parser.endless()
        if overlong is not None:
            self._take(Event(overlong))
        self.abort()
        self._end("an event of its answer has no end")

    def _keep(self, data: bytes) -> None:
        if len(data) > _SMALL:
            self._parts.append(data)
        elif isinstance(last := self._parts[-1], bytearray):
            last += data
        else:
            self._parts.append(bytearray(data))

    def done(self) -> None:
        frame: bytes | None = bytes(self._parts[0]) if len(self._parts) == 1 else b"".join(self._parts)
        if self.form == "refusal":
            frame = self.refused(frame or b"")
        if frame and self.form in ("frame", "refusal"):
            self._take(Event(frame))
        self._end("")

    def unproven(self, why: str) -> None:
        self._receiver.unproven(why, self.exchange)

    def failed(self, cause: str) -> None:
        self._end(cause)

    def finish_early(self) -> None:
        """Take nothing more in: what is known is enough."""
        self.abort()
        self._end("")

    def drop(self) -> None:
        """Take nothing more in, and hand nothing more on; ``ended`` is not called."""
        self._cause = self._cause or "dropped"
        self.abort()
        self._behind.clear()
        if self._busy is not None:
            self._busy.cancel()

    # -- one frame after the other ------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        if self._busy is not None:
            self._behind.append(event)
            return
        waiting: Awaitable[None] | None = None
        if self._share is None or self._share.take():
            waiting = self.hand_on(event)
            if waiting is None:
                return
        else:
            self._behind.append(event)
        self.pause()
        self._busy = asyncio.get_running_loop().create_task(self._catch_up(waiting))

    def hand_on(self, event: Event) -> Awaitable[None] | None:
        """One event to the receiver."""
        self.noted(event)
        if isinstance(event.data, Overlong):
            return self._receiver.overlong(event.data, self.exchange)
        if not event.data:
            return None
        return self._receiver.arrive(event.data, self.exchange)

    async def _catch_up(self, waiting: Awaitable[None] | None) -> None:
        if waiting is not None:
            await waiting
        line = turns()
        while self._behind:
            await line.come()
            until = line.now() + SHARE_S
            while self._behind:
                waiting = self.hand_on(self._behind.popleft())
                if waiting is not None:
                    await waiting
                if line.now() >= until:
                    break
        self._busy = None
        if self._cause is None:
            self.resume()
        else:
            self.ended(self._cause)

    def _end(self, cause: str) -> None:
        if self._cause is not None:  # it was ended, or dropped, from within
            return
        self._cause = cause
        if self._busy is None:
            self.ended(cause)

"""One POST each: a request with whatever answers it, and a message that wants no answer.

A request is settled when a response of its id was handed over. If its stream ends before, it is taken up again where
the server made that possible (legacy), else lost. A status that refuses is an answer too where it carries an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from doorward.errors import MalformedMessageError
from doorward.gateway.upstream.connection import COMPRESSED
from doorward.gateway.upstream.incoming import Incoming, answered_key
from doorward.gateway.upstream.standing import LINGER_S, NOT_FOUND, Resumed, usable_id
from doorward.wire.jsonrpc import FrameLimits, Response, decode, decode_value, encode
from doorward.wire.sse import Event

if TYPE_CHECKING:
    from doorward.gateway.upstream.streamable import StreamableConnector

_ERROR_LIMITS: Final = FrameLimits(max_bytes=64 * 1024)


class Post(Incoming):
    """A request; ``key`` is its id (``wire.jsonrpc.key_of``). ``standing`` ones may take as long as they like."""

    def __init__(
        self, wire: bytes, exchange: int, link: StreamableConnector, key: str, method: str, *, modern: bool
    ) -> None:
        super().__init__(wire, exchange, link.receiver, link.max_bytes)
        self._link = link
        self.key = key
        self.method = method
        self.modern = modern
        self.standing = method == "subscriptions/listen"
        self.started = link.now()
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self.answered = False
        self.taken_up: Resumed | None = None  # what goes on with its stream after it broke off
        self._answered_at = 0.0

    def noted(self, event: Event) -> None:
        """Also called for the events of a stream that was taken up again."""
        if event.id is not None:
            self.last_event_id = usable_id(event.id)
        if event.retry_ms is not None:
            self.retry_ms = event.retry_ms
        if self.answered or not isinstance(event.data, bytes) or answered_key(event.data) != self.key:
            return
        self.answered = True
        if self.method == "initialize":
            self._greet(event.data)
        if self.form == "events" and self.taken_up is None:
            self._answered_at = self._link.now()
            self._link.keep(self)
        self._link.settle(self)

    def taken_back(self) -> None:
        """It was cancelled by a notification (legacy). Most servers do not answer it any more, and some keep its stream
        open for good: it may go on for as long as one that was answered.
        """
        self.answered = True
        self._answered_at = self._link.now()
        self._link.keep(self)
        self._link.settle(self)

    @property
    def lingers(self) -> bool:
        """Whether its stream goes on for too long after the answer."""
        return self._link.now() - self._answered_at >= LINGER_S

    def _greet(self, frame: bytes) -> None:
        try:
            message = decode(frame, FrameLimits(max_bytes=len(frame))).message
        except MalformedMessageError:
            return  # the relay says what is wrong with it
        if isinstance(message, Response) and message.result is not None:
            self._link.greeted(message.result.get("protocolVersion"), self.headers.get(b"mcp-session-id"))

    def compressed(self) -> None:
        self._receiver.unread(MalformedMessageError("frame-compressed", COMPRESSED), self.exchange)

    def refused(self, content: bytes) -> bytes | None:
        if (
            self.status == NOT_FOUND
            and not self.modern
            and self.method != "initialize"
            and self._link.unknown_session()
        ):
            return None
        try:
            message = decode(content, _ERROR_LIMITS).message
        except MalformedMessageError:
            return None
        if not isinstance(message, Response) or message.error is None:
            return None
        answer = Response(decode_value(self.key.encode()), error=message.error)
        return encode(answer)  # many servers name no id, or one of their own

    def ended(self, cause: str) -> None:
        self._link.let_go(self)
        if self.answered:
            return
        if self.form == "events" and not self.endless and self._link.resume(self):
            return
        self._link.settle(self, _why(self, cause))

    def drop(self) -> None:
        if self.taken_up is not None:
            self.taken_up.close()
        self._link.let_go(self)
        super().drop()


class Tell(Incoming):
    """A notification, or a client's answer: the server takes it, and says nothing. ``then`` is called when it did."""

    urgent = True

    def __init__(self, wire: bytes, exchange: int, link: StreamableConnector) -> None:
        super().__init__(wire, exchange, link.receiver, link.max_bytes)
        self._link = link
        self.started = link.now()
        self.then: Callable[[], None] | None = None

    def head(self, status: int, headers: dict[bytes, bytes]) -> None:
        super().head(status, headers)
        if self.form in ("frame", "events"):
            self.form = "other"
            self.finish_early()  # nothing answers it, so nothing of it is read

    def ended(self, cause: str) -> None:
        self._link.let_go(self)
        if self.form == "refusal" and self.status == NOT_FOUND and self._link.unknown_session():
            return
        if self.form in ("refusal", "nothing"):
            self._link.undelivered(self, _why(self, cause))
        if self.then is not None:
            self.then()


def _why(incoming: Incoming, cause: str) -> str:
    """Why there is no answer."""
    if incoming.form == "refusal" or (incoming.form == "nothing" and incoming.status):
        moved = "" if incoming.form == "refusal" else " (redirects are not followed)"
        return f"the server answered HTTP {incoming.status}{moved}"
    if cause:
        return cause
    if incoming.form == "other":
        return f"the server answered HTTP {incoming.status} without a message"
    return "the server's answer ended without a response to the request"

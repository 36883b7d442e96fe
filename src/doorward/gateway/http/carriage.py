"""One POST of a client and its answer: whole as JSON while nothing but the answer is to be said, else as a stream.

The first message decides. A stream that stays silent is opened as well, after some seconds, so that nobody in between
takes it for dead. What happens to HTTP status codes in each era is decided here and nowhere else.

Sources: MCP 2025-03-26 to 2026-07-28, "Streamable HTTP".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from doorward.gateway.http.call import HttpCall
from doorward.gateway.http.events import Replay
from doorward.protocol import stateless, versions
from doorward.wire.jsonrpc import Outline, decode_value, encode_value, outline, with_id
from doorward.wire.sse import encode_event

SSE: Final = "text/event-stream"
STREAM_HEADERS: Final = (("X-Accel-Buffering", "no"),)
KEEP_ALIVE: Final = b": keep-alive\n\n"
_PRIMED_SINCE: Final = "2025-11-25"
CAPACITY: Final = -31003
RETRY_AFTER: Final = (("Retry-After", "1"),)

# 2026-07-28 gives each of these a status, whoever found the error; legacy answers are 200 whatever they say.
_MODERN_STATUS: Final = {
    -32700: 400,
    -32600: 400,
    -32602: 400,
    -32020: 400,
    -32021: 400,
    -32022: 400,
    -32601: 404,
}
_OK, _BAD_REQUEST, _TOO_MANY = 200, 400, 429


class Carriage:
    """A POST that waits for its answers, ``awaited`` of them (one, but for a batch).

    ``key`` and ``progress`` are the client's own id and progress token as JSON text where the link knows the request by
    others (modern), else empty.
    ``replay`` is the session's (legacy), or None. ``unread``: it held no message, so its error is a bad request.
    ``headers`` gives what goes out with the head, once it is known; ``on_done`` is called once, when it is over.
    """

    def __init__(  # noqa: PLR0913 - what is known of one POST, given once
        self,
        call: HttpCall,
        exchange: int,
        *,
        awaited: int = 1,
        key: str = "",
        progress: str = "",
        method: str = "",
        version: str = "",
        replay: Replay | None = None,
        unread: bool = False,
        headers: Callable[[], tuple[tuple[str, str], ...]] = tuple,
        on_done: Callable[[], None] = lambda: None,
    ) -> None:
        self.call = call
        self.exchange = exchange
        self.awaited = awaited
        self.version = version
        self._key = key
        self._progress = progress
        self._method = method
        self._replay = replay
        self._unread = unread
        self.headers = headers
        self.on_done = on_done
        self.taken_back = False  # its client gave something of it up before its answer
        self._old = False
        self._began = False  # a stream was opened, on this connection or on one before it

    @property
    def done(self) -> bool:
        return self.awaited <= 0

    @property
    def resumable(self) -> bool:
        """Whether a client that lost this connection can come back for what follows."""
        return self._began and self._replay is not None

    def put(self, body: bytes) -> bool:
        """Hand over one message; False when nobody will get it."""
        seen = outline(body)
        answers = seen.answers
        if answers:
            self.awaited -= 1
        if self.call.gone and not self.resumable:
            return False
        if self._replay is None:
            if not answers and self._ends(body):
                return self._end()
            body = self._renamed(body, seen, answers=answers)
        if answers and self.awaited <= 0 and not self._began:
            status, headers = self._refused(body) if seen.part == "error" else (_OK, ())
            self.call.answer(status, body, headers=(*headers, *self.headers()))
            return True
        self._open()
        event = self._replay.add(self.exchange, body) if self._replay is not None else encode_event(body)
        delivered = self.call.write(event) or self.resumable
        if self.done:
            self._end()
        return delivered

    def forgo(self) -> None:
        """One answer less to wait for: its request was taken back."""
        self.taken_back = True
        self.awaited -= 1
        if self.done and self._began:
            self._end()
        elif self.done and not self.call.gone:  # an empty stream, with no event to come back for
            self.call.open_stream(_OK, SSE, STREAM_HEADERS)
            self.call.end()

    def keep_alive(self) -> None:
        """A sign of life, from the second time it is called on. Opens the stream if there is none yet."""
        if self._old and not self.call.gone:
            self._open()
            self.call.write(KEEP_ALIVE)
        self._old = True

    def continue_on(self, call: HttpCall) -> None:
        """The client came back on another connection."""
        self.call = call

    def _open(self) -> None:
        if self._began or self.call.gone:
            return
        self._began = True
        self.call.open_stream(_OK, SSE, (*STREAM_HEADERS, *self.headers()))
        if self._replay is not None:
            priming = self._replay.begin(self.exchange)
            if self.version >= _PRIMED_SINCE:  # older clients take an event without data for a broken message
                self.call.write(priming)

    def _end(self) -> bool:
        self.awaited = 0
        self._open()
        if self._replay is not None and self._began:
            self._replay.end(self.exchange)
        self.call.end()
        return True

    # -- hop by hop ---------------------------------------------------------------------------------------------------

    def _ends(self, body: bytes) -> bool:
        """A server ends a stream that is listened on: over HTTP that is said by its end."""
        if self._method != "subscriptions/listen":
            return False
        return bool(decode_value(body)["method"] == "notifications/cancelled")

    def _renamed(self, body: bytes, seen: Outline, *, answers: bool) -> bytes:
        """``body`` with the client's own id in place of the link's, wherever it stands for the request."""
        if answers:
            if self._method == "subscriptions/listen" and seen.part == "result":
                return self._with_subscription(with_id(body, seen, self._key))
            return with_id(body, seen, self._key) if seen.id != b"null" else body
        tree = decode_value(body)
        params = tree.get("params") or {}
        if self._progress and tree["method"] == "notifications/progress":
            params["progressToken"] = decode_value(self._progress.encode())
        meta = stateless.meta_of(params)
        if versions.META_SUBSCRIPTION in meta:
            meta[versions.META_SUBSCRIPTION] = decode_value(self._key.encode())
        return encode_value(tree)

    def _with_subscription(self, body: bytes) -> bytes:
        tree: dict[str, Any] = decode_value(body)
        meta = stateless.meta_of(tree.get("result"))
        if versions.META_SUBSCRIPTION in meta:
            meta[versions.META_SUBSCRIPTION] = decode_value(self._key.encode())
        return encode_value(tree)

    def _refused(self, body: bytes) -> tuple[int, tuple[tuple[str, str], ...]]:
        """The status for an error, and what goes with it."""
        code = decode_value(body)["error"]["code"]
        if code == CAPACITY:
            return _TOO_MANY, RETRY_AFTER
        if self._unread:
            return _BAD_REQUEST, ()
        return (_MODERN_STATUS.get(code, _OK) if self._replay is None else _OK), ()

"""The streams of the legacy era that a GET opens: the standing one, and one that goes on where an answer broke off.

Both are opened again when they end, after a pause: the server's own (``retry``) within bounds, else one second, doubled
while nothing comes. An answer's stream is given up after a few attempts in vain; then its request is lost.
"""

from __future__ import annotations

import abc
import asyncio
from typing import TYPE_CHECKING, Final

from doorward.gateway.upstream.incoming import Incoming
from doorward.wire.sse import Event

if TYPE_CHECKING:
    from doorward.gateway.upstream.posts import Post
    from doorward.gateway.upstream.streamable import StreamableConnector

_PAUSE_S: Final = 1.0
_SHORTEST_S, _LONGEST_S = 0.1, 30.0
_ATTEMPTS: Final = 5
NOT_FOUND, _FIRST_SERVER_ERROR = 404, 500
LINGER_S: Final = 5.0
"""How long a stream may go on after the answer: servers close it at once, and nothing more belongs to the request."""


class _Get(Incoming):
    """One GET. ``owner`` hears of its events and of its end."""

    urgent = True

    def __init__(self, link: StreamableConnector, exchange: int, owner: _Reopened, last_event_id: str) -> None:
        super().__init__(link.get_wire(last_event_id), exchange, link.receiver, link.max_bytes)
        self._owner = owner

    def head(self, status: int, headers: dict[bytes, bytes]) -> None:
        super().head(status, headers)
        if self.form == "frame":
            self.form = "other"
            self.finish_early()

    def noted(self, event: Event) -> None:
        self._owner.noted(event)

    def ended(self, cause: str) -> None:
        self._owner.ended(self, cause)


class _Reopened(abc.ABC):
    """A stream that is opened again when it ends."""

    def __init__(self, link: StreamableConnector, exchange: int) -> None:
        self._link = link
        self._exchange = exchange
        self._get: _Get | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._in_vain = 0
        self.last_event_id = ""
        self.retry_ms: int | None = None

    def open(self) -> None:
        self._timer = None
        self._get = _Get(self._link, self._exchange, self, self.last_event_id)
        self._link.client.start(self._get)

    def open_again(self) -> None:
        """The same after a pause, the longer the more often nothing came of it."""
        pause = _PAUSE_S if self.retry_ms is None else self.retry_ms / 1000
        pause = min(max(pause, _SHORTEST_S) * 2 ** min(self._in_vain, 10), _LONGEST_S)
        self._in_vain += 1
        self._timer = asyncio.get_running_loop().call_later(pause, self.open)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._get is not None:
            self._get.drop()
            self._get = None

    def noted(self, event: Event) -> None:
        self._in_vain = 0
        if event.id is not None:
            self.last_event_id = usable_id(event.id)
        if event.retry_ms is not None:
            self.retry_ms = event.retry_ms

    @abc.abstractmethod
    def ended(self, get: _Get, cause: str) -> None:
        """A stream is over: what becomes of it is for whoever opened it to say."""


class Standing(_Reopened):
    """What a server says on its own account (legacy): everything on it is exchange 0. A server may have none (405)."""

    def __init__(self, link: StreamableConnector) -> None:
        super().__init__(link, 0)

    def ended(self, get: _Get, cause: str) -> None:  # noqa: ARG002 - why it ended makes no difference
        self._get = None
        if get.status == NOT_FOUND and self._link.unknown_session():
            return
        if get.form not in ("refusal", "other") or get.status >= _FIRST_SERVER_ERROR:
            self.open_again()


class Resumed(_Reopened):
    """The stream of an answer that broke off, from where it did. The request's own time limit goes on."""

    def __init__(self, link: StreamableConnector, post: Post) -> None:
        super().__init__(link, post.exchange)
        self._post = post
        self.last_event_id = post.last_event_id
        self.retry_ms = post.retry_ms
        self._linger: asyncio.TimerHandle | None = None

    def noted(self, event: Event) -> None:
        super().noted(event)
        self._post.noted(event)
        if self._post.answered and self._linger is None:
            self._link.keep(self)
            self._linger = asyncio.get_running_loop().call_later(LINGER_S, self.close)

    def close(self) -> None:
        super().close()
        self._link.let_go(self)
        if self._linger is not None:
            self._linger.cancel()

    def ended(self, get: _Get, cause: str) -> None:
        self._get = None
        if self._post.answered:
            self.close()
        elif get.status == NOT_FOUND and self._link.unknown_session():
            return
        elif get.form in ("refusal", "other") or self._in_vain >= _ATTEMPTS:
            self._link.settle(
                self._post, f"its stream broke off and could not be taken up again{cause and ': '}{cause}"
            )
        else:
            self.open_again()


def usable_id(event_id: str) -> str:
    """An event id as it can stand in a header, else nothing: then the stream cannot be taken up."""
    return event_id if event_id.isascii() and event_id.isprintable() and event_id == event_id.strip() else ""

"""One request and its answer, and what an application is to this server.

The application gets a call when its head is complete, and once more when its body is. It answers at once or later,
whole or piece by piece, from the event loop and never from another thread. That a client left before the end of its
answer is told to :attr:`HttpCall.on_gone`; whatever is written for it afterwards is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from doorward.gateway.http import answer
from doorward.gateway.http.answer import Headers
from doorward.gateway.http.head import Address, Head

if TYPE_CHECKING:
    from doorward.gateway.http.pace import Pace

_TWICE: Final = "the call was answered before"
_RESTS: Final = frozenset({401, 429})
FULL_BYTES: Final = 256 * 1024
"""What one client may leave untaken before :attr:`HttpCall.is_full` asks for patience: four reads of a socket."""


class Application(Protocol):
    """Whoever answers. Called in the event loop. What one of these raises becomes a 500 and is reported to the loop."""

    def connected(self, transport: asyncio.Transport) -> Any:
        """Somebody connected: what is returned is every call's ``owner`` on this connection."""

    def disconnected(self, peer: Address) -> None:
        """A connection of ``peer`` has ended, or gave way."""

    def admit(self, call: HttpCall) -> int:
        """The head is complete. Answer already, or return how many bytes of body are taken (0: none); a longer one is
        refused with 413 before it is read where its length was announced, and while it comes in otherwise. A call that
        is not answered here gets :meth:`receive`, with an empty body where it has none.
        """

    def receive(self, call: HttpCall, body: bytes) -> None:
        """The whole body. Its bytes are given back to the budget when this returns; what is kept of them longer has to
        be counted by whoever keeps it. Not called for a call that was answered, or whose client is gone.
        """

    def malformed(self, peer: Address, rule: str, detail: str) -> None:
        """A request was refused by this server, for the operator: a name and words that show nothing of the input. The
        answer is given by the server. Also for readers and writers that were too slow, and for connections over limit.
        """

    def take(self, call: HttpCall, held: int, count: int) -> bool:
        """Whether of the body of ``call``, of which ``held`` bytes are kept, ``count`` more may be; asked before."""

    def give(self, call: HttpCall, held: int) -> None:
        """They are not kept any more."""


class Carrier(Protocol):
    """The connection, as its call sees it."""

    @property
    def owner(self) -> Any:
        """Whose connection it is, in the application's words."""

    @property
    def must_close(self) -> bool:
        """Whether nothing more will be read after this call."""

    @property
    def buffered(self) -> int:
        """Bytes that were written and not yet taken by the client."""

    def send(self, data: bytes) -> None:
        """Write, or queue what the client does not take now."""

    def finished(self, *, close: bool) -> None:
        """The answer is complete."""

    def rest(self) -> None:
        """Read nothing more for a moment: whoever sends too much need not be heard at once."""

    @property
    def pace(self) -> Pace:
        """Whether it sent much lately, and when its next request is looked at then."""

    def taken(self) -> asyncio.Future[None]:
        """Done when the client took all that was written, or is gone."""

    def abort(self) -> None:
        """Close at once; what was written and not taken is lost."""


class HttpCall:
    """A request, to be answered exactly once: by :meth:`answer`, or by :meth:`open_stream`, :meth:`write`, :meth:`end`.

    Attributes:
        head: The request without its body.
        gone: Whether the client left, or was cut off, before its answer was complete.
        answered: Whether the answer is complete.
        streaming: Whether a stream was opened and not yet ended.
        owner: What :meth:`Application.connected` said of the connection.
        about: Whatever the application wants to know of this call between admitting and receiving it.
        on_gone: Called once, when ``gone`` becomes true. A client that closes only its sending side counts as gone: no
            HTTP client does that and waits, and it is how closing a connection looks from here.

    An answer is complete when all of it was written, which does not mean that the client took it.
    """

    __slots__ = ("_carrier", "_chunked", "about", "answered", "gone", "head", "on_gone", "owner", "streaming")

    def __init__(self, head: Head, carrier: Carrier) -> None:
        self.head = head
        self.owner = carrier.owner
        self.gone = False
        self.answered = False
        self.streaming = False
        self.on_gone: Callable[[], None] | None = None
        self.about: Any = None
        self._carrier = carrier
        self._chunked = False

    def pace(self) -> None:
        """Whoever sends this sends much: what comes next on its connection waits for its turn."""
        self._carrier.pace.slow_down()

    @property
    def paced(self) -> bool:
        """Whether whoever sends this sent much lately."""
        return self._carrier.pace.slow

    def answer(
        self,
        status: int,
        body: bytes = b"",
        content_type: str = "application/json",
        headers: Headers = (),
        *,
        close: bool = False,
    ) -> None:
        """The whole answer. Without a body there is no Content-Type. ``close`` ends the connection after it.

        Raises:
            RuntimeError: It was answered before, or is being streamed.
            ValueError: A header has a character that cannot be printed.
        """
        if self.answered or self.streaming:
            raise RuntimeError(_TWICE)
        if self.gone:
            return
        close = close or self.head.close or self._carrier.must_close
        if status in _RESTS:
            self._carrier.rest()
        head = answer.whole(status, content_type, len(body), headers, close=close)
        self._carrier.send(head if self.head.method == "HEAD" else head + body)
        self._finish(close=close)

    def open_stream(self, status: int, content_type: str, headers: Headers = ()) -> None:
        """Send the head of an answer whose length is not known. It is chunked; to a client of HTTP/1.0, which knows no
        chunks, it ends with the connection.

        Raises:
            RuntimeError: It was answered before, or is being streamed.
            ValueError: A header has a character that cannot be printed.
        """
        if self.answered or self.streaming:
            raise RuntimeError(_TWICE)
        if self.gone:
            return
        self._chunked = not self.head.http_10
        close = self.head.close or self._carrier.must_close
        head = answer.streamed(status, content_type, headers, close=close, chunked=self._chunked)
        self.streaming = True
        self._carrier.send(head)

    def write(self, data: bytes) -> bool:
        """The next piece of the stream; False when the client is gone. Never waits: see :attr:`is_full`.

        Raises:
            RuntimeError: No stream is open.
        """
        if self.gone:
            return False
        if not self.streaming:
            raise RuntimeError("no stream is open")
        if data and self.head.method != "HEAD":
            self._carrier.send(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        return not self.gone

    def end(self) -> None:
        """The stream is complete. Nothing happens where the client is gone.

        Raises:
            RuntimeError: No stream is open.
        """
        if self.gone:
            return
        if not self.streaming:
            raise RuntimeError("no stream is open")
        if self._chunked and self.head.method != "HEAD":
            self._carrier.send(b"0\r\n\r\n")
        self._finish(close=self.head.close or self._carrier.must_close)

    @property
    def buffered(self) -> int:
        """Bytes of its stream that were written and not yet taken by the client."""
        return self._carrier.buffered if self.streaming else 0

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be written for now."""
        return self.streaming and self._carrier.buffered > FULL_BYTES

    async def room(self) -> None:
        """Wait until it is not full any more, or the client is gone."""
        while self.is_full:
            await self._carrier.taken()

    async def drained(self) -> None:
        """Wait until the client took all that was written, or is gone."""
        while self.buffered:
            await self._carrier.taken()

    def cut(self) -> None:
        """Give a client up that does not take what it is sent; it is gone then."""
        if not self.gone and not self.answered:
            self._carrier.abort()

    def lose(self) -> None:
        """For the connection: the client is gone."""
        if self.gone or self.answered:
            return
        self.gone = True
        self.streaming = False
        if self.on_gone is not None:
            self.on_gone()

    def _finish(self, *, close: bool) -> None:
        if self.gone:
            return
        self.answered = True
        self.streaming = False
        self._carrier.finished(close=close)

"""The connector for HTTP+SSE (2024-11-05): one GET stream brings everything, its first event says where to POST.

An old transport that servers still have; only the legacy era speaks it. The stream is the session: when it ends, all of
it has. Source: MCP 2024-11-05 "Transports". Does not judge: what comes is handed over as it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from typing import Final

from doorward.errors import MalformedMessageError
from doorward.gateway.upstream.address import Address, join
from doorward.gateway.upstream.connector import MAX_ANSWER_S, Receiver
from doorward.gateway.upstream.exchanges import Exchanges
from doorward.gateway.upstream.http_client import MAX_QUEUED_BYTES, HttpClient, checked, request
from doorward.gateway.upstream.incoming import MULTIPLE, Incoming
from doorward.relay.commands import Send
from doorward.wire.jsonrpc import FrameLimits
from doorward.wire.lines import Overlong
from doorward.wire.sse import Event

ENDPOINT_S: Final = 10.0
"""How long the server may take to say where messages go: it is the first thing that it says."""


class SseConnector:
    """One link's way to an HTTP+SSE server (see ``connector.Connector``). The stream is opened at once; what is put
    before the server has said where to waits, in order.

    ``client`` belongs to this connector, and is closed with it. ``fields`` are sent with each request (credentials).
    """

    def __init__(
        self,
        client: HttpClient,
        address: Address,
        receiver: Receiver,
        *,
        limits: FrameLimits | None = None,
        fields: dict[str, str] | None = None,
        max_answer_s: float = MAX_ANSWER_S,
    ) -> None:
        self._client = client
        self._address = address
        self._receiver = receiver
        self._fields = checked(fields or {})
        self._max_bytes = (limits or FrameLimits(max_bytes=16 * 1024 * 1024)).max_bytes
        self._exchanges = Exchanges(receiver.lost, max_answer_s)
        self._endpoint: Address | None = None
        self._early: deque[Send] = deque()
        self._early_bytes = 0
        self._ready = asyncio.Event()
        self._posts: set[_Post] = set()
        self.broken = False
        asked = {"Accept": "text/event-stream", "Accept-Encoding": "identity", **self._fields}
        self._stream = _Stream(request("GET", address, asked), self, self._max_bytes)
        self._timer = asyncio.get_running_loop().call_later(
            ENDPOINT_S, self.end, f"the server did not say within {ENDPOINT_S:g} s where messages go"
        )
        client.start(self._stream)

    # -- the contract -------------------------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        return not self.broken and (self._client.is_full or self._early_bytes > MAX_QUEUED_BYTES)

    async def room(self) -> None:
        while self.is_full:
            await self._ready.wait()
            await self._client.room()

    async def drained(self) -> None:
        await self._ready.wait()
        await self._client.drained()

    def put(self, send: Send) -> bool:
        if self.broken:
            return False
        if self._endpoint is None:
            self._early.append(send)
            self._early_bytes += len(send.body)
        else:
            self._post(send, self._endpoint)
        return True

    def listen(self) -> None:
        """There is one stream, and it is open."""

    async def close(self) -> None:
        self._end()

    # -- what goes out ------------------------------------------------------------------------------------------------

    def _post(self, send: Send, endpoint: Address) -> None:
        asked = self._exchanges.note(send)
        fields = {"Content-Type": "application/json", "Accept-Encoding": "identity", **self._fields}
        post = _Post(request("POST", endpoint, fields, send.body), send.exchange, asked, self)
        self._posts.add(post)
        self._client.start(post)

    def undelivered(self, post: _Post, cause: str) -> None:
        """A message was not taken. Where it was a request, no answer will come."""
        self._posts.discard(post)
        if post.asked and self._exchanges.forget(post.asked) and post.exchange and not self.broken:
            self._receiver.lost(post.exchange, cause)

    def taken(self, post: _Post) -> None:
        self._posts.discard(post)

    # -- what comes back ----------------------------------------------------------------------------------------------

    @property
    def receiver(self) -> Receiver:
        """What the stream's frames go through: each gets the exchange of the request that it answers."""
        return self

    def arrive(self, frame: bytes, _exchange: int) -> Awaitable[None] | None:
        return self._receiver.arrive(frame, self._exchanges.of_answer(frame))

    def overlong(self, frame: Overlong, exchange: int) -> Awaitable[None] | None:
        return self._receiver.overlong(frame, exchange)

    def unread(self, problem: MalformedMessageError, exchange: int) -> None:
        self._receiver.unread(problem, exchange)

    def unproven(self, why: str, exchange: int) -> None:
        self._receiver.unproven(why, exchange)

    def lost(self, exchange: int, cause: str) -> None:
        self._receiver.lost(exchange, cause)

    def broke(self, cause: str) -> None:
        self.end(cause)

    def endpoint(self, said: str) -> None:
        """The server says where messages go. Only once, and never to another origin: credentials go there."""
        found = join(self._address, said)
        if found is None:
            self.end("the server sends messages to another origin")
        elif self._endpoint is None:
            self._timer.cancel()
            self._endpoint = found
            early, self._early, self._early_bytes = self._early, deque(), 0
            for send in early:
                self._post(send, found)
            self._ready.set()

    def end(self, cause: str) -> None:
        if not self.broken:
            self._end()
            self._receiver.broke(cause)

    def _end(self) -> None:
        self.broken = True
        self._timer.cancel()
        self._exchanges.close()
        self._stream.drop()
        for post in self._posts:
            post.drop()
        self._posts.clear()
        self._early.clear()
        self._ready.set()
        self._client.close()


class _Stream(Incoming):
    """The one stream."""

    urgent = True

    def __init__(self, wire: bytes, link: SseConnector, max_bytes: int) -> None:
        super().__init__(wire, 0, link.receiver, max_bytes)
        self._link = link

    def head(self, status: int, headers: dict[bytes, bytes]) -> None:
        super().head(status, headers)
        if self.form != "events":
            self.form = "other"
            self.finish_early()

    def hand_on(self, event: Event) -> Awaitable[None] | None:
        if event.event != "endpoint":
            return super().hand_on(event)
        if isinstance(event.data, bytes):
            self._link.endpoint(event.data.decode("utf-8", "replace"))
        return None

    def ended(self, cause: str) -> None:
        if self.form == "events" or not self.status:
            self._link.end(cause or "the server ended its stream")
        else:
            self._link.end(f"the server answered HTTP {self.status} where its stream should be")


class _Post(Incoming):
    """One message. ``asked`` is its key where it is a request."""

    def __init__(self, wire: bytes, exchange: int, asked: str, link: SseConnector) -> None:
        super().__init__(wire, exchange, link.receiver, 0)
        self.asked = asked
        self._link = link

    def head(self, status: int, headers: dict[bytes, bytes]) -> None:
        super().head(status, headers)
        if self.form in ("frame", "events"):
            self.form = "other"
            self.finish_early()  # answers come on the stream

    def ended(self, cause: str) -> None:
        if self.form == "other" or (not cause and self.form == "nothing" and self.status < MULTIPLE):
            self._link.taken(self)
        else:
            self._link.undelivered(self, f"the server answered HTTP {self.status}" if self.status else cause)

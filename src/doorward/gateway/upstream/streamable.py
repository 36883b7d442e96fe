"""The connector for Streamable HTTP, both eras: each message is a POST, and what it is answered with comes back.

What the two eras do differently: a legacy link has a session, a standing GET stream, and streams that are taken up
again where they broke off; a modern request stands alone, repeats itself in headers, and is cancelled by closing its
stream.

Source: MCP 2025-03-26 to 2026-07-28, "Transports". Does not judge: what comes is handed over as it is.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from doorward.gateway.upstream.address import Address
from doorward.gateway.upstream.connection import Carriage
from doorward.gateway.upstream.connector import MAX_ANSWER_S, Receiver
from doorward.gateway.upstream.http_client import MAX_QUEUED_BYTES, HttpClient, checked, head, lines, request
from doorward.gateway.upstream.incoming import Incoming
from doorward.gateway.upstream.posts import Post, Tell
from doorward.gateway.upstream.standing import Resumed, Standing
from doorward.protocol import headers as mcp_headers
from doorward.protocol import versions
from doorward.protocol.stateless import meta_of
from doorward.relay.commands import Send
from doorward.wire.jsonrpc import FrameLimits, decode_value, key_or_nothing

_BARRIER_S: Final = 5.0
_SWEEP_S: Final = 5.0
_DELETE_S: Final = 2.0
_MAX_TELL_S: Final = 60.0
_SESSION: Final = re.compile(rb"[\x21-\x7e]{1,1024}")
_BOTH: Final = "application/json, text/event-stream"
_META_VERSION: Final = versions.META_VERSION.encode()  # each modern request has it somewhere, as our encoding writes it


# The beginning of a request or notification in our own encoding: all that has to be known of most that goes out.
_ASKS: Final = re.compile(
    rb'\{"jsonrpc":"2\.0",(?:"id":("[^"\\]*+(?:\\.[^"\\]*+)*+"|-?\d+),)?"method":("[^"\\]*+(?:\\.[^"\\]*+)*+")'
)


class _Params(msgspec.Struct):
    """What headers may repeat of params, arguments aside."""

    meta: Any = msgspec.field(name="_meta", default=None)
    name: Any = None
    uri: Any = None
    task: Any = msgspec.field(name="taskId", default=None)


class _Asked(msgspec.Struct):
    params: _Params | None = None


_asked: Final = msgspec.json.Decoder(_Asked).decode


def _params(body: bytes) -> dict[str, Any]:
    """The params of a message of our own encoding, or an empty object."""
    return decode_value(body).get("params") or {}


def _without_arguments(body: bytes) -> dict[str, Any]:
    """The same, as far as headers may repeat them: large arguments are passed over and not built."""
    found = _asked(body).params or _Params()
    return {"_meta": found.meta, "name": found.name, "uri": found.uri, "taskId": found.task}


class StreamableConnector:
    """One link's way to a Streamable HTTP server (see ``connector.Connector``).

    ``client`` belongs to this connector, and is closed with it. ``schema_of`` gives our encoding of a tool's
    inputSchema as pinned, or None. ``fields`` are sent with each request (credentials); they never reach a receiver or
    a log.
    """

    def __init__(
        self,
        client: HttpClient,
        address: Address,
        receiver: Receiver,
        *,
        limits: FrameLimits | None = None,
        schema_of: Callable[[str], bytes | None] | None = None,
        fields: dict[str, str] | None = None,
        max_answer_s: float = MAX_ANSWER_S,
    ) -> None:
        self.client = client
        self.receiver = receiver
        self.max_bytes = (limits or FrameLimits(max_bytes=16 * 1024 * 1024)).max_bytes
        self._address = address
        self._schema_of = schema_of
        self._fields = checked(fields or {})
        self._max_answer_s = max_answer_s
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._posts: dict[str, Post] = {}  # the requests that have no answer yet, by key
        self._others: set[Incoming | Resumed] = set()  # what is under way beside them
        self._on: dict[int, int] = {}  # how many requests are open on an exchange
        self._owed: dict[int, str] = {}  # exchanges that are lost once their last request has ended
        self._session = ""
        self._version = ""
        self._session_lines = b""
        common = {"Accept": _BOTH, "Content-Type": "application/json", "Accept-Encoding": "identity"}
        self._head = head("POST", address, {**common, **self._fields})
        self._legacy = False
        self._standing: Standing | None = None
        self._held: deque[Send] | None = None
        self._held_bytes = 0
        self._released = asyncio.Event()
        self._released.set()
        self._barrier: asyncio.TimerHandle | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self.broken = False

    # -- the contract -------------------------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        return (self.client.queued_bytes > MAX_QUEUED_BYTES or self._held_bytes > MAX_QUEUED_BYTES) and not self.broken

    async def room(self) -> None:
        while self.is_full:
            await self._released.wait()
            await self.client.room()

    async def drained(self) -> None:
        await self._released.wait()
        await self.client.drained()

    def put(self, send: Send) -> bool:
        if self.broken:
            return False
        if self._held is not None:
            self._held.append(send)
            self._held_bytes += len(send.body)
        else:
            self._post(send)
        return True

    def listen(self) -> None:
        """Open the standing stream (legacy), if it is not: the link's client listens."""
        if self._standing is None and self._legacy and not self.broken:
            self._standing = Standing(self)
            self._standing.open()

    def unlisten(self) -> None:
        if self._standing is not None:
            self._standing.close()
            self._standing = None

    async def close(self) -> None:
        if self.broken:
            self._end()
            return
        self._end()
        if self._session:
            await self._delete()
        self.client.close()

    # -- what goes out ------------------------------------------------------------------------------------------------

    def _post(self, send: Send) -> None:
        asks = _ASKS.match(send.body)
        method = decode_value(asks[2]) if asks else ""
        if asks and asks[1]:
            self._ask(send, asks[1].decode(), method)
            return
        if method == "notifications/cancelled" and self._cancelled(_params(send.body)):
            return
        tell = Tell(self._wire(send.body), send.exchange, self)
        if method == "notifications/initialized":
            self._hold(tell)
        self._others.add(tell)
        if self._sweeper is None:
            self._watch_time()
        self.client.start(tell)

    def _ask(self, send: Send, key: str, method: str) -> None:
        modern = False
        if _META_VERSION in send.body and versions.META_VERSION in meta_of(params := _without_arguments(send.body)):
            schema = self._schema_of(params["name"]) if self._schema_of and method == "tools/call" else None
            if mcp_headers.names_arguments(schema):
                params = _params(send.body)
            wire, modern = self._wire(send.body, mcp_headers.required_headers(method, params, schema)), True
        elif method == "initialize":
            self._legacy = True
            wire = self._wire(send.body, {})
        else:
            wire = self._wire(send.body)
        post = self._posts[key] = Post(wire, send.exchange, self, key, method, modern=modern)
        self._on[send.exchange] = self._on.get(send.exchange, 0) + 1
        if self._sweeper is None:
            self._watch_time()
        self.client.start(post)

    def _wire(self, body: bytes, fields: dict[str, str] | None = None) -> bytes:
        """A POST with ``fields``, or with those of the session. What is the same each time was made once."""
        return b"%s%sContent-Length: %d\r\n\r\n%s" % (
            self._head,
            self._session_lines if fields is None else lines(fields),
            len(body),
            body,
        )

    def _legacy_fields(self) -> dict[str, str]:
        fields = {}
        if self._session:
            fields["Mcp-Session-Id"] = self._session
        if self._version:
            fields["MCP-Protocol-Version"] = self._version
        return fields

    def _cancelled(self, params: dict[str, Any]) -> bool:
        """Whether nothing needs to be sent: closing the stream is how a modern request is cancelled, and what never
        left needs no cancelling.
        """
        post = self._posts.get(key_or_nothing(params.get("requestId")))
        if post is None:
            return not self._legacy
        if self.client.forget(post):
            post.drop()
            self.settle(post, "it was cancelled before it was sent")
            return True
        if post.modern:
            post.drop()
            self.settle(post, "it was cancelled")
        else:
            post.taken_back()
        return post.modern

    # -- order --------------------------------------------------------------------------------------------------------

    def _hold(self, tell: Tell) -> None:
        """What follows ``notifications/initialized`` must not overtake it on another connection: servers refuse it."""
        self._held = deque()
        self._released.clear()
        tell.then = self._release
        self._barrier = self._loop.call_later(_BARRIER_S, self._release)

    def _release(self) -> None:
        if self._barrier is not None:
            self._barrier.cancel()
            self._barrier = None
        held, self._held = self._held, None
        self._held_bytes = 0
        self._released.set()
        for send in held or ():
            self.put(send)

    # -- what comes back: called by posts and streams -----------------------------------------------------------------

    def get_wire(self, last_event_id: str) -> bytes:
        """A GET for the standing stream, or for one that broke off after this event."""
        fields = {"Accept": "text/event-stream", "Accept-Encoding": "identity", **self._fields, **self._legacy_fields()}
        if last_event_id:
            fields["Last-Event-ID"] = last_event_id
        return request("GET", self._address, fields)

    def greeted(self, version: object, session: bytes | None) -> None:
        """The server answered ``initialize``."""
        if isinstance(version, str) and version in versions.KNOWN_VERSIONS:
            self._version = version
        if session is not None:
            if _SESSION.fullmatch(session):
                self._session = session.decode("ascii")
            else:
                self.end("the server's session id is not visible ASCII")
        self._session_lines = lines(self._legacy_fields())

    def settle(self, post: Post, cause: str = "") -> None:
        """A request needs nothing more: it was answered, or (with a cause) it will not be. An exchange is lost when the
        last of its requests has ended, so that a batch loses only what was not answered.
        """
        if self._posts.get(post.key) is not post:
            return
        del self._posts[post.key]
        left = self._on.pop(post.exchange, 1) - 1
        if cause:
            self._owed[post.exchange] = cause
        if left:
            self._on[post.exchange] = left
            return
        owed = self._owed.pop(post.exchange, "") if self._owed else ""
        if owed and post.exchange and not self.broken:
            self.receiver.lost(post.exchange, owed)

    def undelivered(self, tell: Tell, cause: str) -> None:
        """A notification or an answer was not taken. Nobody waits for it, unless its exchange also carries a request,
        which goes on.
        """
        if tell.exchange and tell.exchange not in self._on and not self.broken:
            self.receiver.lost(tell.exchange, cause)

    def keep(self, carriage: Incoming | Resumed) -> None:
        """Something beside the open requests is under way, and is to be ended with the link."""
        self._others.add(carriage)

    def let_go(self, carriage: Incoming | Resumed) -> None:
        self._others.discard(carriage)

    def resume(self, post: Post) -> bool:
        """Take up a legacy stream where it broke off, if the server gave its events ids. Otherwise, False."""
        if post.modern or not post.last_event_id or self.broken:
            return False
        post.taken_up = Resumed(self, post)
        post.taken_up.open_again()
        return True

    def unknown_session(self) -> bool:
        """A request with our session was answered by 404: the server has ended it. Whether that was so."""
        if self._session:
            self._session = ""
            self.end("the server ended the session")
            return True
        return False

    def end(self, cause: str) -> None:
        """Nothing more goes to this server, or comes from it."""
        if not self.broken:
            self._end()
            self.client.close()
            self.receiver.broke(cause)

    # -- ends ---------------------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        oldest = self.now() - self._max_answer_s
        for post in [each for each in self._posts.values() if each.started <= oldest and not each.standing]:
            post.drop()
            self.settle(post, f"no answer within {self._max_answer_s:g} s")
        for post in [each for each in self._others if isinstance(each, Post) and each.lingers]:
            post.drop()
        oldest = self.now() - _MAX_TELL_S
        for tell in [each for each in self._others if isinstance(each, Tell) and each.started <= oldest]:
            tell.drop()
            self.let_go(tell)
            self.undelivered(tell, f"not taken within {_MAX_TELL_S:g} s")
        self._sweeper = None
        if (self._posts or self._others) and not self.broken:
            self._watch_time()

    def _watch_time(self) -> None:
        self._sweeper = self._loop.call_later(min(_SWEEP_S, self._max_answer_s), self._sweep)

    def _end(self) -> None:
        self.broken = True
        self.unlisten()
        for timer in (self._barrier, self._sweeper):
            if timer is not None:
                timer.cancel()
        for open_one in (*self._posts.values(), *self._others):
            open_one.close() if isinstance(open_one, Resumed) else open_one.drop()
        self._posts.clear()
        self._others.clear()
        self._on.clear()
        self._held = None
        self._released.set()

    async def _delete(self) -> None:
        """End the session, if that is possible within a moment; it expires there otherwise."""
        goodbye = _Goodbye(request("DELETE", self._address, {**self._fields, **self._legacy_fields()}))
        self._session = ""
        self.client.start(goodbye)
        await asyncio.wait({goodbye.over}, timeout=_DELETE_S)


class _Goodbye(Carriage):
    urgent = True

    def __init__(self, wire: bytes) -> None:
        super().__init__(wire)
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def head(self, _status: int, _headers: dict[bytes, bytes]) -> None:
        self._finish()

    def failed(self, _cause: str) -> None:
        self._finish()

    def _finish(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

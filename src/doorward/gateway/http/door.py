"""The HTTP door: who asks, for which server, in which era; then the link has it.

    head → Host, Origin, target → principal → path → method → body → era → session or modern link → relay

The numbers of exchanges are given here, one to each request of HTTP. Nothing of HTTP goes further than this, but the
headers that repeat a modern body, which a gate compares with it.

Sources: MCP 2025-03-26 to 2026-07-28, "Streamable HTTP"; RFC 9110.
"""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from doorward.errors import DoorwardError, MalformedMessageError
from doorward.gateway.arrivals import limits_of
from doorward.gateway.http.call import HttpCall
from doorward.gateway.http.callers import CALLER, Callers
from doorward.gateway.http.carriage import CAPACITY, RETRY_AFTER, Carriage
from doorward.gateway.http.downstream import HttpLink
from doorward.gateway.http.front import Front
from doorward.gateway.http.head import Address, Head
from doorward.gateway.http.names import Names
from doorward.gateway.sessions import BOUND, CAPPED, Session, Sessions
from doorward.judge.vocabulary import Peer, Principal
from doorward.policy.model import Policy
from doorward.protocol import stateless, versions
from doorward.relay import replies
from doorward.wire.batch import split
from doorward.wire.jsonrpc import (
    Decoded,
    Message,
    Notification,
    Request,
    Response,
    decode,
    encode,
    key_of,
    key_or_nothing,
    outline,
    with_id,
)

VERSION: Final = "mcp-protocol-version"
SESSION: Final = "mcp-session-id"
HEALTH: Final = ("/healthz", "/readyz")
_BATCHES: Final = "2025-03-26"
_ALLOW: Final = (("Allow", "GET, POST, DELETE"),)


class Place(msgspec.Struct, frozen=True):
    """One served endpoint. ``open_link`` makes a link for a principal; it raises DoorwardError where there is none."""

    server: str
    open_link: Callable[[Principal, bool], Awaitable[HttpLink]]


class About(msgspec.Struct, frozen=True):
    """What is known of a call once its head was read."""

    place: Place
    principal: Principal


class HttpDoor:
    """An ``Application`` of the HTTP server (see ``call``)."""

    def __init__(
        self,
        places: dict[str, Place],
        *,
        policy: Policy,
        names: Names,
        callers: Callers,
        sessions: Sessions,
        front: Front,
    ) -> None:
        self._places = places
        self._names = names
        self._callers = callers
        self._sessions = sessions
        self._front = front
        self._exchange = 0
        self._in_flight: Counter[str] = Counter()
        self._held_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.draining = False
        self.adopt(policy)

    def adopt(self, policy: Policy) -> None:
        """Judge by ``policy`` from now on."""
        self._limits = policy.limits
        self._frame_limits = limits_of(policy.sizes)["client"]
        self._max_body = policy.sizes.to_server_bytes
        self._names.adopt(policy.serve)
        self._callers.adopt(policy.serve)

    # -- Application --------------------------------------------------------------------------------------------------

    def connected(self, transport: asyncio.Transport) -> int | None:
        return self._callers.owner(transport)

    def malformed(self, peer: Address, rule: str, detail: str) -> None:
        control = "http-limits" if rule.endswith(("-bytes", "-count", "-seconds")) else "http-syntax"
        self._front.refuse(control, f"{rule}: {detail}", peer=peer[0])

    def take(self, count: int) -> bool:
        if self._held_bytes + count > self._limits.in_flight_bytes:
            self._front.refuse("in-flight", "too many bytes are in flight in this process", peer="")
            return False
        self._held_bytes += count
        return True

    def give(self, count: int) -> None:
        self._held_bytes -= count

    def admit(self, call: HttpCall) -> int:
        head = call.head
        if why := self._names.problem(head):
            control, status, reason = why
            self._refuse(call, status, control, reason)
            return 0
        if head.path in HEALTH:
            self._health(call)
            return 0
        principal = self._callers.principal(call.owner, head)
        if isinstance(principal, str):
            self._refuse(call, 401, CALLER, principal, headers=(("WWW-Authenticate", "Bearer"),))
            return 0
        place = self._places.get(head.path)
        if place is None:
            call.answer(404)
            return 0
        if self.draining:
            call.answer(503, headers=RETRY_AFTER, close=True)
            return 0
        call.about = About(place, principal)
        return self._by_method(call, call.about)

    def receive(self, call: HttpCall, body: bytes) -> None:
        """A whole body of a POST."""
        about: About = call.about
        try:
            frame = decode(body, self._frame_limits)
        except MalformedMessageError as problem:
            self._not_one_message(call, about, body, problem)
            return
        if self._is_modern(call.head, frame.message):
            self._modern(call, about, frame)
        else:
            self._legacy(call, about, frame)

    # -- heads --------------------------------------------------------------------------------------------------------

    def _by_method(self, call: HttpCall, about: About) -> int:
        head = call.head
        if head.method == "POST":
            return self._post(call)
        if head.method == "GET" and not self._names_modern(head):
            self._listen(call, about)
        elif head.method == "DELETE" and not self._names_modern(head):
            self._delete(call, about)
        else:
            call.answer(405, headers=(("Allow", "POST"),) if self._names_modern(head) else _ALLOW)
        return 0

    def _post(self, call: HttpCall) -> int:
        head = call.head
        accept = head.all("accept")
        if not _is_json(head.get("content-type") or ""):
            call.answer(415)
        elif not (_accepts(accept, "application/json") and _accepts(accept, "text/event-stream")):
            call.answer(406)
        else:
            return self._max_body
        return 0

    def _health(self, call: HttpCall) -> None:
        if call.head.method not in ("GET", "HEAD"):
            call.answer(405, headers=(("Allow", "GET, HEAD"),))
        elif call.head.path == "/readyz" and self.draining:
            call.answer(503, headers=RETRY_AFTER)
        else:
            call.answer(200, b"ok\n", "text/plain")

    @staticmethod
    def _names_modern(head: Head) -> bool:
        return head.get(VERSION) in versions.MODERN_VERSIONS

    def _is_modern(self, head: Head, message: Message) -> bool:
        """By its header or by its body: where the two disagree, the modern link refuses it."""
        return self._names_modern(head) or stateless.is_modern(message)

    # -- legacy -------------------------------------------------------------------------------------------------------

    def _legacy(self, call: HttpCall, about: About, frame: Decoded) -> None:
        message = frame.message
        given = call.head.all(SESSION)
        if not given and isinstance(message, Request) and message.method == "initialize":
            self._begin(call, about, frame, message)
            return
        session = self._session(call, about)
        if session is None or not self._takes(call, about, session.link, message):
            return
        if not isinstance(message, Request):
            call.answer(202)
            session.link.take(frame, self._next(), {})
            return
        if not self._has_place(call, about.principal, message):
            return
        self._carry_legacy(call, session.link, frame, awaited=1)

    def _session(self, call: HttpCall, about: About) -> Session | None:
        """The session that the call names; answered with what is wrong where it does not name one."""
        given = call.head.all(SESSION)
        if len(given) != 1:
            self._tell(call, 400, -32600, "one Mcp-Session-Id is needed; initialize first")
            return None
        found = self._sessions.find(given[0], about.place.server, about.principal)
        if isinstance(found, str):
            if found != "unknown":
                self._front.refuse(BOUND, f"a session that is {found}", peer=_peer(call), principal=about.principal.id)
            self._tell(call, 404, -32600, "there is no such session; initialize again")
            return None
        version = call.head.all(VERSION)
        agreed = found.link.version
        if version and agreed and (len(version) != 1 or version[0] != agreed):
            self._tell(call, 400, -32600, "MCP-Protocol-Version is not what this session agreed on")
            return None
        return found

    def _carry_legacy(self, call: HttpCall, link: HttpLink, frame: Decoded, *, awaited: int) -> None:
        exchange = self._open(link, Carriage(
            call, self._next(), awaited=awaited, version=link.version, replay=link.downstream.replay
        ))  # fmt: skip
        link.take(frame, exchange, {})

    def _begin(self, call: HttpCall, about: About, frame: Decoded, message: Request) -> None:
        if not self._sessions.reserve(about.principal, self._limits.sessions):
            self._capped(call, about.principal, f"{self._limits.sessions} sessions are open", key_of(message.id))
            return
        self._spawn(self._initialize(call, about, frame, message))

    async def _initialize(self, call: HttpCall, about: About, frame: Decoded, message: Request) -> None:
        try:
            link = await about.place.open_link(about.principal, True)
        except DoorwardError as problem:
            self._sessions.release(about.principal)
            self._unopened(call, about, problem, key_of(message.id))
            return
        if call.gone or self._sessions.closed:
            self._sessions.release(about.principal)
            await link.close("the client left before its session began" if call.gone else "the gateway ends")
            if not call.gone:
                call.answer(503, headers=RETRY_AFTER, close=True)
            return
        session = self._sessions.add(link, about.place.server)
        carriage = Carriage(call, self._next(), replay=link.downstream.replay)
        # What begins as a stream before the answer is known has the id as well: there is no other place for it.
        carriage.headers = lambda: (("Mcp-Session-Id", session.id),) if link.version or not carriage.done else ()
        link.downstream.on_idle = lambda: self._greeted(session, carriage)
        call.on_gone = lambda: None if carriage.resumable else self._greeted(session, carriage)
        link.take(frame, self._open(link, carriage), {})

    def _greeted(self, session: Session, carriage: Carriage) -> None:
        """The first answer of a session went out, or nobody is there to get it. If it was a refusal, or did not arrive,
        nobody knows the session, and it ends.
        """
        session.link.downstream.on_idle = lambda: None
        unheard = carriage.call.gone and not carriage.resumable
        if unheard or not session.link.version:
            self._sessions.end(session, "its client left" if unheard else "initialize was refused")

    def _listen(self, call: HttpCall, about: About) -> None:
        if not _accepts(call.head.all("accept"), "text/event-stream"):
            call.answer(406)
            return
        session = self._session(call, about)
        if session is None:
            return
        link = session.link
        primed = link.version >= "2025-11-25"
        link.listen()
        link.downstream.listen(call, self._next(), call.head.get("last-event-id") or "", primed=primed)

    def _delete(self, call: HttpCall, about: About) -> None:
        session = self._session(call, about)
        if session is not None:
            call.answer(204)
            self._sessions.end(session, "the client ended its session")

    # -- modern -------------------------------------------------------------------------------------------------------

    def _modern(self, call: HttpCall, about: About, frame: Decoded) -> None:
        link = self._sessions.ready(about.place.server, about.principal)
        if link is not None:
            self._on_modern(call, about, link, frame)
        else:
            self._spawn(self._open_modern(call, about, frame))

    async def _open_modern(self, call: HttpCall, about: About, frame: Decoded) -> None:
        place, principal = about.place, about.principal
        try:
            link = await asyncio.shield(
                self._sessions.modern(place.server, principal, lambda: place.open_link(principal, False))
            )
        except DoorwardError as problem:
            message = frame.message
            self._unopened(call, about, problem, key_of(message.id) if isinstance(message, Request) else "null")
            return
        self._on_modern(call, about, link, frame)

    def _on_modern(self, call: HttpCall, about: About, link: HttpLink, frame: Decoded) -> None:
        message = frame.message
        if not self._takes(call, about, link, message):
            return
        headers = call.head.starting("mcp-")
        if isinstance(message, Response):  # 2026-07-28: clients MUST NOT post responses
            call.answer(400)
            link.take(frame, self._next(), headers)
            return
        if isinstance(message, Notification):
            call.answer(202)
            link.take(frame, self._next(), headers)
            return
        if not self._has_place(call, about.principal, message):
            return
        exchange = self._next()
        renamed, progress = _renamed(message, exchange)
        carriage = Carriage(call, exchange, key=key_of(message.id), progress=progress, method=message.method)
        self._open(link, carriage)
        call.on_gone = lambda: link.leave(exchange)
        link.take(Decoded(renamed, encode(renamed), frame.nodes), exchange, headers)

    # -- what is no message -------------------------------------------------------------------------------------------

    def _not_one_message(self, call: HttpCall, about: About, body: bytes, problem: MalformedMessageError) -> None:
        given = call.head.all(SESSION)
        if given:
            session = self._session(call, about)
            if session is None:
                return
            if problem.rule == "batch" and session.link.version == _BATCHES:
                self._batch(call, about, session.link, body)
                return
            link = session.link
        else:
            ready = self._sessions.ready(about.place.server, about.principal)
            if ready is None or not self._names_modern(call.head):
                reference = self._front.refuse(
                    "frame-limits" if problem.rule.startswith("frame-") else "strict-decode",
                    str(problem),
                    peer=_peer(call),
                    principal=about.principal.id,
                )
                told = Peer(problem.rpc_code, str(problem), {"reference": reference})
                call.answer(400, replies.error(problem.request_id, told))
                return
            link = ready
        exchange = self._next()
        legacy = link.downstream.replay
        key = key_of(problem.request_id) if problem.request_id is not None else "null"
        self._open(link, Carriage(call, exchange, key=key, replay=legacy, unread=True))
        link.unreadable(problem, body, exchange)

    def _batch(self, call: HttpCall, about: About, link: HttpLink, body: bytes) -> None:
        """2025-03-26 only: its parts on one exchange, each judged as any other message."""
        try:
            frames = split(body, self._frame_limits)
        except MalformedMessageError as problem:
            exchange = self._open(link, Carriage(call, self._next(), replay=link.downstream.replay, unread=True))
            link.unreadable(problem, body, exchange)
            return
        requests = [frame for frame in frames if isinstance(frame.message, Request)]
        if not requests:
            call.answer(202)
            exchange = self._next()
        elif self._in_flight[about.principal.id] + len(requests) > self._limits.concurrent:
            self._capped(call, about.principal, "too many requests are in flight", "null")
            return
        else:
            replay = link.downstream.replay
            carriage = Carriage(call, self._next(), awaited=len(requests), version=link.version, replay=replay)
            exchange = self._open(link, carriage)
        for frame in frames:
            link.take(frame, exchange, {})

    # -- counting, and telling ----------------------------------------------------------------------------------------

    def _next(self) -> int:
        self._exchange += 1
        return self._exchange

    def _open(self, link: HttpLink, carriage: Carriage) -> int:
        """Its answer leaves through the link. It counts as in flight until it is over."""
        principal = link.principal.id
        self._in_flight[principal] += 1

        def done() -> None:
            self._in_flight[principal] -= 1
            if not self._in_flight[principal]:
                del self._in_flight[principal]

        carriage.on_done = done
        link.downstream.carry(carriage)
        return carriage.exchange

    def _has_place(self, call: HttpCall, principal: Principal, message: Request) -> bool:
        if self._in_flight[principal.id] < self._limits.concurrent:
            return True
        self._capped(call, principal, f"{self._limits.concurrent} requests are in flight", key_of(message.id))
        return False

    def _takes(self, call: HttpCall, about: About, link: HttpLink, message: Message) -> bool:
        """Whether the link takes more; its queues are bounded, and a client that need not wait must not fill them."""
        if not link.is_full:
            return True
        reference = self._front.refuse(
            "in-flight", f"{about.place.server} does not take what it was sent", peer=_peer(call),
            principal=about.principal.id,
        )  # fmt: skip
        told = Peer(CAPACITY, "the server is busy; try again later", {"retryAfterMs": 1000, "reference": reference})
        key = key_of(message.id) if isinstance(message, Request) else "null"
        call.answer(503, _error(key, told), headers=RETRY_AFTER)
        return False

    def _capped(self, call: HttpCall, principal: Principal, why: str, key: str) -> None:
        reference = self._front.refuse(CAPPED, f"{why} for one principal", peer=_peer(call), principal=principal.id)
        told = Peer(CAPACITY, "too much at once; try again later", {"retryAfterMs": 1000, "reference": reference})
        call.answer(429, _error(key, told), headers=RETRY_AFTER)

    def _unopened(self, call: HttpCall, about: About, problem: DoorwardError, key: str) -> None:
        reference = self._front.refuse(
            "first-use", f"{about.place.server} cannot be reached: {problem}", peer=_peer(call),
            principal=about.principal.id,
        )  # fmt: skip
        if not call.gone:
            call.answer(502, _error(key, replies.refused(reference)))

    def _refuse(
        self, call: HttpCall, status: int, control: str, reason: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self._front.refuse(control, reason, peer=_peer(call))
        call.answer(status, headers=headers)

    def _tell(self, call: HttpCall, status: int, code: int, text: str) -> None:
        call.answer(status, replies.error(None, Peer(code, text)))

    async def close(self) -> None:
        """Give up what is still being opened."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@functools.lru_cache(maxsize=256)
def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


@functools.lru_cache(maxsize=256)
def _accepts(accept: tuple[str, ...], media: str) -> bool:
    """Whether a media type is among those of Accept; quality values are not weighed, but 0 is a no."""
    kind = media.partition("/")[0]
    for part in ",".join(accept).split(","):
        name, _, parameters = part.strip().lower().partition(";")
        if name.strip() in (media, f"{kind}/*", "*/*"):
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _peer(call: HttpCall) -> str:
    return call.head.peer[0]


def _error(key: str, told: Peer) -> bytes:
    body = replies.error(None, told)
    return with_id(body, outline(body), key)


def _renamed(message: Request, exchange: int) -> tuple[Request, str]:
    """The request as the link knows it: its id, and its progress token if it has one, are the exchange's number. Also
    the client's own token, as JSON text.
    """
    params = message.params
    meta = stateless.meta_of(params)
    progress = key_or_nothing(meta.get("progressToken"))
    if params is not None and progress:
        params = {**params, "_meta": {**meta, "progressToken": exchange}}
    return Request(exchange, message.method, params), progress

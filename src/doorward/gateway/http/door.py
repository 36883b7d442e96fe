"""The HTTP door: who asks, for which server, in which era; then the link has it.

    head → Host, Origin, target → principal → path → method → body → era → session or modern link → relay

The numbers of exchanges are given here, one to each request of HTTP. Nothing of HTTP goes further than this, but the
headers that repeat a modern body, which a gate compares with it.

Sources: MCP 2025-03-26 to 2026-07-28, "Streamable HTTP"; RFC 9110.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import msgspec

from doorward.errors import CapacityError, IdentityError, MalformedMessageError
from doorward.gateway.arrivals import limits_of
from doorward.gateway.http.call import HttpCall
from doorward.gateway.http.callers import CALLER, Callers
from doorward.gateway.http.carriage import CAPACITY, RETRY_AFTER, Carriage
from doorward.gateway.http.downstream import HttpLink
from doorward.gateway.http.front import Front
from doorward.gateway.http.head import Address, Head
from doorward.gateway.http.load import Load
from doorward.gateway.http.media import accepts, is_json
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
IN_FLIGHT: Final = "in-flight"
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
        self._load = Load(policy.limits)
        self._tasks: set[asyncio.Task[None]] = set()
        self.draining = False
        self.adopt(policy)

    def adopt(self, policy: Policy) -> None:
        """Judge by ``policy`` from now on."""
        self._load.limits = policy.limits
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
        taken = self._load.take(count)
        if not taken:
            self._front.refuse(IN_FLIGHT, "too many bytes are in flight in this process", peer="")
        return taken

    def give(self, count: int) -> None:
        self._load.give(count)

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
        if not is_json(head.get("content-type") or ""):
            call.answer(415)
        elif not (accepts(accept, "application/json") and accepts(accept, "text/event-stream")):
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
        if session is None:
            return
        if not self._has_place(call, about, session.link, message):
            return
        if not isinstance(message, Request):
            call.answer(202)
            session.link.take(frame, self._next(), {})
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
        if not self._sessions.reserve(about.principal, self._load.limits.sessions):
            self._capped(call, about.principal, f"{self._load.limits.sessions} sessions are open", key_of(message.id))
            return
        self._spawn(call, self._initialize(call, about, frame, message))

    async def _initialize(self, call: HttpCall, about: About, frame: Decoded, message: Request) -> None:
        link = None
        try:
            link = await about.place.open_link(about.principal, True)
        except Exception as problem:  # noqa: BLE001 - whatever it is, this client is answered
            self._unopened(call, about, problem, key_of(message.id))
        finally:
            if link is None:
                self._sessions.release(about.principal)
        if link is None:
            return
        session = self._sessions.add(link, about.place.server)
        carriage = Carriage(
            call,
            self._next(),
            replay=link.downstream.replay,
            headers=lambda: (("Mcp-Session-Id", session.id),) if link.version else (),
        )
        link.downstream.on_idle = lambda: self._greeted(session, call)
        link.take(frame, self._open(link, carriage), {})

    def _greeted(self, session: Session, call: HttpCall) -> None:
        """The first answer of a session went out. Where it was a refusal, or nobody waited for it any more, the session
        is nobody's, and it ends.
        """
        session.link.downstream.on_idle = lambda: None
        if call.gone:
            self._sessions.end(session, "the client left before its session began")
        elif not session.link.version:
            self._sessions.end(session, "initialize was refused")

    def _listen(self, call: HttpCall, about: About) -> None:
        if not accepts(call.head.all("accept"), "text/event-stream"):
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
            self._spawn(call, self._open_modern(call, about, frame))

    async def _open_modern(self, call: HttpCall, about: About, frame: Decoded) -> None:
        place, principal = about.place, about.principal
        try:
            link = await asyncio.shield(
                self._sessions.modern(place.server, principal, lambda: place.open_link(principal, False))
            )
        except Exception as problem:  # noqa: BLE001 - whatever it is, this client is answered
            message = frame.message
            self._unopened(call, about, problem, key_of(message.id) if isinstance(message, Request) else "null")
            return
        if not call.gone:  # or it was cancelled before it was sent
            self._on_modern(call, about, link, frame)

    def _on_modern(self, call: HttpCall, about: About, link: HttpLink, frame: Decoded) -> None:
        message = frame.message
        headers = call.head.starting("mcp-")
        if isinstance(message, Response):  # 2026-07-28: clients MUST NOT post responses
            call.answer(400)
            link.take(frame, self._next(), headers)
            return
        if not self._has_place(call, about, link, message):
            return
        if isinstance(message, Notification):
            call.answer(202)
            if message.method == "notifications/cancelled":  # its id is one client's, and the link knows others
                why = "a modern request is cancelled by closing its stream, and by nothing else"
                self._front.refuse(
                    "solicited-only", why, peer=_peer(call), principal=about.principal.id, method=message.method
                )
            else:
                link.take(frame, self._next(), headers)
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
        elif not self._load.has_place(about.principal, len(requests)):
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
        self._load.carry(carriage, link.principal)
        link.downstream.carry(carriage)
        return carriage.exchange

    def _has_place(self, call: HttpCall, about: About, link: HttpLink, message: Message) -> bool:
        """Whether a message may go on; answered where it may not."""
        key = key_of(message.id) if isinstance(message, Request) else "null"
        if link.is_full:
            why = "what was sent to this server was not taken yet"
            reference = self._front.refuse(IN_FLIGHT, why, peer=_peer(call), principal=about.principal.id)
            told = Peer(CAPACITY, "too much at once; try again later", {"retryAfterMs": 1000, "reference": reference})
            call.answer(503, _error(key, told), headers=RETRY_AFTER)
            return False
        if not isinstance(message, Request) or self._load.has_place(about.principal):
            return True
        self._capped(call, about.principal, f"{self._load.limits.concurrent} requests are in flight", key)
        return False

    def _capped(self, call: HttpCall, principal: Principal, why: str, key: str) -> None:
        reference = self._front.refuse(CAPPED, f"{why} for one principal", peer=_peer(call), principal=principal.id)
        told = Peer(CAPACITY, "too much at once; try again later", {"retryAfterMs": 1000, "reference": reference})
        call.answer(429, _error(key, told), headers=RETRY_AFTER)

    def _unopened(self, call: HttpCall, about: About, problem: Exception, key: str) -> None:
        """There is no link for this call. Nothing of it was sent."""
        if isinstance(problem, CapacityError):
            self._capped(call, about.principal, str(problem), key)
            return
        control = "first-use" if isinstance(problem, IdentityError) else "crash"
        reference = self._front.refuse(
            control,
            f"{about.place.server} cannot be reached: {problem}",
            peer=_peer(call),
            principal=about.principal.id,
        )
        told = Peer(-32603, "the server cannot be reached", {"outcome": "not executed", "reference": reference})
        call.answer(502, _error(key, replies.refused(reference) if control == "first-use" else told))

    def _refuse(
        self, call: HttpCall, status: int, control: str, reason: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self._front.refuse(control, reason, peer=_peer(call))
        call.answer(status, headers=headers)

    def _tell(self, call: HttpCall, status: int, code: int, text: str) -> None:
        call.answer(status, replies.error(None, Peer(code, text)))

    def _spawn(self, call: HttpCall, work: Coroutine[Any, Any, None]) -> None:
        """Do what a call waits for; it is answered whatever becomes of that."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._done, call))

    def _done(self, call: HttpCall, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            if not (call.answered or call.streaming):
                call.answer(503, headers=RETRY_AFTER, close=True)
        elif (crash := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler({"message": "a request failed", "exception": crash})
            if not (call.answered or call.streaming):
                call.answer(500)

    async def close(self) -> None:
        """Nobody waits for a link any more: whoever did is told."""
        for task in tuple(self._tasks):
            task.cancel()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)


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

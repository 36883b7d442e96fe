"""Legacy clients (up to 2025-11-25): sessions, their standing streams, and batches in the one revision that has them.

A session begins with ``initialize`` and is named by each later request. It belongs to whoever began it.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Final

from doorward.errors import MalformedMessageError
from doorward.gateway.http.call import HttpCall
from doorward.gateway.http.carriage import RETRY_AFTER, Carriage
from doorward.gateway.http.downstream import HttpLink
from doorward.gateway.http.front import Front
from doorward.gateway.http.load import Claim
from doorward.gateway.http.traffic import NO_SESSION, UNREAD, About, Traffic, peer_of, tell
from doorward.gateway.sessions import BOUND, Session, Sessions
from doorward.relay.replies import NOBODY
from doorward.wire.batch import split
from doorward.wire.jsonrpc import Decoded, FrameLimits, Notification, Request, key_of

_BATCHES: Final = "2025-03-26"
_PRIMED_SINCE: Final = "2025-11-25"
_INVALID: Final = -32600
_GET: Final = Notification("GET")


class Legacy:
    """Requests that belong to a session, or begin one. ``frame_limits`` is what a batch may hold, from policy."""

    def __init__(self, sessions: Sessions, traffic: Traffic, front: Front, servers: Collection[str]) -> None:
        self._sessions = sessions
        self._traffic = traffic
        self._front = front
        self._servers = servers
        self.frame_limits = FrameLimits()

    def take(self, call: HttpCall, about: About, frame: Decoded) -> None:
        message = frame.message
        request = message if isinstance(message, Request) else None
        if request is not None and request.method == "initialize" and not about.asked.sessions:
            if self._traffic.in_time(call, about, "", request):
                self._begin(call, about, frame, request)
            return
        session = self.session(call, about)
        if session is None or not self._traffic.in_time(call, about, session.id, message):
            return
        link = session.link
        claim = self._traffic.has_place(call, about, link, session.id, message)
        if claim is None:
            return
        if request is None:
            call.answer(202)
            link.take(frame, self._traffic.next(), {})
        elif self._subscribes(call, about, session, request):
            carriage = self._carriage(call, link)
            exchange = self._traffic.carry(link, carriage, claim)
            self._traffic.send_on(link, carriage, about, request, functools.partial(link.take, frame, exchange, {}))

    def _subscribes(self, call: HttpCall, about: About, session: Session, *messages: Request) -> bool:
        """Whether they subscribe to nothing, or may; answered where they may not."""
        why = self._traffic.load.subscribe(about.principal, session.id, session.subscribed, messages)
        if why:
            key = key_of(messages[0].id) if len(messages) == 1 else NOBODY
            self._traffic.capped(call, about.principal, why, key)
        return not why

    def session(self, call: HttpCall, about: About) -> Session | None:
        """The session that the call names; answered with what is wrong where it does not name one."""
        given = about.asked.sessions
        found = self._sessions.find(given[0], about.place.server, about.principal) if len(given) == 1 else "not named"
        if isinstance(found, str) and not self._traffic.in_time(call, about, "", NO_SESSION):
            return None
        if len(given) != 1:
            tell(call, 400, _INVALID, "one Mcp-Session-Id is needed; initialize first")
            return None
        if isinstance(found, str):
            if found != "unknown":
                why = f"a session that is {found}"
                self._front.refuse(BOUND, why, peer=peer_of(call), principal=about.principal.id)
            tell(call, 404, _INVALID, "there is no such session; initialize again")
            return None
        version, agreed = about.asked.versions, found.link.version
        if version and agreed and version != (agreed,):
            tell(call, 400, _INVALID, "MCP-Protocol-Version is not what this session agreed on")
            return None
        return found

    # -- how it begins and ends ---------------------------------------------------------------------------------------

    def _begin(self, call: HttpCall, about: About, frame: Decoded, message: Request) -> None:
        most = self._traffic.load.limits.sessions
        if self._sessions.reserve(about.principal, most):
            self._traffic.spawn(call, self._initialize(call, about, frame, message))
        else:
            self._traffic.spawn(call, self._begin_in_turn(call, about, frame, message, most))

    async def _begin_in_turn(self, call: HttpCall, about: About, frame: Decoded, message: Request, most: int) -> None:
        """Where a session of the same principal gives way, in its place."""
        await self._sessions.make_room(about.principal, self._servers)
        if self._sessions.reserve(about.principal, most):
            await self._initialize(call, about, frame, message)
        elif not call.gone:
            self._traffic.capped(call, about.principal, f"{most} sessions are in use", key_of(message.id))

    async def _initialize(self, call: HttpCall, about: About, frame: Decoded, message: Request) -> None:
        link = None
        try:
            link = await about.place.open_link(about.principal, True)
        except Exception as problem:  # noqa: BLE001 - whatever it is, this client is answered
            self._traffic.unopened(call, about, problem, key_of(message.id))
        finally:
            if link is None:
                self._sessions.release(about.principal)
        if link is None:
            return
        if call.gone or self._sessions.closed:
            self._sessions.release(about.principal)
            await link.close("the client left before its session began" if call.gone else "the gateway ends")
            if not call.gone:
                call.answer(503, headers=RETRY_AFTER, close=True)
            return
        session = self._sessions.add(link, about.place.server)
        session.on_end = lambda: self._over(session)
        carriage = Carriage(call, self._traffic.next(), replay=link.downstream.replay)
        # What begins as a stream before the answer is known has the id as well: there is no other place for it.
        carriage.headers = lambda: (("Mcp-Session-Id", session.id),) if link.version or not carriage.done else ()
        link.downstream.on_idle = lambda: self._greeted(session, carriage)
        call.on_gone = lambda: None if carriage.resumable else self._greeted(session, carriage)
        link.take(frame, self._traffic.carry(link, carriage), {})

    def _over(self, session: Session) -> None:
        principal = session.link.principal
        self._traffic.load.unsubscribe_all(principal, session.id, session.subscribed)
        self._traffic.ended(principal, session.server, session.id)

    def _greeted(self, session: Session, carriage: Carriage) -> None:
        """The first answer of a session went out, or nobody is there to get it. If it was a refusal, or did not arrive,
        nobody knows the session, and it ends.
        """
        session.link.downstream.on_idle = lambda: None
        unheard = carriage.call.gone and not carriage.resumable
        if unheard or not session.link.version:
            self._sessions.end(session, "its client left" if unheard else "initialize was refused")

    def listen(self, call: HttpCall, about: About) -> None:
        """GET: a standing stream, or one that broke off."""
        session = self.session(call, about)
        if session is None or not self._traffic.in_time(call, about, session.id, _GET):
            return
        link = session.link
        link.listen()
        primed = link.version >= _PRIMED_SINCE
        last = call.head.get("last-event-id") or ""
        link.downstream.listen(call, self._traffic.next(), last, primed=primed)

    def delete(self, call: HttpCall, about: About) -> None:
        """DELETE: the client ends its session."""
        session = self.session(call, about)
        if session is not None:
            call.answer(204)
            self._sessions.end(session, "the client ended its session")

    # -- what is not one message --------------------------------------------------------------------------------------

    def unreadable(self, call: HttpCall, about: About, body: bytes, problem: MalformedMessageError) -> None:
        """A body that is no message, or a batch of them, in a session."""
        session = self.session(call, about)
        if session is None:
            return
        if problem.rule == "batch" and session.link.version == _BATCHES:
            self._batch(call, about, session, body)
        elif self._traffic.in_time(call, about, session.id, UNREAD):
            session.link.unreadable(problem, body, self._carry(call, session.link, unread=True))

    def _batch(self, call: HttpCall, about: About, session: Session, body: bytes) -> None:
        """2025-03-26 only: its parts on one exchange, each judged and counted as any other message."""
        link = session.link
        try:
            frames = split(body, self.frame_limits)
        except MalformedMessageError as problem:
            if self._traffic.in_time(call, about, session.id, UNREAD):
                link.unreadable(problem, body, self._carry(call, link, unread=True))
            return
        messages = [frame.message for frame in frames]
        requests = [message for message in messages if isinstance(message, Request)]
        if not self._traffic.in_time(call, about, session.id, *messages):
            return
        claim = self._traffic.has_place(call, about, link, session.id, *messages)
        if claim is None or not self._subscribes(call, about, session, *requests):
            return
        if requests:
            exchange = self._carry(call, link, claim, awaited=len(requests))
        else:
            call.answer(202)
            exchange = self._traffic.next()
        for frame in frames:
            link.take(frame, exchange, {})

    def _carry(
        self, call: HttpCall, link: HttpLink, claim: Claim | None = None, *, awaited: int = 1, unread: bool = False
    ) -> int:
        return self._traffic.carry(link, self._carriage(call, link, awaited=awaited, unread=unread), claim)

    def _carriage(self, call: HttpCall, link: HttpLink, *, awaited: int = 1, unread: bool = False) -> Carriage:
        return Carriage(
            call,
            self._traffic.next(),
            awaited=awaited,
            version=link.version,
            replay=link.downstream.replay,
            unread=unread,
            key=NOBODY,
        )

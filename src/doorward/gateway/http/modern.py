"""Modern clients (2026-07-28): each request stands alone, and all of one principal's share a link with the server.

Clients choose their ids without knowing of each other, so on the link a request is known by the number of its exchange;
its own id and progress token come back with its answer. Closing the connection takes the request back.
"""

from __future__ import annotations

import asyncio
import functools
from collections import Counter

from doorward.errors import MalformedMessageError
from doorward.gateway.http.call import HttpCall
from doorward.gateway.http.carriage import Carriage
from doorward.gateway.http.downstream import HttpLink
from doorward.gateway.http.front import Front
from doorward.gateway.http.load import Claim
from doorward.gateway.http.traffic import About, Traffic, peer_of
from doorward.gateway.sessions import Sessions
from doorward.judge.gates.parts import oversized_id
from doorward.protocol import stateless
from doorward.relay.replies import NOBODY
from doorward.wire.jsonrpc import (
    Decoded,
    Notification,
    Request,
    Response,
    encode,
    key_of,
    key_or_nothing,
    outline,
    with_id,
)


class Modern:
    """Requests that say in their header or in their body that they are modern."""

    def __init__(self, sessions: Sessions, traffic: Traffic, front: Front) -> None:
        self._sessions = sessions
        self._traffic = traffic
        self._front = front
        self._waiting: Counter[str] = Counter()

    def take(self, call: HttpCall, about: About, frame: Decoded) -> None:
        if not self._traffic.in_time(call, about, "", frame.message):
            return
        link = self._sessions.ready(about.place.server, about.principal)
        if link is not None:
            self._on(link, call, about, frame)
            return
        who, most = about.principal, self._traffic.load.limits.concurrent
        if self._waiting[who.id] >= most:
            key = key_of(frame.message.id) if isinstance(frame.message, Request) else NOBODY
            self._traffic.capped(call, who, f"{most} requests wait for {about.place.server}", key)
            return
        self._waiting[who.id] += 1
        self._traffic.spawn(call, self._wait(call, about, frame))

    async def _wait(self, call: HttpCall, about: About, frame: Decoded) -> None:
        """For a link that is being opened. What waits has no place in flight yet, so it is counted here."""
        try:
            await self._open(call, about, frame)
        finally:
            self._waiting[about.principal.id] -= 1
            if not self._waiting[about.principal.id]:
                del self._waiting[about.principal.id]

    async def _open(self, call: HttpCall, about: About, frame: Decoded) -> None:
        place, principal = about.place, about.principal
        try:
            opening = self._sessions.modern(place.server, principal, lambda: place.open_link(principal, False))
            link = await asyncio.shield(opening)
        except Exception as problem:  # noqa: BLE001 - whatever it is, this client is answered
            message = frame.message
            self._traffic.unopened(call, about, problem, key_of(message.id) if isinstance(message, Request) else NOBODY)
            return
        if not call.gone:
            self._on(link, call, about, frame)

    def _on(self, link: HttpLink, call: HttpCall, about: About, frame: Decoded) -> None:
        message = frame.message
        headers = about.asked.headers
        if isinstance(message, Response):  # 2026-07-28: clients MUST NOT post responses
            call.answer(400)
            link.take(frame, self._traffic.next(), headers)
            return
        if isinstance(message, Notification):
            if self._traffic.has_place(call, about, link, "", message) is None:
                return
            call.answer(202)
            if message.method == "notifications/cancelled":  # its id is one client's, and the link knows others
                why = "a modern request is cancelled by closing its stream, and by nothing else"
                principal, method = about.principal.id, message.method
                self._front.refuse("solicited-only", why, peer=peer_of(call), principal=principal, method=method)
            else:
                link.take(frame, self._traffic.next(), headers)
            return
        if (found := oversized_id(message, self._traffic.sizes.id_bytes)) is not None:
            self._traffic.oversized(call, about, message, found)
            return
        claim = self._traffic.has_place(call, about, link, "", message)
        if claim is None:
            return
        exchange = self._traffic.next()
        renamed, progress = _renamed(frame, message, exchange)
        carriage = Carriage(call, exchange, key=key_of(message.id), progress=progress, method=message.method)
        self._carry(link, carriage, claim)
        self._traffic.send_on(link, carriage, about, message, functools.partial(link.take, renamed, exchange, headers))

    def unreadable(self, link: HttpLink, call: HttpCall, body: bytes, problem: MalformedMessageError) -> None:
        """A body that is no message, of a principal who has a link."""
        key = key_of(problem.request_id) if problem.request_id is not None else NOBODY
        carriage = Carriage(call, self._traffic.next(), key=key, unread=True)
        self._carry(link, carriage)
        link.unreadable(problem, body, carriage.exchange)

    def _carry(self, link: HttpLink, carriage: Carriage, claim: Claim | None = None) -> None:
        self._traffic.carry(link, carriage, claim)
        carriage.call.on_gone = lambda: link.leave(carriage.exchange)


def _renamed(frame: Decoded, message: Request, exchange: int) -> tuple[Decoded, str]:
    """The request as the link knows it: its id, and its progress token if it has one, are the exchange's number. Also
    the client's own token, as JSON text.
    """
    params = message.params
    meta = stateless.meta_of(params)
    progress = key_or_nothing(meta.get("progressToken"))
    if params is None or not progress:
        body = with_id(frame.body, outline(frame.body), str(exchange))  # it is our own encoding already
        return Decoded(Request(exchange, message.method, params), body, frame.nodes), progress
    renamed = Request(exchange, message.method, {**params, "_meta": {**meta, "progressToken": exchange}})
    return Decoded(renamed, encode(renamed), frame.nodes), progress

"""The HTTP door: who asks, for which server, in which era; then the link has it.

    head → Host, Origin, target → principal → path → method → body → era → session or modern link → relay

What asks nothing of a link (a wrong path, a look at whether we live) is counted nowhere: the next request of such a
connection waits for its turn (``pace``). Everything else is counted, also what is no message.

The numbers of exchanges are given here, one to each request of HTTP. Nothing of HTTP goes further than this, but the
headers that repeat a modern body, which a gate compares with it.

Sources: MCP 2025-03-26 to 2026-07-28, "Streamable HTTP"; RFC 9110.
"""

from __future__ import annotations

import asyncio
from typing import Final

from doorward.errors import MalformedMessageError
from doorward.gateway.arrivals import limits_of
from doorward.gateway.http.asked import asked
from doorward.gateway.http.call import HttpCall
from doorward.gateway.http.callers import CALLER, Callers
from doorward.gateway.http.carriage import RETRY_AFTER
from doorward.gateway.http.figures import CONTENT_TYPE, Figures
from doorward.gateway.http.front import Front
from doorward.gateway.http.head import Address
from doorward.gateway.http.legacy import Legacy
from doorward.gateway.http.media import accepts
from doorward.gateway.http.modern import Modern
from doorward.gateway.http.names import Names
from doorward.gateway.http.traffic import IN_FLIGHT, UNREAD, About, Place, Traffic, peer_of
from doorward.gateway.sessions import Sessions
from doorward.judge.vocabulary import Peer, Principal
from doorward.policy.model import Policy
from doorward.protocol import stateless
from doorward.relay import replies
from doorward.wire.jsonrpc import decode

HEALTH: Final = ("/healthz", "/readyz")
METRICS: Final = "/metrics"
_ALLOW: Final = (("Allow", "GET, POST, DELETE"),)


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
        figures: Figures,
    ) -> None:
        self._places = places
        self._names = names
        self._callers = callers
        self._sessions = sessions
        self._front = front
        self._figures = figures
        self._traffic = Traffic(front, policy)
        self._legacy = Legacy(sessions, self._traffic, front, frozenset(place.server for place in places.values()))
        self._modern = Modern(sessions, self._traffic, front)
        self.draining = False
        self.adopt(policy)

    def adopt(self, policy: Policy) -> None:
        """Judge by ``policy`` from now on."""
        self._traffic.adopt(policy)
        self._frame_limits = self._legacy.frame_limits = limits_of(policy.sizes)["client"]
        self._max_body = policy.sizes.to_server_bytes
        self._names.adopt(policy.serve)
        self._callers.adopt(policy.serve)

    # -- Application --------------------------------------------------------------------------------------------------

    def connected(self, transport: asyncio.Transport) -> int | None:
        return self._callers.owner(transport)

    def disconnected(self, peer: Address) -> None:
        self._traffic.disconnected(peer)

    def malformed(self, peer: Address, rule: str, detail: str) -> None:
        control = "http-limits" if rule.endswith(("-bytes", "-count", "-seconds")) else "http-syntax"
        self._front.refuse(control, f"{rule}: {detail}", peer=peer[0])

    def take(self, call: HttpCall, held: int, count: int) -> bool:
        principal: Principal = call.about.principal  # nobody else's body is read
        taken = self._traffic.load.take(principal.id, held, count)
        if not taken:
            why = "too many bytes are in flight in this process"
            self._front.refuse(IN_FLIGHT, why, peer=peer_of(call), principal=principal.id)
        return taken

    def give(self, call: HttpCall, held: int) -> None:
        self._traffic.load.give(call.about.principal.id, held)

    def admit(self, call: HttpCall) -> int:
        head = call.head
        if why := self._names.problem(head):
            control, status, reason = why
            self._refuse(call, status, control, reason)
            return 0
        if head.path in HEALTH:
            call.pace()
            self._health(call)
            return 0
        principal = self._callers.principal(call.owner, head)
        if isinstance(principal, str):
            self._refuse(call, 401, CALLER, principal, headers=(("WWW-Authenticate", "Bearer"),))
            return 0
        if head.path == METRICS:
            call.pace()
            self._measure(call, principal)
            return 0
        place = self._places.get(head.path)
        if place is None:
            call.pace()
            call.answer(404)
            return 0
        if self.draining:
            call.answer(503, headers=RETRY_AFTER, close=True)
            return 0
        call.about = about = About(place, principal, asked(head))
        if head.method != "POST":
            self._without_body(call, about)
        elif about.asked.unfit:
            call.pace()
            call.answer(about.asked.unfit)
        else:
            return self._max_body
        return 0

    def receive(self, call: HttpCall, body: bytes) -> None:
        """A whole body of a POST, or none of a question for figures."""
        if call.about is METRICS:
            self._traffic.spawn(call, self._tell_figures(call))
            return
        about: About = call.about
        try:
            frame = decode(body, self._frame_limits)
        except MalformedMessageError as problem:
            self._not_one_message(call, about, body, problem)
            return
        # By its header or by its body: where the two disagree, the modern link refuses it.
        if about.asked.modern or stateless.is_modern(frame.message):
            self._modern.take(call, about, frame)
        else:
            self._legacy.take(call, about, frame)

    # -- heads --------------------------------------------------------------------------------------------------------

    def _without_body(self, call: HttpCall, about: About) -> None:
        method = call.head.method
        if about.asked.modern or method not in ("GET", "DELETE"):
            call.pace()
            call.answer(405, headers=(("Allow", "POST"),) if about.asked.modern else _ALLOW)
        elif method == "DELETE":
            self._legacy.delete(call, about)
        elif accepts(call.head.all("accept"), "text/event-stream"):
            self._legacy.listen(call, about)
        else:
            call.pace()
            call.answer(406)

    def _health(self, call: HttpCall) -> None:
        if call.head.method not in ("GET", "HEAD"):
            call.answer(405, headers=(("Allow", "GET, HEAD"),))
        elif call.head.path == "/readyz" and self.draining:
            call.answer(503, headers=RETRY_AFTER)
        else:
            call.answer(200, b"ok\n", "text/plain")

    def _measure(self, call: HttpCall, principal: Principal) -> None:
        if not self._callers.is_operator(principal):
            self._refuse(call, 403, CALLER, f"{principal.id} is not the operator, who alone may measure")
        elif call.head.method not in ("GET", "HEAD"):
            call.answer(405, headers=(("Allow", "GET, HEAD"),))
        else:
            call.about = METRICS  # looking takes a while, and it is to be known by then that no body comes

    async def _tell_figures(self, call: HttpCall) -> None:
        call.answer(200, await self._figures.text(), CONTENT_TYPE)

    def _not_one_message(self, call: HttpCall, about: About, body: bytes, problem: MalformedMessageError) -> None:
        if about.asked.sessions:
            self._legacy.unreadable(call, about, body, problem)
            return
        if not self._traffic.in_time(call, about, "", UNREAD):
            return
        link = self._sessions.ready(about.place.server, about.principal)
        if link is not None and about.asked.modern:
            self._modern.unreadable(link, call, body, problem)
            return
        control = "frame-limits" if problem.rule.startswith("frame-") else "strict-decode"
        reference = self._front.refuse(control, str(problem), peer=peer_of(call), principal=about.principal.id)
        told = Peer(problem.rpc_code, str(problem), {"reference": reference})
        call.answer(400, replies.error(problem.request_id, told))

    def _refuse(
        self, call: HttpCall, status: int, control: str, reason: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self._front.refuse(control, reason, peer=peer_of(call))
        call.pace()
        call.answer(status, headers=headers)

    async def close(self) -> None:
        """Nobody waits for a link any more: whoever did is told."""
        await self._traffic.close()

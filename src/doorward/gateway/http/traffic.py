"""What is under way: the numbers of exchanges, how much each principal has of it, and when that is too much."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import msgspec

from doorward.errors import CapacityError, IdentityError
from doorward.gateway.http.asked import Asked
from doorward.gateway.http.call import HttpCall
from doorward.gateway.http.carriage import CAPACITY, RETRY_AFTER, Carriage
from doorward.gateway.http.downstream import HttpLink
from doorward.gateway.http.front import Front
from doorward.gateway.http.head import Address
from doorward.gateway.http.line import Line
from doorward.gateway.http.load import Claim, Load
from doorward.gateway.metering import STANDING, WORK, Meter
from doorward.judge.vocabulary import Finding, Peer, Principal
from doorward.policy.amounts import Sizes
from doorward.policy.model import Policy
from doorward.relay import replies
from doorward.relay.replies import NOBODY
from doorward.wire.jsonrpc import Message, Notification, Request, Response, key_of

IN_FLIGHT: Final = "in-flight"
CAPPED: Final = "principal-limits"

# What is no message, or comes without one, is counted under a name that reads well in the reason of a refusal.
UNREAD: Final = Notification("bodies that are no message")
NO_SESSION: Final = Notification("requests without a session")


class Place(msgspec.Struct, frozen=True):
    """One served endpoint. ``open_link`` makes a link for a principal; it raises DoorwardError where there is none."""

    server: str
    open_link: Callable[[Principal, bool], Awaitable[HttpLink]]


class About(msgspec.Struct, frozen=True):
    """What is known of a call once its head was read."""

    place: Place
    principal: Principal
    asked: Asked


class Traffic:
    """What all eras share of one door."""

    def __init__(self, front: Front, policy: Policy) -> None:
        self._policy = policy
        self.load = Load(policy.limits, asyncio.get_running_loop().call_later)
        self._meter = Meter(policy, asyncio.get_running_loop().time)
        self._line = Line(asyncio.get_running_loop())
        self._front = front
        self._exchange = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def adopt(self, policy: Policy) -> None:
        """Judge by ``policy`` from now on."""
        if policy.digest != self._policy.digest:
            self._policy = policy
            self.load.limits = policy.limits
            self._meter.adopt(policy)

    @property
    def sizes(self) -> Sizes:
        """How large what clients send may be."""
        return self._policy.sizes

    def next(self) -> int:
        """The number of the next exchange."""
        self._exchange += 1
        return self._exchange

    def carry(self, link: HttpLink, carriage: Carriage, claim: Claim | None = None) -> int:
        """Its answer leaves through the link. It counts as in flight until all of it is over."""
        self.load.carry(carriage, link.principal, claim)
        link.downstream.carry(carriage)
        return carriage.exchange

    def send_on(
        self, link: HttpLink, carriage: Carriage, about: About, message: Message, go: Callable[[], None]
    ) -> None:
        """To the link, at once if it is work; what is none waits for its turn at the server."""
        if not isinstance(message, Request) or message.method in WORK or message.method in STANDING:
            go()
            return
        who, server = link.principal.id, about.place.server
        if not self._line.enter((who, server, carriage.call.paced), carriage, go):
            why = f"requests that do no work wait for their turn at {server}"
            self._front.note(CAPPED, why, peer=peer_of(carriage.call), principal=who, method=message.method[:64])

    def in_time(self, call: HttpCall, about: About, session: str, *messages: Message) -> bool:
        """Whether its sender may send so much by now; answered where it may not. Nothing of a link was touched."""
        asked = about.asked
        address = call.head.peer[0] if asked.forwarded is None else asked.forwarded
        server, principal = about.place.server, about.principal
        source = self._meter.source(
            session or sender_of(call, asked),
            principal=principal.id,
            address=address,
            server=server,
            session=session != "",
            forwarded=asked.forwarded is not None,
        )
        for message in messages:
            early = self._meter.take(source, server, message)
            if early is not None and not self._early(call, about, early, message):
                return False
        if self._meter.beyond(source):
            call.pace()
        return True

    def disconnected(self, peer: Address) -> None:
        """A connection has ended."""
        self._meter.forget(_connection(peer))

    def ended(self, principal: Principal, server: str, session: str) -> None:
        """A session is over: what it may send is for the next one."""
        self._meter.over(session, principal=principal.id, server=server)

    def _early(self, call: HttpCall, about: About, early: Finding, message: Message) -> bool:
        """Answer what comes too early; True where that is only observed."""
        observed = self._front.observes(self._policy)
        method = "" if isinstance(message, Response) else message.method[:64]
        reference = self._front.refuse(
            early.control,
            early.reason,
            peer=peer_of(call),
            principal=about.principal.id,
            method=method,
            observed=observed,
        )
        if observed or early.peer is None:
            return observed
        told = Peer(early.peer.code, early.peer.message, {**early.peer.data, "reference": reference})
        after = max(1, math.ceil(early.peer.data["retryAfterMs"] / 1000))
        key = key_of(message.id) if isinstance(message, Request) else NOBODY
        call.answer(429, replies.error_to(key, told), headers=(("Retry-After", str(after)),))
        return False

    def has_place(self, call: HttpCall, about: About, link: HttpLink, session: str, *messages: Message) -> Claim | None:
        """What ``messages`` may hold while they are in flight; None, and answered, where there is no place for them."""
        requests = [message for message in messages if isinstance(message, Request)]
        full = link.is_full
        claim: Claim | str = ""
        if not full:
            sender = session or sender_of(call, about.asked)
            claim = self.load.claim(about.principal, sender, about.place.server, requests, session=session != "")
            if not isinstance(claim, str):
                return claim
        key = key_of(requests[0].id) if len(requests) == 1 else NOBODY
        if full:
            why = "what was sent to this server was not taken yet"
            reference = self._front.refuse(IN_FLIGHT, why, peer=peer_of(call), principal=about.principal.id)
            call.answer(503, replies.error_to(key, _later(reference)), headers=RETRY_AFTER)
        else:
            self.capped(call, about.principal, str(claim), key)
        return None

    def capped(self, call: HttpCall, principal: Principal, why: str, key: str) -> None:
        """Too much for one principal: told when to try again."""
        reference = self._front.refuse(CAPPED, f"{why} for one principal", peer=peer_of(call), principal=principal.id)
        call.answer(429, replies.error_to(key, _later(reference)), headers=RETRY_AFTER)

    def oversized(self, call: HttpCall, about: About, message: Request, found: Finding) -> None:
        """A request that is too large for a link to hear of. Its id is not repeated: it may be what is too large."""
        reference = self._front.refuse(
            found.control,
            found.reason,
            peer=peer_of(call),
            principal=about.principal.id,
            method=message.method[:64],
        )
        told = found.peer or replies.refused(reference)
        call.answer(400, replies.error_to(NOBODY, Peer(told.code, told.message, {**told.data, "reference": reference})))

    def unopened(self, call: HttpCall, about: About, problem: Exception, key: str) -> None:
        """There is no link for this call. Nothing of it was sent."""
        if isinstance(problem, CapacityError):
            self.capped(call, about.principal, str(problem), key)
            return
        control = "first-use" if isinstance(problem, IdentityError) else "server-reached"
        why = f"{about.place.server} cannot be reached: {problem}"
        reference = self._front.refuse(control, why, peer=peer_of(call), principal=about.principal.id)
        told = Peer(-32603, "the server cannot be reached", {"outcome": "not executed", "reference": reference})
        call.answer(502, replies.error_to(key, replies.refused(reference) if control == "first-use" else told))

    def spawn(self, call: HttpCall, work: Coroutine[Any, Any, None]) -> None:
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
        """Nobody waits any more: whoever did is told."""
        for task in tuple(self._tasks):
            task.cancel()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)


def _later(reference: str) -> Peer:
    return Peer(CAPACITY, "too much at once; try again later", {"retryAfterMs": 1000, "reference": reference})


def tell(call: HttpCall, status: int, code: int, text: str) -> None:
    """An error of the protocol, about no request in particular."""
    call.answer(status, replies.error(None, Peer(code, text)))


def peer_of(call: HttpCall) -> str:
    """The address that a call came from."""
    return call.head.peer[0]


def sender_of(call: HttpCall, asked: Asked) -> str:
    """Who is counted where there is no session: a connection, or whom a proxy passes on over its own."""
    return _connection(call.head.peer) if asked.forwarded is None else f"{asked.forwarded} forwarded"


def _connection(peer: Address) -> str:
    host, port = peer
    return f"{host} {port}"

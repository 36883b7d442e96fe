"""What is under way: the numbers of exchanges, how much each principal has of it, and when that is too much."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import msgspec

from doorward.errors import CapacityError, IdentityError
from doorward.gateway.http.asked import Asked
from doorward.gateway.http.call import HttpCall
from doorward.gateway.http.carriage import CAPACITY, RETRY_AFTER, Carriage
from doorward.gateway.http.downstream import HttpLink
from doorward.gateway.http.front import Front
from doorward.gateway.http.load import Load
from doorward.judge.vocabulary import Peer, Principal
from doorward.policy.model import Limits
from doorward.relay import replies
from doorward.wire.jsonrpc import Request, key_of, outline, with_id

IN_FLIGHT: Final = "in-flight"
CAPPED: Final = "principal-limits"
NOBODY: Final = "null"  # the id of an answer to what had none


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

    def __init__(self, front: Front, limits: Limits) -> None:
        self.load = Load(limits)
        self._front = front
        self._exchange = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def next(self) -> int:
        """The number of the next exchange."""
        self._exchange += 1
        return self._exchange

    def carry(self, link: HttpLink, carriage: Carriage) -> int:
        """Its answer leaves through the link. It counts as in flight until all of it is over."""
        self.load.carry(carriage, link.principal)
        link.downstream.carry(carriage)
        return carriage.exchange

    def has_place(self, call: HttpCall, about: About, link: HttpLink, *requests: Request) -> bool:
        """Whether what holds so many requests may go on; answered where it may not."""
        full = link.is_full
        if not full and (not requests or self.load.has_place(about.principal, len(requests))):
            return True
        key = key_of(requests[0].id) if len(requests) == 1 else NOBODY
        if full:
            why = "what was sent to this server was not taken yet"
            reference = self._front.refuse(IN_FLIGHT, why, peer=peer_of(call), principal=about.principal.id)
            call.answer(503, _error(key, _later(reference)), headers=RETRY_AFTER)
        else:
            self.capped(call, about.principal, f"{self.load.limits.concurrent} requests are in flight", key)
        return False

    def capped(self, call: HttpCall, principal: Principal, why: str, key: str) -> None:
        """Too much for one principal: told when to try again."""
        reference = self._front.refuse(CAPPED, f"{why} for one principal", peer=peer_of(call), principal=principal.id)
        call.answer(429, _error(key, _later(reference)), headers=RETRY_AFTER)

    def unopened(self, call: HttpCall, about: About, problem: Exception, key: str) -> None:
        """There is no link for this call. Nothing of it was sent."""
        if isinstance(problem, CapacityError):
            self.capped(call, about.principal, str(problem), key)
            return
        control = "first-use" if isinstance(problem, IdentityError) else "server-reached"
        why = f"{about.place.server} cannot be reached: {problem}"
        reference = self._front.refuse(control, why, peer=peer_of(call), principal=about.principal.id)
        told = Peer(-32603, "the server cannot be reached", {"outcome": "not executed", "reference": reference})
        call.answer(502, _error(key, replies.refused(reference) if control == "first-use" else told))

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


def _error(key: str, told: Peer) -> bytes:
    body = replies.error(None, told)
    return with_id(body, outline(body), key)

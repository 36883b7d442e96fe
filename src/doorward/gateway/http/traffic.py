"""What is under way: the numbers of exchanges, how much each principal has of it, and when that is too much."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import msgspec

from doorward.errors import DoorwardError
from doorward.gateway.http.call import HttpCall
from doorward.gateway.http.carriage import CAPACITY, RETRY_AFTER, Carriage
from doorward.gateway.http.downstream import HttpLink
from doorward.gateway.http.front import Front
from doorward.judge.vocabulary import Peer, Principal
from doorward.policy.model import Limits
from doorward.relay import replies
from doorward.wire.jsonrpc import Request, key_of, outline, with_id

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


class Traffic:
    """``limits`` are those of one principal."""

    def __init__(self, front: Front, limits: Limits) -> None:
        self.limits = limits
        self._front = front
        self._exchange = 0
        self._in_flight: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    def next(self) -> int:
        """The number of the next exchange."""
        self._exchange += 1
        return self._exchange

    def carry(self, link: HttpLink, carriage: Carriage) -> int:
        """Its answer leaves through the link. Each answer that is awaited counts as in flight until all is over."""
        principal, awaited = link.principal.id, carriage.awaited
        self._in_flight[principal] += awaited

        def done() -> None:
            self._in_flight[principal] -= awaited
            if self._in_flight[principal] <= 0:
                del self._in_flight[principal]

        carriage.on_done = done
        link.downstream.carry(carriage)
        return carriage.exchange

    def has_place(self, call: HttpCall, principal: Principal, *requests: Request) -> bool:
        """Whether that many more may be in flight for a principal; answered where not."""
        if self._in_flight[principal.id] + len(requests) <= self.limits.concurrent:
            return True
        key = key_of(requests[0].id) if len(requests) == 1 else NOBODY
        self.capped(call, principal, f"{self.limits.concurrent} requests are in flight", key)
        return False

    def capped(self, call: HttpCall, principal: Principal, why: str, key: str) -> None:
        """Too much for one principal: told when to try again."""
        reference = self._front.refuse(CAPPED, f"{why} for one principal", peer=peer_of(call), principal=principal.id)
        told = Peer(CAPACITY, "too much at once; try again later", {"retryAfterMs": 1000, "reference": reference})
        call.answer(429, _error(key, told), headers=RETRY_AFTER)

    def unopened(self, call: HttpCall, about: About, problem: DoorwardError, key: str) -> None:
        """There is no way to the server."""
        why = f"{about.place.server} cannot be reached: {problem}"
        reference = self._front.refuse("first-use", why, peer=peer_of(call), principal=about.principal.id)
        if not call.gone:
            call.answer(502, _error(key, replies.refused(reference)))

    def spawn(self, call: HttpCall, work: Coroutine[Any, Any, None]) -> None:
        """Do what cannot be done at once. However it ends, ``call`` is answered."""
        task = asyncio.ensure_future(self._finish(call, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, call: HttpCall, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as crash:  # noqa: BLE001 - a crash refuses, and is said
            self._front.refuse("crash", f"the door failed: {type(crash).__name__}: {crash}", peer=peer_of(call))
            if not (call.gone or call.answered or call.streaming):
                call.answer(500, close=True)


def tell(call: HttpCall, status: int, code: int, text: str) -> None:
    """An error of the protocol, about no request in particular."""
    call.answer(status, replies.error(None, Peer(code, text)))


def peer_of(call: HttpCall) -> str:
    """The address that a call came from."""
    return call.head.peer[0]


def _error(key: str, told: Peer) -> bytes:
    body = replies.error(None, told)
    return with_id(body, outline(body), key)

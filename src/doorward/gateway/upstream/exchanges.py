"""Which exchange an answer belongs to, where all of a server's messages come on one stream: a pipe, or HTTP+SSE.

A request that was not answered within a bound is lost: what comes for it later answers nothing any more.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, Final

import msgspec

from doorward.gateway.upstream.connector import MAX_ANSWER_S
from doorward.gateway.upstream.incoming import answered_key
from doorward.relay.commands import Send
from doorward.wire.jsonrpc import decode_value, key_of

MAX_ASKED: Final = 10_000
"""Requests that are remembered; beyond it the oldest is forgotten, and its answer comes on the standing exchange."""

Lost = Callable[[int, str], None]


class _Asked(msgspec.Struct, frozen=True):
    exchange: int
    due: float


class Exchanges:
    """The requests that were sent and not answered, and their exchanges.

    ``lost`` is told of an exchange (never 0) whose requests were not answered within ``max_answer_s`` seconds of their
    own; ``subscriptions/listen`` is exempt, since it stands as long as its client wants.
    """

    def __init__(self, lost: Lost, max_answer_s: float = MAX_ANSWER_S) -> None:
        self._lost = lost
        self._max_answer_s = max_answer_s
        self._loop = asyncio.get_running_loop()
        self._asked: dict[str, _Asked] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    def note(self, send: Send) -> str:
        """Remember a message that goes out, if it is a request; returns its key then, else nothing."""
        tree: dict[str, Any] = decode_value(send.body)
        if "method" not in tree or "id" not in tree:
            return ""
        key = key_of(tree["id"])
        due = math.inf if tree["method"] == "subscriptions/listen" else self._loop.time() + self._max_answer_s
        self._asked[key] = _Asked(send.exchange, due)
        if len(self._asked) > MAX_ASKED:
            del self._asked[next(iter(self._asked))]
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._max_answer_s, self._sweep)
        return key

    def of_answer(self, frame: bytes) -> int:
        """The exchange of the request that a frame answers, which is forgotten; 0 for whatever answers none."""
        asked = self._asked.pop(answered_key(frame), None) if self._asked else None
        return 0 if asked is None else asked.exchange

    def forget(self, key: str) -> bool:
        """A request will not be answered. Whether it was remembered."""
        return self._asked.pop(key, None) is not None

    def close(self) -> None:
        """Nothing is lost any more: the link has ended."""
        self._asked.clear()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _sweep(self) -> None:
        now = self._loop.time()
        late = [key for key, asked in self._asked.items() if asked.due <= now]
        exchanges = {self._asked.pop(key).exchange for key in late}
        waited_for = {asked.exchange for asked in self._asked.values()}
        due = min((asked.due for asked in self._asked.values()), default=math.inf)
        self._sweeper = None if due == math.inf else self._loop.call_later(due - now, self._sweep)
        for exchange in sorted(exchanges - waited_for - {0}):
            self._lost(exchange, f"no answer within {self._max_answer_s:g} s")

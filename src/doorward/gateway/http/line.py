"""Requests that do no work wait for their turn at a server: of all that one principal sent, two are there at a time.

For a list a naive server goes through everything that it has, and meanwhile serves nobody. How many of them a principal
may have in flight is counted in ``load``; so that those do not stand before everybody else's calls in the server's own
queue, they wait here. A server that is quick makes nobody wait. Nothing waits longer than a second: a server that
leaves two of them unanswered is asked the others all the same.

Whoever sends more than its part (``pace``) has a place of its own for that, one for all of a principal's, and after
each of these requests the server rests from them for as long as it took: at most half of its time is spent on them.

Not protected against: many principals, each with its two; a server that a single list keeps busy for long.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from doorward.gateway.http.carriage import Carriage

AT_SERVER: Final = 2
"""Of one principal at one server. Clients ask for one list after the other, some for two or three at their start."""

LONGEST_S: Final = 1.0

Key = tuple[str, str, bool]
"""A principal, a server, and whether it is what was sent beyond one's part."""


class _Waiting:
    """One request; ``go`` sends it on."""

    __slots__ = ("began", "go", "over", "timer", "went")

    def __init__(self, go: Callable[[], None]) -> None:
        self.go = go
        self.began = 0.0
        self.went = self.over = False
        self.timer: asyncio.TimerHandle | None = None


class Line:
    """Of one door."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._there: Counter[Key] = Counter()
        self._waiting: dict[Key, deque[_Waiting]] = {}

    def enter(self, key: Key, carriage: Carriage, go: Callable[[], None]) -> bool:
        """Send on what ``carriage`` waits for, now or when it is its turn; never, if nobody waits for it any more.
        Whether it is sent on now.
        """
        one, before = _Waiting(go), carriage.on_done

        def done() -> None:
            before()
            self._over(key, one)

        carriage.on_done = done
        waiting = self._waiting.setdefault(key, deque())
        if self._there[key] < _places(key) and not waiting:
            self._go(key, one)
            return True
        waiting.append(one)
        one.timer = self._loop.call_later(LONGEST_S, self._go, key, one)
        return False

    def _go(self, key: Key, one: _Waiting) -> None:
        if one.went or one.over:
            return
        one.went = True
        one.began = self._loop.time()
        if one.timer is not None:
            one.timer.cancel()
        self._there[key] += 1
        one.go()

    def _over(self, key: Key, one: _Waiting) -> None:
        if one.over:
            return
        one.over = True
        if not one.went:
            if one.timer is not None:
                one.timer.cancel()
            self._loop.call_soon(self._next, key)
        elif key[2]:
            took = self._loop.time() - one.began
            self._loop.call_later(min(took, LONGEST_S), self._leave, key)
        else:
            self._loop.call_soon(self._leave, key)  # not at once: an answer may be given while the next one is sent

    def _leave(self, key: Key) -> None:
        self._there[key] -= 1
        self._next(key)

    def _next(self, key: Key) -> None:
        waiting = self._waiting.get(key, deque())
        while waiting and (waiting[0].went or waiting[0].over or self._there[key] < _places(key)):
            self._go(key, waiting.popleft())
        if not waiting and self._there[key] <= 0:
            self._waiting.pop(key, None)
            del self._there[key]


def _places(key: Key) -> int:
    return 1 if key[2] else AT_SERVER

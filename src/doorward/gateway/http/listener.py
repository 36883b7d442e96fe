"""What the connections of one listener share, and how many of them there may be."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from doorward.gateway.http.call import Application
from doorward.gateway.http.limits import APART_S, REST_S, HttpLimits
from doorward.gateway.http.untaken import Untaken
from doorward.gateway.turns import turns

if TYPE_CHECKING:
    from doorward.gateway.http.connection import Connection

_TICK_S: Final = 0.004
"""Those whose rest ends within it are heard again with one waking of the loop, which costs as much as refusing one."""


class Listener:
    """What the connections of one listener share."""

    def __init__(self, app: Application, limits: HttpLimits, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self.limits = limits
        self.loop = loop
        self.draining = False
        self.turns = turns()
        self.untaken = Untaken(limits.untaken_bytes, app, loop)
        self.connections: dict[Connection, None] = {}
        self._waits = 0
        self._resting: deque[tuple[float, Callable[[], None]]] = deque()  # until when, in this order
        self._rested = 0.0

    def enter(self, connection: Connection) -> bool:
        """Whether there is a place; another one may have had to leave for it: of those without a whole request, one of
        the owner who has most of them.
        """
        if len(self.connections) >= self.limits.connections:
            incomplete = [other for other in self.connections if other.is_incomplete]
            if not incomplete:
                return False
            held = Counter([other.owner for other in incomplete])
            most = max(held.values())
            if most < len(incomplete):
                incomplete = [other for other in incomplete if held[other.owner] == most]
            oldest = min(incomplete, key=_turn)
            self.leave(oldest)
            oldest.give_way()
        self.connections[connection] = None
        return True

    def turn(self) -> int:
        """A number for whoever begins to wait, higher than those before."""
        self._waits += 1
        return self._waits

    def rest(self, rested: Callable[[], None]) -> None:
        """Let a connection that was refused be heard again after its rest, and not together with others. There is one
        timer for all that rest: they are many.
        """
        self._rested = max(self.loop.time() + REST_S, self._rested + APART_S)
        self._resting.append((self._rested, rested))
        if len(self._resting) == 1:
            self.loop.call_later(REST_S, self._wake)

    def _wake(self) -> None:
        now = self.loop.time()
        while self._resting and self._resting[0][0] <= now:
            self._resting.popleft()[1]()
        if self._resting:
            self.loop.call_later(max(_TICK_S, self._resting[0][0] - now), self._wake)

    def leave(self, connection: Connection) -> None:
        """It does not count any more."""
        if self.connections.pop(connection, self) is None:
            self.app.disconnected(connection.peer)


def _turn(connection: Connection) -> int:
    return connection.turn

"""What the connections of one listener share, and how many of them there may be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from doorward.gateway.http.call import Application
from doorward.gateway.http.limits import APART_S, REST_S, HttpLimits
from doorward.gateway.turns import turns

if TYPE_CHECKING:
    from doorward.gateway.http.connection import Connection


class Listener:
    """What the connections of one listener share."""

    def __init__(self, app: Application, limits: HttpLimits, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self.limits = limits
        self.loop = loop
        self.draining = False
        self.turns = turns()
        self.connections: dict[Connection, None] = {}
        self._waits = 0
        self._rested = 0.0

    def enter(self, connection: Connection) -> bool:
        """Whether there is a place; another one may have had to leave for it."""
        if len(self.connections) >= self.limits.connections:
            waiting = [other for other in self.connections if other.is_waiting]
            if not waiting:
                return False
            oldest = min(waiting, key=_turn)
            self.leave(oldest)
            oldest.give_way()
        self.connections[connection] = None
        return True

    def turn(self) -> int:
        """A number for whoever begins to wait, higher than those before."""
        self._waits += 1
        return self._waits

    def rest_until(self) -> float:
        """When a connection that was refused is heard again: after its rest, and not together with others."""
        self._rested = max(self.loop.time() + REST_S, self._rested + APART_S)
        return self._rested

    def leave(self, connection: Connection) -> None:
        """It does not count any more."""
        self.connections.pop(connection, None)


def _turn(connection: Connection) -> int:
    return connection.turn

"""When the next request of a connection is looked at: at once, or, of whoever sends much, when it is its turn."""

from __future__ import annotations

from collections.abc import Callable

from doorward.gateway.http.limits import PACED_S
from doorward.gateway.http.listener import Listener


class Pace:
    """Of one connection. ``advance`` looks at what is there."""

    __slots__ = ("_advance", "_now", "_turns", "_until", "in_line")

    def __init__(self, listener: Listener, advance: Callable[[], None]) -> None:
        self._turns = listener.turns
        self._now = listener.loop.time
        self._advance = advance
        self._until = 0.0
        self.in_line = False

    @property
    def slow(self) -> bool:
        """Whether it sent much lately."""
        return self._until > 0

    def slow_down(self) -> None:
        """From now on, for a while, in turn with all others who send much."""
        self._until = self._now() + PACED_S

    def go_on(self) -> None:
        """Look at what is there when it is its turn."""
        if self._now() > self._until:
            self._until = 0.0
        if not self.in_line:
            self.in_line = True
            self._turns.join(self._go)

    def _go(self) -> None:
        self.in_line = False
        self._advance()

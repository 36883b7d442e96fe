"""Whose turn it is: what one source brings much of is done a little at a time, and others come between.

One event loop does everything, and a single read of a socket may bring hundreds of messages. Were they all taken at
once, everybody else would wait until the last of them is done. So a source (a server's stream, a client that was told
to come later) may go on for ``SHARE_S`` in one turn of the loop; the rest waits in one line with that of all other
sources, of which ``AT_ONCE`` are let go in each turn. What it brings soon afterwards stands there from the beginning:
were each to have a share first, a turn would be as long as they are many. Whoever brings little never stands in it.

Nothing here waits for a time to come: with nobody else there, the next turn is at once, and nothing in the line is
dropped.

Not protected against: very many sources, each of which brings little.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final
from weakref import WeakKeyDictionary

SHARE_S: Final = 0.0003
"""Of one source in one turn of the loop: two or three messages that are judged, or twenty that are refused. In time and
not in number, because one message may cost a hundred times as much as another; at least one is done."""

AT_ONCE: Final = 1
"""Sources of the line in one turn of the loop."""

LATELY_S: Final = 0.05
"""For so long after it used up a share, a source stands in line with all that it brings."""


class Turns:
    """The line of one event loop (see :func:`turns`)."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._soon = loop.call_soon
        self._new = loop.create_future
        self._line: deque[Callable[[], None]] = deque()
        self._moves = False
        self._number = 0
        self._counts = False
        self.now = time.monotonic
        """Seconds; not the loop's own, which may stand still for a whole turn."""

    def number(self) -> int:
        """Which turn of the loop this is: another number in the next one, for as long as somebody asks."""
        if not self._counts:
            self._counts = True
            self._soon(self._over)
        return self._number

    def _over(self) -> None:
        self._counts = False
        self._number += 1

    def join(self, work: Callable[[], None]) -> None:
        """``work`` is done when its turn comes, never at once."""
        self._line.append(work)
        if not self._moves:
            self._moves = True
            self._soon(self._move)

    async def come(self) -> None:
        """Wait for a turn."""
        turn: asyncio.Future[None] = self._new()
        self.join(partial(_begin, turn))
        await turn

    def _move(self) -> None:
        try:
            for _ in range(min(AT_ONCE, len(self._line))):
                self._line.popleft()()
        finally:  # whatever one of them met, the others have their turn
            self._moves = bool(self._line)
            if self._moves:
                self._soon(self._move)


class Share:
    """What one source may do at once."""

    __slots__ = ("_turn", "_turns", "_until", "_used_up")

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._turn = -1
        self._until = 0.0
        self._used_up = -LATELY_S

    def take(self) -> bool:
        """Whether one piece more may be done at once."""
        now = self._turns.now()
        if now < self._used_up + LATELY_S:
            return False
        turn = self._turns.number()
        if turn != self._turn:
            self._turn, self._until = turn, now + SHARE_S
        elif now >= self._until:
            self._used_up = now
            return False
        return True


def _begin(turn: asyncio.Future[None]) -> None:
    if not turn.done():  # whoever waited may have been ended meanwhile
        turn.set_result(None)


_TURNS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Turns]] = WeakKeyDictionary()


def turns() -> Turns:
    """The line of the running loop."""
    loop = asyncio.get_running_loop()
    found = _TURNS.get(loop)
    if found is None:
        found = _TURNS[loop] = Turns(loop)
    return found

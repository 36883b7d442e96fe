"""Whose turn it is: what one source brings much of is done a little at a time, and others come between.

One event loop does everything, and a single read of a socket may bring hundreds of messages. Were they all taken at
once, everybody else would wait until the last of them is done. So a source (a server's stream, a client that was told
to come later) may do ``SHARE`` pieces in one turn of the loop; the rest waits in one line with that of all other
sources, of which ``AT_ONCE`` are let go in each turn. Whoever brings little never stands in it.

Nothing here waits for a clock: with nobody else there, the next turn is at once, and nothing in the line is dropped.

Not protected against: very many sources, each of which brings little.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final
from weakref import WeakKeyDictionary

SHARE: Final = 4
"""Pieces of one source in one turn of the loop: some three tenths of a millisecond of messages that are refused."""

AT_ONCE: Final = 2
"""Sources of the line in one turn of the loop."""


class Turns:
    """The line of one event loop (see :func:`turns`)."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._soon = loop.call_soon
        self._new = loop.create_future
        self._line: deque[Callable[[], None]] = deque()
        self._moves = False
        self._number = 0
        self._counts = False

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
        for _ in range(min(AT_ONCE, len(self._line))):
            self._soon(self._line.popleft())
        self._moves = bool(self._line)
        if self._moves:
            self._soon(self._move)


class Share:
    """What one source may still do in this turn."""

    __slots__ = ("_left", "_turn", "_turns")

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._turn = -1
        self._left = 0

    def take(self) -> bool:
        """Whether one piece more may be done at once."""
        turn = self._turns.number()
        if turn != self._turn:
            self._turn, self._left = turn, SHARE
        self._left -= 1
        return self._left >= 0


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

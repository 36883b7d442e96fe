"""What clients leave untaken of their answers, of one listener together.

A client that takes an answer slowly but steadily may hold it for as long as it likes, and a principal may have two
thousand connections. Together they hold ``HttpLimits.untaken_bytes``; when that is used up, whoever holds most of it
(an owner of connections, as ``Application.connected`` told them apart) loses the connection that waited longest. So
nobody else loses anything, and who only takes a moment is not the one.

Not protected against: what the kernel holds for a client beside this.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Protocol

from doorward.gateway.http.call import Application
from doorward.gateway.http.head import Address


class Holder(Protocol):
    """A connection, as it is seen here."""

    owner: Any
    peer: Address

    @property
    def buffered(self) -> int:
        """Bytes that were written and not yet taken by the client."""

    def abort(self) -> None:
        """Close at once."""


class Untaken:
    """At most ``most`` bytes."""

    def __init__(self, most: int, app: Application, loop: asyncio.AbstractEventLoop) -> None:
        self._most = most
        self._app = app
        self._loop = loop
        self._parts: dict[Part, int] = {}  # no fewer than each holds, the one that began to wait first in front
        self._sum = 0

    def more(self, part: Part, count: int) -> None:
        """So many bytes more wait for the client of ``part``."""
        self._parts[part] = self._parts.get(part, 0) + count
        self._sum += count
        if self._sum > self._most:
            self._bound()

    def over(self, part: Part) -> None:
        """Nothing waits for it any more."""
        self._sum -= self._parts.pop(part, 0)

    def _bound(self) -> None:
        """What was taken meanwhile is not known until it is looked for."""
        held: Counter[Any] = Counter()
        for part in self._parts:
            self._parts[part] = part.holder.buffered
            held[part.holder.owner] += self._parts[part]
        self._sum = held.total()
        for part in tuple(self._parts) if self._sum > self._most else ():
            (most, _), *_ = held.most_common(1)
            if part.holder.owner == most and self._parts[part]:
                self._cut(part)
                return

    def _cut(self, part: Part) -> None:
        """Not at once: somebody writes in this moment."""
        self.over(part)
        self._app.malformed(part.holder.peer, "untaken-bytes", f"more than {self._most} bytes of answers wait")
        self._loop.call_soon(part.holder.abort)


class Part:
    """Of one connection."""

    __slots__ = ("_untaken", "holder")

    def __init__(self, untaken: Untaken, holder: Holder) -> None:
        self._untaken = untaken
        self.holder = holder

    def more(self, count: int) -> None:
        self._untaken.more(self, count)

    def over(self) -> None:
        self._untaken.over(self)

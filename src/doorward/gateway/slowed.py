"""Saying once that a server wants more than its share of the processors, and how it is raised.

A server at its bound is slow and says nothing of it, and whoever waits for it looks for the reason elsewhere. Looked at
every two seconds, by one small file of its control group; told where in such a time its tree stood still for a tenth of
what all processors could have done. Nothing is ended: it may well be honest work.

Does not tell where no group bounds the processors: there nothing slows it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from doorward.confine.process import Child
from doorward.confine.usage import throttled_seconds

LOOK_S: Final = 2.0
_MUCH: Final = 0.1


class Slowed:
    """Looks at one server until it ends or was told of. ``tell`` gets the words and a hint; needs a running loop."""

    def __init__(
        self, child: Child, name: str, percent: int, tell: Callable[[str, str], None], *, look_s: float = LOOK_S
    ) -> None:
        self._child, self._name, self._percent = child, name, percent
        self._tell = tell
        self._look_s = look_s
        self._loop = asyncio.get_running_loop()
        self._before = throttled_seconds(child.groups)
        self._most = _MUCH * look_s * len(os.sched_getaffinity(0))
        if percent and "cpu" in child.groups:
            self._loop.call_later(look_s, self._look)

    def _look(self) -> None:
        if self._child.ended:
            return
        now = throttled_seconds(self._child.groups)
        if now - self._before > self._most:
            self._tell(
                f"{self._name} wants more than its share of the processors ({self._percent} %), and stands still",
                "processor_percent, or unsafe_processor_percent, in its table says how much that is",
            )
            return
        self._before = now
        self._loop.call_later(self._look_s, self._look)

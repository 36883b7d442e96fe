"""How often something came, and the rate that would have let it: what ``learning`` proposes of it.

For each of a few rates the fullest that its bucket ever was is kept, and no times, so any number can be counted. Twice
what was needed is proposed: what was seen is no upper bound of honest traffic.
"""

from __future__ import annotations

import math
from typing import Final

from doorward.content.rates import Rate

HEAD_ROOM: Final = 2
_STEPS: Final = tuple(unit * 10**power for power in range(5) for unit in (1, 2, 5))
_SECONDS: Final = 10
"""A burst may hold so many seconds of its rate; where it would hold more, the next rate is taken."""
_MAX_SOURCES: Final = 1_000


class Pace:
    """What came from each source. Time may step back, as from one log to the next: then the source begins anew."""

    def __init__(self) -> None:
        self.count = 0
        self._peaks = [0.0] * len(_STEPS)
        self._sources: dict[str, tuple[int, list[float]]] = {}
        self._too_many = False

    def add(self, source: str, at_us: int) -> None:
        """One came from ``source`` at ``at_us``, microseconds since the epoch."""
        self.count += 1
        if source not in self._sources and len(self._sources) >= _MAX_SOURCES:
            self._too_many = True
            return
        before, levels = self._sources.get(source, (at_us, [0.0] * len(_STEPS)))
        passed = (at_us - before) / 1e6 if at_us >= before else math.inf
        levels = [max(0.0, level - passed * step) + 1 for level, step in zip(levels, _STEPS, strict=True)]
        self._peaks = list(map(max, self._peaks, levels))
        self._sources[source] = at_us, levels

    def rate(self) -> Rate | None:
        """The rate to propose; None if nothing came, or from more sources than are counted."""
        if not self.count or self._too_many:
            return None
        for step, peak in zip(_STEPS, self._peaks, strict=True):
            if peak <= _SECONDS * step:
                return Rate(HEAD_ROOM * step, HEAD_ROOM * math.ceil(peak))
        return None

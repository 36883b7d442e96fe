"""How soon a server that ended by itself is started again: at once, then after a pause that doubles; and how soon one
more is started, for whatever reason: some at once, then in a steady pace.

A server that dies at each start must not keep the machine busy with starting it, and one that died of a single call
must be there for the next. To start one costs a thousand times what a call costs, so whoever begins and ends sessions
without pause waits for the next one, and others are served meanwhile. Counted for each principal, so that nobody waits
for what another's calls did. Time is a parameter.
"""

from __future__ import annotations

from typing import Final

import msgspec

FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 4.0
"""Short enough that an honest call after it is answered within five seconds (docs/threats.md, `oversized-payload`)."""

FORGOTTEN_S: Final = 60.0
"""After so long without another end, the next one is the first."""


STARTS_AT_ONCE: Final = 16
"""As many as a principal may have children, by default: a client that opens all its servers waits for none."""

START_EVERY_S: Final = 0.5


class _Ends(msgspec.Struct):
    count: int
    at: float


class Restarts:
    """The ends of one server's children, by principal."""

    def __init__(self) -> None:
        self._ends: dict[str, _Ends] = {}

    def ended(self, principal: str, now: float) -> None:
        """A child of ``principal`` ended, and nobody had asked it to, or could not be started."""
        self._forget(now)
        ends = self._ends.setdefault(principal, _Ends(0, now))
        ends.count, ends.at = ends.count + 1, now

    def pause(self, principal: str, now: float) -> float:
        """How many seconds from ``now`` the next child of ``principal`` is to be started."""
        self._forget(now)
        ends = self._ends.get(principal)
        again = ends.count - 1 if ends is not None else 0
        if ends is None or again == 0:
            return 0.0
        doubled = FIRST_PAUSE_S * 2.0 ** min(again - 1, 16)
        return max(0.0, min(doubled, LONGEST_PAUSE_S) - (now - ends.at))

    def _forget(self, now: float) -> None:
        for principal in [one for one, ends in self._ends.items() if now - ends.at >= FORGOTTEN_S]:
            del self._ends[principal]


class Starts:
    """The starts of all servers' children, by principal."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def pause(self, principal: str, now: float) -> float:
        """How many seconds from ``now`` the next child of ``principal`` is to be started. It is counted as started."""
        for one in [one for one, due in self._due.items() if due <= now]:
            del self._due[one]
        due = self._due.get(principal, now)
        self._due[principal] = due + START_EVERY_S
        return max(0.0, due - now - (STARTS_AT_ONCE - 1) * START_EVERY_S)

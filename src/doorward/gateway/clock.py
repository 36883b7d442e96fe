"""The time that the doors hand to the relay: microseconds since the epoch, UTC, never going back.

The wall clock is read once; from then on the monotonic clock counts. A clock that is set back cannot revive an expired
ticket or put an entry before the one it followed.
"""

from __future__ import annotations

import time


class Clock:
    """The clock of one process; every door of it uses the same one."""

    def __init__(self) -> None:
        self._epoch_us = time.time_ns() // 1000
        self._started_ns = time.monotonic_ns()

    def now(self) -> int:
        return self._epoch_us + (time.monotonic_ns() - self._started_ns) // 1000


def written(now_us: int) -> str:
    """A time of `Clock.now` to the second, as pins and people have it: ``2026-11-22T09:00:00Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_us // 1_000_000))

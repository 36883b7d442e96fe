"""How often somebody may do something: the generic cell rate algorithm, with time as a parameter.

A bucket is one number, the time at which it would be empty again (``due``); nothing has to run in between, and a
bucket that is due is as good as new, so it need not be kept. The gateway counts with it by principal and method,
``doorward.guard`` in a server.

Not protected against: many keys of one attacker, where a key costs nothing to invent. Count by what was authenticated,
and behind it by the address; a full table refuses whoever is new to it until the oldest is due.

Source: ITU-T I.371, the virtual scheduling form of the algorithm.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Final, NamedTuple

MAX_KEYS: Final = 65_536
"""Some ten megabytes."""


class Rate(NamedTuple):
    """So many a second in the long run, and so many at once after a pause.

    ``burst`` is at least one: what may be done at once by somebody who did nothing for ``burst / per_second`` seconds.
    """

    per_second: float
    burst: float


class Taken(NamedTuple):
    """Whether it may be done, the bucket's new ``due``, and after how many seconds the same may be tried again.

    ``retry_after`` is 0 when it may, and infinite when the cost is larger than the burst: it never may.
    """

    allowed: bool
    due: float
    retry_after: float


def take(due: float, now: float, rate: Rate, cost: float = 1.0) -> Taken:
    """Take ``cost`` out of a bucket that is empty again at ``due``; what is refused costs nothing.

    ``now`` is seconds of a clock that does not go back (should it, nothing is given away). A new bucket's ``due`` is 0.
    Raises ValueError for a rate or burst that is not positive, or a cost that is negative.
    """
    if not (rate.per_second > 0 and rate.burst >= 1 and cost >= 0):
        raise ValueError("a rate is more than 0 a second, a burst at least 1, and a cost not negative")
    if cost > rate.burst:
        return Taken(False, due, float("inf"))
    after = max(due, now) + cost / rate.per_second
    # With a burst of one, the second of two at the same moment must wait for its whole interval.
    wait = after - now - rate.burst / rate.per_second
    # A wait below a nanosecond is what rounding left of none.
    return Taken(False, due, wait) if wait > 1e-9 else Taken(True, after, 0.0)  # noqa: PLR2004 - said in the line above


class Bucket:
    """One bucket, for whoever keeps his buckets himself, and asks several of them before he takes from any.

    Raises ValueError for a rate that cannot be, as :func:`take`. With ``empty_at`` it holds nothing at that
    time, and fills from then on. ``at`` is when one may be taken: for whoever looks at many and only wants to know
    whether that is over.
    """

    __slots__ = ("at", "fresh", "interval", "most")

    def __init__(self, rate: Rate, *, empty_at: float | None = None) -> None:
        take(0.0, 0.0, rate)
        self.interval = 1 / rate.per_second
        tolerance = rate.burst / rate.per_second
        room = tolerance - self.interval + 1e-9  # a full bucket could be asked so long ago
        self.fresh = self.interval - room  # when the next may be taken, after the first out of a full one
        self.most = 2 * tolerance - room
        self.at = -room if empty_at is None else empty_at + tolerance - room

    def wait(self, now: float) -> float:
        """The seconds until one may be taken; at most 0 when it may be now. Nothing is taken."""
        return self.at - now


def charge(buckets: Iterable[Bucket], now: float) -> None:
    """Take one from each, also where there is none left: it owes that, but never more than a burst."""
    for bucket in buckets:
        due = bucket.at + bucket.interval
        fresh = now + bucket.fresh
        bucket.at = fresh if due < fresh else min(due, now + bucket.most)


class Rates:
    """One bucket for each key, at most ``max_keys``. A full table refuses who is new, and forgets nobody early."""

    __slots__ = ("_due", "_max_keys", "_rate")

    def __init__(self, rate: Rate, max_keys: int = MAX_KEYS) -> None:
        take(0.0, 0.0, rate)  # a rate that cannot be is found here
        self._rate = rate
        self._max_keys = max_keys
        self._due: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._due)

    def take(self, key: Hashable, now: float, cost: float = 1.0) -> float:
        """Take ``cost`` out of the bucket of ``key``: 0 when it may be done, else the seconds until it may be tried."""
        known = self._due.get(key)
        if known is None and not self._make_room(now):
            return max(next(iter(self._due.values())) - now, 0.001) if self._due else float("inf")
        taken = take(known or 0.0, now, self._rate, cost)
        if taken.allowed:
            self._due[key] = taken.due
            self._due.move_to_end(key)
        return taken.retry_after

    def _make_room(self, now: float) -> bool:
        while self._due and next(iter(self._due.values())) <= now:
            self._due.popitem(last=False)
        return len(self._due) < self._max_keys

"""What is in flight through one door: bytes of the whole process, and requests of each principal.

A request is in flight from when it is carried to when its last answer was handed over, or its client took it back.
"""

from __future__ import annotations

from collections import Counter

from doorward.gateway.http.carriage import Carriage
from doorward.judge.vocabulary import Principal
from doorward.policy.model import Limits


class Load:
    """Counts against ``limits``, which may be exchanged at any time: what is in flight already stays."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._requests: Counter[str] = Counter()
        self._bytes = 0

    def take(self, count: int) -> bool:
        """Whether so many more bytes may be held; they are, then."""
        if self._bytes + count > self.limits.in_flight_bytes:
            return False
        self._bytes += count
        return True

    def give(self, count: int) -> None:
        """They are not held any more."""
        self._bytes -= count

    def has_place(self, principal: Principal, requests: int = 1) -> bool:
        """Whether so many more requests of a principal may be in flight."""
        return self._requests[principal.id] + requests <= self.limits.concurrent

    def carry(self, carriage: Carriage, principal: Principal) -> None:
        """What a carriage waits for is in flight until it is over."""
        requests, name = carriage.awaited, principal.id
        self._requests[name] += requests

        def done() -> None:
            self._requests[name] -= requests
            if self._requests[name] <= 0:
                del self._requests[name]

        carriage.on_done = done

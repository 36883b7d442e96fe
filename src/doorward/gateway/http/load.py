"""What is in flight through one door: bytes of the whole process; requests and subscriptions of each principal.

A request is in flight from when it is carried to when its last answer was handed over, or its client took it back. Of
what a principal may have at once each sender (a session, or a connection where there are none) has its own part, one in
as many as there may be sessions: that it gets also where the others of its principal have used up all.

Requests for lists, and whatever else does no work, are few at a time of each method: a naive server goes through
everything it has for each of them, and meanwhile serves nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from doorward.gateway.http.carriage import Carriage
from doorward.gateway.metering import LISTING, STANDING, WORK, subscriptions_of
from doorward.judge.vocabulary import Principal
from doorward.policy.amounts import Limits
from doorward.wire.jsonrpc import Message, Notification, Request

Claim = Counter[tuple[str, ...]]
"""What something holds while it is in flight, by what it counts against."""


class Load:
    """Counts against ``limits``, which may be exchanged at any time: what is in flight already stays."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._held: Claim = Counter()
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

    def claim(self, principal: Principal, sender: str, server: str, messages: Sequence[Message]) -> Claim | str:
        """What ``messages`` would hold, or why they may not now. Nothing is held before :meth:`carry`."""
        requests = [message for message in messages if isinstance(message, Request)]
        if not requests:
            return Counter()
        who = principal.id
        claim: Claim = Counter({("requests", who): len(requests), ("requests", who, sender): len(requests)})
        for message in requests:
            if message.method not in WORK and message.method not in STANDING:
                claim["listing", who, server, message.method] += 1
                claim["listing", who, server, message.method, sender] += 1
            if message.method == "subscriptions/listen":
                wanted = subscriptions_of(message)
                claim["subscriptions", who] += wanted
                claim["subscriptions", who, sender] += wanted
        return self._why_not(claim, who, sender, server) or claim

    def _why_not(self, claim: Claim, who: str, sender: str, server: str) -> str:
        limits = self.limits
        if not self._fits(claim, ("requests", who), sender, limits.concurrent):
            return f"{limits.concurrent} requests are in flight"
        if not self._fits(claim, ("subscriptions", who), sender, limits.subscriptions):
            return f"{limits.subscriptions} subscriptions stand"
        for key in claim:
            if key[0] == "listing" and len(key) == 4 and not self._fits(claim, key, sender, LISTING):  # noqa: PLR2004 (without its sender)
                return f"{LISTING} requests {key[3][:64]} to {server} are in flight"
        return ""

    def _fits(self, claim: Claim, key: tuple[str, ...], sender: str, most: int) -> bool:
        if not claim[key] or self._held[key] + claim[key] <= most:
            return True
        own = max(1, most // self.limits.sessions)
        return self._held[*key, sender] + claim[key] <= own

    def carry(self, carriage: Carriage, principal: Principal, claim: Claim | None = None) -> None:
        """What a carriage waits for is in flight until it is over."""
        held = claim or Counter({("requests", principal.id): carriage.awaited})
        self._held.update(held)

        def done() -> None:
            self._give_back(held)

        carriage.on_done = done

    def _give_back(self, held: Claim) -> None:
        for key, count in held.items():
            self._held[key] -= count
            if self._held[key] <= 0:
                del self._held[key]

    # -- subscriptions of sessions, which stand without a request ------------------------------------------------------

    def subscribe(self, principal: Principal, sender: str, standing: Counter[str], message: Message) -> str:
        """Count what a message of a session changes of the subscriptions that are ``standing``, by their URI; or why
        there may be no more.
        """
        if isinstance(message, Notification) or not isinstance(message, Request):
            return ""
        if message.method not in ("resources/subscribe", "resources/unsubscribe"):
            return ""
        uri = str((message.params or {}).get("uri"))[:8192]
        one: Claim = Counter({("subscriptions", principal.id): 1, ("subscriptions", principal.id, sender): 1})
        if message.method == "resources/unsubscribe":
            if standing[uri] > 0:
                standing[uri] -= 1
                self._give_back(one)
            return ""
        if not self._fits(one, ("subscriptions", principal.id), sender, self.limits.subscriptions):
            return f"{self.limits.subscriptions} subscriptions stand"
        standing[uri] += 1
        self._held.update(one)
        return ""

    def unsubscribe_all(self, principal: Principal, sender: str, standing: Counter[str]) -> None:
        """The session is over."""
        count = standing.total()
        standing.clear()
        self._give_back(
            Counter({("subscriptions", principal.id): count, ("subscriptions", principal.id, sender): count})
        )

"""What is in flight through one door: bytes of the whole process; requests and subscriptions of each principal.

A request is in flight from when it is carried to when its last answer was handed over. One that its client took back
holds its place for a second more: the server may still be at it, and taking back is no way to have ever more at once.
Of what a principal may have at once each sender (a session, or a connection where there are none) has its own part, one
in as many as there may be sessions: that it gets also where the others of its principal have used up all. A connection
is had for nothing, so of a principal's connections no more get such a part than four times as many as it may have
sessions: more than a client that runs away opens, so that an honest one beside it is served, and not without end.

Bytes of bodies that are still coming in are held by calls. The first of each call (``OWN_BYTES``) count for nobody, as
what waits unread on a connection does not: so an ordinary message is taken whatever others hold. Of the rest no
principal may hold more than three times what it leaves: however many fill their part, there is something for the next.

Requests for lists, and whatever else does no work, are few at a time of each method: a naive server goes through
everything it has for each of them, and meanwhile serves nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from doorward.gateway.http.carriage import Carriage
from doorward.gateway.http.limits import PIECE_BYTES
from doorward.gateway.metering import LISTING, STANDING, WORK, subscriptions_of
from doorward.judge.vocabulary import Principal
from doorward.policy.amounts import Limits
from doorward.wire.jsonrpc import Message, Request

OWN_BYTES: Final = PIECE_BYTES
"""Of each body: one read of a socket, and more than nearly all messages have."""

TAKEN_BACK_S: Final = 1.0
"""A client that gives up so many requests a second as it may have at once has its places back before it misses them."""

_CONNECTIONS: Final = 4  # of which one may have a part, for each session that there may be
_TIMES_LEFT: Final = 3
_SUBSCRIBING: Final = frozenset({"resources/subscribe", "resources/unsubscribe"})

Claim = Counter[tuple[str, ...]]
"""What something holds while it is in flight, by what it counts against."""


class Load:
    """Counts against ``limits``, which may be exchanged at any time: what is in flight already stays. ``later`` does
    something after so many seconds.
    """

    def __init__(self, limits: Limits, later: Callable[[float, Callable[[], None]], object]) -> None:
        self.limits = limits
        self._later = later
        self._held: Claim = Counter()
        self._bytes: Counter[str] = Counter()  # of each principal, beyond what is each body's own
        self._all_bytes = 0

    def take(self, who: str, held: int, count: int) -> bool:
        """Whether a body of ``who``, of which so many bytes are held already, may have so many more; it has, then."""
        beyond = _beyond(held + count) - _beyond(held)
        if beyond:
            left = self.limits.in_flight_bytes - self._all_bytes - beyond
            if self._bytes[who] + beyond > _TIMES_LEFT * left:
                return False
            self._bytes[who] += beyond
            self._all_bytes += beyond
        return True

    def give(self, who: str, held: int) -> None:
        """A body of which so many bytes were held is not held any more."""
        beyond = _beyond(held)
        if beyond:
            self._all_bytes -= beyond
            self._bytes[who] -= beyond
            if not self._bytes[who]:
                del self._bytes[who]

    def claim(
        self, principal: Principal, sender: str, server: str, messages: Sequence[Message], *, session: bool
    ) -> Claim | str:
        """What ``messages`` would hold, or why they may not now. Nothing is held before :meth:`carry`. ``session``: the
        sender is no mere connection.
        """
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
        return self._why_not(claim, who, sender, server, session=session) or claim

    def _why_not(self, claim: Claim, who: str, sender: str, server: str, *, session: bool) -> str:
        limits = self.limits
        if not self._fits(claim, ("requests", who), sender, limits.concurrent, session=session):
            return f"{limits.concurrent} requests are in flight"
        if not self._fits(claim, ("subscriptions", who), sender, limits.subscriptions, session=session):
            return f"{limits.subscriptions} subscriptions stand"
        for key in claim:
            without_sender = key[0] == "listing" and len(key) == 4  # noqa: PLR2004 - its parts
            if without_sender and not self._fits(claim, key, sender, LISTING, session=session):
                return f"{LISTING} requests {key[3][:64]} to {server} are in flight"
        return ""

    def _fits(self, claim: Claim, key: tuple[str, ...], sender: str, most: int, *, session: bool) -> bool:
        held, more = self._held[key], claim[key]
        if not more or held + more <= most:
            return True
        own = max(1, most // self.limits.sessions)
        if not session and held + more > most + own * self.limits.sessions * _CONNECTIONS:
            return False
        return self._held[*key, sender] + more <= own

    def carry(self, carriage: Carriage, principal: Principal, claim: Claim | None = None) -> None:
        """What a carriage waits for is in flight until it is over."""
        held = claim or Counter({("requests", principal.id): carriage.awaited})
        self._held.update(held)

        def done() -> None:
            if carriage.taken_back:
                self._later(TAKEN_BACK_S, give_back)
            else:
                give_back()

        def give_back() -> None:
            self._give_back(held)

        carriage.on_done = done

    def _give_back(self, held: Claim) -> None:
        for key, count in held.items():
            self._held[key] -= count
            if self._held[key] <= 0:
                del self._held[key]

    # -- subscriptions of sessions, which stand without a request ------------------------------------------------------

    def subscribe(self, principal: Principal, sender: str, standing: Counter[str], messages: Sequence[Message]) -> str:
        """Count what messages of a session change of the subscriptions that are ``standing``, by their URI; or why
        there may be no more. Then none of it was counted.
        """
        after = standing
        for message in messages:
            if not isinstance(message, Request) or message.method not in _SUBSCRIBING:
                continue
            if after is standing:
                after = standing.copy()
            uri = str((message.params or {}).get("uri"))[:8192]
            if message.method == "resources/subscribe":
                after[uri] += 1
            elif after[uri] > 1:
                after[uri] -= 1
            else:
                after.pop(uri, None)  # a URI that nobody has any more is not remembered
        more = after.total() - standing.total()
        key = ("subscriptions", principal.id)
        if more > 0 and not self._fits(Counter({key: more}), key, sender, self.limits.subscriptions, session=True):
            return f"{self.limits.subscriptions} subscriptions stand"
        if after is not standing:
            standing.clear()
            standing.update(after)
            self._give_back(Counter({key: -more, (*key, sender): -more}))
        return ""

    def unsubscribe_all(self, principal: Principal, sender: str, standing: Counter[str]) -> None:
        """The session is over."""
        count = standing.total()
        standing.clear()
        self._give_back(
            Counter({("subscriptions", principal.id): count, ("subscriptions", principal.id, sender): count})
        )


def _beyond(count: int) -> int:
    return max(0, count - OWN_BYTES)

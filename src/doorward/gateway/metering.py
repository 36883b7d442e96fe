"""How often each source may send: the buckets of ``content.rates``, by address, principal, server, session, method and
tool, for what clients say and for what servers say.

A message passes if every bucket that it draws on has something left. Where those are used up that it shares with
others (its address, principal or server), it still passes out of the part that is its session's own: one in as many
equal parts as one principal may have sessions. So whoever floods takes what is left over and never what an honest
session lives on, also where both are the same user. What is refused costs nothing.

A source is a session, the one client of a pipe, or, where there are no sessions, a connection. A session is one source
from whatever addresses it is used; when it ends, the next one of its principal goes on with its part as it was left: to
begin sessions is no way to more parts than were ever open at once. A connection is had for nothing, so its own part
begins empty. Its first two messages it may take out of one part more, which all connections of its principal share: a
client that comes beside a flood is served, and whoever opens connections gets that one part, once: what passes is
counted for the principal as well.

A connection is known until it ends; of senders that a proxy forwards those that were used longest ago are forgotten
beyond a bound, and begin anew.

Not protected against: a principal that holds very many connections and needs little on each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

import msgspec

from doorward.content.rates import Bucket, Rate, charge
from doorward.judge.vocabulary import Effect, Finding, Peer
from doorward.policy.model import Policy
from doorward.wire.jsonrpc import Message, Notification, Request, Response

CONTROL: Final = "rates"
CAPACITY: Final = -31003

WORK: Final = frozenset({"tools/call", "resources/read", "prompts/get", "completion/complete"})
"""Methods that a client works with. What else there is, it needs at the start and once in a while."""

STANDING: Final = frozenset({"subscriptions/listen", "initialize"})
"""Methods that wait by their nature, and have limits of their own."""

LISTING: Final = 4
"""At once, of one method, principal and server. Clients ask for one list after the other: each page names the next."""

NEW: Final = 2
"""Messages of a new connection that may come out of the part of all new ones. Few, so that a flood on connections of
its own has soon used up what it may take there, and the part fills for who comes then."""

_MAX_NAMED: Final = 64  # methods and tools of one source; those beyond share one bucket
_MAX_NAME: Final = 256  # characters of a tool's name; those that are longer share it too
_MAX_SOURCES: Final = 2048
_MAX_CONNECTIONS: Final = 8192  # more than a listener has: each is forgotten when it ends
_OTHERS: Final = ("", "")

_Held = TypeVar("_Held")
_Kind = tuple[str, str]
"""What a message is counted as: its method, and for a call its tool; answers are all one kind."""


class Counted(msgspec.Struct, frozen=True):
    """What messages of one kind count against: buckets of that kind alone, all that must have something left, and all
    that are charged.
    """

    named: tuple[Bucket, ...]
    asked: tuple[Bucket, ...]
    charged: tuple[Bucket, ...]


class Own:
    """What is a session's or connection's own: all that it sends, its part, and what it sends of each kind."""

    __slots__ = ("kinds", "part", "whole")

    def __init__(self, whole: Bucket, part: Bucket) -> None:
        self.whole = whole
        self.part = part
        self.kinds: dict[_Kind, tuple[Bucket, ...]] = {}


class Source:
    """What one session or connection may still send from one address: its own buckets, and those that it shares."""

    __slots__ = ("beginnings", "named", "new", "owes", "own", "part", "principal", "shared", "whole")

    def __init__(
        self,
        principal: str,
        own: Own,
        shared: tuple[tuple[str, Bucket], ...],
        beginnings: Bucket | None = None,
        owes: float = 0.0,
    ) -> None:
        self.principal = principal
        self.own = own
        self.whole = own.whole
        self.part = own.part
        self.shared = shared
        self.beginnings = beginnings or own.part
        self.new = NEW if beginnings is not None else 0
        self.owes = owes  # seconds that it may, before it counts as one that sends beyond its part
        self.named: dict[_Kind, Counted] = {}


class _Kept(Generic[_Held]):
    """Those that were used last: at least so many, and at most twice as many."""

    def __init__(self, least: int = _MAX_SOURCES) -> None:
        self._least = least
        self.lately: dict[Hashable, _Held] = {}
        self._before: dict[Hashable, _Held] = {}

    def of(self, key: Hashable, make: Callable[[], _Held]) -> _Held:
        found = self.lately.get(key) or self._before.pop(key, None) or make()
        if len(self.lately) >= self._least and key not in self.lately:
            self._before, self.lately = self.lately, {}
        self.lately[key] = found
        return found

    def again(self, key: Hashable) -> _Held | None:
        """What is there."""
        return self.lately.get(key) or self._before.get(key)

    def pop(self, key: Hashable) -> _Held | None:
        """What was there, which is not kept any more."""
        before = self._before.pop(key, None)
        return self.lately.pop(key, before)


class Meter:
    """What clients send, of one process. ``now`` is seconds of a clock that does not go back."""

    def __init__(self, policy: Policy, now: Callable[[], float]) -> None:
        self._now = now
        self.adopt(policy)

    def adopt(self, policy: Policy) -> None:
        """Count by another policy from now on; every bucket begins full, and sources are made anew."""
        self._policy = policy
        self._rates = policy.rates
        self._principals: _Kept[Bucket] = _Kept()
        self._addresses: _Kept[Bucket] = _Kept()
        self._servers: _Kept[Bucket] = _Kept()
        self._tools: _Kept[Bucket] = _Kept()
        self._beginnings: _Kept[Bucket] = _Kept()
        self._sources: _Kept[Source] = _Kept()
        self._connections: _Kept[dict[tuple[str, str, str], Source]] = _Kept(_MAX_CONNECTIONS)
        self._sessions: _Kept[Own] = _Kept()
        self._left: _Kept[list[Bucket]] = _Kept()  # parts of sessions that are over

    def source(
        self, key: Hashable, *, principal: str, address: str, server: str, session: bool, forwarded: bool = False
    ) -> Source:
        """The source that ``key`` names for ``principal`` at ``server``; ``session``: not a mere connection, of which
        :meth:`forget` says when it has ended; ``forwarded``: neither, but whom a proxy passes on.
        """
        if session or forwarded:
            known = (key, principal, address, server)
            found = self._sources.lately.get(known)
            if found is not None:
                return found
            return self._sources.of(known, lambda: self._make(key, principal, address, server, session=session))
        mine = self._connections.of(key, dict)
        one = mine.get((principal, address, server))
        if one is None:
            one = mine[principal, address, server] = self._make(key, principal, address, server, session=False)
        return one

    def forget(self, key: Hashable) -> None:
        """The connection that ``key`` names has ended. No other that comes may make it be forgotten before."""
        self._connections.pop(key)

    def over(self, key: Hashable, *, principal: str, server: str) -> None:
        """The session that ``key`` names has ended."""
        own = self._sessions.pop((key, principal, server))
        if own is not None:
            self._left.of((principal, server), list).append(own.part)

    def _make(self, key: Hashable, principal: str, address: str, server: str, *, session: bool) -> Source:
        rates = self._rates
        said = self._policy.for_server(server).rate
        to_server = _lower(rates.of("server"), said)
        shared = [
            ("principal", self._principals.of(principal, lambda: Bucket(rates.of("principal")))),
            ("server", self._servers.of(server, lambda: Bucket(to_server))),
        ]
        if address:
            shared.append(("address", self._addresses.of(address, lambda: Bucket(rates.of("address")))))
        sessions = self._policy.limits.sessions
        least = _lower(_lower(rates.of("principal"), to_server), rates.of("address"))
        part = Rate(least.per_second / sessions, max(1.0, least.burst / sessions))

        def begin() -> Own:
            left = self._left.again((principal, server)) or [Bucket(part)]
            fullest = min(range(len(left)), key=lambda at: left[at].at)
            return Own(Bucket(rates.of("session")), left.pop(fullest))

        if session:
            return Source(principal, self._sessions.of((key, principal, server), begin), tuple(shared))
        beginnings = self._beginnings.of((principal, server), lambda: Bucket(part))
        owes = (NEW + 1) / part.per_second
        own = Own(Bucket(rates.of("session")), Bucket(part, empty_at=self._now()))
        return Source(principal, own, tuple(shared), beginnings, owes)

    def take(self, source: Source, server: str, message: Message) -> Finding | None:
        """Count one message; or what is to be said of it, where it comes too early. Then it was not counted."""
        kind = _kind_of(message)
        counted = source.named.get(kind) or self._named(source, server, kind)
        now = self._now()
        for bucket in counted.asked:
            if bucket.at > now:
                return self._take_own(source, counted, kind, now)
        charge(counted.charged, now)
        return None

    def _take_own(self, source: Source, counted: Counted, kind: _Kind, now: float) -> Finding | None:
        """Take a message out of a part of its own, where something that it counts against is used up."""
        for bucket in counted.named:
            if (wait := bucket.wait(now)) > 0:
                return _early(f"of {_word(kind)}", wait)
        if (wait := source.whole.wait(now)) > 0:
            return _early("of one session", wait)
        own = source.part
        for what, bucket in source.shared:
            if (wait := bucket.wait(now)) > 0 and (mine := own.wait(now)) > 0:
                if not source.new or source.beginnings.wait(now) > 0:
                    return _early(f"of one {what}", min(wait, mine))
                own = source.beginnings
        charge((*counted.asked, own), now)
        if own is not source.part:
            source.new -= 1
        return None

    def beyond(self, source: Source) -> bool:
        """Whether it sends more than its own part: of what it is granted, it takes from what others leave over. Not the
        first messages of a connection, whose part is still empty.
        """
        return source.part.wait(self._now()) > source.owes

    def _named(self, source: Source, server: str, kind: _Kind) -> Counted:
        kinds = source.own.kinds
        if len(kind[1]) > _MAX_NAME or (kind not in kinds and len(kinds) >= _MAX_NAMED):
            kind = _OTHERS
            if kind in source.named:
                return source.named[kind]
        if kind not in kinds:
            kinds[kind] = self._of_kind(source, server, kind)
        asked = (*kinds[kind], source.whole, *(bucket for _, bucket in source.shared))
        source.named[kind] = Counted(kinds[kind], asked, (*asked, source.part))
        return source.named[kind]

    def _of_kind(self, source: Source, server: str, kind: _Kind) -> tuple[Bucket, ...]:
        method, tool = kind
        works = method in WORK or not method
        found = [Bucket(self._rates.of("tool" if works else "method"))]
        said = self._policy.for_server(server).tool(tool).rate if tool else None
        if said is not None:
            found.append(self._tools.of((source.principal, server, tool), lambda: Bucket(said)))
        return tuple(found)


class Incoming:
    """What the server of one link says on its own. Its answers are not counted: each was asked for."""

    def __init__(self, policy: Policy, now: Callable[[], float]) -> None:
        self._rates = policy.rates
        self._now = now
        self._named: dict[tuple[type, str], Bucket] = {}

    def take(self, message: Message) -> Finding | None:
        """As :meth:`Meter.take`."""
        if isinstance(message, Response):
            return None
        kind = (type(message), message.method)
        bucket = self._named.get(kind)
        if bucket is None:
            if len(self._named) >= _MAX_NAMED:
                kind = (kind[0], "")
            rate = self._rates.of("notice" if isinstance(message, Notification) else "ask")
            bucket = self._named.setdefault(kind, Bucket(rate))
        now = self._now()
        if (wait := bucket.wait(now)) > 0:
            return _early(f"of {message.method[:64]} of one server", wait)
        charge((bucket,), now)
        return None


def subscriptions_of(message: Message) -> int:
    """How many subscriptions a request asks for."""
    if not isinstance(message, Request):
        return 0
    if message.method == "resources/subscribe":
        return 1
    if message.method != "subscriptions/listen":
        return 0
    wanted = (message.params or {}).get("notifications")
    uris = wanted.get("resourceSubscriptions") if isinstance(wanted, dict) else None
    return max(1, len(uris)) if isinstance(uris, list) else 1


def _kind_of(message: Message) -> _Kind:
    if type(message) is Response:
        return _OTHERS
    method = message.method
    if method == "tools/call" and message.params:
        name = message.params.get("name")
        if isinstance(name, str):
            return method, name
    return method, ""


def _lower(one: Rate, other: Rate | None) -> Rate:
    if other is None:
        return one
    return Rate(min(one.per_second, other.per_second), min(one.burst, other.burst))


def _word(kind: _Kind) -> str:
    return " ".join(kind).strip()[:80] or "answers"


def _early(what: str, wait: float) -> Finding:
    told = {"retryAfterMs": max(1, math.ceil(wait * 1000))}
    peer = Peer(CAPACITY, "too often; try again later", told)
    return Finding(CONTROL, Effect.DENY, f"too many messages {what}", peer=peer)

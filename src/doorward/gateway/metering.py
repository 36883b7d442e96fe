"""How often each source may send: the buckets of ``content.rates``, by address, principal, server, session, method and
tool, for what clients say and for what servers say.

A message passes if every bucket that it draws on has something left. Where those are used up that it shares with
others (its address, principal or server), it still passes out of the part that is its session's own: one in as many
equal parts as one principal may have sessions. So whoever floods takes what is left over and never what an honest
session lives on, also where both are the same user. What is refused costs nothing.

A source is a session, the one client of a pipe, or, where there are no sessions, a connection. A connection is had for
nothing, so its own part begins empty. Its first two messages it may take out of one part more, which all connections of
its principal share: a client that comes beside a flood is served, and whoever opens connections gets that one part,
once: what passes is counted for the principal as well.

Not protected against: a principal that holds very many connections and needs little on each; beyond a bound those that
were used longest ago are forgotten, and begin anew.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, NamedTuple, TypeVar

from doorward.content.rates import Bucket, Rate
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
_MAX_SOURCES: Final = 2048
_OTHERS: Final = ""

_Held = TypeVar("_Held")


class Counted(NamedTuple):
    """What messages of one kind count against: buckets of that kind alone, and all that must have something left."""

    named: tuple[Bucket, ...]
    asked: tuple[Bucket, ...]


class Source:
    """What one session or connection may still send: its own buckets, and those that it shares."""

    __slots__ = ("beginnings", "named", "new", "owes", "part", "principal", "shared", "whole")

    def __init__(
        self,
        principal: str,
        whole: Bucket,
        part: Bucket,
        shared: tuple[tuple[str, Bucket], ...],
        beginnings: Bucket | None = None,
        owes: float = 0.0,
    ) -> None:
        self.principal = principal
        self.whole = whole
        self.part = part
        self.shared = shared
        self.beginnings = beginnings or part
        self.new = NEW if beginnings is not None else 0
        self.owes = owes  # seconds that it may, before it counts as one that sends beyond its part
        self.named: dict[str, Counted] = {}


class _Kept(OrderedDict[Hashable, _Held], Generic[_Held]):
    """At most so many, those that were used last."""

    def again(self, key: Hashable) -> _Held | None:
        """What is there."""
        found = self.get(key)
        if found is not None:
            self.move_to_end(key)
        return found

    def of(self, key: Hashable, make: Callable[[], _Held], most: int = _MAX_SOURCES) -> _Held:
        found = self.again(key)
        if found is None:
            found = self[key] = make()
            if len(self) > most:
                self.popitem(last=False)
        return found


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

    def source(self, key: Hashable, *, principal: str, address: str, server: str, session: bool) -> Source:
        """The source that ``key`` names for ``principal`` at ``server``; ``session``: not a mere connection."""
        known = (key, principal, address, server)
        found = self._sources.again(known)
        return found or self._sources.of(known, lambda: self._make(principal, address, server, session=session))

    def _make(self, principal: str, address: str, server: str, *, session: bool) -> Source:
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
        whole = Bucket(rates.of("session"))
        if session:
            return Source(principal, whole, Bucket(part), tuple(shared))
        beginnings = self._beginnings.of((principal, server), lambda: Bucket(part))
        owes = (NEW + 1) / part.per_second
        return Source(principal, whole, Bucket(part, empty_at=self._now()), tuple(shared), beginnings, owes)

    def take(self, source: Source, server: str, message: Message) -> Finding | None:
        """Count one message; or what is to be said of it, where it comes too early. Then it was not counted."""
        kind = kind_of(message)
        counted = source.named.get(kind) or self._named(source, server, kind)
        now = self._now()
        own: Bucket | Finding = source.part
        for bucket in counted.asked:
            if bucket.at > now:
                own = self._used_up(source, counted, kind, now)
                break
        if isinstance(own, Finding):
            return own
        for bucket in counted.asked:
            bucket.charge(now)
        own.charge(now)
        if own is not source.part:
            source.new -= 1
        return None

    def _used_up(self, source: Source, counted: Counted, kind: str, now: float) -> Bucket | Finding:
        """Which part of its own a message is taken out of, where something that it counts against is used up; or what
        is to be said of it.
        """
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
        return own

    def beyond(self, source: Source) -> bool:
        """Whether it sends more than its own part: of what it is granted, it takes from what others leave over. Not the
        first messages of a connection, whose part is still empty.
        """
        return source.part.wait(self._now()) > source.owes

    def _named(self, source: Source, server: str, kind: str) -> Counted:
        if len(source.named) >= _MAX_NAMED:
            kind = _OTHERS
            if kind in source.named:
                return source.named[kind]
        method, _, tool = kind.partition(" ")
        works = method in WORK or not method
        found = [Bucket(self._rates.of("tool" if works else "method"))]
        said = self._policy.for_server(server).tool(tool).rate if tool else None
        if said is not None:
            found.append(self._tools.of((source.principal, server, tool), lambda: Bucket(said)))
        shared = [bucket for _, bucket in source.shared]
        source.named[kind] = Counted(tuple(found), (*found, source.whole, *shared))
        return source.named[kind]


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
                kind = (kind[0], _OTHERS)
            rate = self._rates.of("notice" if isinstance(message, Notification) else "ask")
            bucket = self._named.setdefault(kind, Bucket(rate))
        now = self._now()
        if (wait := bucket.wait(now)) > 0:
            return _early(f"of {message.method[:64]} of one server", wait)
        bucket.charge(now)
        return None


def kind_of(message: Message) -> str:
    """What a message is counted as: its method, and for a call its tool; answers are all one kind."""
    if isinstance(message, Response):
        return _OTHERS
    if message.method == "tools/call":
        name = (message.params or {}).get("name")
        return f"tools/call {name[:256]}" if isinstance(name, str) else message.method
    return message.method


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


def _lower(one: Rate, other: Rate | None) -> Rate:
    if other is None:
        return one
    return Rate(min(one.per_second, other.per_second), min(one.burst, other.burst))


def _word(kind: str) -> str:
    return kind[:80] or "answers"


def _early(what: str, wait: float) -> Finding:
    told = {"retryAfterMs": max(1, math.ceil(wait * 1000))}
    peer = Peer(CAPACITY, "too often; try again later", told)
    return Finding(CONTROL, Effect.DENY, f"too many messages {what}", peer=peer)

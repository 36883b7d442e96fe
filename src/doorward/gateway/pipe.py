"""What may come over one link without HTTP's door before it: from the one client of a pipe, and from any server.

A client on a pipe has nobody beside it whom it could starve but itself: an agent that runs away fills the pipe of the
person who works there too. Servers are counted here on every transport.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Final

from doorward.gateway.metering import CAPACITY, STANDING, WORK, Incoming, Meter, subscriptions_of
from doorward.judge.vocabulary import Effect, Finding, Peer, Side
from doorward.relay.relay import Relay
from doorward.wire.jsonrpc import Message, Request, key_of

CONTROL: Final = "principal-limits"
AT_ONCE: Final = 2
"""Of each method that does no work: there is one client, which asks for one list after the other."""

_SOON: Final = {"retryAfterMs": 1000}


class Counting:
    """Of one link of ``principal``, under the policy that its relay has now."""

    def __init__(self, relay: Relay, principal: str) -> None:
        settings = relay.state.settings
        self._relay = relay
        self._server = settings.server
        self._limits = settings.policy.limits
        self._meter = Meter(settings.policy, time.monotonic)
        self._source = self._meter.source("", principal=principal, address="", server=settings.server, session=True)
        self._incoming = Incoming(settings.policy, time.monotonic)
        self._subscribed: Counter[str] = Counter()
        self._listening: dict[str, int] = {}

    def too_much(self, message: Message, sender: Side) -> Finding | None:
        """What is to be said of a message that comes too early, or of which there are too many at once."""
        if sender == "server":
            return self._incoming.take(message)
        early = self._meter.take(self._source, self._server, message)
        if early is not None or not isinstance(message, Request) or message.method in WORK:
            return early
        return self._too_many(message)

    def _too_many(self, message: Request) -> Finding | None:
        if message.method not in STANDING:
            opened = self._relay.state.opened.values()
            under_way = sum(one.method == message.method and one.asker == "client" for one in opened)
            if under_way >= AT_ONCE:
                return _full(f"{AT_ONCE} requests {message.method[:64]} are in flight")
        wanted = subscriptions_of(message)
        if wanted or message.method == "resources/unsubscribe":
            return self._subscribe(message, wanted)
        return None

    def _subscribe(self, message: Request, wanted: int) -> Finding | None:
        uri = str((message.params or {}).get("uri"))
        if not wanted:
            self._subscribed[uri] -= 1
            self._subscribed = +self._subscribed
            return None
        opened = self._relay.state.opened
        self._listening = {key: count for key, count in self._listening.items() if ("client", key) in opened}
        standing = self._subscribed.total() + sum(self._listening.values())
        if standing + wanted > self._limits.subscriptions:
            return _full(f"{self._limits.subscriptions} subscriptions stand")
        if message.method == "resources/subscribe":
            self._subscribed[uri] += 1
        else:
            self._listening[key_of(message.id)] = wanted
        return None


def _full(why: str) -> Finding:
    return Finding(CONTROL, Effect.DENY, why, peer=Peer(CAPACITY, "too much at once; try again later", _SOON))

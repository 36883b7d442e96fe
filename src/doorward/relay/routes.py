"""On which exchange a message goes on to the other side.

A server's answers leave on the exchange of their request, a client's on the one they came with. What arrives on a
standing stream (0: a stdio pipe, the legacy GET stream) belongs to a request if it names one: by its progress token,
the request it cancels, or its subscription; else to the only open request; else it stays on the standing stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from doorward.judge.vocabulary import Open, Side
from doorward.protocol import stateless, versions
from doorward.protocol.actions import Cancel, ReportProgress, interpret
from doorward.wire.jsonrpc import Message, Response, key_of, key_or_nothing

Table = Mapping[tuple[Side, str], Open]

STANDING: Final = 0
"""The exchange that is always there: a stdio pipe, the legacy GET stream."""

OURS: Final = -1
"""The carriage of Doorward's own questions. What a server says on it and is no answer belongs to nobody."""


def other(side: Side) -> Side:
    """The side across."""
    return "server" if side == "client" else "client"


def exchange_for(message: Message, sender: Side, arrived_on: int, era: str, opened: Table) -> int:
    """The exchange of ``message`` towards the other side."""
    to = other(sender)
    if sender == "client":
        return arrived_on
    if isinstance(message, Response):
        asked = opened.get((to, key_of(message.id))) if message.id is not None else None
        return asked.exchange if asked is not None else STANDING
    if arrived_on > STANDING:
        return arrived_on
    named = _named(message, to, era, opened)
    if named is not None:
        return named.exchange
    theirs = [request for (asker, _), request in opened.items() if asker == to and not request.ours]
    return theirs[0].exchange if len(theirs) == 1 else STANDING


def _named(message: Message, to: Side, era: str, opened: Table) -> Open | None:
    if isinstance(message, Response):
        return None
    (action, *_) = interpret(message, "legacy" if era != "modern" else era)
    if isinstance(action, ReportProgress):
        return next((r for (asker, _), r in opened.items() if asker == to and r.progress == action.token), None)
    if isinstance(action, Cancel):
        return opened.get((to, action.request))
    subscription = stateless.meta_of(message.params).get(versions.META_SUBSCRIPTION)
    return opened.get((to, key_or_nothing(subscription)))

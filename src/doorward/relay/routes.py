"""On which exchange a message goes on to the other side.

Answers leave on the exchange of their request. What arrives on a standing stream (0: a stdio pipe, the legacy GET
stream) belongs to a request if it names one: by its progress token, the request it cancels, or its subscription;
else to the only open request; else it stays on the standing stream.
"""

from __future__ import annotations

from collections.abc import Mapping

from doorward.judge.vocabulary import Open, Side
from doorward.protocol import stateless, versions
from doorward.protocol.actions import Cancel, ReportProgress, interpret
from doorward.wire.jsonrpc import Message, Response, key_of, key_or_nothing

Table = Mapping[tuple[Side, str], Open]


def other(side: Side) -> Side:
    """The side across."""
    return "server" if side == "client" else "client"


def exchange_for(message: Message, sender: Side, arrived_on: int, era: str, opened: Table) -> int:
    """The exchange of ``message`` towards the other side."""
    to = other(sender)
    if isinstance(message, Response):
        asked = opened.get((to, key_of(message.id))) if message.id is not None else None
        return asked.exchange if asked is not None else 0
    if arrived_on != 0 or sender == "client":
        return arrived_on
    named = _named(message, to, era, opened)
    if named is not None:
        return named.exchange
    theirs = [request for (asker, _), request in opened.items() if asker == to]
    return theirs[0].exchange if len(theirs) == 1 else 0


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

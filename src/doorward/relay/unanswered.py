"""What a server asked and its client never answered: it ends, and the server gets its refusal.

A person may take long, so half an hour passes, as long as an answer of a server may take (`gateway.upstream`); the
client is told that nobody waits any more, as if the server had taken it back. Only the legacy era has such requests: a
modern client that does not answer leaves nothing open.
"""

from __future__ import annotations

from typing import Final

from doorward.judge.checks.honoured import CONTROL
from doorward.judge.vocabulary import Decision, Effect, Facts, Finding, Open
from doorward.protocol import versions
from doorward.relay import context as contexts
from doorward.relay import ends, records, replies, routes
from doorward.relay.commands import Command, Send
from doorward.relay.state import State
from doorward.wire.jsonrpc import Notification, encode

PATIENCE_S: Final = 30 * 60
_PATIENCE_US: Final = PATIENCE_S * 1_000_000


def deadline(state: State) -> int | None:
    """When the oldest of them ends."""
    oldest = next(iter(state.asked.values()), None)
    return oldest.at + _PATIENCE_US if oldest is not None else None


def expire(state: State, facts: Facts, now: int) -> list[Command]:
    """End those that are due."""
    commands: list[Command] = []
    for opened in list(state.asked.values()):
        if opened.at + _PATIENCE_US > now:
            break
        if opened.state != "SENT":
            continue  # a person is asked, and that has a deadline of its own
        context = contexts.of_link(state, facts, now)
        cause = f"the client did not answer in {PATIENCE_S // 60} minutes"
        name = versions.INPUT_CAPABILITY.get(opened.method)
        said = f"the client declared {name} and did not answer in {PATIENCE_S // 60} minutes"
        noted = (Finding(CONTROL, Effect.NOTE, said, opened.method),) if name else ()
        reference = records.reference(facts)
        decision = Decision(None, noted, context.policy.digest)
        state.cancel(opened)
        taken_back = records.note(
            "notice",
            context,
            grade="durable",
            sender="doorward",
            method="notifications/cancelled",
            request=opened.key,
            outcome="cancelled",
            detail={"cause": cause},
        )
        told = encode(Notification("notifications/cancelled", {"requestId": replies.id_of(opened.key)}))
        commands += [
            ends.outcome_of(opened, context, "unanswered", decision, reference, cause),
            Send(opened.asker, opened.exchange, replies.answer(opened, replies.refused(reference))),
            taken_back,
            Send("client", _still_there(state, opened), told),
        ]
    return commands


def _still_there(state: State, opened: Open) -> int:
    """The exchange that it went out on, if the client still waits for something there; else the standing stream."""
    waiting = (one.exchange for (asker, _), one in state.opened.items() if asker == "client")
    return opened.exchange if opened.exchange in waiting else routes.STANDING

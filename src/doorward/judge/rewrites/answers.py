"""Rewrite: a retried request (modern) goes on with the server's own ``requestState`` and only with answers that
were asked.

The seal was checked by a gate; here it is taken off. An entry of ``inputResponses`` that nobody asked for is
dropped and noted, so a client cannot answer in the place of a user what no user was asked (threat
``consent-bypass``).
"""

from __future__ import annotations

from typing import Final

from doorward.judge.vocabulary import MAX_EVIDENCE, Context, Effect, Finding, SealedState
from doorward.wire.jsonrpc import Message, Request

CONTROL: Final = "asked-answers"


def keep_asked_answers(message: Message, context: Context) -> tuple[Message, Finding | None]:
    if not isinstance(message, Request) or context.era != "modern" or message.params is None:
        return message, None
    if "requestState" not in message.params and "inputResponses" not in message.params:
        return message, None
    params = dict(message.params)
    seal = context.seal
    asked = {key for key, _, _ in seal.asked} if isinstance(seal, SealedState) else set[str]()
    if isinstance(seal, SealedState):
        params.pop("requestState", None)
        if seal.state is not None:
            params["requestState"] = seal.state
    given = params.get("inputResponses")
    if not isinstance(given, dict):
        return Request(message.id, message.method, params), None
    kept = {key: value for key, value in given.items() if key in asked}
    if kept:
        params["inputResponses"] = kept
    else:
        del params["inputResponses"]
    dropped = sorted(given.keys() - asked)
    note = None
    if dropped:
        note = Finding(
            CONTROL,
            Effect.NOTE,
            f"{len(dropped)} answers were dropped that nobody asked for",
            ", ".join(dropped)[:MAX_EVIDENCE],
        )
    return Request(message.id, message.method, params), note

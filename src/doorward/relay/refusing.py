"""Step 7, denied: nothing goes on, the asker is told as little as helps, and the archive is told everything."""

from __future__ import annotations

import msgspec

from doorward.judge.vocabulary import Context, Decision, Effect, Finding, Peer, Side
from doorward.protocol import handshake
from doorward.relay import context as contexts
from doorward.relay import records, replies
from doorward.relay.commands import Command, Send
from doorward.relay.state import State
from doorward.wire.jsonrpc import Decoded, Message, Notification, Request, Response, key_of


def count(state: State, frame: Decoded, sender: Side, exchange: int, found: Finding) -> list[Send] | None:
    """One more of what comes too often: counted, and what it is answered with. Nothing else of it is looked at, because
    this is what a flood costs. None where it has to be judged: the first of its kind in a window, which gets an entry;
    an answer; and everything while the operator only observes.
    """
    message = frame.message
    if isinstance(message, Response) or found.effect is not Effect.DENY or state.settings.policy.observe_until:
        return None
    reference = state.refusals.again((sender, found.control, message.method), frame.body)
    if not reference:
        return None
    if isinstance(message, Notification):
        return []
    told = replies.peer_for((found,), reference)
    return [Send(sender, exchange, _answer(state, message, contexts.era_of(state, message), sender, told))]


def turn_away(state: State, message: Message, context: Context, finding: Finding) -> list[Command]:
    """A gate refused. The first refusal of a kind in a window is recorded, the others are counted; each is answered."""
    decision = Decision(Effect.DENY, (finding,), context.policy.digest)
    if isinstance(message, Response) and context.answers is not None:
        return refuse(state, message, context, decision)
    method = "" if isinstance(message, Response) else message.method
    kind = (context.sender, finding.control, method)
    own, reference = state.refusals.first(kind, context.body, context.now, records.reference(context.facts))
    commands: list[Command] = []
    if own:
        record = state.describe("refusal", message, context, decision, context.body, "written", reference=reference)
        if isinstance(message, Request) and _is_open(state, message, context.sender):
            unnamed = Send(context.sender, context.exchange, replies.not_recorded(replies.NOBODY, executed=False))
            record = msgspec.structs.replace(record, otherwise=unnamed)
        commands.append(record)
    if isinstance(message, Request):
        told = replies.peer_for((finding,), reference)
        body = _answer(state, message, context.era, context.sender, told)
        commands.append(Send(context.sender, context.exchange, body))
    return commands


def _answer(state: State, message: Request, era: str, sender: Side, told: Peer) -> bytes:
    """What a request is refused with. A second use of an id must not look like the answer to its first use."""
    if _is_open(state, message, sender):
        return replies.error(None, told)
    return replies.refusal(message.id, message.method, era, sender, told)


def _is_open(state: State, message: Request, sender: Side) -> bool:
    return (sender, key_of(message.id)) in state.opened


def refuse(state: State, message: Message, context: Context, decision: Decision) -> list[Command]:
    """Judgment refused."""
    reference = records.reference(context.facts)
    body = contexts.bytes_of(message, context)
    if isinstance(message, Response):
        return _refuse_answer(state, message, context, decision, body, reference)
    if isinstance(message, Notification):  # nobody is told, so a flood of them is counted like those at a gate
        control = next((f.control for f in decision.findings if f.effect is not Effect.NOTE), "")
        kind = (context.sender, control, message.method)
        own, reference = state.refusals.first(kind, body, context.now, reference)
        record = state.describe("refusal", message, context, decision, body, "written", reference=reference)
        return [record] if own else []
    record = state.describe("refusal", message, context, decision, body, "written", reference=reference)
    denied = tuple(finding for finding in decision.findings if finding.effect is Effect.DENY)
    told = replies.peer_for(denied, reference)
    reply = replies.refusal(message.id, message.method, context.era, context.sender, told)
    return [record, Send(context.sender, context.exchange, reply)]


def _refuse_answer(
    state: State, message: Response, context: Context, decision: Decision, body: bytes, reference: str
) -> list[Command]:
    """An answer that may not pass: it was executed, and whoever asked learns that its answer is withheld."""
    record = state.describe(
        "outcome", message, context, decision, body, "durable", outcome="refused", reference=reference
    )
    answered = context.answers
    if answered is None:
        return [record]
    state.close(answered)
    if answered.method == "initialize":
        state.link = handshake.failed(state.link)
    if answered.ours:
        return [record]
    told = replies.peer_for_answer(decision.findings, reference)
    return [record, Send(answered.asker, answered.exchange, replies.answer(answered, told))]

"""Step 7, asked: a person decides over the very bytes that would be sent, and everything is checked again afterwards.

A ticket is single use, expires, and dies with its request. The durable record that releases it carries its id, and the
archive takes each id once: a second spend cannot be recorded, so cannot be sent.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from doorward.audit.entry import Kind
from doorward.judge.vocabulary import Context, Decision, Effect, Facts, Finding, Open, Ticket, decide
from doorward.protocol import stateless
from doorward.relay import context as contexts
from doorward.relay import records, refusing, replies, routes
from doorward.relay.commands import Answered, AskConsent, Command, Record, Send, Withdraw
from doorward.relay.consent import make_ticket
from doorward.relay.state import Held, State
from doorward.wire.jsonrpc import Message, Notification, Request, Response, encode_value, key_of

CONTROL: Final = "ticket"
MAX_HELD: Final = 16  # a person who is asked more at once is not asked, but worn out (threat `consent-bypass`)
_ALIVE_EVERY_US: Final = 10_000_000


def ticket_id(facts: Facts) -> str:
    """The id of the ticket that this event would make."""
    return records.fresh(facts, b"ticket")[:16].hex()


def ask(state: State, message: Message, context: Context, decision: Decision) -> list[Command]:
    """Hold the message and ask, or refuse at once where nobody can be asked."""
    why_not = _cannot_ask(state, message, context, decision)
    if why_not is not None:
        told = replies.no_person(records.reference(context.facts))
        unasked = Finding(CONTROL, Effect.DENY, why_not, peer=told)
        return refusing.refuse(state, message, context, decide((*decision.findings, unasked), context.policy.digest))
    body = contexts.bytes_of(message, context)
    onward = state.onward(message, context)
    opened = _held_open(state, message, context, body)
    ticket = make_ticket(
        message,
        context,
        tuple(finding for finding in decision.findings if finding.effect is Effect.ASK),
        id=ticket_id(context.facts),
        nonce=records.fresh(context.facts, b"nonce")[:16].hex(),
        definitions=state.definitions.fingerprint_of(opened.subject) if opened.method == "tools/call" else "",
    )
    opened.ticket, opened.digest, opened.reference = ticket.id, ticket.action_digest, records.reference(context.facts)
    state.held[ticket.id] = Held(
        ticket, opened, msgspec.structs.replace(context, message=None), onward, context.now + _ALIVE_EVERY_US
    )
    record = state.describe(
        "ask", message, context, decision, body, "durable", ticket=ticket.id, reference=opened.reference
    )
    return [*state.pay(), record, AskConsent(ticket)]


def _cannot_ask(state: State, message: Message, context: Context, decision: Decision) -> str | None:
    if isinstance(message, Notification):
        return "a notification cannot wait for a person"
    if not context.facts.consent:
        return "a person must be asked, and no `doorward consent` is open"
    questions = sum(finding.effect is Effect.ASK for finding in decision.findings)
    if questions > MAX_HELD:
        return f"a person must be asked {questions} questions by one message"
    if len(state.held) >= MAX_HELD:
        return f"a person must be asked and {len(state.held)} questions are open already"
    return None


def _held_open(state: State, message: Message, context: Context, body: bytes) -> Open:
    if isinstance(message, Request):
        opened = state.open(message, context, body)
        opened.state = "HELD"
        if context.era == "modern" and message.method != "server/discover":
            state.link = stateless.settle(state.link)
        return opened
    if not isinstance(message, Response) or message.id is None:
        raise AssertionError("only requests and their answers are held")
    opened = state.opened[(routes.other(context.sender), key_of(message.id))]
    opened.state, opened.body = "ANSWER_HELD", body
    return opened


def answered(state: State, event: Answered, now: int) -> list[Command]:
    """A person spoke. An unknown or spent ticket is a finding, never an exception."""
    held = state.held.pop(event.answer.ticket, None)
    if held is None:
        stray = Finding(
            CONTROL, Effect.DENY, "an answer to a ticket that is unknown or spent", event.answer.ticket[:64]
        )
        context = contexts.of_link(state, event.facts, now)
        return [records.note("answer", context, decide((stray,), context.policy.digest), sender="doorward")]
    problem = None if event.answer.approved else "a person did not agree"
    problem = _recheck(state, held, event, now) or problem
    context = msgspec.structs.replace(held.context, facts=event.facts, now=now)
    detail = {"by": event.answer.by, "how": event.answer.how, "digest": event.answer.digest}
    if problem is not None:
        return _not_released(state, held.opened, held.ticket, context, problem, detail)
    return _release(state, held, context, detail)


def _recheck(state: State, held: Held, event: Answered, now: int) -> str | None:
    """What must still be true when an approval is used."""
    ticket, opened = held.ticket, held.opened
    if not state.is_open(opened) or opened.ticket != ticket.id:
        return "its request is gone"
    if event.answer.digest != ticket.digest:
        return "the answer is about other bytes"
    if now > ticket.expires:
        return "the answer came too late"
    if event.facts.principal.id != ticket.principal:
        return "the principal changed"
    if event.facts.server.fingerprint != ticket.server.fingerprint:
        return "the server changed"
    if state.settings.policy.digest != ticket.policy or state.link.session != ticket.session:
        return "the policy or the session changed"
    if ticket.definitions and not state.definitions.complete:
        return "the server changed its tools"
    if ticket.definitions and state.definitions.fingerprint_of(opened.subject) != ticket.definitions:
        return "the tool's definition changed"
    return None


def _release(state: State, held: Held, context: Context, detail: dict[str, str]) -> list[Command]:
    """The very bytes that were shown go on."""
    opened, ticket = held.opened, held.ticket
    to = opened.asker if opened.state == "ANSWER_HELD" else routes.other(opened.asker)
    exchange = opened.exchange if opened.state == "ANSWER_HELD" else held.onward
    executed = opened.state == "ANSWER_HELD"
    record = _about(
        "outcome" if executed else "intent",
        opened,
        ticket,
        context,
        detail,
        decision="ALLOW",
        spends=ticket.id,
        outcome="ok" if executed else "",
    )
    record = _told_otherwise(record, opened)
    if executed:
        state.close(opened)
    opened.state, opened.ticket, opened.at = "SENT", "", context.now
    return [*state.pay(), record, Send(to, exchange, opened.body)]


def _not_released(
    state: State, opened: Open, ticket: Ticket, context: Context, why: str, detail: dict[str, str]
) -> list[Command]:
    finding = Finding(CONTROL, Effect.DENY, why)
    record = _about(
        "answer",
        opened,
        ticket,
        context,
        detail,
        decision="DENY",
        outcome="refused",
        reference=opened.reference,
        findings=records.findings((finding,), context.masker),
    )
    if not state.is_open(opened):
        return [record]
    state.close(opened)
    record = _told_otherwise(record, opened)
    held_answer = opened.state == "ANSWER_HELD"
    told = replies.refused(opened.reference) if held_answer else replies.person_refused(opened.reference)
    return [record, Send(opened.asker, opened.exchange, replies.answer(opened, told))]


def _told_otherwise(record: Record, opened: Open) -> Record:
    """``record``, and what whoever waits is told if it cannot be written."""
    executed = opened.state == "ANSWER_HELD"
    body = replies.not_recorded(opened.key, executed=executed)
    return msgspec.structs.replace(record, otherwise=Send(opened.asker, opened.exchange, body))


def _about(kind: Kind, opened: Open, ticket: Ticket, context: Context, detail: dict[str, str], **more: Any) -> Record:
    return records.note(
        kind,
        context,
        grade="durable",
        ticket=ticket.id,
        detail=detail,
        request=opened.key,
        method=opened.method,
        subject=opened.subject,
        **more,
    )


def expire(state: State, facts: Facts, now: int) -> list[Command]:
    """Tickets whose time is over, and signs of life for those that wait."""
    commands: list[Command] = []
    for held in list(state.held.values()):
        if now >= held.ticket.expires:
            commands += _expired(state, held, facts, now)
        elif now >= held.alive_at:
            held.alive_at = now + _ALIVE_EVERY_US
            commands += _alive(held)
    return commands


def _expired(state: State, held: Held, facts: Facts, now: int) -> list[Command]:
    opened, ticket = held.opened, held.ticket
    del state.held[ticket.id]
    state.close(opened)
    context = msgspec.structs.replace(held.context, facts=facts, now=now)
    finding = Finding(CONTROL, Effect.DENY, "nobody answered in time")
    record = _about(
        "answer",
        opened,
        ticket,
        context,
        {},
        decision="DENY",
        outcome="expired",
        reference=opened.reference,
        findings=records.findings((finding,), context.masker),
        sender="doorward",
    )
    reply = replies.expired(opened, state.settings.policy.hold_seconds, opened.reference)
    return [
        _told_otherwise(record, opened),
        Withdraw(ticket.id, "nobody answered in time"),
        Send(opened.asker, opened.exchange, reply),
    ]


def _alive(held: Held) -> list[Command]:
    """A sign of life to whoever waits, where it gave a token for progress. Too small to overtake the server's own
    count.
    """
    held.signs += 1
    opened = held.opened
    if not opened.progress:
        return []
    params = {
        "progressToken": replies.id_of(opened.progress),
        "progress": held.signs * 1e-6,
        "message": "waiting for a person's consent",
    }
    body = encode_value({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
    return [Send(opened.asker, opened.exchange, body)]


def void(state: State, opened: Open, why: str) -> list[Command]:
    """The ticket of a request that died."""
    return [Withdraw(opened.ticket, why)] if state.held.pop(opened.ticket, None) is not None else []


def deadline(state: State) -> int | None:
    """When a ticket expires or a sign of life is due."""
    return min((min(held.ticket.expires, held.alive_at) for held in state.held.values()), default=None)

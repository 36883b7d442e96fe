"""What goes wrong: a frame that cannot be read, a side that leaves, a record that cannot be written, time that runs
out.

Nobody waits for ever: whoever asked is told, once, what is known. What is not known is said to be unknown.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from doorward.judge.vocabulary import Context, Decision, Effect, Facts, Finding, Open, Peer
from doorward.protocol import handshake
from doorward.relay import asking, errands, passing, records, replies, routes
from doorward.relay import context as contexts
from doorward.relay.commands import Closed, Command, NotRecorded, Record, Send, Undelivered, Unproven, Unreadable
from doorward.relay.state import State
from doorward.wire.jsonrpc import Id, key_of

OWED_EVERY_US: Final = 1_000_000
"""How often outcomes that could not be written are tried again: a disk that recovered must not need a restart."""

SERVER_PROOF: Final = "server-proof"

_ASKS: Final = re.compile(rb'\s*+\{[^{}\[\]]*?"method"\s{0,4}:')
_ID: Final = re.compile(rb'"id"\s{0,4}:\s{0,4}("[^"\\]{1,200}"|-?\d{1,18})')


def unreadable(state: State, event: Unreadable, now: int) -> list[Command]:
    """Bytes that are no message. A client is told; of a server's, the request that they probably answer is ended."""
    context = contexts.of_link(state, event.facts, now, event.sender)
    finding = Finding(
        "frame-limits" if event.problem.rule.startswith("frame-") else "strict-decode", Effect.DENY, str(event.problem)
    )
    decision = Decision(Effect.DENY, (finding,), context.policy.digest)
    kind = (event.sender, finding.control, event.problem.rule)
    own, reference = state.refusals.first(kind, event.sample, now, records.reference(event.facts))
    commands: list[Command] = []
    if own:
        sample = state.settings.pipeline.masker.mask_text(event.sample[:256].decode("utf-8", "replace"))[0]
        detail = {"rule": event.problem.rule, "begins": sample}
        record = records.note("refusal", context, decision, reference=reference, detail=detail)
        if _is_told(state, event):
            unwritten = replies.not_recorded(_unread_key(state, event), executed=False)
            record = msgspec.structs.replace(record, otherwise=Send(event.sender, event.exchange, unwritten))
        commands.append(record)
    opened = _probably_answered(state, event)
    if opened is not None:
        commands += _withhold(state, opened, decision, context, reference)
    if _is_told(state, event):
        told = Peer(event.problem.rpc_code, str(event.problem), {"reference": reference})
        commands.append(Send(event.sender, event.exchange, replies.error(_unread_id(state, event), told)))
    return commands


def _is_told(state: State, event: Unreadable) -> bool:
    """Whether the sender hears of it: a client always, a server only of what it asked, and where it may ask."""
    if event.sender == "client":
        return True
    return state.link.era == "legacy" and event.problem.request_id is not None and _ASKS.match(event.sample) is not None


def _unread_id(state: State, event: Unreadable) -> Id | None:
    """The id to answer to. The answer must not look like the one to another request of that id."""
    request_id = event.problem.request_id
    if request_id is not None and (event.sender, key_of(request_id)) in state.opened:
        return None
    return request_id


def _unread_key(state: State, event: Unreadable) -> str:
    request_id = _unread_id(state, event)
    return key_of(request_id) if request_id is not None else replies.NOBODY


def _probably_answered(state: State, event: Unreadable) -> Open | None:
    """The request behind an unreadable answer, by an id that can be seen in it, else the client's only one that is
    open. A hostile peer gains nothing here: it may fail any request that it was sent by an honest error as well.
    """
    if _ASKS.match(event.sample):
        return None
    for found in _ID.findall(event.sample):
        opened = state.opened.get((routes.other(event.sender), found.decode("utf-8", "replace")))
        if opened is not None and opened.state == "SENT":
            return opened
    if event.sender == "client":
        return None
    sent = [opened for (asker, _), opened in state.opened.items() if asker == "client" and opened.state == "SENT"]
    if event.exchange != routes.STANDING:
        sent = [opened for opened in sent if opened.exchange == event.exchange]
    return sent[0] if len(sent) == 1 else None


def _withhold(state: State, opened: Open, decision: Decision, context: Context, reference: str) -> list[Command]:
    if opened.ours:
        return errands.fail(state, "the server's answer could not be read", context)
    state.close(opened)
    if opened.method == "initialize":
        state.link = handshake.failed(state.link)
    record = outcome_of(opened, context, "unreadable", decision, reference)
    return [record, Send(opened.asker, opened.exchange, replies.answer(opened, replies.refused(reference)))]


def outcome_of(
    opened: Open,
    context: Context,
    outcome: str,
    decision: Decision | None = None,
    reference: str = "",
    cause: str = "",
) -> Record:
    """The record of how ``opened`` ended where no answer of the other side did it."""
    executed = opened.state in ("SENT", "ANSWER_HELD")
    told = Send(opened.asker, opened.exchange, replies.not_recorded(opened.key, executed=executed))
    record = records.note(
        "outcome",
        context,
        decision,
        grade="durable",
        sender="doorward",
        method=opened.method,
        subject=opened.subject,
        request=opened.key,
        outcome=outcome,
        reference=reference,
        duration_us=context.now - opened.at,
        detail={"cause": cause} if cause else {},
    )
    return msgspec.structs.replace(record, otherwise=told)


def closed(state: State, event: Closed, now: int) -> list[Command]:
    """One side is gone. The server: every open call ends, unknown if it was sent. The client: what was held is void; a
    disconnect cancels nothing that was sent (legacy). Or one exchange is (HTTP): see below.
    """
    context = contexts.of_link(state, event.facts, now, event.side)
    if event.exchange != routes.STANDING:
        return _exchange_closed(state, event, context)
    commands: list[Command] = []
    reference = records.reference(event.facts)
    for opened in list(state.opened.values()):
        if event.side == "server":
            commands += _server_gone(state, opened, context, reference, event.cause)
        elif opened.asker == "server" or opened.state != "SENT":
            commands += _client_gone(state, opened, context, reference)
    if event.side == "server":
        state.errand = None
    record = records.note("closed", context, grade="durable", detail={"side": event.side, "cause": event.cause})
    return [*commands, *close_windows(state, event.facts, now, all_of_them=True), *state.pay(), record]


def _exchange_closed(state: State, event: Closed, context: Context) -> list[Command]:
    """An exchange of HTTP ended before its answer. A server's: the answer is unknown. A client's: it takes back what it
    asked there (modern; a legacy disconnect is none, and the doors do not report it).
    """
    if event.exchange == routes.OURS:
        return errands.fail(state, f"the server did not answer: {event.cause}", context)
    reference = records.reference(event.facts)
    commands: list[Command] = []
    for opened in list(state.opened.values()):
        if opened.asker != "client" or opened.exchange != event.exchange:
            continue
        if event.side == "client":
            commands += passing.take_back(state, opened, context)
        elif opened.state == "SENT":
            commands += _server_gone(state, opened, context, reference, event.cause)
    return commands


def unproven(state: State, event: Unproven, now: int) -> list[Command]:
    """Somebody else answered in the server's place. Each reason is recorded once in a window, and counted then: a
    client that tries again and again does not fill the log.
    """
    context = contexts.of_link(state, event.facts, now, "server")
    finding = Finding(SERVER_PROOF, Effect.DENY, event.why)
    decision = Decision(Effect.DENY, (finding,), context.policy.digest)
    kind = ("server", finding.control, event.why)
    own, reference = state.refusals.first(kind, b"", now, records.reference(event.facts))
    return [records.note("refusal", context, decision, reference=reference)] if own else []


def _server_gone(state: State, opened: Open, context: Context, reference: str, cause: str = "") -> list[Command]:
    state.close(opened)
    if opened.method == "initialize":
        state.link = handshake.failed(state.link)
    withdrawn = asking.void(state, opened, "the server ended")
    if opened.ours or opened.asker == "server":
        return withdrawn
    outcome = "unknown" if opened.state in ("SENT", "ANSWER_HELD") else "not executed"
    record = outcome_of(opened, context, outcome, reference=reference, cause=cause)
    reply = replies.server_ended(opened, reference)
    return [
        *withdrawn,
        *passing.end_progress(state, opened, context),
        record,
        Send(opened.asker, opened.exchange, reply),
    ]


def _client_gone(state: State, opened: Open, context: Context, reference: str) -> list[Command]:
    if opened.state == "FETCHING":
        return []  # nobody was asked yet; it is judged and sent as if the client still listened
    state.close(opened)
    withdrawn = asking.void(state, opened, "the client left")
    record = outcome_of(opened, context, "client left", reference=reference)
    if opened.asker == "client":
        return [*withdrawn, msgspec.structs.replace(record, otherwise=None)]
    return [*withdrawn, record, Send(opened.asker, opened.exchange, replies.answer(opened, replies.refused(reference)))]


def not_recorded(state: State, event: NotRecorded, now: int) -> list[Command]:
    """Nothing of the unit was sent. Requests are closed again, outcomes are owed, and each asker is told fixed
    bytes.
    """
    commands: list[Command] = []
    state.owed_due = now + OWED_EVERY_US
    for record in event.records:
        entry = record.entry
        if record.owed:
            state.owed.append(record)
            continue
        if entry.kind in ("outcome", "opened"):
            state.owed.append(msgspec.structs.replace(record, owed=True, otherwise=None))
        elif entry.kind in ("intent", "ask"):
            commands += _take_back(state, record)
        if entry.kind != "intent" and entry.method in ("initialize", "notifications/initialized"):
            state.link = handshake.unheard(state.link, entry.method)
        if record.otherwise is not None:
            commands.append(record.otherwise)
    return commands


def _take_back(state: State, record: Record) -> list[Command]:
    entry = record.entry
    if entry.sender == "doorward":
        return _take_back_errand(state)
    for opened in list(state.opened.values()):
        asked = opened.asker == entry.sender or opened.state == "ANSWER_HELD"
        masker = state.settings.pipeline.masker
        same = (records.named(opened.key, masker), opened.method) == (entry.request, entry.method)
        if asked and same:
            state.close(opened)
    if entry.method == "initialize":
        state.link = handshake.failed(state.link)
    return _voided(state, entry.ticket)


def _voided(state: State, ticket: str) -> list[Command]:
    held = state.held.get(ticket)
    return asking.void(state, held.opened, "it could not be recorded") if held is not None else []


def _take_back_errand(state: State) -> list[Command]:
    state.errand = None
    commands: list[Command] = []
    for opened in list(state.opened.values()):
        if opened.ours or opened.state == "FETCHING":
            state.close(opened)
        if opened.state == "FETCHING":
            body = replies.not_recorded(opened.key, executed=False)
            commands.append(Send(opened.asker, opened.exchange, body))
    return commands


def undelivered(state: State, event: Undelivered, now: int) -> list[Command]:
    """A recorded message did not reach its peer: the archive says so."""
    context = contexts.of_link(state, event.facts, now)
    detail = {"to": event.send.to, "why": event.why}
    return [records.note("notice", context, outcome="undelivered", detail=detail, body_size=len(event.send.body))]


def tick(state: State, facts: Facts, now: int) -> list[Command]:
    """Time passed: tickets, windows and errands that are due."""
    commands = [*asking.expire(state, facts, now), *close_windows(state, facts, now)]
    if state.owed and now >= state.owed_due:
        commands += state.pay()
    due = errands.deadline(state)
    if due is not None and now >= due:
        commands += errands.fail(state, "the server did not answer in time", contexts.of_link(state, facts, now))
    return commands


def close_windows(state: State, facts: Facts, now: int, *, all_of_them: bool = False) -> list[Command]:
    """The closing entries of what was counted instead of recorded singly."""
    context = contexts.of_link(state, facts, now)
    commands: list[Command] = []
    for (sender, control, method), run in state.refusals.closed(now, all_of_them=all_of_them):
        commands.append(_counted(context, sender, method, run.count, run.running, {"control": control}, run.reference))
    for token, run in state.progress.closed(now):
        commands.append(_counted(context, "server", run.method, run.folded, run.running, {"token": token[:64]}, ""))
    return commands


def _counted(
    context: Context, sender: str, method: str, count: int, running: str, detail: dict[str, str], reference: str
) -> Record:
    return records.note(
        "run", context, sender=sender, method=method, count=count, running=running, detail=detail, reference=reference
    )

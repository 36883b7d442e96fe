"""Step 7, allowed: the message goes on, recorded first, and the link learns what it said."""

from __future__ import annotations

import msgspec

from doorward.judge.vocabulary import Context, Decision, Open
from doorward.protocol import actions, definitions, handshake, honouring, stateless
from doorward.relay import context as contexts
from doorward.relay import records, replies, routes, showing
from doorward.relay.commands import Command, End, Grade, Record, Send, Withdraw
from doorward.relay.state import State
from doorward.wire.jsonrpc import Notification, Request, Response, encode

Actions = tuple[actions.Action, ...]


def pass_request(state: State, message: Request, acts: Actions, context: Context, decision: Decision) -> list[Command]:
    """A request is recorded durably, takes its place in the table, and goes on."""
    body = contexts.bytes_of(message, context)
    state.open(message, context, b"")  # only what is held must be kept
    if message.method == "initialize":
        for act in acts:
            if isinstance(act, actions.DeclareCapabilities):
                state.link = handshake.asked(state.link, act.version, act.capabilities, act.info)
    elif context.era == "modern" and context.sender == "client" and message.method != "server/discover":
        state.link = stateless.settle(state.link)
        _watch(state, acts, message)
    record = state.describe("intent", message, context, decision, body, "durable")
    return [*state.pay(), record, state.send_on(message, context, body)]


def pass_notification(
    state: State, message: Notification, acts: Actions, context: Context, decision: Decision
) -> list[Command]:
    """A notification is recorded and goes on; some of them change what is known of the link."""
    body = contexts.bytes_of(message, context)
    (act,) = acts
    if isinstance(act, actions.Cancel):
        return _cancel(state, message, act, context, decision, body)
    if isinstance(act, actions.ReportProgress):
        return _progress(state, message, act, context, decision, body)
    if isinstance(act, actions.Announce):
        _heed(state, act)
    grade: Grade = "written" if isinstance(act, actions.EmitLog) else "durable"
    record = state.describe("notice", message, context, decision, body, grade)
    return [record, state.send_on(message, context, body)]


def _heed(state: State, act: actions.Announce) -> None:
    if act.what == "notifications/initialized":
        state.link = handshake.initialized(state.link)
    elif act.what == "notifications/tools/list_changed":
        # The next call waits until the tools were listed anew.
        state.definitions = msgspec.structs.replace(state.definitions, complete=False, begun=False)
    elif act.what == "notifications/prompts/list_changed":
        state.definitions = msgspec.structs.replace(state.definitions, prompts_complete=False, prompts_begun=False)
    elif act.what == "notifications/resources/list_changed":
        state.settings.shown.listed = state.settings.shown.described = False
        state.definitions = definitions.forget_sizes(state.definitions)
    elif act.what == "notifications/resources/updated":
        state.settings.shown.add(act.uri)
        state.definitions = definitions.forget_sizes(state.definitions, act.uri)


def _cancel(
    state: State, message: Notification, act: actions.Cancel, context: Context, decision: Decision, body: bytes
) -> list[Command]:
    """A request is taken back by whoever asked. Only one that was sent is worth telling the other side about; a ticket
    for it is void.
    """
    opened = state.opened.get((context.sender, act.request))
    if opened is None:
        return _stream_ended(state, message, act, context, decision, body)
    send = state.send_on(message, context, body)
    record = state.describe(
        "notice", message, context, decision, body, "durable", outcome="cancelled", request=act.request
    )
    ending = end_progress(state, opened, context)
    ends: list[Command] = []
    if opened.asker == "client" and opened.exchange > routes.STANDING:  # of itself, as no answer will come
        end = End(opened.exchange)
        ends, record = [end], msgspec.structs.replace(record, otherwise=end)
    if opened.state == "SENT":
        state.cancel(opened)
        return [*ending, record, send, *ends]
    state.close(opened)
    withdrawn: list[Command] = []
    if opened.ticket and state.held.pop(opened.ticket, None) is not None:
        withdrawn = [Withdraw(opened.ticket, "the request was cancelled")]
    return [*ending, record, *withdrawn, *ends]


def _stream_ended(
    state: State, message: Notification, act: actions.Cancel, context: Context, decision: Decision, body: bytes
) -> list[Command]:
    """A modern server ends a stream that the client listens on; a gate lets it say so of no other request."""
    opened = state.opened[(routes.other(context.sender), act.request)]
    state.close(opened)
    record = state.describe("notice", message, context, decision, body, "durable", outcome="ended", request=act.request)
    return [record, Send(opened.asker, opened.exchange, body)]


def take_back(state: State, opened: Open, context: Context) -> list[Command]:
    """A client closed the exchange of a request that is not answered yet (modern HTTP): it is cancelled, as if the
    client had said so, and the server hears it in the words of its transport.
    """
    ending = end_progress(state, opened, context)
    sent = opened.state == "SENT"
    withdrawn: list[Command] = []
    if sent:
        state.cancel(opened)
    else:
        state.close(opened)
        if opened.ticket and state.held.pop(opened.ticket, None) is not None:
            withdrawn = [Withdraw(opened.ticket, "the client closed its request")]
    record = records.note(
        "notice",
        context,
        grade="durable",
        method="notifications/cancelled",
        subject=opened.subject,
        request=opened.key,
        outcome="cancelled",
        detail={"cause": "the client closed its stream"},
    )
    record = msgspec.structs.replace(record, entry=msgspec.structs.replace(record.entry, exchange=opened.exchange))
    if not sent:
        return [*ending, record, *withdrawn]
    told = Notification("notifications/cancelled", {"requestId": replies.id_of(opened.key)})
    return [*ending, record, Send("server", opened.exchange, encode(told))]


def _progress(
    state: State, message: Notification, act: actions.ReportProgress, context: Context, decision: Decision, body: bytes
) -> list[Command]:
    single, opens = state.progress.single(act.token, body, context.now)
    send = state.send_on(message, context, body)
    if not single:
        return [send]
    return [state.describe("run" if opens else "notice", message, context, decision, body, "written"), send]


def end_progress(state: State, opened: Open, context: Context) -> list[Command]:
    """The closing entry of a run of progress, when its request ends."""
    if not opened.progress:
        return []
    return [
        records.note(
            "run",
            context,
            method=run.method,
            request=opened.key,
            count=run.folded,
            running=run.running,
            sender="server",
        )
        for _, run in state.progress.closed(context.now, opened.progress)
    ]


def pass_response(
    state: State, message: Response, acts: Actions, context: Context, answered: Open, decision: Decision
) -> list[Command]:
    """An answer goes back to whoever asked. Doorward's own questions are answered to nobody else."""
    state.close(answered)
    _learn(state, acts, message, answered)
    _watch(state, acts, message)
    if answered.asker == "client":
        _begun(state, acts, answered.subject)
        showing.learn(state.settings.shown, acts, answered, context.now)
    elif task := honouring.task_of(message.result):
        state.began_at_client(task, answered.method)
    body = contexts.bytes_of(message, context)
    outcome = "error" if message.error is not None else "ok"
    grade: Grade = "durable" if answered.asker == "server" else "written"
    record: Record = state.describe("outcome", message, context, decision, body, grade, outcome=outcome)
    ending = end_progress(state, answered, context)
    if answered.ours:
        return [*ending, record]
    exchange = answered.exchange if answered.asker == "client" else context.exchange
    return [*ending, record, Send(answered.asker, exchange, body)]


def _watch(state: State, acts: Actions, message: Request | Response) -> None:
    """What an answer says of the client: a capability that it declared and does not honour is not asked for again."""
    for act in acts:
        broken = honouring.broken_by_client(act, message) if isinstance(act, actions.AnswerInput) else None
        if broken is not None:
            state.link = msgspec.structs.replace(state.link, unhonoured=state.link.unhonoured | {broken[0]})


def _begun(state: State, acts: Actions, tool: str) -> None:
    """A task of ``tool`` came in the place of a result (2025-11-25: beside it): it is the asking principal's."""
    for act in acts:
        if isinstance(act, actions.HandleTask):
            state.began(act.task, tool)
        elif isinstance(act, actions.ReturnResult) and act.method == "tools/call":
            task = act.result.get("task")
            if isinstance(task, dict) and isinstance(task.get("taskId"), str):
                state.began(task["taskId"], tool)


def _learn(state: State, acts: Actions, message: Response, answered: Open) -> None:
    """What an answer says of the server: its era, its declaration, its tools, prompts and how large resources are."""
    for act in acts:
        if isinstance(act, actions.DeclareServer) and answered.method == "initialize":
            state.link = handshake.answered(state.link, act.versions[0], act.capabilities, act.info)
        elif isinstance(act, actions.DeclareServer):
            state.link = stateless.discovered(state.link, act.capabilities, act.info)
        elif isinstance(act, actions.Advertise) and act.what == "tools/list":
            last = not act.cursor
            state.definitions = definitions.record(state.definitions, act.items, first=not answered.subject, last=last)
        elif isinstance(act, actions.Advertise) and act.what == "prompts/list":
            first, last = not answered.subject, not act.cursor
            state.definitions = definitions.record_prompts(state.definitions, act.items, first=first, last=last)
        elif isinstance(act, actions.Advertise) and act.what == "resources/list":
            state.definitions = definitions.record_sizes(state.definitions, act.items, first=not answered.subject)
    if message.error is None:
        return
    if answered.method == "initialize":
        state.link = handshake.failed(state.link)
    elif answered.method == "server/discover" and state.link.upstream == "":
        # An error that only the modern era knows says that the server speaks it, in another version; any other says no.
        spoken = "modern" if message.error["code"] in stateless.MODERN_ERRORS else "legacy"
        state.link = msgspec.structs.replace(state.link, upstream=spoken)

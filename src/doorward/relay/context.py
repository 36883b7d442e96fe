"""Step 1 of the path: everything a control may look at, gathered around one message."""

from __future__ import annotations

from doorward.judge.vocabulary import Context, Facts, Open, SealedState, Side
from doorward.protocol import stateless
from doorward.relay import routes, seal
from doorward.relay.state import State
from doorward.wire.jsonrpc import Decoded, Message, Request, Response, encode, key_of


def around(state: State, frame: Decoded, sender: Side, exchange: int, facts: Facts, now: int) -> Context:
    """The context of an arrived message."""
    message = frame.message
    answers = _answered_by(state, message, sender, exchange)
    era = era_of(state, message, answers)
    return Context(
        link=state.link,
        sender=sender,
        exchange=exchange,
        era=era,
        facts=facts,
        now=now,
        policy=state.settings.policy,
        server=state.server_policy,
        definitions=state.definitions,
        folders=state.settings.folders,
        opened=state.opened,
        body=frame.body,
        message=message,
        nodes=frame.nodes,
        owed=len(state.owed),
        cancelled=state.cancelled,
        tasks=state.settings.tasks,
        clients_tasks=state.clients_tasks,
        shown=state.settings.shown,
        answers=answers,
        seal=_opened_seal(state, message, facts, now) if era == "modern" else None,
        masker=state.settings.pipeline.masker,
    )


def bytes_of(message: Message, context: Context) -> bytes:
    """What is sent of ``message``: the bytes that it was decoded to, unless a rewrite changed it."""
    return context.body if message is context.message else encode(message)


def of_link(state: State, facts: Facts, now: int, sender: Side = "client") -> Context:
    """The context of something that is no message: the link begins, ends, or a person answered."""
    return Context(
        link=state.link,
        sender=sender,
        exchange=0,
        era=state.link.era,
        facts=facts,
        now=now,
        policy=state.settings.policy,
        server=state.server_policy,
        definitions=state.definitions,
        folders=state.settings.folders,
        opened=state.opened,
        body=b"",
        masker=state.settings.pipeline.masker,
    )


def _answered_by(state: State, message: Message, sender: Side, exchange: int) -> Open | None:
    """The request that a response answers: only one that was sent, once, by the other side, and where a server has a
    carriage for each request (HTTP), on that of the request.
    """
    if not isinstance(message, Response) or message.id is None:
        return None
    answered = state.opened.get((routes.other(sender), key_of(message.id)))
    if answered is None or answered.state != "SENT":
        return None
    if sender == "server" and exchange not in (routes.STANDING, answered.exchange):
        return None
    return answered


def era_of(state: State, message: Message, answers: Open | None = None) -> str:
    """The era in which a message speaks: a request by its envelope, a response by its request, the rest by the link."""
    if isinstance(message, Response):
        return answers.era if answers is not None else "legacy"
    if isinstance(message, Request):
        return "modern" if stateless.is_modern(message) else "legacy"
    if state.link.era == "" and state.link.phase == "new":
        return "modern" if any(asked.era == "modern" for asked in state.opened.values()) else "legacy"
    return state.link.era or "legacy"


def _opened_seal(state: State, message: Message, facts: Facts, now: int) -> SealedState | str | None:
    if not isinstance(message, Request) or message.params is None or "requestState" not in message.params:
        return None
    token = message.params["requestState"]
    if not isinstance(token, str):
        return "not a string"
    return seal.open_seal(
        state.settings.seal_key,
        token,
        now=now,
        principal=facts.principal.id,
        server=facts.server.fingerprint,
        method=message.method,
        params=seal.params_digest(message.params),
    )

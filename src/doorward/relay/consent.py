"""Tickets: a question to a person, bound to the very bytes that an approval releases.

*Action digest* = SHA-256(domain, end-to-end bytes): what both ends mean, without what changes from hop to hop (id,
progress token, subscription id, trace context). *Ticket digest* = SHA-256(domain, nonce, action digest).
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from doorward.judge.vocabulary import Context, Finding, Ticket
from doorward.protocol import actions, stateless
from doorward.wire.jsonrpc import Message, Notification, Request, Response, encode_value

_ACTION: Final = b"doorward action v1\0"
_TICKET: Final = b"doorward ticket v1\0"

_KIND: Final = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
    "tools/call": "tool-call",
}


def end_to_end(message: Message) -> bytes:
    """Our encoding of ``message`` without its hop-by-hop members."""
    if isinstance(message, Response):
        return encode_value({"result": message.result} if message.error is None else {"error": message.error})
    return encode_value({"method": message.method, "params": _without_hops(message.params)})


def _without_hops(params: dict[str, Any] | None) -> dict[str, Any] | None:
    meta = stateless.meta_of(params)
    if params is None or not any(name in meta for name in stateless.HOP_BY_HOP_META):
        return params
    kept = {name: value for name, value in meta.items() if name not in stateless.HOP_BY_HOP_META}
    ends = {name: value for name, value in params.items() if name != "_meta"}
    return {**ends, "_meta": kept} if kept else ends


def action_digest(shown: bytes) -> str:
    """What an approval is about: SHA-256 over the end-to-end bytes, in hex."""
    return hashlib.sha256(_ACTION + shown).hexdigest()


def ticket_digest(nonce: str, action: str) -> str:
    """What an answer must name: SHA-256 over the nonce and the action digest, in hex."""
    return hashlib.sha256(_TICKET + bytes.fromhex(nonce) + bytes.fromhex(action)).hexdigest()


def make_ticket(
    message: Message, context: Context, findings: tuple[Finding, ...], *, id: str, nonce: str, definitions: str
) -> Ticket:
    """The ticket for ``message`` as it would be sent. ``findings`` are why it is asked."""
    shown = end_to_end(message)
    action = action_digest(shown)
    return Ticket(
        id=id,
        exchange=context.exchange,
        kind=_kind(message),
        title=_title(message, context),
        shown=shown,
        action_digest=action,
        digest=ticket_digest(nonce, action),
        nonce=nonce,
        principal=context.facts.principal.id,
        session=context.link.session,
        server=context.facts.server,
        policy=context.policy.digest,
        definitions=definitions,
        reasons=tuple(f"{f.reason}" for f in findings),
        expires=context.now + context.policy.hold_seconds * 1_000_000,
    )


def _kind(message: Message) -> str:
    if isinstance(message, Request | Notification):
        return _KIND.get(message.method, "request")
    return "input"


def _title(message: Message, context: Context) -> str:
    name = context.facts.server.name
    if isinstance(message, Response):
        return f"{name} asks for input before it answers"
    for action in actions.interpret(message, context.era):
        if isinstance(action, actions.CallTool):
            return f"call the tool {action.name} of {name}"
        if isinstance(action, actions.RequestInput):
            return {
                "sampling/createMessage": f"{name} asks for a completion by your model",
                "elicitation/create": f"{name} asks you a question",
                "roots/list": f"{name} asks which folders you work in",
            }[action.method]
    return f"{context.sender} sends {message.method}"

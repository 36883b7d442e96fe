"""Check: a credential goes to a server only after a person agreed to it, or where policy says so (threats
``server-imitation``, ``log-leakage``).

Held is a call, a request for a prompt or a completion, or an answer to what a server asked, that carries something of
the shape of a credential (``content.credentials``) or a secret that Doorward itself knows. Whoever is asked reads to
whom it would go: the verified identity, never what the server says of itself. An answer of the legacy era cannot be
held, so it is refused, and the server hears that nobody agreed.

``secrets`` of a tool names the arguments in which one may go; ``secrets = true`` of a server lets all pass. Evidence
says where and of which kind, never the value. Does not protect a secret that looks like nothing (a password among
words), one in an encoding of its own, nor one in a URI that is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from doorward.content.arguments import select
from doorward.content.pointers import leaves
from doorward.content.redaction import Masker
from doorward.judge.vocabulary import MAX_EVIDENCE, Context, Effect, Finding
from doorward.protocol.actions import Action, AnswerInput, CallTool, Complete, GetPrompt
from doorward.wire.jsonrpc import Request

CONTROL: Final = "held-secrets"
_MAX_NAMED: Final = 8
_MAX_LOOKED_FOR: Final = 256  # one is enough to ask; whoever is asked hears of which kinds these are


def hold_secrets(action: Action, context: Context) -> Finding | None:
    if not isinstance(action, CallTool | GetPrompt | Complete | AnswerInput):
        return None
    masker = context.masker
    if masker is None or context.sender != "client" or context.server.secrets:
        return None
    if not context.may_hold_credential(context.body):
        return None
    found = dict.fromkeys(islice(_secrets(action, context, masker), _MAX_LOOKED_FOR))
    if not found:
        return None
    kinds = ", ".join(sorted({kind for _, kind in found}))
    to = f"{context.facts.server.line}, which may not receive any"
    where = ", ".join(f"{pointer}: {kind}" for pointer, kind in list(found)[:_MAX_NAMED])
    held = isinstance(context.message, Request)
    effect = Effect.ASK if held else Effect.DENY
    return Finding(CONTROL, effect, f"a credential ({kinds}) would go to {to}", where[:MAX_EVIDENCE])


def _secrets(action: Action, context: Context, masker: Masker) -> Iterator[tuple[str, str]]:
    """(pointer, kind) of each credential in ``action`` that nothing allows to be there."""
    allowed: set[str] = set()
    if isinstance(action, CallTool):
        for key in context.server.tool(action.name).secrets:
            allowed |= {pointer for pointer, _ in select(action.arguments, key)}
    for pointer, leaf, _ in leaves(_content(action)):
        if isinstance(leaf, str) and pointer not in allowed:
            _, hits = masker.mask_text(leaf, names=False)
            yield from ((pointer, hit.kind) for hit in hits)


def _content(action: Action) -> object:
    if isinstance(action, CallTool | GetPrompt):
        return action.arguments
    if isinstance(action, Complete):
        return {**action.others, action.argument: [action.value, action.others.get(action.argument)]}
    return action.result if isinstance(action, AnswerInput) else None

"""Rewrite: what is declared becomes what may be declared (threat ``capability-forgery``).

Experimental features, capabilities that no revision names, and extensions that are not the specification's own
need a grant; without one they do not reach the other side, which then cannot rely on them. First form: there are no
grants yet, so they never pass. Ordinary capabilities pass as declared, never widened.
"""

from __future__ import annotations

from typing import Any, Final

from doorward.judge.vocabulary import MAX_EVIDENCE, Context, Effect, Finding
from doorward.protocol import stateless, versions
from doorward.wire.jsonrpc import Message, Request, Response

CONTROL: Final = "capability-grants"


def narrow_capabilities(message: Message, context: Context) -> tuple[Message, Finding | None]:
    if isinstance(message, Request) and message.params is not None and context.sender == "client":
        return _client(message, message.params, context)
    if isinstance(message, Response) and message.result is not None and context.answers is not None:
        return _server(message, message.result, context)
    return message, None


def _client(message: Request, params: dict[str, Any], context: Context) -> tuple[Message, Finding | None]:
    if message.method == "initialize":
        narrowed, dropped = _narrow(params.get("capabilities"), versions.CLIENT_CAPABILITIES, context)
        params = {**params, "capabilities": narrowed} if dropped else params
    else:
        meta = stateless.meta_of(params)
        narrowed, dropped = _narrow(meta.get(versions.META_CAPABILITIES), versions.CLIENT_CAPABILITIES, context)
        params = {**params, "_meta": {**meta, versions.META_CAPABILITIES: narrowed}} if dropped else params
    return (Request(message.id, message.method, params) if dropped else message), _note(dropped)


def _server(message: Response, result: dict[str, Any], context: Context) -> tuple[Message, Finding | None]:
    if context.answers is None or context.answers.method not in ("initialize", "server/discover"):
        return message, None
    narrowed, dropped = _narrow(result.get("capabilities"), versions.SERVER_CAPABILITIES, context)
    if not dropped:
        return message, None
    return Response(message.id, result={**result, "capabilities": narrowed}), _note(dropped)


def _narrow(declared: Any, named: frozenset[str], context: Context) -> tuple[Any, list[str]]:
    if not isinstance(declared, dict):
        return declared, []
    kept: dict[str, Any] = {}
    dropped: list[str] = []
    for name, value in declared.items():
        if name == "extensions" and isinstance(value, dict):
            kept[name] = {n: v for n, v in value.items() if _official(n, context)}
            dropped += [f"extensions/{n}" for n in value if not _official(n, context)]
        elif name in named:
            kept[name] = value
        else:
            dropped.append(name)
    return kept, dropped


def _official(name: str, context: Context) -> bool:
    return context.policy.values.official_extensions_pass and name in versions.OFFICIAL_EXTENSIONS


def _note(dropped: list[str]) -> Finding | None:
    if not dropped:
        return None
    return Finding(
        CONTROL, Effect.NOTE, "declared without a grant, so not passed on", ", ".join(sorted(dropped))[:MAX_EVIDENCE]
    )

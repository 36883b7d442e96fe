"""Rewrite: what is declared becomes what may be declared (threat ``capability-forgery``).

Experimental features, capabilities that no revision names, and extensions that are not the specification's own
need a grant (``grants`` of a server in the policy); without one they do not reach the other side, which then cannot
rely on them. A grant names one thing exactly: ``experimental/NAME``, ``extensions/NAME``, or a capability of the top
level. It lets a declaration pass, in either direction, and no method that is not known. Ordinary capabilities pass as
declared, never widened.

A ``server/discover`` result offers only revisions that can be judged here. Where anything was taken out of it, it is no
longer what the server would tell everybody, so its ``cacheScope`` becomes ``private`` (MCP 2026-07-28 "Caching").
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
    changed: dict[str, Any] = {}
    dropped: list[str] = []
    if message.method == "initialize":
        narrowed, dropped = _narrow(params.get("capabilities"), versions.CLIENT_CAPABILITIES, context)
        changed = {"capabilities": narrowed} if dropped else {}
    meta = stateless.meta_of(params)
    narrowed, more = _narrow(meta.get(versions.META_CAPABILITIES), versions.CLIENT_CAPABILITIES, context)
    if more:
        changed["_meta"] = {**meta, versions.META_CAPABILITIES: narrowed}
    if not changed:
        return message, None
    return Request(message.id, message.method, {**params, **changed}), _note([*dropped, *more])


def _server(message: Response, result: dict[str, Any], context: Context) -> tuple[Message, Finding | None]:
    if context.answers is None or context.answers.method not in ("initialize", "server/discover"):
        return message, None
    narrowed, dropped = _narrow(result.get("capabilities"), versions.SERVER_CAPABILITIES, context)
    changed: dict[str, Any] = {"capabilities": narrowed} if dropped else {}
    unknown: list[str] = []
    if context.answers.method == "server/discover":
        offered, unknown = _known_revisions(result.get("supportedVersions"))
        changed |= {"supportedVersions": offered} if unknown else {}
        changed |= {"cacheScope": "private"} if changed else {}
    if not changed:
        return message, None
    return Response(message.id, result={**result, **changed}), _note(dropped, unknown)


def _known_revisions(offered: Any) -> tuple[Any, list[str]]:
    """Those that can be judged, and the others. What is no text stays, to be refused for it."""
    if not isinstance(offered, list):
        return offered, []
    kept = [one for one in offered if not isinstance(one, str) or one in versions.KNOWN_VERSIONS]
    return kept, [one for one in offered if isinstance(one, str) and one not in versions.KNOWN_VERSIONS]


def _narrow(declared: Any, named: frozenset[str], context: Context) -> tuple[Any, list[str]]:
    if not isinstance(declared, dict):
        return declared, []
    kept: dict[str, Any] = {}
    dropped: list[str] = []
    for name, value in declared.items():
        if name == "extensions" and isinstance(value, dict):
            kept[name] = {n: v for n, v in value.items() if extension_passes(n, context)}
            dropped += [f"extensions/{n}" for n in value if n not in kept[name]]
        elif name == "extensions":
            dropped.append(name)  # of no form in which they could be told apart
        elif name == "experimental" and (granted := _granted_features(value, context)):
            kept[name] = granted
            dropped += [f"experimental/{n}" for n in value if n not in granted]
        elif named is versions.CLIENT_CAPABILITIES and name in context.link.unhonoured:
            dropped.append(name)
        elif name in named or _granted_by_name(name, context):
            kept[name] = value
        else:
            dropped.append(name)
    return kept, dropped


def extension_passes(name: str, context: Context) -> bool:
    """Whether a declaration of the extension ``name`` may pass: by a grant, or as one of the specification's own."""
    if f"extensions/{name}" in context.server.grants:
        return True
    return context.policy.values.official_extensions_pass and name in versions.OFFICIAL_EXTENSIONS


def _granted_features(features: Any, context: Context) -> dict[str, Any]:
    if not isinstance(features, dict):
        return {}
    return {name: value for name, value in features.items() if f"experimental/{name}" in context.server.grants}


def _granted_by_name(name: str, context: Context) -> bool:
    # A grant with a prefix speaks of what is below it, not of a capability that took it for a name.
    return name in context.server.grants and not name.startswith(("experimental/", "extensions/"))


def _note(dropped: list[str], unknown: list[str] | None = None) -> Finding | None:
    reasons = ["declared without a grant"] if dropped else []
    reasons += ["a revision that is not known here"] if unknown else []
    if not reasons:
        return None
    named = ", ".join(sorted([*dropped, *(unknown or ())]))
    return Finding(CONTROL, Effect.NOTE, f"{', or '.join(reasons)}, so not passed on", named[:MAX_EVIDENCE])

"""Gate: a message belongs to the era of its link, and a modern request carries its whole envelope.

Stops a downgrade by mixing eras (threat ``capability-forgery``): a modern envelope inside a legacy session, a legacy
request on a modern link, a version that nobody here can judge.
"""

from __future__ import annotations

from typing import Final

from doorward.judge.vocabulary import Context, Effect, Finding, Peer
from doorward.protocol import stateless, versions
from doorward.wire.jsonrpc import Message, Request

CONTROL: Final = "envelope"
_INVALID_PARAMS: Final = -32602


def require_envelope(message: Message, context: Context) -> Finding | None:
    if not isinstance(message, Request) or context.sender != "client":
        return None
    if context.era == "legacy":
        return _legacy(message, context)
    if context.link.era == "legacy" or context.link.phase == "initializing":
        return _deny(
            "a modern request on a legacy link", -32600, "this connection was initialized for an older revision"
        )
    meta = stateless.meta_of(message.params)
    version = meta.get(versions.META_VERSION)
    if not isinstance(version, str) or not isinstance(meta.get(versions.META_CAPABILITIES), dict):
        return _deny("the modern envelope is incomplete", _INVALID_PARAMS, "_meta lacks a required member")
    if version not in versions.MODERN_VERSIONS:
        supported = list(versions.MODERN_VERSIONS)
        return _deny(
            f"revision {version[:40]!r} is not known",
            stateless.UNSUPPORTED_VERSION,
            "unsupported protocol version",
            {"supported": supported, "requested": version[:40]},
        )
    return _legacy_upstream(message, context, version)


def _legacy(message: Request, context: Context) -> Finding | None:
    if context.link.era != "modern":
        return None
    if message.method == "initialize":
        return _deny("initialize on a modern link", -32601, "method not found")
    return _deny(
        "a request without the modern envelope on a modern link", _INVALID_PARAMS, "_meta lacks a required member"
    )


def _legacy_upstream(message: Request, context: Context, version: str) -> Finding | None:
    if context.link.upstream != "legacy" or message.method == "server/discover":
        return None
    spoken = f"this server speaks revisions with initialize only (up to {versions.LEGACY_VERSIONS[-1]}), not {version}"
    return _deny(
        f"the server does not speak {version}",
        stateless.UNSUPPORTED_VERSION,
        spoken,
        {"supported": [], "requested": version},
    )


def _deny(reason: str, code: int, message: str, data: dict[str, object] | None = None) -> Finding:
    return Finding(CONTROL, Effect.DENY, reason, peer=Peer(code, message, data or {}))

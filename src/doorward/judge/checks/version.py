"""Checks: only a revision that can be judged is agreed on, and none older than the operator wants (threat
``capability-forgery``: a downgrade).

A request for an older legacy revision was already raised (``judge.rewrites.revision``); what is left here are servers
that answer with what nobody knows, and ``initialize`` where the policy wants the modern era alone.
"""

from __future__ import annotations

from typing import Final

from doorward.judge.vocabulary import MAX_EVIDENCE, Context, Effect, Finding, Peer
from doorward.protocol import handshake, versions
from doorward.protocol.actions import Action, DeclareCapabilities, DeclareServer

CONTROL: Final = "known-version"


def require_known_version(action: Action, context: Context) -> Finding | None:
    if not isinstance(action, DeclareServer) or context.answers is None:
        return None
    if context.answers.method == "initialize":
        spoken = all(handshake.speaks(version) for version in action.versions)
    else:
        spoken = any(version in versions.MODERN_VERSIONS for version in action.versions)
    if spoken:
        return None
    return Finding(
        CONTROL,
        Effect.DENY,
        "the server offers no revision that is known here",
        ", ".join(action.versions)[:MAX_EVIDENCE],
    )


def refuse_older_revision(action: Action, context: Context) -> Finding | None:
    if not isinstance(action, DeclareCapabilities):
        return None
    oldest = context.policy.values.oldest_revision
    if action.version >= oldest:
        return None
    supported = [version for version in versions.KNOWN_VERSIONS if version >= oldest]
    return Finding(
        CONTROL,
        Effect.DENY,
        f"the client asks for an older revision than {oldest}",
        action.version[:MAX_EVIDENCE],
        Peer(-32602, "unsupported protocol version", {"supported": supported, "requested": action.version[:40]}),
    )

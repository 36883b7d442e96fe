"""Check: a server may agree only on a revision that can be judged here (a downgrade or an unknown future is
refused).
"""

from __future__ import annotations

from typing import Final

from doorward.judge.vocabulary import MAX_EVIDENCE, Context, Effect, Finding
from doorward.protocol import handshake, versions
from doorward.protocol.actions import Action, DeclareServer

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

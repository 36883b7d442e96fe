"""Check: what nobody here understands does not pass."""

from __future__ import annotations

from typing import Final

from doorward.judge.vocabulary import Context, Effect, Finding, Peer
from doorward.protocol.actions import Action, Unrecognised

CONTROL: Final = "recognised"


def require_recognised(action: Action, context: Context) -> Finding | None:
    if not isinstance(action, Unrecognised):
        return None
    return Finding(
        CONTROL, Effect.DENY, f"not understood: {action.why}", action.method[:80], Peer(-32602, "invalid params")
    )

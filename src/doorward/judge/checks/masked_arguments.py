"""Check: an argument that carries one of our masks is refused.

A mask stands where a secret was. A client that sends it back would have a server act on a placeholder, or would let an
attacker probe what was masked (threat ``log-leakage``).
"""

from __future__ import annotations

from typing import Final

from doorward.content.redaction import contains_mask, maybe_masked
from doorward.judge.vocabulary import Context, Effect, Finding
from doorward.protocol.actions import Action, CallTool, GetPrompt

CONTROL: Final = "masked-arguments"


def refuse_masked_arguments(action: Action, context: Context) -> Finding | None:
    if not isinstance(action, (CallTool, GetPrompt)) or not maybe_masked(context.body):
        return None
    if not contains_mask(action.arguments):
        return None
    return Finding(CONTROL, Effect.DENY, "an argument carries a mask, not the value that was masked")

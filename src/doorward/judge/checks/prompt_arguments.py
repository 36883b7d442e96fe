"""Check: a prompt is asked for with the arguments that the server listed for it (threat ``argument-injection``).

Those that are required are there, none is there that the list does not name, and each is a text, as the protocol has
it. A prompt that the server did not list cannot be judged, so it cannot be asked for.

Does not protect against what a text says: a listing gives a prompt's arguments names and no schema. What must hold for
one is for the operator to say (``prompts`` of a server, as for tools), and what the server makes of it goes to a model.
"""

from __future__ import annotations

from typing import Final

from doorward.content.pointers import join
from doorward.judge.vocabulary import Context, Effect, Finding, Peer
from doorward.protocol.actions import Action, GetPrompt

CONTROL: Final = "prompt-arguments"


def require_listed_arguments(action: Action, context: Context) -> Finding | None:
    if not isinstance(action, GetPrompt):
        return None
    prompt = context.definitions.prompts.get(action.name)
    if prompt is None:
        return Finding(CONTROL, Effect.DENY, "the server lists no prompt of this name", action.name)
    for name, value in action.arguments.items():
        if name not in prompt.arguments:
            return _finding(name, "an argument that the server did not list for this prompt", "undeclared")
        if not isinstance(value, str):
            return _finding(name, "an argument of a prompt that is no text", "type")
    for name, required in prompt.arguments.items():
        if required and name not in action.arguments:
            return _finding(name, "an argument that this prompt requires is missing", "required")
    return None


def _finding(name: str, reason: str, rule: str) -> Finding:
    pointer = join("", name)[:200]
    told = f"arguments do not fit what the server lists for the prompt, at {pointer}: {rule}"
    return Finding(
        CONTROL, Effect.DENY, reason, f"{pointer}: {rule}", Peer(0, told, {"pointer": pointer, "rule": rule})
    )

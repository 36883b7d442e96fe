"""Check: what a tool returns as structured content fits the schema that the server itself listed for it (threat
``message-tampering``).

A tool with an ``outputSchema`` must return structured content that conforms to it (MCP 2026-07-28 "Tools", output
schema); programs take such content for typed. A result that does not is withheld: the client gets a tool result that
says so, with pointer and rule, since the tool was executed. A result with ``isError`` is exempt, as the specification
has it, and so is the answer that a task was begun. What the task returns later is judged as its tool's result, where
it is fetched (``tasks/result``, in the modern era ``tasks/get``) and where it is announced (``notifications/tasks``).

Judged is what the client would get, with credentials masked already. Does not protect against content that fits and is
false, nor of a tool that lists no schema for what it returns.
"""

from __future__ import annotations

from typing import Any, Final

from doorward.judge.validators import OPEN, Validators, misfit
from doorward.judge.vocabulary import Context, Effect, Finding, Peer
from doorward.protocol.actions import Action, Announce, ReturnResult

CONTROL: Final = "definition-results"


class ValidateResults:
    """Judges each result by the schema that its tool lists for it."""

    def __init__(self, validators: Validators) -> None:
        self._validators = validators

    def __call__(self, action: Action, context: Context) -> Finding | None:
        result = _returned(action)
        tool = context.definitions.tools.get(context.tool) if result is not None else None
        if result is None or tool is None or not tool.output or result.get("isError") is True:
            return None
        try:
            validator, work = self._validators.of(tool.output, OPEN)
        except ValueError as problem:
            return _withheld("the tool's output schema cannot be used, so no result can be judged", str(problem), "")
        if "structuredContent" not in result:
            called = isinstance(action, ReturnResult) and action.method == "tools/call"
            if called and isinstance(result.get("task"), dict):
                return None
            return _withheld("the result lacks the structured content that the server listed", "", "/: required")
        content = result["structuredContent"]
        if work.exceeds(content, len(context.body)):
            return _withheld("the tool's output schema makes too much work of this result", "", "")
        if validator.is_valid(content):
            return None
        pointer, rule = misfit(validator, work, content, len(context.body))
        where = f"{pointer}: {rule}"
        return _withheld("the result does not fit the schema that the server listed", where, where)


def _returned(action: Action) -> dict[str, Any] | None:
    """What a tool returned, if ``action`` brings that."""
    if isinstance(action, Announce):
        return action.result
    if not isinstance(action, ReturnResult):
        return None
    if action.method in ("tools/call", "tasks/result"):
        return action.result
    done = action.result.get("result") if action.method == "tasks/get" else None
    return done if isinstance(done, dict) else None


def _withheld(reason: str, evidence: str, where: str) -> Finding:
    told = "the tool was executed, but its result is withheld: it does not fit the tool's output schema"
    return Finding(CONTROL, Effect.DENY, reason, evidence, Peer(0, f"{told} at {where}" if where else told))

"""Check: the arguments of a call fit the schema that the server itself listed (threat ``argument-injection``).

Strict where the schema is silent: an argument that it does not name is refused when it names others and does not say
that it allows more (DESIGN §7). What judging by a schema may cost is bounded first (``judge.validators``). A tool whose
schema cannot be used cannot be judged, so it cannot be called.

No member is called ``__proto__``, however deep and whatever the schema allows: whoever copies it in JavaScript gets
another prototype.

Does not protect against values that fit the schema and are still harmful: that is what constraints, folders and the
sandbox are for.
"""

from __future__ import annotations

from typing import Any, Final

from doorward.judge.validators import CLOSED, OPEN, SHUT, Validators, misfit
from doorward.judge.vocabulary import Context, Effect, Finding, Peer
from doorward.protocol.actions import Action, CallTool
from doorward.protocol.headers import unusable_in

CONTROL: Final = "definition-arguments"
_PROTOTYPE: Final = "__proto__"


class ValidateArguments:
    """Judges each call by its tool's schema."""

    def __init__(self, validators: Validators) -> None:
        self._validators = validators

    def __call__(self, action: Action, context: Context) -> Finding | None:
        if not isinstance(action, CallTool):
            return None
        tool = context.definitions.tools.get(action.name)
        if tool is None:
            return Finding(CONTROL, Effect.DENY, "the server lists no tool of this name", action.name)
        manner = SHUT if context.policy.values.undeclared_always_refused else CLOSED
        try:
            if problem := unusable_in(tool.schema):
                raise ValueError(problem)
            validator, work = self._validators.of(tool.schema, manner)
            if tool.output:
                self._validators.of(tool.output, OPEN)  # what it returns must be judged as well
        except ValueError as unusable:
            reason = "the tool's schema cannot be used, so no call can be judged"
            return Finding(CONTROL, Effect.DENY, reason, str(unusable))
        if work.exceeds(action.arguments, len(context.body)):
            return Finding(CONTROL, Effect.DENY, "the tool's schema makes too much work of these arguments")
        if _holds_a_prototype(action.arguments):
            return Finding(CONTROL, Effect.DENY, "a member that is a prototype to readers of JavaScript", _PROTOTYPE)
        if validator.is_valid(action.arguments):
            return None
        pointer, rule = misfit(validator, work, action.arguments, len(context.body))
        return Finding(
            CONTROL,
            Effect.DENY,
            "the arguments do not fit the schema that the server listed",
            f"{pointer}: {rule}",
            Peer(
                0,
                f"arguments do not fit the tool's schema at {pointer}: {rule}",
                {"pointer": pointer, "rule": rule},
            ),
        )


def _holds_a_prototype(arguments: dict[str, Any]) -> bool:
    stack: list[Any] = [arguments]
    while stack:
        value = stack.pop()
        if type(value) is dict:
            if _PROTOTYPE in value:
                return True
            value = value.values()
        stack += [one for one in value if type(one) is dict or type(one) is list]
    return False

"""Check: the arguments of a call fit the schema that the server itself listed (threat ``argument-injection``).

Strict where the schema is silent: an argument that it does not name is refused when it names others and does not say
that it allows more (DESIGN §7). What judging by a schema may cost is bounded first (``content.schemas``):
``jsonschema-rs`` follows references without counting, and a pattern that backtracks ends after so many steps. A schema
that reaches outside itself by ``$ref`` is refused, by a retriever that never fetches as well. A tool whose schema does
not compile cannot be judged, so it cannot be called.

Does not protect against values that fit the schema and are still harmful: that is what constraints, folders and the
sandbox are for.
"""

from __future__ import annotations

from typing import Any, Final

from doorward.content.schemas import MAX_BACKTRACKS, MAX_PATTERN_BYTES, Work, measure
from doorward.judge.vocabulary import Context, Effect, Finding, Peer
from doorward.protocol.actions import Action, CallTool
from doorward.wire.jsonrpc import decode_value

CONTROL: Final = "definition-arguments"
_MAX_COMPILED: Final = 2048  # schemas kept; far above any server's list, and a bound on what one can make us keep
_MODERN_DRAFTS: Final = ("2019-09", "2020-12")
_APPLICATORS: Final = ("$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "dependentSchemas", "patternProperties")


class ValidateArguments:
    """Judges each call by its tool's schema. Compiled schemas are kept, by their bytes: a cache, not a state."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[bytes, bool], tuple[Any, Work]] = {}

    def __call__(self, action: Action, context: Context) -> Finding | None:
        if not isinstance(action, CallTool):
            return None
        tool = context.definitions.tools.get(action.name)
        if tool is None:
            return Finding(CONTROL, Effect.DENY, "the server lists no tool of this name", action.name)
        try:
            validator, work = self._validator(tool.schema, always=context.policy.values.undeclared_always_refused)
        except ValueError as problem:
            return Finding(
                CONTROL, Effect.DENY, "the tool's schema cannot be used, so no call can be judged", str(problem)[:400]
            )
        if work.exceeds(action.arguments, len(context.body)):
            return Finding(CONTROL, Effect.DENY, "the tool's schema makes too much work of these arguments")
        if validator.is_valid(action.arguments):
            return None
        return _finding(next(iter(validator.iter_errors(action.arguments))))

    def _validator(self, schema: bytes, *, always: bool) -> tuple[Any, Work]:
        found = self._compiled.get((schema, always))
        if found is None:
            tightened = _tightened(decode_value(schema), always=always)
            work = measure(tightened)  # first: compiling what has too many patterns is work as well
            found = _compile(tightened), work
            if len(self._compiled) >= _MAX_COMPILED:
                self._compiled.clear()
            self._compiled[(schema, always)] = found
        return found


def _tightened(schema: dict[str, Any], *, always: bool) -> dict[str, Any]:
    """``schema``, refusing what it does not name. ``always``: also where it names nothing or allows more itself."""
    silent = "additionalProperties" not in schema and "unevaluatedProperties" not in schema
    if not always and not (silent and "properties" in schema):
        return schema
    draft = str(schema.get("$schema", "2020-12"))
    if any(name in draft for name in _MODERN_DRAFTS):
        return {**schema, "unevaluatedProperties": False} if silent else {**schema, "additionalProperties": False}
    if any(name in schema for name in _APPLICATORS):
        return {**schema, "$schema": "https://json-schema.org/draft/2020-12/schema", "unevaluatedProperties": False}
    return {**schema, "additionalProperties": False}


def _compile(schema: dict[str, Any]) -> Any:
    import jsonschema_rs  # 32 ms, when the first call is judged

    patterns = jsonschema_rs.FancyRegexOptions(backtrack_limit=MAX_BACKTRACKS, size_limit=MAX_PATTERN_BYTES)
    return jsonschema_rs.validator_for(schema, retriever=_refuse_to_fetch, pattern_options=patterns)


def _refuse_to_fetch(uri: str) -> Any:
    raise ValueError(f"a schema may not fetch {uri[:200]}")


def _finding(error: Any) -> Finding:
    pointer = "".join(f"/{_escape(str(step))}" for step in error.instance_path) or "/"
    rule = next((str(step) for step in reversed(list(error.schema_path)) if isinstance(step, str)), "schema")
    told = f"arguments do not fit the tool's schema at {pointer[:200]}: {rule}"
    return Finding(
        CONTROL,
        Effect.DENY,
        "the arguments do not fit the schema that the server listed",
        f"{pointer[:200]}: {rule}",
        Peer(0, told, {"pointer": pointer[:200], "rule": rule}),
    )


def _escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")

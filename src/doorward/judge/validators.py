"""The schemas that a server lists, ready to judge by: measured, compiled and kept.

What judging by a schema may cost is bounded first (``content.schemas``): ``jsonschema-rs`` follows references without
counting, and a pattern that backtracks ends after so many steps. A schema that reaches outside itself by ``$ref`` is
refused, by a retriever that never fetches as well.
"""

from __future__ import annotations

from typing import Any, Final

from doorward.content.patterns import MAX_BACKTRACKS, MAX_PATTERN_BYTES, bounded
from doorward.content.schemas import MAX_SCHEMA_BYTES, MODERN_DRAFTS, measure
from doorward.content.work import Work
from doorward.wire.jsonrpc import decode_value

_MAX_KEPT_BYTES: Final = 64 << 20  # as estimated: three thousand ordinary schemas; one can make us keep no more
_KEPT_BYTES: Final = 12 << 10  # of the smallest
_BYTES_PER_BYTE: Final = 8
_BYTES_PER_COMPILED_US: Final = 300
_MAX_MEASURED: Final = 16
_APPLICATORS: Final = ("$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "dependentSchemas", "patternProperties")

OPEN: Final = "open"
"""As the server wrote it."""
CLOSED: Final = "closed"
"""An object refuses what it does not name, where it names something and does not say that it allows more."""
SHUT: Final = "shut"
"""An object refuses what it does not name, whatever it says."""


class Validators:
    """Compiled schemas by their bytes and by how they treat what they do not name: a cache, not a state."""

    def __init__(self) -> None:
        self._kept: dict[tuple[bytes, str], tuple[Any, Work] | str] = {}
        self._kept_bytes = 0
        self._measured: dict[tuple[bytes, str], tuple[dict[str, Any], Work]] = {}  # and not compiled yet

    def of(self, schema: bytes, manner: str) -> tuple[Any, Work]:
        """The validator for ``schema``, and what it may cost.

        Raises ValueError where nothing can be judged by it: it does not compile, refers to what is not in it, or makes
        too much work.
        """
        found = self._kept.get((schema, manner))
        if found is None:
            found = self._keep(schema, manner, self._compiled(schema, manner))
        if isinstance(found, str):
            raise ValueError(found)  # noqa: TRY004 - it is the schema that is wrong, not a type
        return found

    def know(self, schema: bytes, manner: str) -> bool:
        """Whether ``of`` answers at once."""
        return (schema, manner) in self._kept

    def to_compile(self, schema: bytes, manner: str) -> int:
        """About how many microseconds ``of`` will take, besides what this takes: nothing, if it was asked before.

        Raises ValueError where it is known already that nothing can be judged by it.
        """
        found = self._kept.get((schema, manner))
        if isinstance(found, str):
            raise ValueError(found)  # noqa: TRY004 - as above
        if found is not None:
            return 0
        work = self._measure(schema, manner)[1]
        return work.compiling + work.measuring

    def _measure(self, schema: bytes, manner: str) -> tuple[dict[str, Any], Work]:
        measured = self._measured.get((schema, manner))
        if measured is None:
            try:
                measured = _measured(schema, manner)
            except ValueError as problem:
                self._keep(schema, manner, str(problem)[:400])
                raise
            if len(self._measured) >= _MAX_MEASURED:
                self._measured.clear()
            self._measured[(schema, manner)] = measured
        return measured

    def _compiled(self, schema: bytes, manner: str) -> tuple[Any, Work] | str:
        try:
            tightened, work = self._measure(schema, manner)  # first: compiling many patterns is work as well
            return _compile(tightened), work
        except ValueError as problem:
            return str(problem)[:400]
        finally:
            self._measured.pop((schema, manner), None)

    def _keep(self, schema: bytes, manner: str, found: tuple[Any, Work] | str) -> tuple[Any, Work] | str:
        compiling = 0 if isinstance(found, str) else found[1].compiling
        size = _KEPT_BYTES + _BYTES_PER_BYTE * len(schema) + _BYTES_PER_COMPILED_US * compiling
        if self._kept_bytes + size > _MAX_KEPT_BYTES:
            self._kept.clear()
            self._kept_bytes = 0
        self._kept[(schema, manner)] = found
        self._kept_bytes += size
        return found


def _measured(schema: bytes, manner: str) -> tuple[dict[str, Any], Work]:
    if len(schema) > MAX_SCHEMA_BYTES:
        raise ValueError(f"the schema is longer than {MAX_SCHEMA_BYTES} bytes")
    decoded = decode_value(schema)
    if not isinstance(decoded, dict):
        raise ValueError("the schema is no object")  # noqa: TRY004 - as above
    tightened = _tightened(decoded, manner)
    work = measure(tightened)
    return bounded(tightened, work.backtracking), work


def _tightened(schema: dict[str, Any], manner: str) -> dict[str, Any]:
    if manner == OPEN:
        return schema
    silent = "additionalProperties" not in schema and "unevaluatedProperties" not in schema
    if manner == CLOSED and not (silent and "properties" in schema):
        return schema
    draft = str(schema.get("$schema", "2020-12"))
    if any(name in draft for name in MODERN_DRAFTS):
        return {**schema, "unevaluatedProperties": False} if silent else {**schema, "additionalProperties": False}
    if any(name in schema for name in _APPLICATORS):
        return {**schema, "$schema": "https://json-schema.org/draft/2020-12/schema", "unevaluatedProperties": False}
    return {**schema, "additionalProperties": False}


def _compile(schema: dict[str, Any]) -> Any:
    import jsonschema_rs  # 32 ms, when the first schema is judged by

    patterns = jsonschema_rs.FancyRegexOptions(backtrack_limit=MAX_BACKTRACKS, size_limit=MAX_PATTERN_BYTES)
    return jsonschema_rs.validator_for(schema, retriever=_refuse_to_fetch, pattern_options=patterns)


def _refuse_to_fetch(uri: str) -> Any:
    raise ValueError(f"a schema may not fetch {uri[:200]}")


def misfit(validator: Any, work: Work, value: Any, size_bytes: int) -> tuple[str, str]:
    """Where ``value`` does not fit, as a JSON pointer, and the rule that it breaks: of the first error. All others are
    not looked for, since there may be thousands; nor is the first where that would take long.
    """
    from jsonschema_rs import ValidationError

    if not work.explains(value, size_bytes):
        return "/", "schema"
    try:
        validator.validate(value)
    except ValidationError as found:
        error = found
    else:
        return "/", "schema"
    pointer = "".join(f"/{_escape(str(step))}" for step in error.instance_path) or "/"
    rule = next((str(step) for step in reversed(list(error.schema_path)) if isinstance(step, str)), "schema")
    return pointer[:200], rule


def _escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")

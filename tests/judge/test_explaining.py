"""Where a value does not fit is found out only where that takes little: no branch remembers a large value in vain."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from doorward.content.schemas import MAX_SCHEMA_BYTES, measure
from doorward.judge.validators import OPEN, Validators, misfit

BRANCHES = {"anyOf": [{"type": "integer", "minimum": n} for n in range(300)]}


def explained(schema: dict[str, Any], value: object) -> tuple[str, str]:
    body = msgspec.json.encode(value)
    validator, work = Validators().of(msgspec.json.encode(schema), OPEN)
    assert not work.exceeds(value, len(body))
    assert not validator.is_valid(value)
    return misfit(validator, work, value, len(body))


@pytest.mark.parametrize("value", ["x" * 500_000, [1] * 15_000, {"b": ["x"] * 3_000}])
def test_what_many_branches_would_copy_is_not_explained(value: object) -> None:
    assert explained(BRANCHES, value) == ("/", "schema")
    assert explained({"items": BRANCHES}, [value]) == ("/", "schema")


@pytest.mark.parametrize("count", [1, 1_000])
def test_what_people_send_is(count: int) -> None:
    either = {"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}]}
    named = {"properties": {f"p{n}": either for n in range(20)}, "required": ["p0"]}
    assert explained(named, {"p0": "x" * count * 10}) == ("/p0", "anyOf")
    assert explained(
        {"properties": {"text": {"type": "string"}, "n": {"type": "integer"}}}, {"text": "x" * 500_000, "n": ""}
    ) == (
        "/n",
        "type",
    )


def fan(key: str, deep: int, *, inside: bool) -> dict[str, Any]:
    """Each step refers twice to the next."""
    steps: dict[str, Any] = {
        f"s{n}": {"allOf": [{"$ref": f"#/$defs/s{n + 1}"}, {"$ref": f"#/$defs/s{n + 1}"}]} for n in range(deep)
    }
    if inside:
        for step in steps.values():
            step[key] = False
    return {"$defs": {**steps, f"s{deep}": {"type": "object"}}, "$ref": "#/$defs/s0", key: False}


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("key", ["unevaluatedProperties", "unevaluatedItems"])
def test_what_would_be_compiled_for_each_of_many_ways_is_refused_before(key: str, inside: bool) -> None:
    with pytest.raises(ValueError, match="more ways"):
        measure(fan(key, 40, inside=inside))
    assert measure(fan(key, 3, inside=inside)).compiling > 0
    plain = fan("title", 40, inside=inside)
    assert measure(plain).compiling == 0, "without such a keyword each is compiled once"


def test_an_ordinary_schema_with_unevaluated_properties_is_used() -> None:
    base = {"properties": {f"p{n}": {"type": "string", "description": "x" * 50} for n in range(30)}}
    kinds = [
        {
            "allOf": [{"$ref": "#/$defs/base"}],
            "properties": {"kind": {"const": f"k{n}"}},
            "unevaluatedProperties": False,
        }
        for n in range(12)
    ]
    schema = {"$defs": {"base": base}, "oneOf": kinds, "unevaluatedProperties": False}
    body = msgspec.json.encode(schema)
    assert len(body) < MAX_SCHEMA_BYTES
    validator, _ = Validators().of(body, OPEN)
    assert validator.is_valid({"kind": "k3", "p3": "x"})
    assert not validator.is_valid({"kind": "k3", "q": "x"})
    nested: dict[str, Any] = {"properties": {"a": {"type": "string"}}}
    for _ in range(25):
        nested = {"properties": {"a": nested}, "allOf": [{"required": ["a"]}], "unevaluatedProperties": False}
    measure(nested)


def many(read: dict[str, Any], times: int) -> dict[str, Any]:
    return {"$defs": {"r": read}, "allOf": [{"$ref": "#/$defs/r"}] * times}


NAMES = [f"{n:05d}" for n in range(15_000)]
READ_WHOLE: tuple[tuple[dict[str, Any], object], ...] = (
    ({"uniqueItems": True}, list(range(15_000))),
    ({"uniqueItems": True}, [[1] * 1_000 + [n] for n in range(14)]),
    ({"const": list(range(15_000))}, list(range(15_000))),
    ({"enum": [dict.fromkeys(NAMES, 1)]}, dict.fromkeys(NAMES, 1)),
    ({"required": NAMES}, dict.fromkeys(NAMES, 1)),
    ({"dependentRequired": {NAMES[0]: NAMES}}, dict.fromkeys(NAMES, 1)),
    ({"anyOf": [False] * 15_000 + [True]}, 1),
)


@pytest.mark.parametrize(("read", "value"), READ_WHOLE)
def test_what_reads_all_of_a_value_is_counted_as_often_as_it_does(read: dict[str, Any], value: object) -> None:
    size = len(msgspec.json.encode(value))
    assert not measure(many(read, 1)).exceeds(value, size)
    assert measure(many(read, 500)).exceeds(value, size)


def test_a_text_that_is_read_as_json_is_counted_where_that_is_asserted() -> None:
    told = {"contentMediaType": "application/json"}
    asserted = {"$schema": "http://json-schema.org/draft-07/schema#"}
    text = "[" + "1," * 200_000 + "1]"
    assert not measure(told).exceeds(text, len(text))
    assert measure({**asserted, **told}).exceeds(text, len(text))
    assert not measure({**asserted, **told}).exceeds(text[:100_000], 100_000)


def test_a_schema_that_goes_on_at_every_depth_is_measured_once_where_nothing_changes() -> None:
    wide = {f"p{n}": {"type": "string"} for n in range(2_000)}
    work = measure({"properties": {**wide, "child": {"$ref": "#"}}})
    assert len(set(work.steps[2:])) == 1
    assert len(work.steps) == 64
    turning = {
        "a": {"properties": {**wide, "b": {"$ref": "#/$defs/b"}}},
        "b": {"properties": {"a": {"$ref": "#/$defs/a"}}},
    }
    with pytest.raises(ValueError, match="at each depth"):
        measure({"$defs": turning, "$ref": "#/$defs/a"})

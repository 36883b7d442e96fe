"""Where a string may stand in the arguments of a tool, in every way in which a schema says so."""

from __future__ import annotations

from typing import Any

import pytest

from doorward.lab.attack import slots

TEXT: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "integer"}
BY_PATH = {"type": "object", "properties": {"path": TEXT}, "required": ["path"]}
BY_NUMBER = {"type": "object", "properties": {"number": NUMBER}, "required": ["number"]}


def tool(thing: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"thing": thing}, "required": ["thing"], **more}


@pytest.mark.parametrize(
    ("thing", "title"),
    [
        (TEXT, "thing"),
        ({}, "thing"),
        ({"description": "whatever"}, "thing"),
        ({"type": ["integer", "string"]}, "thing"),
        ({"anyOf": [{"type": "null"}, TEXT]}, "thing"),
        ({"anyOf": [NUMBER, TEXT]}, "thing"),
        ({"allOf": [{"description": "a path"}, TEXT]}, "thing"),
        ({"type": ["integer", "array"], "items": TEXT}, "thing[0]"),
        ({"oneOf": [BY_NUMBER, BY_PATH]}, "thing.path"),
        (
            {"anyOf": [{"type": "array", "items": NUMBER, "minItems": 1}, {"type": "array", "items": BY_PATH}]},
            "thing[0].path",
        ),
        ({"$ref": "#/$defs/either"}, "thing.path"),
    ],
)
def test_a_place_is_found_in_every_alternative_and_a_value_can_be_put_there(thing: dict[str, Any], title: str) -> None:
    schema = tool(thing, **{"$defs": {"either": {"oneOf": [BY_NUMBER, BY_PATH]}}})
    (slot,) = (one for one in slots.slots(schema) if one.title == title)
    at: Any = slots.placed(slots.honest(schema, slots.plain), slot, "here")
    for step in slot.pointer:
        at = at[step]
    assert at == "here"


@pytest.mark.parametrize("thing", [NUMBER, {"enum": ["a", "b"]}, {"const": "a"}, {"type": "string", "enum": ["a"]}])
def test_what_takes_no_string_of_ours_is_no_place(thing: dict[str, Any]) -> None:
    assert slots.slots(tool(thing)) == ()


def test_alternatives_that_hold_each_other_come_to_an_end() -> None:
    node = {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/node"}}, TEXT, {"$ref": "#/$defs/node"}, TEXT, TEXT]}
    found = slots.slots(tool({"$ref": "#/$defs/node"}, **{"$defs": {"node": node}}))
    assert "thing[0][0]" in [slot.title for slot in found]
    assert len(found) <= slots.DEEPEST + 1

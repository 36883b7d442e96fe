"""Numbers that cost much to compare are counted; the ones that people send are not refused for it."""

from __future__ import annotations

import json
import time
from typing import Any

import jsonschema_rs
import pytest

from doorward.content.schemas import measure

POINTS = {
    "type": "object",
    "properties": {
        "points": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "lat": {"type": "number", "minimum": -90, "maximum": 90},
                    "lon": {"type": "number", "minimum": -180.0, "maximum": 180.0},
                },
            },
        },
        "ids": {"type": "array", "uniqueItems": True, "items": {"type": "integer"}},
        "zoom": {"enum": [1, 2, 4, 8]},
        "step": {"type": "number", "multipleOf": 0.5},
    },
    "unevaluatedProperties": False,
}
ORDINARY: tuple[dict[str, Any], ...] = (
    {"points": [{"lat": n / 97, "lon": -n / 31} for n in range(4_000)]},
    {"ids": [(1 << 62) + n for n in range(4_000)]},
    {"ids": [(1 << 64) + n for n in range(40)]},
    {"zoom": 2, "step": 12.5, "points": [{"lat": 0.0, "lon": 1e-40}]},
)


@pytest.mark.parametrize("value", ORDINARY)
def test_what_people_send_is_judged(value: dict[str, Any]) -> None:
    assert not measure(POINTS).exceeds(value, len(json.dumps(value)))


@pytest.mark.parametrize(
    ("keyword", "number"),
    [
        ({"items": {"multipleOf": 0.01}}, 1e200),
        ({"items": {"multipleOf": 1e-300}}, 5),
        ({"items": {"exclusiveMaximum": 1e-319}}, 1e-320),
        ({"items": {"enum": [*range(400), 1e-320]}}, 1e-320),
        ({"uniqueItems": True}, 1 << 64),
        ({"uniqueItems": True}, 10**300),
    ],
)
def test_what_is_let_through_is_judged_in_bounded_time(keyword: dict[str, Any], number: float) -> None:
    schema = {"properties": {"a": keyword}}
    work, validator = measure(schema), jsonschema_rs.validator_for(schema)
    taken = {}
    for count in (1, 10, 30, 100, 300, 1_000, 3_000, 10_000):
        listed = [number + n if isinstance(number, int) else number * (1 + n / count) for n in range(count)]
        value = {"a": listed}
        if work.exceeds(value, len(json.dumps(value))):
            break
        began = time.process_time()
        validator.is_valid(value)
        taken[count] = time.process_time() - began
    else:
        pytest.fail("ten thousand of these are too much")
    assert taken, "a few are judged"
    assert max(taken.values()) < 0.2, taken  # forty milliseconds here; a slow machine has five times that

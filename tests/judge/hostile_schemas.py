"""Schemas that mean harm, drawn from small grammars with a seed: to be fetched for, to hang, to crash, to confuse.

Each comes with arguments that do their worst with it. Nothing here is larger than a server may send.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Schema = dict[str, Any]

KEYWORDS = """type properties required additionalProperties patternProperties propertyNames items prefixItems contains
minContains maxContains uniqueItems minItems maxItems minLength maxLength pattern format enum const allOf anyOf oneOf
not if then else dependentSchemas dependentRequired dependencies unevaluatedProperties unevaluatedItems $ref $dynamicRef
$recursiveRef $id $anchor $dynamicAnchor $schema $defs definitions minimum maximum multipleOf contentEncoding""".split()
CATASTROPHES = (
    r"^(a+)+$",
    r"^(a|a)*$",
    r"^(a|aa)+$",
    r"(.*a){20}",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"^(?=(a+))a*b\1$",
    r"(?:(?=a)a|a)*$",
    r"^((a?){30})((a){30})$",
    r"\b(\w+\s?)+$",
    r"(x+x+)+y",
    r"^(?!.*(.).*\1)[a-z]+$",
    r"(?<=a)(?<=aa)a+b",
    r"(?>a+)b",
    r"a++b",
    r"\p{L}{1,500}\p{N}{1,500}$",
    r"(?:\w{1,300}){1,300}",
    r"((a{1,100}){1,100}){1,100}",
    r"[\s\S]{0,1000}[\s\S]{0,1000}x",
    "(" * 400 + "a" + ")" * 400,
    "(a" * 300,
    "[",
    "a{99999999}",
    r"\1",
    r"(?P<n>a)\k<n>",
    "(?i)" * 200 + "a",
    "\u0000",
    "|" * 3000,
    "(?:" + "a|" * 1500 + "b)*c",
)


class Hostile(NamedTuple):
    """One schema, arguments for a tool that lists it, and which grammar it is of."""

    kind: str
    schema: Schema
    arguments: dict[str, Any]


def drawn(count: int, seed: int, places: tuple[str, ...]) -> Iterator[Hostile]:
    """``count`` of them, all grammars in turn. ``places`` are URLs at which something listens or lies."""
    draw = random.Random(seed)  # noqa: S311 - the same in each run, so that a failure can be looked at
    grammars = tuple(_GRAMMARS)
    for number in range(count):
        grammar = grammars[number % len(grammars)]
        made = grammar(draw, places)
        yield Hostile(grammar.__name__, made[0], made[1])


def _name(draw: random.Random) -> str:
    return draw.choice(("a", "b", "", "__proto__", "$ref", "a/b", "a~b", "\u202e", "x" * 300, "é", "0"))


def _long(draw: random.Random) -> str:
    return draw.choice(("a", "ab", "a ", "é", "x")) * draw.choice((30, 3_000, 60_000)) + draw.choice(
        ("!", "", "b", "\n")
    )


def reaching_outside(draw: random.Random, places: tuple[str, ...]) -> tuple[Schema, dict[str, Any]]:
    place = draw.choice(places) + draw.choice(("", "#", "#/$defs/a", "?x=1"))
    key = draw.choice(("$ref", "$dynamicRef", "$recursiveRef", "$schema", "$id"))
    inner: Schema = {key: place}
    if key == "$id":
        inner["$ref"] = draw.choice(("other.json", "#x", "/a", "//127.0.0.1/a"))
    for _ in range(draw.randint(0, 4)):
        inner = draw.choice(
            (
                {"properties": {"a": inner}},
                {"allOf": [inner]},
                {"$defs": {"a": inner}, "$ref": "#/$defs/a"},
                {"items": inner},
                {"not": inner},
                {"patternProperties": {".": inner}},
            )
        )
    return inner, {"a": {"a": [1]}}


def going_in_circles(draw: random.Random, _places: tuple[str, ...]) -> tuple[Schema, dict[str, Any]]:
    count = draw.randint(1, 30)
    word = draw.choice(("allOf", "anyOf", "oneOf", "not", "$ref", "if"))
    inside = draw.choice(("same", "below"))

    def node(number: int) -> Schema:
        there: Schema = {"$ref": f"#/$defs/n{(number + 1) % count}"}
        held: Schema = there if word in ("not", "if", "$ref") else {word: [there, there]}
        held = {word: there} if word in ("not", "if") else held
        return {"properties": {"a": held}, "items": held} if inside == "below" else held

    nested: Any = 1
    for _ in range(60):
        nested = {"a": nested}
    return {"$defs": {f"n{n}": node(n) for n in range(count)}, "$ref": "#/$defs/n0"}, {"a": nested}


def multiplying(draw: random.Random, _places: tuple[str, ...]) -> tuple[Schema, dict[str, Any]]:
    times, deep = draw.randint(2, 9), draw.randint(5, 60)
    word = draw.choice(("allOf", "anyOf", "oneOf"))
    steps: Schema = {f"s{n}": {word: [{"$ref": f"#/$defs/s{n + 1}"}] * times} for n in range(deep)}
    steps[f"s{deep}"] = draw.choice(({"type": "string"}, {"pattern": "^(?=a)a"}, {"enum": list(range(200))}))
    many = {f"k{n}": "a" * draw.choice((1, 1_000)) for n in range(draw.choice((1, 200)))}
    return {"$defs": steps, "additionalProperties": {"$ref": "#/$defs/s0"}}, many


def catastrophic(draw: random.Random, _places: tuple[str, ...]) -> tuple[Schema, dict[str, Any]]:
    patterns = [draw.choice(CATASTROPHES) for _ in range(draw.choice((1, 3, 40)))]
    if draw.random() < 0.5:
        return {"properties": {f"p{n}": {"pattern": one} for n, one in enumerate(patterns)}}, {"p0": _long(draw)}
    return {"patternProperties": {one: {"type": "string"} for one in patterns}}, {_long(draw)[:200]: "x", "a" * 40: 1}


def many_patterns(draw: random.Random, _places: tuple[str, ...]) -> tuple[Schema, dict[str, Any]]:
    count = draw.choice((50, 500, 3_000))
    shape = draw.choice(("^a{{1,{0}}}$", "\\w{{{0}}}", "(?=x{0})x", "[a-z]+{0}", "(?i)straße{0}", "^.{{0,{0}}}b"))
    properties = {f"p{n}": {"pattern": shape.format(n % 900 + 1)} for n in range(count)}
    return {"properties": properties}, {f"p{n}": _long(draw)[:3_000] for n in range(min(count, 40))}


def wide_or_deep(draw: random.Random, _places: tuple[str, ...]) -> tuple[Schema, dict[str, Any]]:
    if draw.random() < 0.5:
        count = draw.choice((100, 2_000, 9_000))
        word = draw.choice(("properties", "$defs", "dependentSchemas"))
        return {word: {f"p{n}": {"type": "string"} for n in range(count)}}, {f"p{n}": 1 for n in range(50)}
    inner: Schema = {"type": "string"}
    arguments: Any = "x"
    for _ in range(draw.choice((10, 28))):
        inner = {"properties": {"a": inner}, "unevaluatedProperties": False, "allOf": [{"required": ["a"]}]}
        arguments = {"a": arguments}
    return inner, {"a": arguments}


def large_values(draw: random.Random, _places: tuple[str, ...]) -> tuple[Schema, dict[str, Any]]:
    listed = [draw.choice((n, str(n), [n], {"a": n})) for n in range(draw.choice((10, 3_000)))]
    schema: Schema = draw.choice(
        (
            {"properties": {"a": {"enum": listed}}},
            {"properties": {"a": {"const": listed}}},
            {"properties": {"a": {"uniqueItems": True, "items": {"enum": listed[:50]}}}},
            {"properties": {"a": {"contains": {"enum": listed[:300]}, "minContains": 5}}},
            {"properties": {"a": {"multipleOf": 1e-300}}},
            {"properties": {"a": {"multipleOf": 0}}},
            {"properties": {"a": {"minLength": -1, "maxLength": 1e400 if draw.random() < 0 else 1e308}}},
            {"properties": {"a": {"minimum": 1e308, "maximum": -1e308}}},
            {"required": [f"r{n}" for n in range(5_000)]},
            {"dependentRequired": {f"r{n}": [f"r{n + 1}"] for n in range(2_000)}},
        )
    )
    return schema, {"a": draw.choice((list(range(3_000)), [[n] for n in range(500)], 1e-320, "x", 10**30))}


def dear_numbers(draw: random.Random, _places: tuple[str, ...]) -> tuple[Schema, dict[str, Any]]:
    """Compared as fractions of a thousand digits, or each with all others since they are no hash keys."""
    first = draw.choice((10**30, 2**64, 10**300, 1e-320, 1e308, 1e200, 0.1))
    # To decode 1e308 takes nine microseconds, whatever it is judged by then; 10**300 is long: a few of those.
    count = draw.choice((3, 300) if first in (1e-320, 1e308, 10**300) else (3, 300, 2_000))
    schema: Schema = draw.choice(
        (
            {"properties": {"a": {"items": {"multipleOf": draw.choice((1e-300, 0.01))}}}},
            {"properties": {"a": {"items": {"exclusiveMaximum": 1e-319}}}},
            {"properties": {"a": {"items": {"enum": [*range(count), 0.5]}}}},
            {"properties": {"a": {"uniqueItems": True}}},
            {"properties": {"a": {"uniqueItems": True, "items": {"minimum": 1e308}}}},
        )
    )
    listed = [first + n if isinstance(first, int) else first * (1 + n / count) for n in range(count)]
    return schema, {"a": draw.choice((listed, [{"b": one} for one in listed]))}


def unfolding(draw: random.Random, _places: tuple[str, ...]) -> tuple[Schema, dict[str, Any]]:
    """Many ways lead to what may evaluate a property or an item, and each is compiled."""
    times, deep = draw.randint(2, 4), draw.randint(3, 40)
    word, key = draw.choice(("allOf", "anyOf", "oneOf")), draw.choice(("unevaluatedProperties", "unevaluatedItems"))
    inside: Schema = {key: False} if draw.random() < 0.3 else {}
    reference, below = draw.choice(("$ref", "$dynamicRef")), draw.random() < 0.3

    def step(number: int) -> Schema:
        there = {reference: f"#s{number + 1}"}
        led = {"properties": {f"p{n}": {**there, key: False} for n in range(times)}} if below else there
        return {"$dynamicAnchor": f"s{number}", word: [led] * (1 if below else times), **inside}

    steps = {f"s{n}": step(n) for n in range(deep)}
    many = {f"p{n}": {"type": "string"} for n in range(draw.choice((1, 300)))}
    steps[f"s{deep}"] = {"$dynamicAnchor": f"s{deep}", draw.choice(("properties", "patternProperties")): many}
    return {"$defs": steps, "$ref": "#/$defs/s0", key: False}, {"p0": "x", "q": [1]}


def read_again(draw: random.Random, _places: tuple[str, ...]) -> tuple[Schema, dict[str, Any]]:
    """A keyword that reads all of a value, or of a long list of its own, in many places at once."""
    long = draw.choice((30, 1_500, 5_000))  # a message of 15,000 values takes 40 ms whatever it is judged by
    names = [f"{n:05d}" for n in range(long)]
    read, value = draw.choice(
        (
            ({"uniqueItems": True}, list(range(long))),
            ({"uniqueItems": True}, [[1] * (long // 14) + [n] for n in range(14)]),
            ({"const": list(range(long))}, list(range(long))),
            ({"enum": [[1.5] * (long // 10)]}, [1.5] * (long // 10)),
            ({"required": names}, dict.fromkeys(names, 1)),
            ({"dependentRequired": {names[0]: names}}, dict.fromkeys(names, 1)),
            ({"allOf": [True] * long}, [1]),
            ({"contentMediaType": "application/json"}, "[" + "1," * long + "1]"),
            ({"format": "regex"}, "a" * long * 10),
        )
    )
    many = [{"$ref": "#/definitions/r"}] * draw.choice((1, 40, 700))
    draft = {"$schema": "http://json-schema.org/draft-07/schema#"} if "format" in read or "content" in str(read) else {}
    return {**draft, "definitions": {"r": read}, "properties": {"a": {"allOf": many}}}, {"a": value}


def branching(draw: random.Random, _places: tuple[str, ...]) -> tuple[Schema, dict[str, Any]]:
    """None of many branches fits, and whoever explains that may remember the value once for each."""
    count = draw.choice((2, 300, 3_000))
    word = draw.choice(("anyOf", "oneOf"))
    given = draw.choice(("a" * 500_000, [1] * 15_000, {"b": ["x"] * 3_000}))
    return {"properties": {"a": {word: [{"type": "integer", "minimum": n} for n in range(count)]}}}, {"a": given}


def of_wrong_types(draw: random.Random, _places: tuple[str, ...]) -> tuple[Schema, dict[str, Any]]:
    odd: tuple[Any, ...] = (
        None,
        True,
        -1,
        1.5,
        "",
        "x",
        [],
        [1],
        {},
        {"": None},
        [[]],
        "#",
        "#/",
        ["a", "a"],
        "\u0000",
    )
    return {draw.choice(KEYWORDS): draw.choice(odd) for _ in range(draw.randint(1, 6))}, {"a": 1, "": None}


def anything(draw: random.Random, places: tuple[str, ...]) -> tuple[Schema, dict[str, Any]]:
    def leaf() -> Any:
        return draw.choice((True, False, {}, {"type": "string"}, {"pattern": draw.choice(CATASTROPHES)}))

    def schema(depth: int) -> Any:
        if depth == 0:
            return leaf()
        return {word: value(word, depth - 1) for word in draw.choices(KEYWORDS, k=draw.randint(1, 4))}

    def value(word: str, depth: int) -> Any:
        if word in _LISTS:
            return [schema(depth) for _ in range(draw.randint(1, 3))]
        if word in _NAMED:
            return {_name(draw): schema(depth) for _ in range(draw.randint(1, 3))}
        if word.startswith("$"):
            return draw.choice(("#", "#/$defs/a", "#a", "a", draw.choice(places)))
        made = _VALUES.get(word)
        return draw.choice(made) if made else schema(depth)

    made = schema(draw.randint(1, 5))
    given: dict[str, Any] = {
        _name(draw): draw.choice((1, _long(draw), [_long(draw)[:99]], {"a": {"b": []}})) for _ in range(3)
    }
    return made if isinstance(made, dict) else {"not": made}, given


_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_NUMBERS = (0, 1, 7, 1e9)
_VALUES: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys("minimum maximum minLength maxLength minItems maxItems multipleOf".split(), _NUMBERS),
    "required": (["a"], ["", "__proto__"]),
    "type": ("string", "object", "array", ["null", "integer"], "nonsense"),
    "format": ("email", "regex", "uri", "idn-hostname", "date-time", "nonsense"),
    "pattern": CATASTROPHES,
    "enum": ([1], ["a", None, []]),
}
_GRAMMARS: tuple[Callable[[random.Random, tuple[str, ...]], tuple[Schema, dict[str, Any]]], ...] = (
    reaching_outside,
    going_in_circles,
    multiplying,
    catastrophic,
    many_patterns,
    wide_or_deep,
    large_values,
    dear_numbers,
    unfolding,
    read_again,
    branching,
    of_wrong_types,
    anything,
)

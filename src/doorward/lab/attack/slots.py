"""Where a string goes into a tool's arguments, and honest arguments to put around it.

Honest means: as small as the schema allows, with the author's own examples where there are any (``const``, ``default``,
``examples``, ``enum``, a quoted word in the description). Sources: JSON Schema 2020-12; ``$ref`` is followed inside the
schema only.
"""

from __future__ import annotations

import copy
import re
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEEPEST = 5
MOST_FORMS = 4
"""Of alternatives in one place: they multiply with each level."""

_QUOTED = re.compile(r"(?:(?<=[\s(,:])|^)(?:'([^'\n]{2,60})'|\"([^\"\n]{2,60})\"|`([^`\n]{2,60})`)")
_FORMATS = {
    "date": "2026-01-02",
    "date-time": "2026-01-02T03:04:05Z",
    "time": "03:04:05Z",
    "email": "doorward@example.com",
    "uri": "https://example.com/",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
    "ipv4": "127.0.0.1",
    "hostname": "localhost",
}
WORD = "doorward"


class Slot(msgspec.Struct, frozen=True):
    """A string inside arguments: its pointer (names, and 0 for the first item of a list), name and schema."""

    pointer: tuple[str | int, ...]
    name: str
    schema: dict[str, Any]

    @property
    def title(self) -> str:
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.pointer).lstrip(".")


def slots(schema: dict[str, Any]) -> tuple[Slot, ...]:
    """Every place of ``schema`` where any string may stand, down to five levels; a closed choice is none.

    Of alternatives the first few are followed, and what has no type may be a string.
    """
    found: dict[tuple[str | int, ...], Slot] = {}
    for slot in _walk(schema, schema, (), "", 0):
        found.setdefault(slot.pointer, slot)
    return tuple(found.values())


def honest(schema: dict[str, Any], filler: Callable[[Slot], str]) -> dict[str, Any]:
    """The smallest arguments that ``schema`` allows; ``filler`` says what a string is where the schema does not."""
    made = _made(schema, schema, (), "", filler, 0)
    return made if isinstance(made, dict) else {}


def placed(arguments: dict[str, Any], slot: Slot, value: Any) -> dict[str, Any]:
    """A copy of ``arguments`` with ``value`` at ``slot``; objects and lists on the way are made."""
    whole: Any = copy.deepcopy(arguments)
    at = whole
    for step, following in zip(slot.pointer, (*slot.pointer[1:], None), strict=True):
        empty: Any = value if following is None else [] if isinstance(following, int) else {}
        if isinstance(step, int):
            if not at:
                at.append(empty)
            if following is None or not isinstance(at[0], type(empty)):
                at[0] = empty
        elif following is None or not isinstance(at.get(step), type(empty)):
            at[step] = empty
        at = at[step]
    return dict(whole)


def sample(slot: Slot) -> str:
    """What the schema's author would write there; empty where the schema says nothing."""
    for key in ("const", "default"):
        if isinstance(slot.schema.get(key), str) and slot.schema[key]:
            return str(slot.schema[key])
    for key in ("examples", "enum"):
        listed = slot.schema.get(key)
        if isinstance(listed, list) and listed and isinstance(listed[0], str):
            return listed[0]
    if (form := slot.schema.get("format")) in _FORMATS:
        return _FORMATS[form]
    quoted = _QUOTED.search(str(slot.schema.get("description", "")))
    return next(filter(None, quoted.groups())) if quoted else ""


def plain(slot: Slot) -> str:
    """A sample, or a word of the length that the schema wants."""
    text = sample(slot) or WORD
    least, most = slot.schema.get("minLength"), slot.schema.get("maxLength")
    if isinstance(least, int) and len(text) < least <= 1000:  # noqa: PLR2004 - nobody wants more as a least
        text = text.ljust(least, "x")
    return text[:most] if isinstance(most, int) and not isinstance(most, bool) and most > 0 else text


def _walk(
    schema: dict[str, Any], root: dict[str, Any], pointer: tuple[str | int, ...], name: str, depth: int
) -> Iterator[Slot]:
    if depth > DEEPEST:
        return
    for form in islice(_forms(schema, root, 0), MOST_FORMS):
        kind = _type(form)
        if kind in ("string", "") and pointer and "enum" not in form and "const" not in form:
            yield Slot(pointer, name, form)
        elif kind == "object":
            for key, inner in _properties(form).items():
                yield from _walk(inner, root, (*pointer, key), key, depth + 1)
        elif kind == "array" and isinstance(form.get("items"), dict):
            yield from _walk(form["items"], root, (*pointer, 0), name, depth + 1)


def _forms(schema: dict[str, Any], root: dict[str, Any], depth: int) -> Iterator[dict[str, Any]]:
    """Each form that a value may have: references followed, one of the alternatives chosen, one of the types."""
    for _ in range(DEEPEST):
        if not isinstance(reference := schema.get("$ref"), str) or not reference.startswith("#/"):
            break
        schema = {**_pointed(root, reference), **{key: value for key, value in schema.items() if key != "$ref"}}
    chosen = next((key for key in ("anyOf", "oneOf", "allOf") if isinstance(schema.get(key), list)), "")
    if chosen and depth < DEEPEST:
        rest = {key: value for key, value in schema.items() if key != chosen}
        for one in schema[chosen]:
            if isinstance(one, dict) and one.get("type") != "null":
                yield from islice(_forms({**one, **rest}, root, depth + 1), MOST_FORMS)
    elif isinstance(kinds := schema.get("type"), list):
        yield from ({**schema, "type": kind} for kind in kinds if kind != "null")
    else:
        yield schema


def _made(
    schema: dict[str, Any],
    root: dict[str, Any],
    pointer: tuple[str | int, ...],
    name: str,
    filler: Callable[[Slot], str],
    depth: int,
) -> Any:
    schema = _settled(schema, root)
    for key in ("const", "default"):
        if key in schema and schema[key] is not None:
            return schema[key]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    kind = _type(schema)
    if kind == "string":
        return filler(Slot(pointer, name, schema))
    if kind in ("number", "integer"):
        return _number(schema)
    if kind == "array":
        least = schema.get("minItems", 0)
        items = schema.get("items")
        if not isinstance(least, int) or least < 1 or not isinstance(items, dict) or depth > DEEPEST:
            return []
        return [_made(items, root, (*pointer, 0), name, filler, depth + 1)] * min(least, 10)
    if kind != "object" or depth > DEEPEST:
        return {"boolean": False, "object": {}}.get(kind)
    required = schema.get("required")
    wanted = set(required) if isinstance(required, list) else set()
    return {
        key: _made(inner, root, (*pointer, key), key, filler, depth + 1)
        for key, inner in _properties(schema).items()
        if key in wanted
    }


def _settled(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """``schema`` with its reference followed and its first real choice taken."""
    for _ in range(DEEPEST):
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/"):
            schema = {**_pointed(root, reference), **{k: v for k, v in schema.items() if k != "$ref"}}
            continue
        choices = next((schema[key] for key in ("anyOf", "oneOf", "allOf") if isinstance(schema.get(key), list)), None)
        if not choices:
            break
        real = [one for one in choices if isinstance(one, dict) and one.get("type") != "null"]
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf", "allOf")}
        schema = {**(real[0] if real else {}), **rest}
    return schema


def _pointed(root: dict[str, Any], reference: str) -> dict[str, Any]:
    at: Any = root
    for step in reference[2:].split("/"):
        at = at.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(at, dict) else None
    return at if isinstance(at, dict) else {}


def _type(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), None)
    return kind if isinstance(kind, str) else "object" if "properties" in schema else ""


def _properties(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = schema.get("properties")
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, dict)}


def _number(schema: dict[str, Any]) -> Any:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    if isinstance(above, int | float) and not isinstance(above, bool):
        return above + 1
    return low if isinstance(low, int | float) and not isinstance(low, bool) else 1

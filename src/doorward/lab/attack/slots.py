"""Where a string goes into a tool's arguments, and honest arguments to put around it.

Honest means: as small as the schema allows, with the author's own examples where there are any (``const``, ``default``,
``examples``, ``enum``, a quoted word in the description). Sources: JSON Schema 2020-12; ``$ref`` is followed inside the
schema only.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEEPEST = 5
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
    """Every place of ``schema`` where any string may stand, down to five levels; a closed choice is none."""
    return tuple(_walk(schema, schema, (), "", 0))


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
            at[0] = value if following is None else at[0]
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
    schema = _settled(schema, root)
    kind = _type(schema)
    if depth > DEEPEST:
        return
    if kind == "string" and pointer and "enum" not in schema and "const" not in schema:
        yield Slot(pointer, name, schema)
    elif kind == "object":
        for key, inner in _properties(schema).items():
            yield from _walk(inner, root, (*pointer, key), key, depth + 1)
    elif kind == "array" and isinstance(schema.get("items"), dict):
        yield from _walk(schema["items"], root, (*pointer, 0), name, depth + 1)


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

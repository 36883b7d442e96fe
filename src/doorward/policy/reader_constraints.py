"""From the table of one argument to its constraints: each kind is known and measured by something that can be meant."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from doorward.content import constraints
from doorward.content.arguments import KINDS, Constraint, Value
from doorward.content.sql import DIALECTS
from doorward.policy.shapes import Key, Raw, Shapes

LENGTHS: Final = range(1 << 24)
MAX_LISTED: Final = 1000
MAX_EXPRESSION: Final = 4096

_FLAGS: Final = ("integer", "single_line", "identifier", "no_leading_dash", "no_shell_metacharacters")


def read_constraints(shapes: Shapes, key: Key, raw: Raw, absolute: Callable[[Key, str], str]) -> tuple[Constraint, ...]:
    """What ``raw``, the table of the argument that ``key`` ends with, demands. ``absolute`` judges a folder."""
    shapes.known(raw, key, KINDS)
    if not raw:
        shapes.add(key, "constrains nothing", f"one of: {', '.join(KINDS)}")
    found = tuple(_constraint(shapes, (*key, kind), raw[kind], absolute) for kind in KINDS if kind in raw)
    bounds = [one.value for kind in ("minimum", "maximum") for one in found if one.kind == kind]
    if len(bounds) == len(("minimum", "maximum")) and bounds[0] > bounds[1]:  # type: ignore[operator] # numbers, both
        shapes.add((*key, "minimum"), "is above the maximum, so nothing fits")
    return found


def _constraint(shapes: Shapes, key: Key, value: object, absolute: Callable[[Key, str], str]) -> Constraint:
    kind = key[-1]
    if kind in _FLAGS:
        if value is not True:
            shapes.add(key, "can only be true", "leave it out instead")
        return Constraint(kind)
    if kind in ("path_below", "read_only_sql") and value is True:
        return Constraint(kind)
    if kind == "path_below" and isinstance(value, str) and value:
        return Constraint(kind, absolute(key, value))
    if problem := _PROBLEMS[kind](value):
        shapes.add(key, *problem)
        return Constraint(kind, _HARMLESS.get(kind, ""))
    return Constraint(kind, tuple(value) if isinstance(value, list) else value)  # type: ignore[arg-type] # as judged


def _no_number(value: object) -> tuple[str, str] | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return None
    return "is not a number", ""


def _no_length(value: object) -> tuple[str, str] | None:
    if type(value) is int and value in LENGTHS:
        return None
    return f"is not a whole number from {LENGTHS[0]} to {LENGTHS[-1]}", ""


def _no_list(value: object) -> tuple[str, str] | None:
    if isinstance(value, list) and 0 < len(value) <= MAX_LISTED:
        if all(isinstance(one, str | int | float) for one in value):
            return None
        return "holds what is neither text, number nor truth value", ""
    return f"is not a list of 1 to {MAX_LISTED} values", 'enum = ["…"]'


def _no_expression(value: object) -> tuple[str, str] | None:
    if not isinstance(value, str) or not value or len(value) > MAX_EXPRESSION:
        return f"is not an expression of 1 to {MAX_EXPRESSION} characters", 'pattern = "[a-z]+"'
    problem = constraints.pattern_problem(value)
    return (
        (f"is {problem}", "no look-around, no back-references; a TOML text in '…' needs no \\\\") if problem else None
    )


def _no_places(value: object) -> tuple[str, str] | None:
    if (
        not isinstance(value, list)
        or not 0 < len(value) <= MAX_LISTED
        or not all(isinstance(one, str) for one in value)
    ):
        return f"is not a list of 1 to {MAX_LISTED} addresses", 'url_allow = ["https://api.example.com"]'
    problem = next(filter(None, map(constraints.place_problem, value)), None)
    return (f"has what is {problem}", "scheme://host[:port][/folder/], no patterns") if problem else None


def _no_folder(_: object) -> tuple[str, str] | None:
    return "is neither the path of a folder nor true", "true means: below any folder of the server"


def _no_dialect(value: object) -> tuple[str, str] | None:
    if value in DIALECTS:
        return None
    return (
        "is neither true nor a dialect of SQL",
        f"one of: {', '.join(DIALECTS)}; true takes what all of them read alike",
    )


_PROBLEMS: Final[dict[str, Callable[[object], tuple[str, str] | None]]] = {
    "enum": _no_list,
    "minimum": _no_number,
    "maximum": _no_number,
    "max_length": _no_length,
    "pattern": _no_expression,
    "url_allow": _no_places,
    "path_below": _no_folder,
    "read_only_sql": _no_dialect,
}
_HARMLESS: Final[dict[str, Value]] = {"minimum": 0, "maximum": 0, "max_length": 0, "enum": (), "url_allow": ()}
"""What stands in for a value that was refused, so that reading goes on."""

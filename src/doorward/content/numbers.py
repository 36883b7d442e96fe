"""What it costs to compare numbers exactly, as ``jsonschema-rs`` does: as fractions where they are no usual integers.

A float near the least one has a thousand digits as a fraction: one comparison takes forty microseconds, where one of
integers takes twenty nanoseconds. Integers beyond 64 bits are no hash keys there: each of a list whose items must be
unique is compared with all others. (Measured with 0.46 on x86-64. Costs are evaluations of twenty nanoseconds each.)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from doorward.content.pointers import levels

DEAREST: Final = 2_000
"""What comparing one number with one keyword costs at most."""

_BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_EXACT: Final = ("multipleOf", "enum", "const")
NUMERIC: Final = frozenset((*_BOUNDS, *_EXACT, "uniqueItems"))
"""The keywords for which numbers are compared."""

_COMPARED: Final = 15  # one of many values in a list or an object with another
_FRACTION: Final = 150  # a float of usual size, where more than its order is asked for
_LEAST_USUAL: Final = 1e-30
_MOST_USUAL: Final = 1e30


class Numbers(msgspec.Struct, frozen=True):
    """What the keywords of a schema make of numbers: ``named`` is what comparing with the dearest that they name costs
    (0: they name none), ``usual_float`` what a float of usual size costs.
    """

    named: int = 0
    usual_float: int = 1

    def __or__(self, other: Numbers) -> Numbers:
        return Numbers(max(self.named, other.named), max(self.usual_float, other.usual_float))

    def cost(self, level: Iterable[object]) -> int:
        """Of comparing each number of ``level`` once, beyond the evaluation that each value is."""
        return sum(max(self.named, _cost(one, self.usual_float)) - 1 for one in level if type(one) in (int, float))


def unique_cost(value: object) -> int:
    """Of comparing each integer beyond 64 bits in ``value`` with all others, as where items must be unique."""
    long = [one for level in levels(value) for one in level if type(one) is int and not _is_short(one)]
    return len(long) ** 2 * (32 + max(map(int.bit_length, long), default=0) // 4)


def compared_cost(container: object) -> int:
    """Of comparing ``container`` with another that is as long and differs at its very end."""
    return sum(
        _COMPARED + (2 * _cost(one, _FRACTION) if type(one) in (int, float) else 0)
        for level in levels(container)
        for one in level
    )


def numbers_of(schema: dict[str, Any]) -> Numbers:
    """What the keywords of this one ``schema`` make of numbers; those of its subschemas are not looked at."""
    exact = [schema[keyword] for keyword in _EXACT if keyword in schema]
    named = [schema[keyword] for keyword in _BOUNDS if keyword in schema]
    costs = [_cost(one, 1) for one in named if type(one) in (int, float)]
    exactly = [_cost(one, _FRACTION) for level in levels(exact) for one in level if type(one) in (int, float)]
    return Numbers(max(costs + exactly, default=0), _FRACTION if exactly else 1)


def _cost(number: Any, usual_float: int) -> int:
    if type(number) is int:
        return 1 if _is_short(number) else DEAREST
    return usual_float if number == 0 or _LEAST_USUAL < abs(number) < _MOST_USUAL else DEAREST


def _is_short(number: int) -> bool:
    """Whether ``number`` is an integer of 64 bits."""
    return -(1 << 63) <= number < 1 << 63

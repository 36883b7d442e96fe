"""What judging one value by a schema may cost, once the schema is measured (``content.schemas``).

The unit is one evaluation of a subschema at one place, about twenty nanoseconds. What reads more than the value at that
place (a search, a comparison, a copy) counts as what it takes of them, measured with ``jsonschema-rs`` on x86-64.
"""

from __future__ import annotations

from typing import Final

import msgspec

from doorward.content.numbers import DEAREST, Numbers, unique_cost
from doorward.content.patterns import MAX_BACKTRACKED
from doorward.content.pointers import levels

MAX_WORK: Final = 2_000_000
"""Evaluations of one subschema at one place: about forty milliseconds."""
MAX_EXPLAINED: Final = 50_000
"""What may be evaluated once more to say where a value does not fit."""
MAX_COPIED: Final = 1_000_000
"""What may be copied for that: each branch that failed is remembered then, with the value that did not fit it."""

_BYTES_PER_STEP: Final = 10  # a pattern reads ten bytes in the time of one evaluation
_NUMBER_BYTES: Final = 5  # 1e99, and what parts it from the next
_PER_UNIQUE: Final = 25  # evaluations in the time in which one value is compared, as where items must be unique
_UNIQUE_BYTES_PER_STEP: Final = 32  # of text that is compared there
_PER_COPY: Final = 10  # evaluations in the time in which one value is copied
_COPIED_BYTES_PER_STEP: Final = 3
_PER_BACKTRACKED: Final = 35  # evaluations in the time of all steps of one search, for each character that a step reads


class Work(msgspec.Struct, frozen=True):
    """What one schema may cost: for each depth of a value, how often subschemas are evaluated on one value there
    (patterns weighed in), and how many patterns are searched for in it; ``hard`` are, for each depth, the searches
    among them that backtrack; about how many microseconds its patterns, and what is copied for unevaluated values, take
    to compile, and how many all of it took to be measured; how many patterns that backtrack there are for values, and
    whether there is one for names; what it makes of numbers, for each depth, whether it names any, how often items must
    be unique, and how many branches there are of which one must fit.
    """

    steps: tuple[int, ...]
    searches: tuple[int, ...]
    hard: tuple[int, ...] = ()
    compiling: int = 0
    measuring: int = 0
    backtracking: int = 0
    names_backtracked: bool = False
    numbers: tuple[Numbers, ...] = ()
    names_numbers: bool = False
    unique: tuple[int, ...] = ()
    branches: tuple[int, ...] = ()

    def exceeds(self, value: object, size_bytes: int, limit: int = MAX_WORK) -> bool:
        """Whether judging ``value``, which is ``size_bytes`` long as JSON, may take more than ``limit`` evaluations."""
        if self.names_backtracked and _has_long_name(value):
            return True
        unique = sum(self.unique)
        if unique and max(self.steps) * unique_cost(value) > limit:
            return True
        # A value takes a byte at least, so nearly all calls are small enough whatever stands where.
        per_value = DEAREST // _NUMBER_BYTES if self.names_numbers else 1
        per_byte = max(self.steps) * per_value + sum(self.hard) * _PER_BACKTRACKED + unique * (_PER_UNIQUE + 1)
        if per_byte * size_bytes + sum(self.searches) * (size_bytes // _BYTES_PER_STEP) <= limit:
            return False
        if unique and _all_below(self.unique, value, _PER_UNIQUE, size_bytes // _UNIQUE_BYTES_PER_STEP) > limit:
            return True
        total = 0
        depths = zip(self.steps, self.searches, self.hard, self.numbers, levels(value), strict=False)
        for steps, searches, hard, numbers, level in depths:
            total += steps * len(level) + searches * (size_bytes // _BYTES_PER_STEP)
            total += hard * _PER_BACKTRACKED * _searched(level) if hard else 0
            total += steps * numbers.cost(level) if numbers.named else 0
            if total > limit:
                return True
        return False

    def explains(self, value: object, size_bytes: int) -> bool:
        """Whether it may be found out where ``value`` does not fit: what is evaluated and copied for it is bounded."""
        if self.exceeds(value, size_bytes, MAX_EXPLAINED):
            return False
        if sum(self.branches) * size_bytes * (_PER_COPY + 1) <= MAX_COPIED:
            return True
        return _all_below(self.branches, value, _PER_COPY, size_bytes // _COPIED_BYTES_PER_STEP) <= MAX_COPIED


def _all_below(counts: tuple[int, ...], value: object, each: int, text: int) -> int:
    """The cost of reading, so often at each depth, all that stands there and below: ``each`` value, and the ``text``
    of all.
    """
    sizes = [len(level) for level in levels(value)]
    return sum(count * (each * sum(sizes[depth:]) + text) for depth, count in enumerate(counts[: len(sizes)]))


def _searched(level: list[object]) -> int:
    """The characters in ``level`` that a pattern which backtracks may be tried on."""
    texts = [len(one) for one in level if isinstance(one, str)]
    texts += [len(name) for one in level if isinstance(one, dict) for name in one]
    return sum(length for length in texts if length <= MAX_BACKTRACKED)


def _has_long_name(value: object) -> bool:
    return any(
        len(name) > MAX_BACKTRACKED for level in levels(value) for one in level if isinstance(one, dict) for name in one
    )

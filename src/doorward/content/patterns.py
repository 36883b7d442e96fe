"""The patterns of a schema: which of them may backtrack, what they take to compile, on how long a text they are tried.

Which engine a pattern is searched by, ``jsonschema-rs`` decides: what looks around, refers back or is possessive goes
to one that backtracks, everything else to one whose time grows with the text.
"""

from __future__ import annotations

import re
from typing import Any, Final

MAX_BACKTRACKS: Final = 2_000
"""Steps of one search; the addresses and dates of the usual schema libraries need less than a hundred."""
MAX_BACKTRACKED: Final = 2_000
"""Characters that a pattern which backtracks is tried on: one of its steps may read all of them."""
MAX_PATTERN_BYTES: Final = 1 << 20
"""What one compiled pattern may take."""
_PATTERN: Final = 60  # to compile one, at least
BACKTRACKING: Final = 500
_REPEATED: Final = 10  # characters that are repeated in one more microsecond
_LONGEST_COMPILING: Final = 1_500  # then the compiled pattern takes more than it may
_REPEAT: Final = re.compile(r"\{([0-9]{1,6})(?:,([0-9]{0,6}))?\}")
_BACKTRACKS: Final = re.compile(r"\(\?(?:[=!>]|<[=!])|\\[1-9kK]|[*+?}]\+")
_DATA: Final = frozenset(("const", "enum", "default", "examples"))


def backtracks(pattern: str) -> bool:
    """Whether ``pattern`` goes to the engine that backtracks."""
    return _BACKTRACKS.search(pattern) is not None


def compiling_cost(pattern: str) -> int:
    """How long ``pattern`` takes to compile, roughly and rather too much: what is repeated is compiled as often."""
    repeated = len(pattern)
    for least, most in _REPEAT.findall(pattern):
        repeated = min(repeated * max(1, int(least), int(most or 0)), _LONGEST_COMPILING * _REPEATED)
    return _PATTERN + min(repeated // _REPEATED, _LONGEST_COMPILING)


def bounded(schema: dict[str, Any], patterns: int) -> dict[str, Any]:
    """``schema`` with each pattern that backtracks tried on ``MAX_BACKTRACKED`` characters at most: longer text does
    not fit.

    Raises ValueError where such a pattern stands in what is no schema, but may be referred to as one.
    """
    if not patterns:
        return schema
    found: list[None] = []
    made: dict[str, Any] = _bounded(schema, found)
    if len(found) != patterns:
        raise ValueError("a pattern stands where no schema does")
    return made


def _bounded(value: Any, found: list[None]) -> Any:
    if isinstance(value, list):
        return [_bounded(item, found) for item in value]
    if not isinstance(value, dict):
        return value
    made = {name: item if name in _DATA else _bounded(item, found) for name, item in value.items()}
    pattern = made.get("pattern")
    if isinstance(pattern, str) and backtracks(pattern):
        found.append(None)
        del made["pattern"]
        others = made.get("allOf")
        first = [
            {"maxLength": MAX_BACKTRACKED},
            {"pattern": pattern},
        ]  # in this order, and the first that fails ends it
        made["allOf"] = first + (others if isinstance(others, list) else [])
    return made

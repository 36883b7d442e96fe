"""Reading ``unsafe_standing_approvals``: yeses in advance, each with an end.

They weaken a default, so ``unsafe_`` stands in their name; they end by themselves, so that none is forgotten. A test
fixture or a night of unattended work says ``for = "12h"``: that counts from the start of the process, and a reload of
the policy does not begin it anew.
"""

from __future__ import annotations

import datetime
import re
from typing import Final

from doorward.policy import keys
from doorward.policy.model import StandingApproval
from doorward.policy.shapes import AHEAD_DAYS, Key, Raw, Shapes

TABLE: Final = "unsafe_standing_approvals"

_DURATION: Final = re.compile(r"([1-9][0-9]{0,4})([mh])")
_MINUTE_US: Final = 60 * 1_000_000
_UNITS_US: Final = {"m": _MINUTE_US, "h": 60 * _MINUTE_US}
_LONGEST_US: Final = AHEAD_DAYS * 24 * 60 * _MINUTE_US


def standing_approvals(shapes: Shapes, above: Key, raw: Raw) -> tuple[StandingApproval, ...]:
    """The table of the file (``above`` is empty) or of one server: one approval, or none."""
    if TABLE not in raw:
        return ()
    key = (*above, TABLE)
    given = shapes.table(raw, above, TABLE)
    if not isinstance(raw[TABLE], dict):
        return ()  # said by `table`, and enough
    shapes.known(given, key, keys.STANDING)
    asks = tuple(name for name in keys.ASKS if shapes.flag(given, key, name))
    if not any(name in given for name in keys.ASKS) or not (asks or _misspelt(given)):
        shapes.add(key, "approves nothing", f"set one to true: {', '.join(keys.ASKS)}")
    end = _end(shapes, key, given)
    return (StandingApproval(asks, *end),) if asks and end else ()


def _misspelt(given: Raw) -> bool:
    """Whether something else was said where true or false belongs: that is reported already."""
    return any(type(given.get(name, False)) is not bool for name in keys.ASKS)


def _end(shapes: Shapes, key: Key, given: Raw) -> tuple[str, int] | None:
    """The end as it was written, and as microseconds since the epoch."""
    if ("expires" in given) == ("for" in given):
        what = "has both 'expires' and 'for'" if "for" in given else "has no end"
        shapes.add(key, what, 'one of: expires = DATE, for = "12h"')
        return None
    if "for" in given:
        return _duration(shapes, (*key, "for"), given["for"])
    day = shapes.day(given, key, "expires")
    if day is None:
        return None
    # To the end of that day, wherever on earth the operator reads the calendar: UTC, as in all that we write.
    end = datetime.datetime.combine(day + datetime.timedelta(days=1), datetime.time(), datetime.UTC)
    return day.isoformat(), int(end.timestamp()) * 1_000_000


def _duration(shapes: Shapes, key: Key, given: object) -> tuple[str, int] | None:
    match = _DURATION.fullmatch(given) if isinstance(given, str) else None
    if match is None:
        shapes.add(key, "is not a duration", 'minutes or hours, as "30m" or "12h"')
        return None
    length = int(match[1]) * _UNITS_US[match[2]]
    if length > _LONGEST_US:
        shapes.add(key, f"{match[0]} is more than {AHEAD_DAYS} days", f'at the longest "{AHEAD_DAYS * 24}h"')
        return None
    return match[0], shapes.started_us + length

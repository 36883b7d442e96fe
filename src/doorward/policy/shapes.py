"""What the readers of a policy file share: the shapes that values have, and the list of everything that is wrong.

Each method returns something usable always, so that reading goes on after a problem and all are reported at once.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from doorward.errors import Problem
from doorward.policy.positions import Positions

Key = tuple[str, ...]
Raw = dict[str, Any]

AHEAD_DAYS: Final = 14  # long enough to see two weekly jobs, too short to be forgotten


class Shapes:
    """The problems of one file, and where it stands in time.

    ``today`` is the day that dates are measured against, ``started_us`` when this process began (microseconds since the
    epoch, UTC); the clock is asked only where one is None and the file names a date or a duration.
    """

    def __init__(
        self, source: str, positions: Positions, today: datetime.date | None = None, started_us: int | None = None
    ) -> None:
        self.source = source
        self._positions = positions
        self._today = today
        self._started_us = started_us
        self._found: list[tuple[int, Problem]] = []

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All of them, in the order of their lines."""
        return tuple(problem for _, problem in sorted(self._found, key=lambda found: found[0]))

    @property
    def started_us(self) -> int:
        if self._started_us is None:
            self._started_us = int(datetime.datetime.now(datetime.UTC).timestamp() * 1_000_000)
        return self._started_us

    def add(self, key: Key, what: str, hint: str = "") -> None:
        line = self._positions.line(key)
        self._found.append((line, Problem(f"{self.source}:{line}", f"{spelt(key)}: {what}", hint)))

    def known(self, raw: Raw, key: Key, known: Iterable[str]) -> None:
        names = tuple(known)
        for name in raw:
            if name not in names:
                self.add((*key, name), "is not a known key", _nearest(name, names))

    def table(self, raw: Raw, key: Key, name: str) -> Raw:
        table = raw.get(name, {})
        if isinstance(table, dict):
            return table
        self.add((*key, name), "is not a table")
        return {}

    def choice(self, raw: Raw, key: Key, name: str, choices: tuple[str, ...], default: str) -> str:
        chosen = raw.get(name, default)
        if isinstance(chosen, str) and chosen in choices:
            return chosen
        hint = _nearest(chosen, choices) if isinstance(chosen, str) else f"one of: {', '.join(choices)}"
        self.add((*key, name), f"{chosen!r} is not one of: {', '.join(choices)}", hint)
        return default

    def strings(self, raw: Raw, key: Key, name: str) -> tuple[str, ...]:
        given = raw.get(name, [])
        if isinstance(given, list) and all(isinstance(one, str) and one for one in given):
            return tuple(given)
        self.add((*key, name), "is not a list of texts", f'{name} = ["…"]')
        return ()

    def judged(
        self, raw: Raw, key: Key, name: str, problem: Callable[[str], tuple[str, str] | None]
    ) -> tuple[str, ...]:
        """A list of texts, each of which ``problem`` has nothing against."""
        given = self.strings(raw, key, name)
        for complaint in filter(None, map(problem, given)):
            self.add((*key, name), *complaint)
        return given

    def text(
        self, raw: Raw, key: Key, name: str, problem: Callable[[str], tuple[str, str] | None], default: str = ""
    ) -> str:
        """One text that ``problem`` has nothing against."""
        given = raw.get(name, default)
        if not isinstance(given, str) or (name in raw and not given):
            self.add((*key, name), "is not a text", f'{name} = "…"')
            return default
        if name in raw and (complaint := problem(given)):
            self.add((*key, name), *complaint)
            return default
        return given

    def whole(self, raw: Raw, key: Key, name: str, allowed: range, default: int) -> int:
        """A whole number within ``allowed``."""
        number = raw.get(name, default)
        if type(number) is int and number in allowed:
            return number
        self.add((*key, name), f"is not a whole number from {allowed[0]} to {allowed[-1]}")
        return default

    def flag(self, raw: Raw, key: Key, name: str) -> bool | None:
        """True, false, or None where nothing is said."""
        given = raw.get(name)
        if given is None or type(given) is bool:
            return given
        self.add((*key, name), "is neither true nor false")
        return None

    def day(self, raw: Raw, key: Key, name: str) -> datetime.date | None:
        """A date that is at most `AHEAD_DAYS` ahead; one that has passed is no mistake, it only does nothing."""
        if name not in raw:
            return None
        day, here = raw[name], (*key, name)
        today = self._today or datetime.date.today()  # noqa: DTZ011 (the operator's own calendar)
        last = today + datetime.timedelta(days=AHEAD_DAYS)
        # A datetime is a date to Python; to the reader of a policy it is not.
        if type(day) is not datetime.date:
            self.add(here, "is not a date", f"{name} = {last}")
        elif day > last:
            self.add(here, f"{day} is more than {AHEAD_DAYS} days ahead", f"at the latest {last}")
        else:
            return day
        return None


def _nearest(name: str, known: tuple[str, ...]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}" if close else f"known here: {', '.join(known)}"


def spelt(key: Key) -> str:
    """``key`` as one would write it in a file."""
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"' for part in key)

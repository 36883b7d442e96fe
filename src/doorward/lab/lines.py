"""A line of docs/threats.md: what plays it, or why nothing does yet.

A line that cannot be played honestly stands in a table with its reason: a run that could not fail would say less. Tests
hold the tables against the document and against the catalogues, in both directions.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Unplayed(StrEnum):
    """Why a line has no run. There is no other reason."""

    NOT_BUILT = "not built"
    """What would be attacked is no part of Doorward yet."""
    NO_TARGET = "no target"
    """No bare target of ours is harmed by it, or harm could not be seen."""
    NOT_WRITTEN = "not written"
    """It could be played, and nobody has written it yet."""
    NO_PLACE = "no place"
    """It needs what a loopback does not have."""


class Line(msgspec.Struct, frozen=True):
    """``words`` as the document has them; ``runs`` that play them (scenarios, or variants of one); ``unplayed`` and
    ``why`` where there are none, with the letter of the ``issue`` that owns what is missing. ``missing`` is what of a
    line its runs do not play.
    """

    words: str
    runs: tuple[str, ...] = ()
    unplayed: Unplayed | None = None
    why: str = ""
    issue: str = ""
    missing: str = ""


def none(words: str, unplayed: Unplayed, why: str, issue: str) -> Line:
    """A line without a run."""
    return Line(words, (), unplayed, f"{why} (issue {issue})", issue)

"""The result for a terminal: one line for each place, then each escape with the request that made it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from doorward.lab.attack.verdicts import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from doorward.lab.report.model import Run

LONGEST_REQUEST = 300
MOST_SHOWN = 6
"""Escapes of one place that are shown whole; all are in the JSON."""


def lines(rows: Sequence[Run]) -> Iterator[str]:
    """All of it."""
    for family in dict.fromkeys(row.id for row in rows):
        yield family
        for row in (row for row in rows if row.id == family):
            yield from _row(row)
    yield ""
    yield summary(rows)


def summary(rows: Sequence[Run]) -> str:
    """The last line: what was counted, and what was not tried."""
    counts = {outcome: sum(row.outcome is outcome for row in rows) for outcome in Outcome}
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    unknown = counts[Outcome.INCONCLUSIVE] + counts[Outcome.NOT_APPLICABLE] + counts[Outcome.EXCLUDED]
    return said + (
        f"; of what is inconclusive, not applicable or excluded ({unknown}) nothing is known" * bool(unknown)
    )


def _row(row: Run) -> Iterator[str]:
    relayed = row.target == "relayed"
    by = f" by {row.control}" if row.control else ""
    why = f": {row.reason}" if row.reason else ""
    era = f" ({row.era})" if row.era else ""
    yield f"  {row.outcome:<14} {'behind doorward' if relayed else 'bare'}, {row.example}{era}{by}{why}"
    shown = [one for one in row.evidence["variants"] if one["outcome"] == Outcome.SUCCEEDED or one["alone"]]
    for one in shown[:MOST_SHOWN]:
        if relayed:
            yield f"      {one['title']}: bare SUCCEEDED, here {one['outcome']}: {one['saw']}"
        else:
            yield f"      {one['title']}: {one['saw']}"
            yield f"        {request(one['request'])}"
    if len(shown) > MOST_SHOWN:
        yield f"      and {len(shown) - MOST_SHOWN} more, in --json"


def request(sent: dict[str, Any]) -> str:
    """One request in one line, cut where it is long."""
    text = json.dumps(sent, sort_keys=True)
    return text if len(text) <= LONGEST_REQUEST else text[: LONGEST_REQUEST - 1] + "…"

"""The rows of a demo as a matrix: one line per topology, example and era, one column per protection."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from doorward.lab.scenario import GATEWAY, Exclusion, Kind, Protection

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from doorward.lab.report.model import Run

HONEST_USE = "honest use"
"""The head of one more column, where no gateway is compared and a twin could be a server that serves nobody."""

REASONS = {
    Exclusion.ERA_NOT_SPOKEN: "target does not speak this era",
    Exclusion.REGISTRY_UNREACHABLE: "published target not installed",
    Exclusion.REMOTE_INTERNALS: "inside a remote server",
    Exclusion.TRANSPORT_NOT_SPOKEN: "target has no URL",
    Exclusion.INSIDE_ITS_FOLDERS: "harm inside the server's own folders",
}


class Line(msgspec.Struct, frozen=True):
    """One line of the matrix. A protection that was not played has no run."""

    topology: str
    id: str
    example: str
    era: str
    runs: dict[Protection, Run]


def lines(runs: Iterable[Run]) -> tuple[Line, ...]:
    """The matrix, in the order of ``runs``."""
    found: dict[tuple[str, str, str, str], dict[Protection, Run]] = {}
    for run in runs:
        found.setdefault((run.topology, run.id, run.example, run.era), {})[run.protection] = run
    return tuple(Line(*key, cells) for key, cells in found.items())


def columns_of(runs: Iterable[Run]) -> tuple[Protection, ...]:
    """The protections that are compared in ``runs``: bare and guarded, or those of the gateway."""
    guarded = any(run.protection is Protection.GUARDED for run in runs)
    return (Protection.NAIVE, Protection.GUARDED) if guarded else GATEWAY


def words(run: Run | None) -> str:
    """One cell: the outcome, and the control or wall, or the reason."""
    if run is None:
        return "-"
    if run.outcome is Kind.EXCLUDED and run.reason is not None:
        return f"excluded: {_reason(run.reason)}"
    told = _outcome(run)
    return f"OPEN, issue {run.issue}: {told}" if run.issue else told


def _outcome(run: Run) -> str:
    outcomes = [variant["outcome"] for variant in run.evidence.get("variants", ())]
    count = len(outcomes)
    if run.outcome is Kind.PREVENTED:
        reasons = Counter(variant["reason"] for variant in run.evidence.get("variants", ()) if variant.get("reason"))
        left = ", ".join(f"{some}/{count} {_reason(reason)}" for reason, some in reasons.items())
        return f"prevented by {run.control}" + (f" ({left})" if left else "")
    if run.outcome is Kind.SUCCEEDED:
        return f"ATTACK SUCCEEDED {outcomes.count(Kind.SUCCEEDED)}/{count}"
    return run.outcome.value


def _reason(reason: str) -> str:
    """An exclusion in words; what is said of guarded twins is words already."""
    return REASONS[Exclusion(reason)] if reason in REASONS else reason


def text(runs: Sequence[Run], *, columns: int | None = None) -> str:
    """The matrix as aligned text. Equal lines of neighbouring examples are not folded: every run has its line.

    Where the table is wider than ``columns``, each line of it becomes a paragraph: a wrapped table cannot be read.
    """
    compared = columns_of(runs)
    drawn_lines = [(line, _cells(line, compared)) for line in lines(runs)]
    table = [("topology", "scenario", "target", "era", *_heads(compared))]
    table += [(line.topology, line.id, line.example, line.era, *cells.values()) for line, cells in drawn_lines]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    if columns is not None and sum(widths) + 2 * (len(widths) - 1) > columns:
        return "\n\n".join(_paragraph(line, cells) for line, cells in drawn_lines)
    drawn = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join((drawn[0], "  ".join("-" * width for width in widths), *drawn[1:]))


def _heads(compared: tuple[Protection, ...]) -> tuple[str, ...]:
    return (*(column.value for column in compared), *((HONEST_USE,) if Protection.GUARDED in compared else ()))


def _cells(line: Line, compared: tuple[Protection, ...]) -> dict[str, str]:
    """What stands below each head."""
    cells = {column.value: words(line.runs.get(column)) for column in compared}
    if Protection.GUARDED in compared:
        run = line.runs.get(Protection.GUARDED)
        cells[HONEST_USE] = (run.evidence.get("benign") if run else "") or "-"
    return cells


def _paragraph(line: Line, cells: dict[str, str]) -> str:
    width = max(map(len, cells))
    told = (f"    {head:<{width}}  {said}" for head, said in cells.items())
    return "\n".join((f"{line.topology}: {line.id} on {line.example}, {line.era}", *told))


def troubles(runs: Iterable[Run]) -> tuple[str, ...]:
    """Everything that a reader must know beyond the matrix: what harmed behind protection, broke, or is unclear."""
    found = []
    for run in runs:
        protection = run.protection
        expected = Kind.SUCCEEDED if protection is Protection.NAIVE else Kind.PREVENTED
        if run.outcome in (expected, Kind.EXCLUDED) or run.issue:
            continue
        where = f"{run.topology}, {run.id}, {run.example}, {run.era}, {protection.value}: {run.outcome.value}"
        details = [run.evidence["note"]] if run.evidence.get("note") else []
        details += [
            f"{v['variant']}: {v['saw']}" for v in run.evidence.get("variants", ()) if v["outcome"] == run.outcome
        ]
        found.append("\n".join((where, *(f"  {detail}" for detail in details))))
    return tuple(found)


def openings(runs: Iterable[Run]) -> tuple[str, ...]:
    """What is not prevented yet and known: one line for each reason."""
    said: dict[tuple[str, str, str], list[str]] = {}
    for run in runs:
        if run.issue:
            places = said.setdefault((f"{run.id} on {run.example}", run.issue, run.evidence["open"]), [])
            places.append(run.topology)
    return tuple(
        f"open, issue {issue}: {what} ({', '.join(dict.fromkeys(places))}): {why}"
        for (what, issue, why), places in said.items()
    )


def insides(runs: Iterable[Run]) -> tuple[str, ...]:
    """What is not prevented as shipped because it stays in the server's own folders: one line for each variant."""
    said: dict[tuple[str, str, str], list[str]] = {}
    for run in runs:
        for one in run.evidence.get("variants", ()):
            if one.get("reason") == Exclusion.INSIDE_ITS_FOLDERS:
                said.setdefault((f"{run.id} on {run.example}", one["variant"], one["saw"]), []).append(run.topology)
    return tuple(
        f"excluded: {what}, {variant} ({', '.join(dict.fromkeys(places))}): {saw}"
        for (what, variant, saw), places in said.items()
    )

"""From what was judged to the row that reports get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from doorward.lab.report.model import Run
from doorward.lab.scenario import BEHIND, Outcome, Protection
from doorward.lab.stage import configuration_of
from doorward.lab.transcript import records

if TYPE_CHECKING:
    from doorward.lab.judgment import Finding, Played, Seen, Verdict
    from doorward.lab.runner import Cell


def row(
    cell: Cell, protection: Protection, outcome: Outcome, controls: tuple[str, ...], evidence: dict[str, Any]
) -> Run:
    """One row."""
    behind = protection in BEHIND
    return Run(
        id=cell.scenario.id,
        example=cell.example.id,
        era=cell.era.value,
        topology=cell.topology.value,
        target="relayed" if behind else protection.value,
        configured=protection is Protection.CONFIGURED if behind else None,
        outcome=outcome.kind,
        reason=outcome.reason,
        control=", ".join(controls) or None,
        evidence=evidence,
    )


def evidence(cell: Cell, protection: Protection, found: Verdict, played: Played) -> dict[str, Any]:
    """What was seen, variant by variant."""
    titles = {variant.id: variant.title for variant in cell.example.variants}
    shown: dict[str, Any] = {
        "benign": played.benign,
        "variants": [_shown(one, titles[one.variant], played.seen.get(one.variant)) for one in found.variants],
    }
    if found.note:
        shown["note"] = found.note
    if protection is Protection.CONFIGURED:
        shown["configuration"] = configuration_of(cell.example)
    return shown


def _shown(found: Finding, title: str, seen: Seen | None) -> dict[str, Any]:
    """One variant as reports have it; ``seen`` is None where it was not played."""
    shown = {**msgspec.to_builtins(found), "title": title}
    if seen is not None:
        shown["exchange"] = msgspec.to_builtins(seen.exchange)
        shown["records"] = records(seen.fired)
    return shown

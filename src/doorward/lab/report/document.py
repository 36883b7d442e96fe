"""A report as JSON, for programs and as the baseline of a later one. Its form is ``schema.json`` beside this file.

``schema`` names the form and its version. A member may be added without a new version; one that goes away or changes
its meaning brings one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from doorward.lab.report.model import Finding, Report

SCHEMA = "doorward-report/1"


def document(report: Report) -> dict[str, Any]:
    """What ``json`` takes."""
    return {
        "schema": SCHEMA,
        "verb": report.verb,
        "doorward": report.doorward,
        "seed": report.seed,
        "started": report.started,
        "seconds": round(report.seconds, 3),
        **({"target": msgspec.to_builtins(report.target)} if report.verb == "attack" else {}),
        **({"baseline": report.baseline} if report.baseline else {}),
        "runs": msgspec.to_builtins(report.runs),
        "findings": [_finding(finding) for finding in report.findings()],
        **({"unseen": msgspec.to_builtins(report.unseen())} if report.baseline else {}),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {**msgspec.to_builtins(finding.kept()), "saw": finding.saw}

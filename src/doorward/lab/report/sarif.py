"""A report as SARIF 2.1.0 (OASIS), for code scanning.

All scenarios of the catalogue are rules of every run, so that an index of rules does not depend on what was played. A
result is one finding. What is known or open carries its suppression with the reason and is never left out. What is
inconclusive or was not played is no result, since some readers show every result as an alert: it is a notification of
the invocation, and ``executionSuccessful`` is false where anything is inconclusive.

There is no source file to point at: a location is the target (its URL without a query, or what its command starts) with
the place as a logical location.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from doorward.lab.report.model import Standing, State
from doorward.lab.report.rules import rules

if TYPE_CHECKING:
    from doorward.lab.report.model import Finding, Report, Run
    from doorward.lab.report.rules import Rule

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT = "doorwardFinding/v1"


def sarif(report: Report) -> dict[str, Any]:
    """What ``json`` takes."""
    catalogue = rules()
    driver = {
        "name": "doorward",
        "version": report.doorward,
        "rules": [_rule(rule) for rule in catalogue],
    }
    index = {rule.id: number for number, rule in enumerate(catalogue)}
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"doorward/{report.verb}/"},
        "invocations": [_invocation(report, index)],
        "results": [_result(report, finding, index) for finding in report.findings()],
        "properties": {"seed": report.seed},
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule) -> dict[str, Any]:
    said = {heading: "\n".join(paragraphs) for heading, paragraphs in rule.story.items()}
    help_text = "\n\n".join(f"{heading}\n{text}" for heading, text in said.items() if text)
    return {
        "id": rule.id,
        "name": "".join(word.title() for word in rule.id.split("-")),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": said["Goal"] or rule.title},
        "help": {"text": help_text or rule.title},
        "defaultConfiguration": {"level": "error"},
        "properties": {
            "tags": ["security", *(f"external/cwe/{cwe.lower()}" for cwe in rule.cwe)],
            "owasp-mcp": rule.owasp,
            "stride": rule.stride,
            "controls": list(rule.controls),
        },
    }


def _invocation(report: Report, index: dict[str, int]) -> dict[str, Any]:
    standings = [(run, report.standing(run)) for run in report.runs]
    levels = {Standing.UNKNOWN: "error", Standing.NOT_PLAYED: "note"}
    return {
        "executionSuccessful": all(standing is not Standing.UNKNOWN for _, standing in standings),
        "startTimeUtc": report.started,
        "toolExecutionNotifications": [
            {
                "level": levels[standing],
                "message": {"text": f"{_where(run)}: {run.outcome.value}: {report.reason(run)}"},
                "associatedRule": _reference(run, index),
            }
            for run, standing in standings
            if standing in levels
        ],
    }


def _result(report: Report, finding: Finding, index: dict[str, int]) -> dict[str, Any]:
    run = finding.run
    known = {"baselineState": "unchanged" if finding.state is State.KNOWN else "new"}
    reference = _reference(run, index)
    return {
        "ruleId": reference["id"],
        **({"ruleIndex": reference["index"]} if "index" in reference else {}),
        "kind": "fail",
        "level": "error",
        "message": {"text": f"{finding.outcome}: {finding.variant or 'the run'}, {_where(run)}: {finding.saw}"},
        "locations": [_location(report, finding)],
        "partialFingerprints": {FINGERPRINT: finding.fingerprint},
        **(known if report.baseline else {}),
        # Empty means "not suppressed", absent would mean that nobody knows (§3.27.23).
        "suppressions": _suppressions(report, finding),
        "properties": {
            "protection": run.protection.value,
            "topology": run.topology,
            "era": run.era,
            "outcome": finding.outcome,
            "state": finding.state.value,
        },
    }


def _suppressions(report: Report, finding: Finding) -> list[dict[str, str]]:
    if finding.state is State.NEW:
        return []
    why = report.why_known(finding)
    return [{"kind": "external", "status": "accepted", "justification": why}]


def _location(report: Report, finding: Finding) -> dict[str, Any]:
    parts = [finding.run.example, *([finding.variant] if finding.variant else [])]
    return {
        "physicalLocation": {"artifactLocation": {"uri": _uri(report, finding.run)}},
        "logicalLocations": [{"name": parts[-1], "fullyQualifiedName": "/".join(parts)}],
    }


def _uri(report: Report, run: Run) -> str:
    target = report.target
    if target.url:
        return quote(urlsplit(target.url)._replace(query="", fragment="").geturl(), safe="/:@%[]~")
    if command := target.command or target.client:
        from doorward.gateway.identity.programs import label

        return quote(label(command))
    return quote(run.example)


def _reference(run: Run, index: dict[str, int]) -> dict[str, Any]:
    return {"id": run.id, **({"index": index[run.id]} if run.id in index else {})}


def _where(run: Run) -> str:
    return f"{run.example} ({run.topology}, {run.era}, {run.protection.value})"

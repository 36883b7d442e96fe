"""A report as JUnit XML, for whatever shows the results of tests.

One suite for each scenario, one case for each run. A finding is a ``failure``, what is inconclusive an ``error``, what
was not played, is known from the baseline or is listed as open is ``skipped`` with the reason. JUnit has no standard:
this keeps to what the schemas of Jenkins and of Apache Ant's ``junit`` task have in common.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from doorward.lab.report.model import Standing, State

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from doorward.lab.report.model import Finding, Report, Run

# XML 1.0 §2.2 knows no way to write the others, not even as a reference.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_SHORT = 0x100


def xml(report: Report) -> str:
    """The whole document, with its declaration."""
    suites = ElementTree.Element("testsuites", {"name": f"doorward {report.verb}", "time": f"{report.seconds:.3f}"})
    for id in dict.fromkeys(run.id for run in report.runs):
        suites.append(_suite(report, id, [run for run in report.runs if run.id == id]))
    _count(suites, suites)
    ElementTree.indent(suites)
    text = ElementTree.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _suite(report: Report, id: str, runs: Sequence[Run]) -> Element:
    # Only the whole play was timed.
    suite = ElementTree.Element("testsuite", {"name": _told(id), "timestamp": report.started.rstrip("Z"), "time": "0"})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (("doorward", report.doorward), ("seed", str(report.seed)), ("baseline", report.baseline)):
        if value:
            ElementTree.SubElement(properties, "property", {"name": name, "value": _told(value)})
    for run in runs:
        suite.append(_case(report, run))
    _count(suite, suite)
    return suite


def _count(where: Element, into: Element) -> None:
    kinds = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
    for name, tag in kinds.items():
        into.set(name, str(sum(1 for _ in where.iter(tag))))


def _case(report: Report, run: Run) -> Element:
    name = f"{run.example}, {run.protection.value} ({run.topology}, {run.era})"
    case = ElementTree.Element("testcase", {"classname": _told(f"doorward.{run.id}"), "name": _told(name), "time": "0"})
    standing, findings = report.standing(run), report.findings_of(run)
    fresh = [finding for finding in findings if finding.state is State.NEW]
    if fresh:
        failure = _child(case, "failure", f"{run.outcome.value}: {len(fresh)} findings", _lines(findings))
        failure.set("type", run.outcome.value)
    elif findings:
        _child(
            case,
            "skipped",
            f"{run.outcome.value}, {findings[0].state.value}: {report.why_known(findings[0])}",
            _lines(findings),
        )
    elif standing is Standing.UNKNOWN:
        _child(case, "error", report.reason(run), "").set("type", run.outcome.value)
    elif standing is Standing.NOT_PLAYED:
        _child(case, "skipped", f"{run.outcome.value}: {report.reason(run)}", "")
    return case


def _child(case: Element, tag: str, message: str, text: str) -> Element:
    child = ElementTree.SubElement(case, tag, {"message": _told(message)})
    child.text = _told(text) or None
    return child


def _lines(findings: Sequence[Finding]) -> str:
    return "\n".join(
        f"{one.variant or 'the run'} [{one.state.value}, {one.fingerprint}]: {one.saw}" for one in findings
    )


def _told(text: str) -> str:
    return _UNWRITABLE.sub(lambda found: _escape(ord(found[0])), text)


def _escape(point: int) -> str:
    return f"\\x{point:02x}" if point < _SHORT else f"\\u{point:04x}"

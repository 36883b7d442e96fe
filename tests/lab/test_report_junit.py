"""What a build server shows of a report: neither what is wrong nor what was not played looks like a pass."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from doorward.lab.attack.verdicts import Outcome
from doorward.lab.report import junit
from doorward.lab.report.model import Report, Run, Verb
from doorward.lab.scenario import Kind


def run(outcome: Kind | Outcome, *, configured: bool | None = None, **evidence: Any) -> Run:
    variants = [{"variant": "dot-dot", "outcome": outcome.value, "control": "", "saw": "the secret"}]
    target = "naive" if configured is None else "relayed"
    where = ("path-traversal", "notes", "2025-11-25", "wrap", target)
    return Run(*where, configured, outcome, None, None, {"variants": variants, **evidence})


def read(*runs: Run, verb: Verb = "demo", **more: Any) -> ElementTree.Element:
    report = Report(verb, "1", 7, "2026-11-26T00:00:00Z", 1.5, runs, **more)
    return ElementTree.fromstring(junit.xml(report).encode())  # noqa: S314 - the same


def results(root: ElementTree.Element) -> list[str]:
    """Of each case what it holds, in order."""
    return [next((child.tag for child in case), "passed") for case in root.iter("testcase")]


@pytest.mark.parametrize(
    ("verb", "one", "result"),
    [
        ("demo", run(Kind.SUCCEEDED), "passed"),
        ("demo", run(Kind.INCONCLUSIVE), "failure"),
        ("demo", run(Kind.SUCCEEDED, configured=False), "failure"),
        ("demo", run(Kind.OBSTRUCTED, configured=False), "failure"),
        ("demo", run(Kind.INCONCLUSIVE, configured=True), "error"),
        ("demo", run(Kind.PREVENTED, configured=True), "passed"),
        ("demo", run(Kind.EXCLUDED), "skipped"),
        ("demo", msgspec.structs.replace(run(Kind.SUCCEEDED, configured=True, open="why"), issue="D"), "skipped"),
        ("attack", run(Outcome.SUCCEEDED), "failure"),
        ("attack", run(Outcome.RESISTED), "passed"),
        ("attack", run(Outcome.NOT_APPLICABLE), "skipped"),
        ("attack", run(Outcome.INCONCLUSIVE), "error"),
    ],
)
def test_only_what_is_as_it_should_be_passes(verb: Verb, one: Run, result: str) -> None:
    assert results(read(one, verb=verb)) == [result]


def test_a_failure_says_what_was_seen_and_each_fingerprint() -> None:
    harm = run(Kind.SUCCEEDED, configured=True)
    (failure,) = read(harm).iter("failure")
    (finding,) = Report("demo", "1", 7, "", 1.0, (harm,)).findings()
    assert failure.get("type") == "SUCCEEDED"
    assert failure.text == f"dot-dot [new, {finding.fingerprint}]: the secret"


def test_what_is_open_is_skipped_with_its_owner_and_reason() -> None:
    listed = msgspec.structs.replace(run(Kind.SUCCEEDED, configured=True, open="nobody caps it"), issue="D")
    (skipped,) = read(listed).iter("skipped")
    assert skipped.get("message") == "SUCCEEDED, open: issue D: nobody caps it"
    assert "the secret" in (skipped.text or "")


def test_suites_and_the_whole_count_what_they_hold() -> None:
    other = msgspec.structs.replace(run(Kind.EXCLUDED), id="log-leakage")
    root = read(
        run(Kind.SUCCEEDED), run(Kind.SUCCEEDED, configured=False), run(Kind.INCONCLUSIVE, configured=True), other
    )
    suites = {suite.get("name"): suite for suite in root.iter("testsuite")}
    assert suites.keys() == {"path-traversal", "log-leakage"}

    def counted(where: ElementTree.Element) -> list[str | None]:
        return [where.get(name) for name in ("tests", "failures", "errors", "skipped")]

    assert counted(root) == ["4", "1", "1", "1"]
    assert counted(suites["path-traversal"]) == ["3", "1", "1", "0"]
    assert counted(suites["log-leakage"]) == ["1", "0", "0", "1"]
    assert suites["log-leakage"].get("timestamp") == "2026-11-26T00:00:00"


def test_each_run_has_a_name_of_its_own() -> None:
    runs = [run(Kind.SUCCEEDED), run(Kind.PREVENTED, configured=False), run(Kind.PREVENTED, configured=True)]
    runs += [msgspec.structs.replace(one, topology="serve→URL") for one in runs]
    names = [(case.get("classname"), case.get("name")) for case in read(*runs).iter("testcase")]
    assert len(set(names)) == len(names) == 6


def test_whatever_a_server_says_the_xml_can_be_read_and_is_no_markup() -> None:
    evil = "</failure><script>\x00\x1b[2J\ud800\uffff&\u202e]]>"
    hostile = run(Kind.SUCCEEDED, configured=True, variants=[{"variant": evil, "outcome": "SUCCEEDED", "saw": evil}])
    root = read(msgspec.structs.replace(hostile, example=evil, id=evil), baseline=evil)
    assert not list(root.iter("script"))
    (failure,) = root.iter("failure")
    assert failure.text is not None
    assert "</failure><script>\\x00\\x1b[2J\\ud800\\uffff&\u202e]]>" in failure.text

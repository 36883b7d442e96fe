"""What the operator reads on stderr of what a list was shortened by."""

from __future__ import annotations

import json

import pytest

from doorward.audit.entry import Entry, FindingRecord
from doorward.gateway.perform import worth_telling
from doorward.gateway.reporter import Reporter

FOUND = FindingRecord("usable-definitions", "NOTE", "a tool that cannot be called is not shown", "x\x1b[2J: no schema")
OTHER = FindingRecord("result-masking", "NOTE", "1 credentials were masked in a result", "github-token")


def listed(*findings: FindingRecord) -> Entry:
    return Entry(kind="outcome", at=0, link="link", method="tools/list", decision="ALLOW", findings=findings)


LISTED = listed(OTHER, FOUND)


def test_a_list_that_was_shortened_is_told_with_tool_and_reason(capfd: pytest.CaptureFixture[str]) -> None:
    Reporter(as_json=False).refused(LISTED)
    line = capfd.readouterr().err
    assert line.startswith("doorward: quarantined: a tool that cannot be called is not shown: x")
    assert line.endswith(": no schema\n")
    assert "\x1b" not in line
    assert "credentials" not in line


def test_a_program_is_told_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    Reporter(as_json=True).refused(LISTED)
    told = json.loads(capfd.readouterr().err)
    assert (told["event"], told["method"]) == ("quarantined", "tools/list")
    assert [one["item"] for one in told["items"]] == ["x\x1b[2J: no schema"]


def test_other_notes_are_no_news() -> None:
    assert worth_telling(LISTED)
    assert not worth_telling(listed(OTHER))
    assert not worth_telling(listed())

"""What a test run says of the official suite at its end: how many scenarios passed each way, and under which policy."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

POLICY: Final = Path(__file__).parent / "doorward.toml"
_CELL = re.compile(r"tests/conformance/test_official_suite\.py::test_required\[(\d{4}-\d\d-\d\d)-(\w+)-.+\]")


class Scores:
    """Counts the suite's scenarios by era and way as their tests end, and prints them with the policy."""

    def __init__(self) -> None:
        self._passed: Counter[tuple[str, str]] = Counter()
        self._played: Counter[tuple[str, str]] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        cell = _CELL.fullmatch(report.nodeid)
        if cell and (report.when == "call" or report.failed):
            era, way = cell.groups()
            self._played[era, way] += 1
            self._passed[era, way] += report.passed

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._played:
            return
        terminalreporter.section("the official conformance suite, through doorward serve")
        for (era, way), played in sorted(self._played.items()):
            terminalreporter.line(f"{era}, server behind {way}: {self._passed[era, way]} of {played} scored scenarios")
        terminalreporter.line(f"played under {POLICY.parent.name}/{POLICY.name}:")
        terminalreporter.write(POLICY.read_text())

"""The official conformance suite: what it requires of a server in each era, and how it is played against a URL.

`REQUIRED` is the frozen set of each revision, as ``conformance list --requirements`` prints it; a test compares. It is
written down here so that each scenario is a test of its own, whose name is known before anything is installed.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

LEGACY, MODERN = ERAS = ("2025-11-25", "2026-07-28")
DIRECT, HTTP, STDIO = "direct", "http", "stdio"  # the ways to the reference server
SUITE_LIMIT_SECONDS: Final = 300  # behind a pipe each legacy scenario starts a server of its own, two seconds each

_COMMON: Final = """
    completion-complete tools-list tools-call-simple-text tools-call-image tools-call-audio
    tools-call-embedded-resource tools-call-mixed-content tools-call-error tools-call-with-progress
    server-sse-multiple-streams resources-list resources-read-text resources-read-binary resources-templates-read
    prompts-list prompts-get-simple prompts-get-with-args prompts-get-embedded-resource prompts-get-with-image
    dns-rebinding-protection
"""
_LEGACY_ONLY: Final = """
    server-initialize logging-set-level ping tools-call-with-logging tools-call-sampling tools-call-elicitation
    elicitation-sep1034-defaults elicitation-sep1330-enums resources-subscribe resources-unsubscribe
"""
_MODERN_ONLY: Final = """
    server-stateless sep-2164-resource-not-found caching input-required-result-basic-elicitation
    input-required-result-basic-sampling input-required-result-basic-list-roots input-required-result-request-state
    input-required-result-multiple-input-requests input-required-result-multi-round
    input-required-result-missing-input-response input-required-result-non-tool-request
    input-required-result-result-type input-required-result-unsupported-methods input-required-result-tampered-state
    input-required-result-capability-check input-required-result-ignore-extra-params
    input-required-result-validate-input
"""
REQUIRED: Final = {
    LEGACY: tuple(sorted((_COMMON + _LEGACY_ONLY).split())),
    MODERN: tuple(sorted((_COMMON + _MODERN_ONLY).split())),
}

BEYOND: Final = {
    LEGACY: ("json-schema-2020-12", "server-session-lifecycle", "server-sse-polling"),
    MODERN: ("http-custom-header-server-validation", "http-header-validation", "json-schema-2020-12"),
}
"""What the suite plays too and does not score: everything that does not need an extension."""

_FOLDER = re.compile(r"server-(?P<scenario>.+)-\d{4}-\d\d-\d\dT[\d-]+Z")
_OVERDUE = "aborted due to timeout"
_TITLE, _ITEM = "Server scenarios", "  - "


class Report(NamedTuple):
    """What came of one play: the exit code (0: all that is scored passed), every check by scenario, the output."""

    code: int
    checks: dict[str, list[dict[str, Any]]]
    output: str

    @property
    def is_overdue(self) -> bool:
        """Whether something failed because an answer did not come within the suite's own few seconds."""
        return any(_OVERDUE in line for scenario in self.checks for line in self.failures(scenario))

    def failures(self, scenario: str) -> list[str]:
        """What did not hold in ``scenario``, one line each; empty if it passed."""
        if not self.checks.get(scenario):
            return [f"{scenario} gave no result: {self.output[-2000:]}"]
        failed = [check for check in self.checks[scenario] if check["status"] == "FAILURE"]
        return [_line(check) for check in failed]


class Suite:
    """The installed suite. ``argv`` runs it."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        self._argv = argv

    def required(self, era: str) -> tuple[str, ...]:
        """The scored server scenarios of ``era``, as the suite itself lists them."""
        listed = self._run("list", "--requirements", era).stdout
        section = listed.partition(_TITLE)[2].partition("\n\n")[0]
        return tuple(sorted(line[len(_ITEM) :] for line in section.splitlines() if line.startswith(_ITEM)))

    def play(self, url: str, era: str, results: Path, *, scenario: str = "") -> Report:
        """Play the requirements of ``era``, or only one of its scenarios, against the server at ``url``."""
        which = ("--scenario", scenario, "--spec-version", era) if scenario else ("--requirements", era)
        done = self._run("server", "--url", url, *which, "--output-dir", str(results))
        checks = {}
        for folder in sorted(results.iterdir()):
            named = _FOLDER.fullmatch(folder.name)
            assert named, folder.name
            checks[named["scenario"]] = json.loads((folder / "checks.json").read_bytes())
        return Report(done.returncode, checks, done.stdout + done.stderr)

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (*self._argv, *words),
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=SUITE_LIMIT_SECONDS,
        )


Plays = Callable[[str, str], Report]
"""By era and way, what came of it."""


def _line(check: dict[str, Any]) -> str:
    details = json.dumps(check.get("details", {}), ensure_ascii=False)
    return f"{check['id']}: {check.get('errorMessage') or check['description']}; {details[:1000]}"

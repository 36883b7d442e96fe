"""The official suite's own words on Doorward: every scenario that a revision requires of a server, through `serve`."""

from __future__ import annotations

import pytest
from tests.conformance.suite import BEYOND, DIRECT, ERAS, HTTP, REQUIRED, STDIO, Plays, Suite

pytestmark = pytest.mark.timeout(400)  # the first test of a way waits for the whole play

WAYS = (HTTP, STDIO)
SCORED = [(era, way, scenario) for era in ERAS for way in WAYS for scenario in REQUIRED[era]]
UNSCORED = [(era, way, scenario) for era in ERAS for way in WAYS for scenario in BEYOND[era]]


@pytest.mark.parametrize("era", ERAS)
def test_the_scenarios_written_down_here_are_those_that_the_suite_requires(suite: Suite, era: str) -> None:
    assert suite.required(era) == REQUIRED[era]


def test_there_are_as_many_as_we_say() -> None:
    assert [len(REQUIRED[era]) for era in ERAS] == [30, 37]


@pytest.mark.parametrize("era", ERAS)
def test_the_reference_server_passes_when_it_is_asked_directly(plays: Plays, era: str) -> None:
    """Otherwise what follows would say nothing about Doorward."""
    report = plays(era, DIRECT)
    assert {name: report.failures(name) for name in REQUIRED[era] if report.failures(name)} == {}
    assert report.code == 0


@pytest.mark.parametrize(("era", "way", "scenario"), SCORED)
def test_required(plays: Plays, era: str, way: str, scenario: str) -> None:
    failures = plays(era, way).failures(scenario)
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize(("era", "way", "scenario"), UNSCORED)
def test_not_required_and_fulfilled_all_the_same(plays: Plays, era: str, way: str, scenario: str) -> None:
    failures = plays(era, way).failures(scenario)
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize(("era", "way"), [(era, way) for era in ERAS for way in WAYS])
def test_the_suite_itself_calls_the_revision_fulfilled(plays: Plays, era: str, way: str) -> None:
    report = plays(era, way)
    assert report.code == 0, report.output

"""One scenario of each era under the defaults: nothing is approved in advance, and somebody sits at a terminal."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio.to_thread
import pytest
from tests.conformance.reference import Reference
from tests.conformance.suite import LEGACY, MODERN, Report, Suite
from tests.listening import served

from doorward.lab.person import Person, attending

SCENARIOS = {
    LEGACY: ("tools-call-sampling", "Test prompt for sampling"),
    MODERN: ("input-required-result-basic-sampling", "What is the capital of France?"),
}
ALWAYS_SHOWN = ("100", "mcp-conformance-test-server")
VALID_ON_THE_WIRE = "wire-schema-valid"


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory with a short name: below pytest's own the sockets would have too long a path."""
    with tempfile.TemporaryDirectory(prefix="dw-") as path:
        yield Path(path)


def play_beside(suite: Suite, reference: Reference, home: Path, era: str, *announced: str) -> tuple[Report, Person]:
    """What came of the scenario of ``era`` while somebody approves exactly what was announced to them."""
    scenario, _ = SCENARIOS[era]
    results = home / "results"
    results.mkdir()

    async def play() -> tuple[Report, Person]:
        with reference.listening() as upstream, served(home, "--upstream", upstream) as gateway:
            server, url = gateway.only
            consent = (sys.executable, "-m", "doorward", "consent")
            sitting = attending(
                consent,
                env=gateway.environment,
                cwd=home,
                server=server,
                announced=(*ALWAYS_SHOWN, *announced),
                gateway="serve",
            )
            async with sitting as person:
                assert await person.wait(person.connected), person.screen
                work = partial(suite.play, url, era, results, scenario=scenario)
                return await anyio.to_thread.run_sync(work), person

    return anyio.run(play)


@pytest.mark.parametrize("era", SCENARIOS)
def test_a_person_who_approves_what_was_announced_fulfils_the_scenario(
    suite: Suite, reference: Reference, home: Path, era: str
) -> None:
    scenario, prompt = SCENARIOS[era]
    report, person = play_beside(suite, reference, home, era, prompt)
    assert report.failures(scenario) == []
    assert [glance.approved for glance in person.glances] == [True]


@pytest.mark.parametrize("era", SCENARIOS)
def test_a_person_who_refuses_leaves_an_answer_that_the_specification_allows(
    suite: Suite, reference: Reference, home: Path, era: str
) -> None:
    scenario, _ = SCENARIOS[era]
    report, person = play_beside(suite, reference, home, era)
    assert [glance.approved for glance in person.glances] == [False]
    statuses = {check["id"]: check["status"] for check in report.checks[scenario]}
    assert statuses.pop(VALID_ON_THE_WIRE) == "SUCCESS"
    assert set(statuses.values()) == {"FAILURE"}

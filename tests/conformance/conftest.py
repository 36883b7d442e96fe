"""What the tests with the official suite share: each run of it is made once, however many tests ask for it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.conformance.reference import POLICY, Reference
from tests.conformance.suite import DIRECT, HTTP, STDIO, Plays, Report, Suite
from tests.listening import once, served

from doorward.lab.targets.published import Installed


@pytest.fixture(scope="session")
def suite(peers: Callable[[str], Installed]) -> Suite:
    return Suite(peers("conformance").argv)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """The reference server."""
    unpacked = Path(os.environ["DOORWARD_TARGETS"]) / "fixture"
    return Reference(unpacked, tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="module")
def plays(suite: Suite, reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plays]:
    """What came of the requirements of an era, directly or with Doorward before either form of the server."""
    with ExitStack() as processes:

        def start(way: str) -> str:
            if way == DIRECT:
                return processes.enter_context(reference.listening())
            upstream = url(DIRECT) if way == HTTP else shlex.join(reference.command)
            gateway = served(tmp_path_factory.mktemp(way), "--upstream", upstream, policy=POLICY)
            _, front = processes.enter_context(gateway).only
            return front

        def play(era: str, way: str) -> Report:
            report = suite.play(url(way), era, tmp_path_factory.mktemp("results"))
            if way == STDIO and report.is_overdue:
                # Each session starts the server, which takes a Python two seconds alone and more than the suite's five
                # on a machine with much else to do. Everything is played again then, once.
                report = suite.play(url(way), era, tmp_path_factory.mktemp("results"))
            return report

        url = once(start)
        yield once(play)

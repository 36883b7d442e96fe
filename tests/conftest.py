"""What every room's tests share: real peers, and the rule that nothing is skipped silently."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from hypothesis.database import DirectoryBasedExampleDatabase

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.lab.targets.published import Installed

TESTS = Path(__file__).parent
PEERS = TESTS / "peers"

# As the Makefile has it, for whoever runs pytest by hand.
os.environ.setdefault("DOORWARD_TARGETS", str(TESTS.parent / ".cache" / "targets"))

# Time is bounded by pytest-timeout: a deadline per example fails on a busy machine and proves nothing. `make test`
# plays the same examples everywhere; `make soak` looks for new ones, and remembers those that failed.
hypothesis.settings.register_profile("doorward", deadline=None, derandomize=True)
hypothesis.settings.register_profile(
    "explore",
    deadline=None,
    max_examples=1000,
    database=DirectoryBasedExampleDatabase(TESTS.parent / ".cache" / "hypothesis"),
)
hypothesis.settings.load_profile("explore" if os.environ.get("DOORWARD_EXPLORE") else "doorward")


@pytest.fixture(scope="session")
def node() -> Path:
    """The node that runs the real servers written for it."""
    from doorward.lab.targets.published import find_node

    found = find_node()
    assert found is not None, "node is not installed: run `make setup`"
    return found


@pytest.fixture(scope="session")
def peers() -> Callable[[str], Installed]:
    """How to start a real server by the name of its lock, below tests/peers or among the published targets.

    A peer that is not installed is a failure and never a skip: `make setup` brings all of them.
    """
    from doorward.lab.targets.published import LOCKS, NotInstalled, find, names

    def start(name: str) -> Installed:
        found = find(name, locks=LOCKS if name in names() else PEERS)
        assert not isinstance(found, NotInstalled), f"{name}: {found.reason}: run `make setup`"
        return found

    return start


class SkipLedger:
    """Compares the tests that were skipped with the ones that skips.toml lists.

    A skip is a hole in what a green run means, so each has an entry with a reason that people can read. Unlisted ones
    fail the run where CI is set, and are named everywhere. An expected failure counts as a skip. An entry that matched
    nothing is named too, in a run of all tests; it does not fail, since it may be needed on another machine.
    """

    def __init__(self, listed: dict[str, str]) -> None:
        self.listed = listed
        self.used: set[str] = set()
        self.unlisted: list[tuple[str, str]] = []

    def _note(self, nodeid: str, reason: str) -> None:
        for entry in self.listed:
            if nodeid == entry or nodeid.startswith((f"{entry}[", f"{entry}::")):
                self.used.add(entry)
                return
        self.unlisted.append((nodeid, reason))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            self._note(report.nodeid, _reason(report.longrepr))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._note(report.nodeid, _reason(report.longrepr))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unlisted and os.environ.get("CI") and session.exitstatus in (pytest.ExitCode.OK, 5):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        if self.unlisted:
            terminalreporter.section("skipped without an entry in tests/skips.toml")
            for nodeid, reason in self.unlisted:
                terminalreporter.line(f"{nodeid}: {reason}")
        idle = sorted(set(self.listed) - self.used)
        if idle and config.args == config.getini("testpaths"):
            terminalreporter.section("listed in tests/skips.toml, but not skipped here")
            for nodeid in idle:
                terminalreporter.line(f"{nodeid}: {self.listed[nodeid]}")


SHARES = {
    "gateway/test_fetching.py": 3, "e2e/test_published_servers.py": 6, "lab/test_walls_alone.py": 3,
    "lab/test_attack.py": 2, "lab/test_attack_client.py": 2, "lab/test_generated.py": 2, "lab/test_own_folders.py": 2,
}  # fmt: skip
"""Of these, which take minutes, a run of everything plays each so-manieth test; asked for by name, or with
``DOORWARD_WHOLE=1`` as in `make soak`, all of them.
"""
LONGEST_FIRST = (
    "lab/test_attack.py", "lab/test_attack_client.py", "lab/test_relayed.py", "lab/test_naive.py",
    "conformance/test_official_suite.py", "lab/test_guarded.py", "lab/test_generated.py", "lab/test_canonical.py",
    "house/test_skips.py", "lab/test_sentinels.py", "gateway/test_serve_soak.py", "gateway/test_child_upstream.py",
    "lab/test_own_folders.py", "e2e/test_published_servers.py", "lab/test_published_targets.py",
    "e2e/test_everything_behind_doorward.py", "judge/test_hostile_schemas.py", "cli/test_demo.py",
    "e2e/test_clients_over_stdio.py", "gateway/test_serve_streams.py", "gateway/test_serve_life.py",
)  # fmt: skip
"""A file is one worker's: what takes longest begins first in a run of everything, so that no core waits at its end."""
DRAW = int(os.environ.get("DOORWARD_SAMPLE", "20261126"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.args == config.getini("testpaths"):
        places = {TESTS / file: place for place, file in enumerate(LONGEST_FIRST)}
        items.sort(key=lambda item: places.get(item.path, len(places)))
    if os.environ.get("DOORWARD_WHOLE") or config.args != config.getini("testpaths"):
        return
    seen = dict.fromkeys(SHARES, DRAW)
    left = []
    for item in items:
        for file, share in SHARES.items():
            if item.path == TESTS / file:
                seen[file] += 1
                left += [item] if seen[file] % share else []
    if left:
        dropped = set(left)
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in dropped]


def _reason(longrepr: object) -> str:
    return str(longrepr[2]) if isinstance(longrepr, tuple) else "expected to fail"


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return  # a worker of xdist; the process that hears of all tests keeps the ledger and the scores
    entries = tomllib.loads((TESTS / "skips.toml").read_text()).get("skip", [])
    config.pluginmanager.register(SkipLedger({e["test"]: e["reason"] for e in entries}), "skip-ledger")
    if (TESTS / "conformance").is_dir():  # this file alone is copied by the tests of its ledger
        from tests.conformance.scores import Scores

        config.pluginmanager.register(Scores(), "conformance-scores")

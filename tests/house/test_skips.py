"""The skip ledger of tests/conftest.py, tried on small suites of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Play = Callable[..., subprocess.CompletedProcess[str]]

CONFTEST = Path(__file__).parent.parent / "conftest.py"

SUITE = """
import pytest

def test_that_runs():
    assert 1 + 1 == 2

@pytest.mark.parametrize("moon", ["new", "full"])
def test_that_needs_a_moon(moon):
    pytest.skip("no moon")
"""


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Run a suite under our conftest in a process of its own, and answer how it ended."""

    def run(suite: str, skips: str, *, ci: bool, workers: int = 0) -> subprocess.CompletedProcess[str]:
        tests = tmp_path / "tests"
        tests.mkdir()
        shutil.copyfile(CONFTEST, tests / "conftest.py")
        (tests / "skips.toml").write_text(skips)
        (tests / "test_suite.py").write_text(suite)
        (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\naddopts = --import-mode=importlib\n")
        environment = {k: v for k, v in os.environ.items() if k != "CI" and not k.startswith("PYTEST_")}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-n", str(workers), "-p", "no:cacheprovider"],
            cwd=tmp_path,
            env=environment | ({"CI": "true"} if ci else {}),
            check=False,
            capture_output=True,
            text=True,
            timeout=100,
        )

    return run


def entry(test: str) -> str:
    return f'[[skip]]\ntest = "{test}"\nreason = "the moon is not part of CI"\n'


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unlisted_skip_fails_the_run_in_ci_and_is_named(play: Play, workers: int) -> None:
    done = play(SUITE, "", ci=True, workers=workers)
    assert done.returncode == 1
    assert re.search(r"^tests/test_suite.py::test_that_needs_a_moon\[full\]: .*no moon$", done.stdout, re.MULTILINE)


def test_an_unlisted_skip_is_only_named_on_a_persons_machine(play: Play) -> None:
    done = play(SUITE, "", ci=False)
    assert done.returncode == 0
    assert "skipped without an entry in tests/skips.toml" in done.stdout


@pytest.mark.parametrize("listed", ["tests/test_suite.py", "tests/test_suite.py::test_that_needs_a_moon"])
def test_a_listed_skip_passes_in_ci(play: Play, listed: str) -> None:
    done = play(SUITE, entry(listed), ci=True)
    assert done.returncode == 0
    assert "skips.toml" not in done.stdout


def test_an_entry_covers_no_other_test_whose_name_begins_alike(play: Play) -> None:
    done = play(SUITE, entry("tests/test_suite.py::test_that_needs_a"), ci=True)
    assert done.returncode == 1


def test_an_expected_failure_counts_as_a_skip(play: Play) -> None:
    suite = "import pytest\n\n@pytest.mark.xfail(reason='later')\ndef test_x():\n    assert 1 == 2\n"
    assert play(suite, "", ci=True).returncode == 1


def test_a_file_skipped_as_a_whole_counts_as_a_skip(play: Play) -> None:
    done = play("import pytest\n\npytest.skip('not here', allow_module_level=True)\n", "", ci=True, workers=2)
    assert done.returncode == 1
    assert re.search(r"^tests/test_suite.py: .*not here$", done.stdout, re.MULTILINE)


def test_an_entry_that_no_longer_matches_is_named_and_does_not_fail(play: Play) -> None:
    done = play("def test_that_runs():\n    assert 1 + 1 == 2\n", entry("tests/test_suite.py::test_gone"), ci=True)
    assert done.returncode == 0
    assert re.search(
        r"but not skipped here.*\ntests/test_suite.py::test_gone: the moon is not part of CI$",
        done.stdout,
        re.MULTILINE,
    )


def test_what_is_shared_out_or_begun_first_is_there() -> None:
    from tests.conftest import LONGEST_FIRST, SHARES, TESTS

    assert [file for file in (*LONGEST_FIRST, *SHARES) if not (TESTS / file).is_file()] == []

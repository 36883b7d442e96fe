"""`unsafe_standing_approvals`: yeses in advance that end by themselves, the same in every process under one file."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from doorward.errors import PolicyError
from doorward.policy.load import load
from doorward.policy.model import Policy, StandingApproval
from doorward.policy.profiles import weakened

TODAY = datetime.date(2026, 11, 22)
STARTED_US = 1_795_338_600_000_000  # 2026-11-22T09:10:00Z
HOUR_US = 3_600_000_000
ALL = "[unsafe_standing_approvals]\nsampling = true\nelicitation = true\nroots = true\n"


def loaded(folder: Path, text: str, *, started_us: int | None = STARTED_US) -> Policy:
    path = folder / "doorward.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return load(path, today=TODAY, started_us=started_us)


def test_without_a_word_nothing_is_approved_in_advance() -> None:
    assert load(None).standing == load(None).for_server("notes").standing == ()


def test_an_approval_counts_from_the_start_of_the_process(tmp_path: Path) -> None:
    [approval] = loaded(tmp_path, ALL + 'for = "12h"\n').standing
    assert approval == StandingApproval(("sampling", "elicitation", "roots"), "12h", STARTED_US + 12 * HOUR_US)
    assert approval.covers("sampling", STARTED_US + 12 * HOUR_US - 1)
    assert not approval.covers("sampling", STARTED_US + 12 * HOUR_US)


def test_an_approval_lasts_to_the_end_of_its_last_day_in_utc(tmp_path: Path) -> None:
    [approval] = loaded(tmp_path, "[unsafe_standing_approvals]\nroots = true\nexpires = 2026-11-30\n").standing
    end = int(datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC).timestamp()) * 1_000_000
    assert approval == StandingApproval(("roots",), "2026-11-30", end)
    assert approval.covers("roots", end - 1)
    assert not approval.covers("roots", end)
    assert not approval.covers("sampling", end - 1)


def test_a_date_that_has_passed_approves_nothing(tmp_path: Path) -> None:
    [approval] = loaded(tmp_path, ALL + "expires = 2026-11-21\n").standing
    assert not approval.covers("sampling", STARTED_US)


@pytest.mark.parametrize("length", ["336h", "20160m", "1m"])
def test_a_fortnight_is_the_longest(tmp_path: Path, length: str) -> None:
    assert loaded(tmp_path, ALL + f'for = "{length}"\n').standing[0].lasts == length


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (ALL, "has no end"),
        (ALL + 'for = "12h"\nexpires = 2026-11-30', "has both"),
        (ALL + 'for = "337h"', "more than 14 days"),
        (ALL + 'for = "20161m"', "more than 14 days"),
        (ALL + 'for = "99999h"', "more than 14 days"),
        (ALL + 'for = "0h"', "is not a duration"),
        (ALL + 'for = "2d"', "is not a duration"),
        (ALL + 'for = "1.5h"', "is not a duration"),
        (ALL + 'for = "\u0661h"', "is not a duration"),
        (ALL + "for = 12", "is not a duration"),
        (ALL + "expires = 2026-12-07", "more than 14 days ahead"),
        (ALL + "expires = 2026-11-25T00:00:00Z", "is not a date"),
        ('[unsafe_standing_approvals]\nfor = "1h"', "approves nothing"),
        ('[unsafe_standing_approvals]\nsampling = false\nfor = "1h"', "approves nothing"),
        ('[unsafe_standing_approvals]\nsampling = 1\nfor = "1h"', "neither true nor false"),
        ('[unsafe_standing_approvals]\nsamplings = true\nroots = true\nfor = "1h"', "did you mean 'sampling'"),
        ("unsafe_standing_approvals = true", "is not a table"),
    ],
)
def test_an_approval_without_a_clear_and_near_end_is_refused(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(PolicyError) as refused:
        loaded(tmp_path, text)
    [problem] = refused.value.problems
    assert what in f"{problem.what} {problem.hint}"


def test_approvals_of_the_policy_of_every_server_and_of_one_are_joined(tmp_path: Path) -> None:
    policy = loaded(
        tmp_path,
        """
        [unsafe_standing_approvals]
        sampling = true
        for = "1h"
        [servers."*".unsafe_standing_approvals]
        elicitation = true
        for = "2h"
        [servers.notes.unsafe_standing_approvals]
        roots = true
        expires = 2026-11-23
        """,
    )
    assert [one.lasts for one in policy.for_server("notes").standing] == ["1h", "2h", "2026-11-23"]
    assert [one.lasts for one in policy.for_server("other").standing] == ["1h", "2h"]
    assert weakened(policy) == (
        "sampling of any server pass without a question for 1h from the start (unsafe_standing_approvals)",
        "elicitation of any server pass without a question for 2h from the start (unsafe_standing_approvals)",
        "roots of server notes pass without a question until 2026-11-23 (unsafe_standing_approvals)",
    )


def test_two_processes_and_a_reload_under_one_file_have_one_policy(tmp_path: Path) -> None:
    text = ALL + 'for = "12h"\n[servers.a.unsafe_standing_approvals]\nroots = true\nfor = "1h"\n'
    early, late = (loaded(tmp_path, text, started_us=started) for started in (STARTED_US, STARTED_US + HOUR_US))
    assert early.digest == late.digest
    assert early.standing != late.standing
    assert early.servers["a"].standing != late.servers["a"].standing


@pytest.mark.parametrize(
    "text", ['[unsafe_standing_approvals]\nroots = true\nfor = "1h"', ALL + 'for = "2h"', ALL + "expires = 2026-11-23"]
)
def test_what_was_written_is_in_the_digest(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, text).digest not in (load(None).digest, loaded(tmp_path, ALL + 'for = "1h"').digest)


def test_the_clock_is_asked_when_nobody_says_when_the_process_began(tmp_path: Path) -> None:
    before = int(datetime.datetime.now(datetime.UTC).timestamp() * 1_000_000)
    [approval] = loaded(tmp_path, ALL + 'for = "1m"\n', started_us=None).standing
    after = int(datetime.datetime.now(datetime.UTC).timestamp() * 1_000_000)
    assert before <= approval.until_us - 60_000_000 <= after

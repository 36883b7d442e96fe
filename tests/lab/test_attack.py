"""The attack on servers that it has never seen: it finds what is there, and calls nothing safe that was not reached."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from doorward.lab.attack import run
from doorward.lab.attack.aim import Aim
from doorward.lab.attack.families import FAMILIES
from doorward.lab.attack.run import EVERYTHING, Orders
from doorward.lab.attack.verdicts import Outcome
from doorward.lab.report.model import Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.lab.targets.published import Installed

THING = Path(__file__).parent / "attacked" / "thing.py"
SAFE = {Outcome.RESISTED, Outcome.PREVENTED}
TEMPLATE = "template book:///{leaf} leaf"


class Quiet:
    def says(self, words: str) -> None: ...


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "seen").mkdir()
    return tmp_path / "seen"


def attacked(
    command: tuple[str, ...],
    folder: Path | None,
    *only: str,
    side_effects: bool = False,
    through: bool = False,
    seed: int = 7,
) -> list[Run]:
    orders = Orders(
        aim=Aim(command=command),
        families=tuple(family for family in FAMILIES if not only or family.id in only),
        seed=seed,
        plant=folder,
        side_effects=side_effects,
        through=through,
    )

    async def play() -> list[Run]:
        return await run.attack(orders, Quiet())

    return anyio.run(play)


def thing(manner: str, folder: Path) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", str(THING), manner, str(folder))


def outcomes(rows: list[Run]) -> dict[str, dict[str, Outcome]]:
    found: dict[str, dict[str, Outcome]] = defaultdict(dict)
    for row in rows:
        found[row.id][row.example] = Outcome(row.outcome)
    return dict(found)


def harms(row: Run) -> dict[str, str]:
    return {one["title"]: one["saw"] for one in row.evidence["variants"] if one["outcome"] == Outcome.SUCCEEDED}


def test_each_family_finds_what_a_careless_server_does(folder: Path) -> None:
    rows = attacked(thing("careless", folder), folder, side_effects=True)
    found = outcomes(rows)
    assert found["path-traversal"]["tool unfold parchment"] is Outcome.SUCCEEDED
    assert found["path-traversal"][TEMPLATE] is Outcome.SUCCEEDED
    assert found["log-leakage"] == {"tool greet access_token": Outcome.SUCCEEDED}
    assert found["argument-injection"]["tool greet whom"] is Outcome.SUCCEEDED
    assert found["oversized-payload"]["tool unfold parchment"] is Outcome.SUCCEEDED
    (unfolded,) = (row for row in rows if row.example == "tool unfold parchment" and row.id == "path-traversal")
    assert harms(unfolded)["dot-dot, relative file"].startswith(f"the content of {folder.parent}/")
    assert list(folder.parent.iterdir()) == [folder]
    assert list(folder.iterdir()) == []


def test_a_careful_server_is_said_to_resist_where_honest_calls_were_served(folder: Path) -> None:
    rows = attacked(thing("careful", folder), folder, side_effects=True)
    found = outcomes(rows)
    assert {row.outcome for row in rows} <= {Outcome.RESISTED, Outcome.INCONCLUSIVE}
    assert found["path-traversal"]["tool unfold parchment"] is Outcome.RESISTED
    assert found["path-traversal"][TEMPLATE] is Outcome.RESISTED
    assert found["log-leakage"]["tool greet access_token"] is Outcome.RESISTED
    assert found["argument-injection"]["tool greet whom"] is Outcome.RESISTED
    assert set(found["oversized-payload"].values()) == {Outcome.RESISTED}


@pytest.mark.parametrize(
    "manner",
    ["dead", "silent", "permissive", "refusing", "refusing-all-but-lists", "empty", "empty-but-lists"],
)
def test_a_server_that_serves_nobody_is_never_called_safe(
    folder: Path, manner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doorward.lab.attack.session.FIRST_ANSWER_LIMIT_SECONDS", 1.0)
    monkeypatch.setattr("doorward.lab.attack.session.DISCOVER_LIMIT_SECONDS", 0.5)
    command = (sys.executable, "-c", "raise SystemExit") if manner == "dead" else thing(manner, folder)
    rows = attacked(command, folder, side_effects=True)
    assert {row.id for row in rows} == {family.id for family in FAMILIES}
    assert {row.outcome for row in rows} == {Outcome.INCONCLUSIVE}
    assert all(row.reason for row in rows)


def test_a_server_that_ends_at_a_refusal_obstructs_its_honest_users(folder: Path) -> None:
    rows = attacked(thing("one-shot", folder), folder, "path-traversal")
    assert outcomes(rows)["path-traversal"]["tool unfold parchment"] in (Outcome.OBSTRUCTED, Outcome.INCONCLUSIVE)
    assert SAFE.isdisjoint(row.outcome for row in rows if row.example != TEMPLATE)  # which refuses and stays


@pytest.mark.parametrize(
    ("manner", "how"),
    [
        ("brief", "dot-dot, relative file"),
        ("twofold", "dot-dot, relative file"),
        ("following", "inside, relative folder"),
    ],
)
def test_an_escape_is_seen_however_little_or_late_or_unasked_it_shows(folder: Path, manner: str, how: str) -> None:
    rows = attacked(thing(manner, folder), folder, "path-traversal")
    (unfolded,) = (row for row in rows if row.example == "tool unfold parchment")
    assert unfolded.outcome is Outcome.SUCCEEDED
    assert harms(unfolded)[how].startswith("the ")


def test_an_answer_that_comes_late_is_held_against_the_probe_that_it_answers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doorward.lab.peer.ANSWER_LIMIT_SECONDS", 0.5)
    monkeypatch.setattr("doorward.lab.attack.play.PLAN_LIMIT_SECONDS", 2.0)
    rows = attacked(thing("tardy", folder), folder, "path-traversal")
    (unfolded,) = (row for row in rows if row.example == "tool unfold parchment")
    found = harms(unfolded)
    assert found["elsewhere, absolute file"].startswith(f"the content of {folder.parent}/doorward-")
    assert found["sibling-prefix, absolute file"].startswith(f"the content of {folder}-doorward-")


def test_answers_too_deep_to_be_read_prove_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorward.lab.peer.ANSWER_LIMIT_SECONDS", 0.5)
    monkeypatch.setattr("doorward.lab.attack.play.PLAN_LIMIT_SECONDS", 1.0)
    rows = attacked(thing("deep", folder), folder, "path-traversal")
    assert outcomes(rows)["path-traversal"]["tool unfold parchment"] is Outcome.INCONCLUSIVE


def test_a_server_that_stops_reading_is_left_and_called_harmed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorward.lab.peer.POUR_LIMIT_SECONDS", 1.0)
    monkeypatch.setattr("doorward.lab.peer.ANSWER_LIMIT_SECONDS", 1.0)
    rows = attacked(thing("deaf", folder), folder, "oversized-payload", side_effects=True)
    assert rows[0].outcome is Outcome.SUCCEEDED
    assert harms(rows[0])["50,000 nested lists"] == "the server answers nobody any more"


def test_a_server_may_take_its_time_to_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorward.lab.peer.ANSWER_LIMIT_SECONDS", 1.0)
    monkeypatch.setattr("doorward.lab.attack.session.DISCOVER_LIMIT_SECONDS", 0.2)
    late = f"import runpy, select; select.select([], [], [], 3); runpy.run_path({str(THING)!r}, run_name='__main__')"
    rows = attacked((sys.executable, "-I", "-S", "-c", late, "careful", str(folder)), folder, "log-leakage")
    assert rows[0].outcome is Outcome.RESISTED, rows


def test_a_place_that_ends_the_server_while_it_is_looked_at_is_not_known(folder: Path) -> None:
    rows = attacked(thing("frail", folder), folder, "path-traversal")
    (doubted,) = (row for row in rows if row.outcome is Outcome.INCONCLUSIVE)
    assert doubted.reason == f"the server ended, so it is not known whether {TEMPLATE} takes a path"
    assert outcomes(rows)["path-traversal"]["tool unfold parchment"] is Outcome.RESISTED


def test_without_leave_nothing_is_called_that_may_change_something(folder: Path) -> None:
    rows = attacked(thing("careless", folder), folder)
    found = outcomes(rows)
    assert found["argument-injection"] == {EVERYTHING: Outcome.EXCLUDED}
    assert found["oversized-payload"] == {EVERYTHING: Outcome.EXCLUDED}
    (barred,) = (row for row in rows if row.id == "path-traversal" and row.outcome is Outcome.EXCLUDED)
    assert barred.reason is not None
    assert barred.reason.endswith(": stamp")
    sent = [one["request"]["params"] for row in rows for one in row.evidence["variants"]]
    assert sent
    assert "stamp" not in {params.get("name") for params in sent}


def test_without_a_place_to_plant_nothing_is_known_about_paths(folder: Path) -> None:
    rows = attacked(thing("careful", folder), None, "path-traversal")
    (row,) = (row for row in rows if row.outcome is not Outcome.EXCLUDED)
    assert row.outcome is Outcome.INCONCLUSIVE
    assert "--plant" in (row.reason or "")


def test_the_same_seed_sends_the_same_probes_and_another_seed_others(folder: Path) -> None:
    def sent(seed: int) -> list[object]:
        quick = ("path-traversal", "argument-injection", "log-leakage")
        rows = attacked(thing("careful", folder), folder, *quick, side_effects=True, seed=seed)
        return [one["request"] for row in rows for one in row.evidence["variants"]]

    first = sent(7)
    assert len(first) > 50
    assert sent(7) == first
    assert sent(8) != first


def test_behind_doorward_the_difference_is_shown_for_each_probe_and_what_made_it(folder: Path) -> None:
    rows = attacked(thing("careless", folder), folder, "path-traversal", "log-leakage", through=True)
    bare = {(row.id, row.example): row for row in rows if row.target == "naive" and row.evidence["variants"]}
    behind = {(row.id, row.example): row for row in rows if row.target == "relayed"}
    assert bare.keys() == behind.keys()
    for place in (("path-traversal", "tool unfold parchment"), ("log-leakage", "tool greet access_token")):
        assert bare[place].outcome is Outcome.SUCCEEDED
        assert behind[place].outcome is Outcome.PREVENTED
        stopped = [one for one in behind[place].evidence["variants"] if one["alone"]]
        assert {one["variant"] for one in stopped} == {
            one["variant"] for one in bare[place].evidence["variants"] if one["outcome"] == Outcome.SUCCEEDED
        }
        assert all(one["control"] for one in stopped)
    assert behind["log-leakage", "tool greet access_token"].control == "log-masking"


VULNERABLE, MENDED, NEWEST = "server-filesystem-2025.3.28", "server-filesystem-2025.7.1", "server-filesystem"


def test_the_escapes_of_a_published_server_are_named_at_the_vulnerable_version(
    peers: Callable[[str], Installed], folder: Path
) -> None:
    rows = attacked((*peers(VULNERABLE).argv, str(folder)), folder, "path-traversal")
    (read,) = (row for row in rows if row.example == "tool read_file path")
    found = harms(read)
    assert "-doorward-" in found["sibling-prefix, absolute file"]  # CVE-2025-53110
    assert found["link, absolute file"].startswith(f"the content of {folder.parent}/doorward-")  # CVE-2025-53109


@pytest.mark.parametrize("version", [MENDED, NEWEST])
def test_a_mended_version_is_not_reported(peers: Callable[[str], Installed], folder: Path, version: str) -> None:
    rows = attacked((*peers(version).argv, str(folder)), folder)
    assert outcomes(rows)["path-traversal"]["tool read_file path"] is Outcome.RESISTED
    assert {row.outcome for row in rows}.isdisjoint({Outcome.SUCCEEDED, Outcome.OBSTRUCTED})


GIT = "mcp-server-git-2025.7.1"


@pytest.fixture
def repository(folder: Path) -> Path:
    """A repository with one commit."""
    (folder / "a.txt").write_text("hello\n", encoding="utf-8")
    us = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), ("add", "."), (*us, "commit", "-q", "-m", "first")):
        subprocess.run(("git", *words), cwd=folder, check=True)
    return folder


def test_the_escapes_of_the_published_git_server_are_named(peers: Callable[[str], Installed], repository: Path) -> None:
    command = (*peers(GIT).argv, "--repository", str(repository))
    rows = attacked(command, repository, "path-traversal", "argument-injection", side_effects=True)
    by_place = {(row.id, row.example): row for row in rows}
    made = harms(by_place["path-traversal", "tool git_init repo_path"])  # CVE-2025-68143
    assert made["elsewhere, absolute folder"].endswith("/.git was made")
    assert "option-output" in harms(by_place["argument-injection", "tool git_diff target"])  # CVE-2025-68144
    for (_, place), row in by_place.items():  # what one call made is not held against the next
        assert "git_init" in place or not any("was made" in saw for saw in harms(row).values()), place


def test_what_a_server_makes_under_a_relative_path_is_not_made_where_the_user_stands(
    peers: Callable[[str], Installed], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = folder.parent / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    rows = attacked(peers(GIT).argv, folder, "argument-injection", side_effects=True)
    assert any(row.example == "tool git_init repo_path" for row in rows)
    assert [*here.iterdir()] == []
    assert sorted({path.name for path in folder.parent.iterdir()} - {"here", "seen"}) == []


@pytest.mark.parametrize("version", ["mcp-server-git-2026.1.14", "mcp-server-git"])
def test_a_mended_git_server_is_not_reported(peers: Callable[[str], Installed], repository: Path, version: str) -> None:
    command = (*peers(version).argv, "--repository", str(repository))
    rows = attacked(command, repository, "path-traversal", "argument-injection", side_effects=True)
    found = outcomes(rows)
    assert found["path-traversal"].get("tool git_status repo_path") is Outcome.RESISTED, rows
    assert {row.outcome for row in rows}.isdisjoint({Outcome.SUCCEEDED, Outcome.OBSTRUCTED})


@pytest.mark.parametrize("peer", ["mcp-server-time", "server-memory", "server-sequential-thinking"])
def test_there_is_no_false_alarm_on_servers_that_are_well(
    peers: Callable[[str], Installed], folder: Path, peer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMORY_FILE_PATH", str(folder.parent / "memory.json"))
    rows = attacked(peers(peer).argv, folder, side_effects=True)
    assert {row.outcome for row in rows}.isdisjoint({Outcome.SUCCEEDED, Outcome.OBSTRUCTED})

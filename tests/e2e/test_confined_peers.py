"""Real servers inside their walls: what they are for works, what lies outside of their folder does not."""

from __future__ import annotations

from typing import Any

import pytest
from tests.e2e.peering import FILESYSTEM, GIT, Answer, Place, bounded, outcome


def calls(
    place: Place, peer: str, mode: str, *questions: tuple[str, dict[str, Any]], options: tuple[str, ...] = ()
) -> list[Answer]:
    """The answers of one wrapped server to some calls."""

    async def ask() -> list[Answer]:
        async with place.connect(place.wrapped(peer, *options), mode) as client:
            return [await outcome(client.call_tool(*question)) for question in questions]

    answers: list[Answer] = bounded(ask())
    return answers


def assert_refused(place: Place, answer: Answer) -> None:
    assert answer["error"] == -31001
    assert set(answer["data"]) == {"reference"}
    assert place.outside.read_text().strip() not in str(answer)
    assert answer["data"]["reference"] in place.stderr.read_text()


@pytest.mark.parametrize("path", ["a.txt", "./a.txt", "{folder}/a.txt", "{folder}/../folder/a.txt"])
def test_the_filesystem_server_reads_below_its_folder(place: Place, path: str) -> None:
    (answer,) = calls(place, FILESYSTEM, "auto", ("read_text_file", {"path": path.format(folder=place.folder)}))
    assert answer["structuredContent"] == {"content": "hello\n"}


def test_the_filesystem_server_reads_nothing_else(place: Place) -> None:
    outside = [
        str(place.outside),
        "../outside.txt",
        f"{place.folder}/link.txt",
        f"{place.folder}/../outside.txt",
        "/etc/passwd",
    ]
    for answer in calls(place, FILESYSTEM, "auto", *(("read_text_file", {"path": path}) for path in outside)):
        assert_refused(place, answer)
    (answer,) = calls(
        place, FILESYSTEM, "auto", ("read_multiple_files", {"paths": [f"{place.folder}/a.txt", str(place.outside)]})
    )
    assert_refused(place, answer)


def test_a_tool_that_says_that_it_destroys_waits_for_a_person_and_others_write(place: Place) -> None:
    made, written = calls(
        place,
        FILESYSTEM,
        "auto",
        ("create_directory", {"path": f"{place.folder}/new"}),
        ("write_file", {"path": f"{place.folder}/a.txt", "content": "overwritten"}),
    )
    assert "error" not in made
    assert (place.folder / "new").is_dir()
    assert written["error"] == -31002
    assert "doorward consent" in written["message"]
    assert (place.folder / "a.txt").read_text() == "hello\n"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_git_server_works_in_its_repository(place: Place, mode: str) -> None:
    (place.folder / "b.txt").write_text("more\n")
    here = {"repo_path": str(place.folder)}
    answers = calls(
        place,
        GIT,
        mode,
        ("git_status", here),
        ("git_add", {**here, "files": ["b.txt"]}),
        ("git_commit", {**here, "message": "second"}),
        ("git_create_branch", {**here, "branch_name": "other"}),
        ("git_checkout", {**here, "branch_name": "other"}),
        ("git_log", here),
    )
    assert not any(answer.get("isError") or "error" in answer for answer in answers), answers
    assert place.git("log", "--format=%an %s") == "Ada second\nAda first\n"
    assert place.git("branch", "--show-current") == "other\n"


def test_the_git_server_reaches_no_other_repository(place: Place) -> None:
    other = place.top / "other"
    place.git("clone", "--quiet", str(place.folder), str(other))
    outside, reset = calls(
        place,
        GIT,
        "auto",
        ("git_log", {"repo_path": str(other)}),
        ("git_reset", {"repo_path": str(place.folder)}),
    )
    assert_refused(place, outside)
    assert reset["error"] == -31002


@pytest.mark.parametrize("may_read", [True, False])
def test_the_git_server_commits_as_its_user_only_where_it_may_read_who_that_is(place: Place, may_read: bool) -> None:
    """A person's git settings lie in the home, may hold credentials, and are hidden unless the operator shows them."""
    settings = place.home / ".gitconfig"
    settings.write_text("[user]\n\tname = Grace\n\temail = grace@example.org\n")
    for name in ("user.name", "user.email"):
        place.git("config", "--unset", name)
    (place.folder / "b.txt").write_text("more\n")
    here = {"repo_path": str(place.folder)}
    added, committed = calls(
        place,
        GIT,
        "auto",
        ("git_add", {**here, "files": ["b.txt"]}),
        ("git_commit", {**here, "message": "second"}),
        options=("--read", str(settings)) if may_read else (),
    )
    assert not added.get("isError")
    assert not committed.get("isError")
    assert (place.git("log", "-1", "--format=%an") == "Grace\n") is may_read

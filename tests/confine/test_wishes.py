"""From calls that were seen to what might be given, and what should rather not be."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.confine.conftest import World

from doorward.confine import seccomp, tracing
from doorward.confine.tracing import Seen
from doorward.confine.wishes import Lessons, Wish, wish_behind


@pytest.fixture
def lessons(world: World) -> Lessons:
    profile = world.profile(["/bin/true"], write=[str(world.folder)])
    return Lessons(profile, str(world.top / "temp"), own=[str(world.state)])


def wishes(lessons: Lessons) -> list[tuple[str, str, bool]]:
    return [(one.access, one.what, one.rather_not != "") for one in lessons.wishes()]


def test_what_it_has_and_what_is_not_there_are_no_wishes(world: World, lessons: Lessons) -> None:
    for does, path in (
        ("write", f"{world.folder}/new"),
        ("read", "/usr/bin/env"),
        ("run", "/bin/sh"),
        ("read", f"{world.outside}/none"),
        ("read", "/proc/1/environ"),
        ("write", "/dev/shm/x"),
        ("write", f"{world.top}/temp/x"),
        ("connect", "127.0.0.1:3128"),
        ("connect", "192.0.2.1:53"),
    ):
        lessons.take(Seen(does, path))
    assert lessons.wishes() == ()


def test_folders_on_the_way_are_no_wishes_and_one_that_was_looked_for_is(world: World, lessons: Lessons) -> None:
    for folder in ("/", str(world.top), str(world.outside)):
        lessons.take(Seen("look", folder))
    assert wishes(lessons) == [("read", str(world.outside), False)]
    lessons.take(Seen("look", str(world.canary)))
    assert wishes(lessons) == [("read", str(world.canary), False)]


def test_wishes_without_end_are_not_kept_without_end(world: World, lessons: Lessons) -> None:
    for number in range(10_500):
        lessons.take(Seen("write", f"{world.outside}/{number}/new"))
        lessons.take(Seen("connect", f"192.0.2.1:{number}"))
        lessons.refused(f"host{number}.example:443")
    kept = [len(one) for one in vars(lessons).values() if isinstance(one, (set, dict))]
    assert max(kept) == 10_000


def test_what_is_given_to_be_written_is_not_proposed_to_be_read(world: World, lessons: Lessons) -> None:
    lessons.take(Seen("write", f"{world.outside}/deep/deeper/new"))
    lessons.take(Seen("read", str(world.canary)))
    assert lessons.wishes() == (Wish("write", str(world.outside)),)


@pytest.mark.parametrize("place", ["home/.ssh/id", "home/.aws/credentials", "outside/server.pem", "state/consent.key"])
def test_credentials_and_our_own_are_said_to_be_such(world: World, lessons: Lessons, place: str) -> None:
    path = world.top / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("secret")
    lessons.take(Seen("read", str(path)))
    assert wishes(lessons) == [("read", str(path), True)]


def test_a_home_and_a_shared_folder_are_never_proposed_though_three_files_were_wanted(
    world: World, lessons: Lessons
) -> None:
    for name in ("a", "b", "c", "d"):
        (world.home / name).write_text(name)
        lessons.take(Seen("read", str(world.home / name)))
    lessons.take(Seen("write", str(world.home / "new")))
    assert ("write", str(world.home), True) in wishes(lessons)
    assert ("read", str(world.home / "a"), False) in wishes(lessons)
    assert ("read", str(world.home), False) not in wishes(lessons)


def test_a_link_is_what_it_leads_to(world: World, lessons: Lessons) -> None:
    Path(world.folder, "link").symlink_to(world.canary)
    lessons.take(Seen("read", f"{world.folder}/link"))
    assert wishes(lessons) == [("read", str(world.canary), False)]


def test_what_a_process_calls_itself_is_not_what_we_are(world: World, lessons: Lessons) -> None:
    """node asks for /proc/self/exe at its start: read by us, that is the Python that watches it."""
    (world.outside / "me").symlink_to("/proc/self/exe")
    for path in ("/proc/self/exe", "/proc/self/cwd", "/proc/thread-self/exe", str(world.outside / "me")):
        for does in ("look", "read", "run", "write"):
            lessons.take(Seen(does, path))
    assert lessons.wishes() == ()


@pytest.mark.parametrize("path", ["/proc/self/exe", "/proc/self/root/outside", "/dev/fd/../exe"])
def test_no_option_is_named_for_what_a_server_says_of_itself(world: World, path: str) -> None:
    assert wish_behind(path, "denied", world.profile(["/bin/true"])) is None


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_second_filter_stops_what_is_watched_and_nothing_else(machine: str) -> None:
    architecture, _, calls = tracing._MACHINES[machine]  # noqa: SLF001 - the table itself
    code = seccomp.stopping(calls, architecture, 0x7FC00000)
    assert len(code) // seccomp.SIZE == 5 + 2 * len(calls)

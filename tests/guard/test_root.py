"""Nothing that is asked of a root leads out of its folder, also not while others change the tree."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doorward.guard import Entry, RefusedError, Root

READING = Path(__file__).with_name("reading.py")
INSIDE, CANARY = "inside", "canary-of-the-outside"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    top = tmp_path.resolve()
    (top / "ws" / "sub").mkdir(parents=True)
    (top / "ws" / "note").write_text(INSIDE)
    (top / "ws" / "sub" / "note").write_text(INSIDE)
    (top / "ws-evil").mkdir()
    (top / "ws-evil" / "note").write_text(CANARY)
    (top / "ws" / "within").symlink_to("sub/note")
    (top / "ws" / "absolute").symlink_to(top / "ws" / "note")
    (top / "ws" / "out").symlink_to("../ws-evil")
    (top / "ws" / "loop").symlink_to("loop")
    (top / "ws" / "self").symlink_to("/proc/self/root")
    return top


@pytest.fixture
def root(place: Path) -> Iterator[Root]:
    with Root(place / "ws") as opened:
        yield opened


@pytest.mark.parametrize("path", ["note", "./note", "sub/../note", "sub//note", "within", "sub/./note"])
def test_what_stays_below_is_read(root: Root, path: str) -> None:
    assert root.read(path) == INSIDE.encode()


def test_the_folders_own_path_and_uri_may_stand_before(root: Root) -> None:
    assert root.read(f"{root.path}/note") == INSIDE.encode()
    assert root.read(f"file://{root.path}/sub/note") == INSIDE.encode()
    assert root.read(f"file://localhost{root.path}/%6eote") == INSIDE.encode()


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../ws-evil/note",
        "sub/../../ws-evil/note",
        "/etc/passwd",
        "out/note",
        "out",
        "loop",
        "self/etc/passwd",
        "absolute",
        "note\0.txt",
        "file:///etc/passwd",
        "file://elsewhere/ws/note",
        "file:note",
        "\ud83d",
        "/proc/self/root/etc/passwd",
    ],
)
def test_what_leads_out_is_refused_and_the_refusal_names_no_place(root: Root, path: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        root.read(path)
    assert refusal.value.rule == "root"
    assert "/" not in str(refusal.value)


def test_a_sibling_that_shares_the_prefix_is_outside(root: Root, place: Path) -> None:
    with pytest.raises(RefusedError):
        root.read(f"{place}/ws-evil/note")
    with pytest.raises(RefusedError):
        root.read(f"file://{place}/ws-evil/note")


def test_without_links_none_is_followed(place: Path) -> None:
    with Root(place / "ws", links=False) as strict:
        assert strict.read("sub/note") == INSIDE.encode()
        with pytest.raises(RefusedError, match="symbolic link"):
            strict.read("within")


def test_what_is_not_there_is_an_ordinary_error_with_the_path_as_it_was_asked(root: Root) -> None:
    with pytest.raises(FileNotFoundError) as error:
        root.read("missing/note")
    assert error.value.filename == "missing/note"


@pytest.mark.parametrize("how", ["rb", "wb", "ab", "r+b"])
def test_what_is_no_regular_file_is_refused_without_waiting(root: Root, place: Path, how: str) -> None:
    os.mkfifo(place / "ws" / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place / "ws" / "door"))
        for name in ("pipe", "door"):
            with pytest.raises(RefusedError, match="no regular file"):
                root.open(name, how)
    with pytest.raises(IsADirectoryError):
        root.open("sub", how)


def test_a_file_that_is_too_large_is_refused_before_it_is_read(root: Root, place: Path) -> None:
    with open(place / "ws" / "huge", "wb") as huge:
        huge.truncate(1 << 40)
    with pytest.raises(RefusedError, match="larger than 10 bytes") as refusal:
        root.read("huge", 10)
    assert refusal.value.rule == "size"
    assert list(root.chunks("note", 6, 4)) == [b"insi", b"de"]
    with pytest.raises(RefusedError):
        next(root.chunks("huge", 1 << 30))


def test_a_file_without_a_size_is_bounded_as_well() -> None:
    # What /proc holds says it is empty, and grows while it is read.
    with Root("/proc/self") as process:
        assert process.read("status", 1 << 20)
        with pytest.raises(RefusedError, match="larger"):
            process.read("status", 100)
        with pytest.raises(RefusedError, match="larger"):
            list(process.chunks("status", 100, 64))


def test_a_file_is_replaced_whole_and_keeps_its_mode(root: Root, place: Path) -> None:
    note = place / "ws" / "note"
    note.chmod(0o640)
    root.write("note", "new")
    root.write("sub/fresh", b"bytes")
    assert (note.read_text(), note.stat().st_mode & 0o777) == ("new", 0o640)
    assert (place / "ws" / "sub" / "fresh").stat().st_mode & 0o777 == 0o600
    assert {entry.name for entry in root.entries("sub")} == {"note", "fresh"}


def test_writing_where_a_link_leads_out_replaces_the_link(root: Root, place: Path) -> None:
    (place / "ws" / "trap").symlink_to(place / "ws-evil" / "note")
    root.write("trap", "mine")
    assert (place / "ws-evil" / "note").read_text() == CANARY
    assert (place / "ws" / "trap").read_text() == "mine"


@pytest.mark.parametrize("path", ["out/new", "../new", "out/note", "/tmp/new"])
def test_nothing_outside_is_written_made_or_removed(root: Root, place: Path, path: str) -> None:
    acts: tuple[Callable[[], object], ...] = (
        lambda: root.write(path, "x"),
        lambda: root.make_folder(path),
        lambda: root.remove(path),
        lambda: root.open(path, "wb"),
        lambda: root.open(path, "xb"),
    )
    for act in acts:
        with pytest.raises(RefusedError):
            act()
    assert [entry.name for entry in (place / "ws-evil").iterdir()] == ["note"]
    assert (place / "ws-evil" / "note").read_text() == CANARY


def test_what_is_there_is_not_replaced_when_that_was_not_asked_for(root: Root) -> None:
    with pytest.raises(RefusedError, match="already"):
        root.write("note", "x", replace=False)
    root.write("other", "x", replace=False)
    assert root.read("note") == INSIDE.encode()
    assert not [entry for entry in root.entries() if entry.name.startswith(".doorward")]


def test_a_link_is_removed_and_not_what_it_leads_to(root: Root, place: Path) -> None:
    root.remove("out")
    root.remove("within")
    assert (place / "ws-evil" / "note").exists()
    assert (place / "ws" / "sub" / "note").exists()


@pytest.mark.parametrize("path", ["", ".", "..", "sub/..", "sub/."])
def test_what_is_no_entry_of_a_folder_is_neither_written_nor_removed(root: Root, path: str) -> None:
    with pytest.raises(RefusedError):
        root.write(path, "x")
    with pytest.raises(RefusedError):
        root.remove(path)


def test_a_folder_tells_what_its_entries_are(root: Root) -> None:
    assert Entry("note", "file", 6) in root.entries()
    assert {(entry.name, entry.kind) for entry in root.entries()} >= {("sub", "folder"), ("out", "link")}
    with pytest.raises(RefusedError) as refusal:
        root.entries(max_entries=2)
    assert refusal.value.rule == "size"
    with pytest.raises(RefusedError):
        root.entries("out")


def test_a_large_file_is_named_instead_of_sent(root: Root) -> None:
    assert root.read_or_link("note", 6) == INSIDE.encode()
    assert root.read_or_link("note", 5, uri="notes:///note") == {
        "type": "resource_link",
        "uri": "notes:///note",
        "name": "note",
        "size": 6,
    }
    root.write("a b.md", "text")
    link = root.resource_link("sub/../a b.md")
    assert (link["uri"], link["mimeType"]) == (f"file://{root.path}/a%20b.md", "text/markdown")
    assert root.read(link["uri"]) == b"text"
    with pytest.raises(RefusedError) as refusal:
        root.read_or_link("out/note")
    assert refusal.value.rule == "root"


def test_text_that_is_none_is_not_guessed(root: Root) -> None:
    root.write("latin", b"caf\xe9")
    with pytest.raises(RefusedError, match="UTF-8"):
        root.read_text("latin")


def test_a_root_that_was_renamed_is_still_the_same_folder(root: Root, place: Path) -> None:
    (place / "ws").rename(place / "moved")
    (place / "ws").symlink_to("ws-evil")
    assert root.read("note") == INSIDE.encode()


def test_a_closed_root_opens_nothing(place: Path) -> None:
    closed = Root(place / "ws")
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        closed.read("note")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["..", ".", "", "sub", "out", "within", "self", "note", "ws-evil"]), max_size=7))
def test_whatever_is_read_lies_below(root: Root, place: Path, parts: list[str]) -> None:
    path = "/".join(parts)
    try:
        with root.open(path) as file:
            real = os.readlink(f"/proc/self/fd/{file.fileno()}")
    except (RefusedError, OSError):
        return
    assert real.startswith(f"{place}/ws/")


# --- what changes meanwhile ------------------------------------------------------------------------------------------


def swap_for_a_link(place: Path) -> Callable[[], None]:
    """``sub`` is a folder, then a link out, then a folder again."""
    sub, real, link = (str(place / "ws" / name) for name in ("sub", "real", "link"))
    os.symlink(place / "ws-evil", link)

    def swap() -> None:
        os.rename(sub, real)
        os.rename(link, sub)
        os.rename(sub, link)
        os.rename(real, sub)

    return swap


def move_out(place: Path) -> Callable[[], None]:
    """``sub`` lies below the root, then beside what is outside: ``..`` of it is another folder each time."""
    here, there = str(place / "ws" / "sub"), str(place / "ws-evil" / "sub")

    def move() -> None:
        os.rename(here, there)
        os.rename(there, here)

    return move


def read_while(change: Callable[[], None], place: Path, path: str, times: int, how: str) -> dict[str, int]:
    """What a process saw that read ``path`` while this one changed the tree without pause."""
    command = [sys.executable, str(READING), str(place / "ws"), path, str(times), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as reading:
        while reading.poll() is None:
            for _ in range(100):
                change()
        assert reading.stdout is not None
        seen: dict[str, int] = json.loads(reading.stdout.read())
    return seen


@pytest.mark.parametrize("how", ["", "without-openat2"])
def test_a_link_that_is_swapped_in_while_reading_never_leads_out(place: Path, how: str) -> None:
    seen = read_while(swap_for_a_link(place), place, "sub/note", 20_000, how)
    assert CANARY not in seen
    assert seen[INSIDE]
    assert seen["refused"]  # the race was on


def test_a_folder_that_is_moved_out_while_reading_does_not_take_the_reader_along(place: Path) -> None:
    seen = read_while(move_out(place), place, "sub/../note", 20_000, "")
    assert CANARY not in seen
    assert seen[INSIDE]
    assert len(seen) > 1  # the race was on


def test_whoever_checks_first_and_opens_then_is_led_out(place: Path) -> None:
    swap = swap_for_a_link(place)
    for _ in range(20):
        if CANARY in read_while(swap, place, "sub/note", 5_000, "careless"):
            return
    pytest.fail("the test of races does not produce one")


def test_a_new_file_is_never_a_hard_link_to_what_was_swapped_in(place: Path) -> None:
    """Whoever may write in the folder, and read nothing else, has a moment between the writing and the naming."""
    swapped: list[str] = []

    def swap(event: str, args: tuple[Any, ...]) -> None:
        if event == "os.link" and not done and str(args[0]).startswith(".doorward-"):
            os.unlink(place / "ws" / args[0])
            os.symlink(place / "ws-evil" / "note", place / "ws" / args[0])
            swapped.append(args[0])

    done: list[bool] = []
    sys.addaudithook(swap)
    try:
        with Root(place / "ws") as root:
            root.write("new", "mine", replace=False)
            assert swapped
            with pytest.raises(RefusedError):
                root.read("new")
    finally:
        done.append(True)  # a hook stays for ever


def test_a_text_that_no_file_in_utf_8_can_hold_is_refused(place: Path) -> None:
    with Root(place / "ws") as root:
        with pytest.raises(RefusedError, match="no character"):
            root.write("note", "\ud800")
        assert root.read_text("note") == INSIDE


def test_a_link_to_a_file_names_the_file_that_was_opened(place: Path) -> None:
    (place / "ws" / "sub" / "below").mkdir()
    (place / "ws" / "over").symlink_to("sub/below")
    (place / "ws" / "note").write_text("another")
    with Root(place / "ws") as root:
        assert root.read_text("over/../note") == INSIDE
        with pytest.raises(RefusedError, match="back over"):
            root.resource_link("over/../note")
        with pytest.raises(FileNotFoundError):
            root.resource_link("sub/below/../../missing/../note")
        assert root.resource_link("sub/../note")["uri"].endswith("/ws/note")

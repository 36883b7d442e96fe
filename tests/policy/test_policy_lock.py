"""`doorward.policy.lock`: pins survive writers that race, readers that look, and hands that edit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.errors import DoorwardError, PolicyError
from doorward.policy.lock import Pin, Pins, read, render, update

PIN = Pin(
    name="notes",
    kind="command",
    argv=("python", "server.py", "--path", "/home/ann/my notes"),
    arguments_sha256="a" * 64,
    executable="/usr/bin/python3.11",
    first_seen="2026-11-22T09:00:00Z",
    accepted_by="first use",
    executable_owner=0,
    script="/srv/server.py",
    script_sha256="b" * 64,
)


URL_PIN = Pin(
    name="tickets",
    kind="url",
    first_seen="2026-11-22T09:00:00Z",
    accepted_by="first use",
    url="http://127.0.0.1:8080/mcp",
    owner=0,
)


def put(path: Path, *pins: Pin) -> None:
    update(path, lambda before: before | {pin.name: pin for pin in pins})


def named(name: str) -> Pin:
    return msgspec.structs.replace(PIN, name=name)


def test_no_file_means_no_pins_and_reading_makes_none(tmp_path: Path) -> None:
    assert read(tmp_path / "doorward.lock") == {}
    assert list(tmp_path.iterdir()) == []


def test_what_was_put_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "state" / "doorward.lock"
    put(path, PIN)
    assert read(path) == {"notes": PIN}
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_text_is_sorted_whatever_the_order_of_acceptance(tmp_path: Path) -> None:
    for folder, order in (("one", "abc"), ("other", "cab")):
        for name in order:
            put(tmp_path / folder / "doorward.lock", named(name))
    texts = [(tmp_path / folder / "doorward.lock").read_text() for folder in ("one", "other")]
    assert texts[0] == texts[1]
    assert [line for line in texts[0].splitlines() if line.startswith("[")] == [f'[pins."{name}"]' for name in "abc"]


TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=30)


@given(st.tuples(TEXT, TEXT), TEXT.filter(bool))
def test_any_words_are_read_as_they_were_and_shown_without_hidden_characters(argv: tuple[str, str], owner: str) -> None:
    import tomllib

    pin = msgspec.structs.replace(PIN, argv=argv, accepted_by=owner)
    text = render({pin.name: pin})
    assert text.replace("\n", "").isprintable()
    read_again = tomllib.loads(text)["pins"]["notes"]
    assert (tuple(read_again["argv"]), read_again["accepted_by"]) == (argv, owner)


def test_a_mode_that_people_chose_is_kept_but_never_one_that_lets_others_write(tmp_path: Path) -> None:
    path = tmp_path / "doorward.lock"
    put(path, PIN)
    path.chmod(0o644)
    put(path, named("other"))
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_lock_file_that_others_can_write_is_neither_believed_nor_replaced(tmp_path: Path) -> None:
    path = tmp_path / "doorward.lock"
    put(path, PIN)
    path.chmod(0o666)
    for attempt in (lambda: read(path), lambda: put(path, named("other"))):
        with pytest.raises(PolicyError, match="can be written by others"):
            attempt()
    path.chmod(0o600)
    assert set(read(path)) == {"notes"}


def test_a_change_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "doorward.lock"
    put(path, PIN)

    def fail(pins: Pins) -> Pins:
        pins.clear()
        raise RuntimeError("on the way")

    with pytest.raises(RuntimeError):
        update(path, fail)
    assert read(path) == {"notes": PIN}


def test_no_change_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "doorward.lock"
    put(path, PIN)
    before = path.stat().st_ino
    update(path, lambda pins: pins)
    assert path.stat().st_ino == before


def test_what_a_killed_writer_left_behind_does_not_stop_the_next(tmp_path: Path) -> None:
    path = tmp_path / "doorward.lock"
    (tmp_path / ".doorward.lock.new").write_text("half a fi")
    put(path, PIN)
    assert read(path) == {"notes": PIN}
    assert not (tmp_path / ".doorward.lock.new").exists()


def test_a_folder_that_cannot_be_written_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DoorwardError, match=r"cannot write .*doorward\.lock"):
        put(tmp_path / "file" / "doorward.lock", PIN)


WRITER = """
import sys
from pathlib import Path
import msgspec
from doorward.policy.lock import Pin, update
path, who = Path(sys.argv[1]), sys.argv[2]
for number in range(10):
    pin = Pin(f"{who}-{number}", "command", ("x",), "0" * 64, "/x", "2026-11-22T09:00:00Z", "first use")
    update(path, lambda pins: pins | {pin.name: pin})
"""


def test_many_writers_at_once_lose_nothing_and_readers_never_see_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "doorward.lock"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), f"w{number}"]) for number in range(6)]
    try:
        seen = 0
        while any(writer.poll() is None for writer in writers):
            now = len(read(path))
            assert now >= seen
            seen = now
        assert [writer.wait(30) for writer in writers] == [0] * 6
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    assert set(read(path)) == {f"w{writer}-{number}" for writer in range(6) for number in range(10)}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("version = 2\n", "version: is not 1"),
        ("version = true\n", "version: is not 1"),
        ("", "version: is not 1"),
        ("version = 1\npins = 1\n", "pins: is not a table"),
        ("version = 1\nextra = 1\n", "extra: is not a known key"),
        ("version = 1\n[pins.a\n", "is not TOML"),
        ("version = 1\n[pins.a]\n", "missing required field"),
        ("version = 1\n[pins.'../a']\n", "cannot be the name of a server"),
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "doorward.lock"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(PolicyError, match=what):
        read(path)


def test_a_url_has_a_pin_of_its_own_fields_beside_those_of_commands(tmp_path: Path) -> None:
    path = tmp_path / "doorward.lock"
    put(path, PIN, URL_PIN)
    assert read(path) == {"notes": PIN, "tickets": URL_PIN}
    assert path.read_text().partition('[pins."tickets"]\n')[2].splitlines() == [
        'kind = "url"',
        'first_seen = "2026-11-22T09:00:00Z"',
        'accepted_by = "first use"',
        'url = "http://127.0.0.1:8080/mcp"',
        "owner = 0",
    ]


def test_a_file_of_an_older_release_is_read_as_before(tmp_path: Path) -> None:
    path = tmp_path / "doorward.lock"
    path.write_text(
        'version = 1\n\n[pins."notes"]\nkind = "command"\nargv = ["x"]\narguments_sha256 = "0"\nexecutable = "/x"\n'
        'first_seen = "2026-11-22T09:00:00Z"\naccepted_by = "first use"\nexecutable_owner = 0\n'
    )
    path.chmod(0o600)
    assert read(path)["notes"].executable_owner == 0
    assert render(read(path)).endswith(path.read_text().partition("version")[2])


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('url = "http', 'argv = ["x"]\nurl = "http', "`argv` is no field of a url"),
        ('kind = "url"', 'kind = "command"', "missing required field `argv`"),
        ('url = "http://127.0.0.1:8080/mcp"\n', "", "missing required field `url`"),
        ('accepted_by = "first use"\n', "", "missing required field `accepted_by`"),
        ("owner = 0", 'owner = "root"', "expected `int`"),
    ],
)
def test_a_pin_of_a_url_that_is_none_is_refused(tmp_path: Path, old: str, new: str, what: str) -> None:
    path = tmp_path / "doorward.lock"
    put(path, URL_PIN)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(PolicyError, match=what):
        read(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [('kind = "command"', 'kind = "url"'), ('accepted_by = "', 'acepted_by = "'), ("executable_owner = 0", "x = 0")],
)
def test_a_pin_with_a_field_or_kind_that_is_not_known_is_refused(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "doorward.lock"
    put(path, PIN)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(PolicyError, match=r"pins\.notes: "):
        read(path)


def test_all_bad_pins_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "doorward.lock"
    path.write_text("version = 1\n[pins.a]\n[pins.b]\n")
    path.chmod(0o600)
    with pytest.raises(PolicyError) as refused:
        read(path)
    assert [problem.what.partition(":")[0] for problem in refused.value.problems] == ["pins.a", "pins.b"]

"""Finding entries over all logs, while their owners write, and when some logs cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from doorward.audit import reader
from doorward.audit.entry import commit
from doorward.audit.stores.sqlite import Item, SqliteLog

NOW_US = 1_795_338_600_000_000  # 2026-11-22T09:10:00Z
Make = Callable[..., Item]


@pytest.fixture
def two(state: Path) -> Iterator[tuple[SqliteLog, SqliteLog]]:
    """Two logs that are being written."""
    both = tuple(SqliteLog.open(state, now_us=NOW_US + one, label="test") for one in range(2))
    yield both[0], both[1]
    for log in both:
        log.abandon()


def requests(search: reader.Search) -> list[str]:
    return [one.entry.request for one in search.found]


def test_a_state_without_logs_has_nothing_to_find(state: Path) -> None:
    assert reader.last(state) == reader.show(state, "x") == reader.search(state) == reader.Search(())


def test_the_last_entries_come_from_all_logs_newest_last(
    state: Path, two: tuple[SqliteLog, SqliteLog], item: Make
) -> None:
    for number in range(10, 40):
        two[number % 2].append([item(number)], durable=False)
    assert requests(reader.last(state)) == [str(number) for number in range(20, 40)]
    assert requests(reader.last(state, 3)) == ["37", "38", "39"]
    assert reader.last(state, 0).found == ()


def test_a_clock_that_steps_back_does_not_change_the_order_within_a_log(
    state: Path, two: tuple[SqliteLog, SqliteLog], item: Make
) -> None:
    two[0].append([item(1, at=NOW_US + 500), item(2, at=NOW_US + 100), item(3, at=NOW_US + 300)], durable=True)
    assert requests(reader.search(state, link="link-1")) == ["1", "2", "3"]


def test_each_search_finds_what_carries_the_value_and_nothing_else(
    state: Path, two: tuple[SqliteLog, SqliteLog], item: Make
) -> None:
    two[0].append([item(1, reference="r"), item(2, ticket="t"), item(3, spends="t"), item(4, link="l")], durable=True)
    two[1].append([item(1), item(5, ticket="t", link="l")], durable=True)
    assert requests(reader.search(state, reference="r")) == ["1"]
    assert requests(reader.search(state, ticket="t")) == ["2", "3", "5"]
    assert requests(reader.search(state, request="1")) == ["1", "1"]
    assert requests(reader.search(state, link="l")) == ["4", "5"]
    assert requests(reader.search(state, ticket="t", link="l")) == ["5"]
    assert requests(reader.search(state, request="1", reference="r")) == ["1"]
    assert requests(reader.search(state, request='"1"')) == []


def test_showing_a_reference_shows_the_rest_of_its_request(
    state: Path, two: tuple[SqliteLog, SqliteLog], item: Make
) -> None:
    two[0].append([item(1), item(2)], durable=True)
    two[0].append([item(1, kind="outcome", sender="server", reference="r")], durable=True)
    two[0].append([item(1, link="another")], durable=True)
    two[1].append([item(1)], durable=True)
    shown = reader.show(state, "r").found
    assert [(one.log, one.index) for one in shown] == [(two[0].id, 1), (two[0].id, 3)]


def test_one_entry_is_shown_by_its_place(state: Path, two: tuple[SqliteLog, SqliteLog], item: Make) -> None:
    two[1].append([item(7)], durable=True)
    (found,) = reader.search(state, request="7").found
    assert reader.show(state, found.place).found == (found,)
    for nowhere in (f"{two[1].id}/2", f"{two[0].id}x/1", "/1", f"{two[1].id}/{10**30}", f"{two[1].id}/-1"):
        assert reader.show(state, nowhere).found == ()


def test_a_large_body_and_a_salt_come_with_their_entry(
    state: Path, two: tuple[SqliteLog, SqliteLog], item: Make
) -> None:
    body, salt = '"' + "ö" * 60_000 + '"', b"0123456789abcdef"
    made = item(1, body=body, commitment=commit(salt, bytes(32)))
    two[0].append([Item(made.entry, salt=salt), item(2, body='"short"')], durable=True)
    large, short = reader.search(state, link="link-1").found
    assert (large.body, large.entry.body, large.salt) == (body, "", salt)
    assert (short.body, short.salt) == ('"short"', b"")


def test_a_log_that_cannot_be_read_is_named_and_hides_no_other(
    state: Path, two: tuple[SqliteLog, SqliteLog], item: Make
) -> None:
    two[0].close(NOW_US + 2)
    two[0].path.write_bytes(b"nothing of the kind" * 1000)
    two[1].append([item(1)], durable=True)
    search = reader.search(state, request="1")
    assert requests(search) == ["1"]
    assert [one.log for one in search.unreadable] == [two[0].id]


def test_a_leaf_with_unknown_fields_makes_its_log_unreadable_rather_than_shown_in_part(
    state: Path, two: tuple[SqliteLog, SqliteLog]
) -> None:
    two[0].connection.execute("""UPDATE entries SET leaf = CAST('{"kind":"notice","more":1}' AS BLOB)""")
    assert [one.log for one in reader.last(state).unreadable] == [two[0].id]


def test_reading_changes_nothing_about_a_closed_log(state: Path, two: tuple[SqliteLog, SqliteLog]) -> None:
    for log in two:
        log.close(NOW_US + 2)
    before = {path.name: path.read_bytes() for path in (state / "audit").iterdir()}
    reader.last(state)
    assert {path.name: path.read_bytes() for path in (state / "audit").iterdir()} == before

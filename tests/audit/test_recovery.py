"""Logs whose owner died: what was under way is named, the log is ended, and what is doubtful is left alone."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from doorward.audit import reader
from doorward.audit.stores.directory import Lock
from doorward.audit.stores.recovery import NAMED_REQUESTS, recover
from doorward.audit.stores.sqlite import Item, SqliteLog, draft_of
from doorward.audit.verify import Tampered, verify_log

NOW_US = 1_795_338_600_000_000  # 2026-11-22T09:10:00Z
Make = Callable[..., Item]


@pytest.fixture
def log(state: Path) -> Iterator[SqliteLog]:
    log = SqliteLog.open(state, now_us=NOW_US, label="wrap test")
    yield log
    log.abandon()


def test_a_state_without_logs_needs_no_recovery(state: Path) -> None:
    assert recover(state, now_us=NOW_US) == []
    assert not state.exists()


def test_a_log_that_is_alive_is_left_to_its_owner(state: Path, log: SqliteLog, item: Make) -> None:
    assert recover(state, now_us=NOW_US) == []
    assert log.append([item(1)], durable=True) == 1


def test_requests_without_an_outcome_are_named(state: Path, log: SqliteLog, item: Make) -> None:
    log.append([item(1), item(2, method="tools/call", subject="delete"), item(3)], durable=True)
    log.append([item(1, kind="outcome", sender="server"), item(3, kind="outcome", sender="doorward")], durable=True)
    log.abandon()
    (found,) = recover(state, now_us=NOW_US + 50)
    assert (found.log, found.label, found.first, found.last, found.open_count) == (log.id, "wrap test", 2, 5, 1)
    (open_request,) = found.open
    assert (open_request.index, open_request.request, open_request.subject) == (2, "2", "delete")
    entry = reader.last(state).found[-1].entry
    assert (entry.kind, entry.link, entry.count, entry.outcome) == ("interrupted", "", 1, "unknown")
    assert (entry.detail["from"], entry.detail["to"]) == ("2", "5")
    assert json.loads(entry.detail["requests"]) == [["2", "link-1", "2", "tools/call", "delete"]]


def test_the_two_sides_may_use_the_same_request_id(state: Path, log: SqliteLog, item: Make) -> None:
    log.append([item(1, sender="client"), item(1, sender="server")], durable=True)
    log.append([item(1, kind="outcome", sender="client")], durable=True)
    log.abandon()
    (found,) = recover(state, now_us=NOW_US)
    assert [(one.index, one.sender) for one in found.open] == [(1, "client")]


def test_an_outcome_of_another_link_ends_nothing_here(state: Path, log: SqliteLog, item: Make) -> None:
    log.append([item(1), item(1, kind="outcome", sender="server", link="link-2")], durable=True)
    log.abandon()
    assert recover(state, now_us=NOW_US)[0].open_count == 1


def test_a_notification_has_no_outcome_to_miss(state: Path, log: SqliteLog, item: Make) -> None:
    log.append([item(1, request="", method="notifications/cancelled")], durable=True)
    log.abandon()
    (found,) = recover(state, now_us=NOW_US)
    assert (found.open_count, found.first, found.last) == (0, 2, 1)


def test_so_many_open_requests_are_named_and_all_are_counted(state: Path, log: SqliteLog, item: Make) -> None:
    log.append([item(number, subject="s" * 1000) for number in range(100)], durable=True)
    log.abandon()
    (found,) = recover(state, now_us=NOW_US)
    assert (len(found.open), found.open_count) == (NAMED_REQUESTS, 100)
    named = json.loads(reader.last(state).found[-1].entry.detail["requests"])
    assert len(named) == NAMED_REQUESTS
    assert max(len(text) for row in named for text in row) == 256


def test_a_recovered_log_verifies_is_closed_and_is_not_recovered_again(state: Path, log: SqliteLog, item: Make) -> None:
    log.append([item(1)], durable=True)
    log.checkpoint(NOW_US + 10)
    log.append([item(2)], durable=False)
    log.abandon()
    recover(state, now_us=NOW_US)
    verified = verify_log(log.path, (state / "audit.pub").read_text())
    assert (verified.size, verified.checkpoints, verified.unsigned_tail, verified.closed) == (4, 2, 0, True)
    assert recover(state, now_us=NOW_US) == []
    assert os.listdir(state / "audit") == [log.path.name]


def test_a_log_that_was_closed_but_not_tidied_up_gets_no_second_end(state: Path, log: SqliteLog) -> None:
    log.close(NOW_US)
    lock = Lock.take(log.path.with_suffix(".lock"))
    assert lock is not None
    lock.release(remove=False)
    assert recover(state, now_us=NOW_US) == []
    assert os.listdir(state / "audit") == [log.path.name]
    assert verify_log(log.path, (state / "audit.pub").read_text()).size == 2


def test_a_process_killed_before_it_had_a_log_leaves_nothing(state: Path, log: SqliteLog) -> None:
    log.close(NOW_US)
    unborn = log.path.with_name("20261122T091000Z-000000000000.sqlite")
    draft_of(unborn).touch()
    unborn.with_suffix(".lock").touch()
    assert recover(state, now_us=NOW_US) == []
    assert os.listdir(state / "audit") == [log.path.name]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE entries SET leaf = CAST(replace(leaf, 'link-1', 'link-9') AS BLOB) WHERE idx = 1",
        "UPDATE entries SET leaf = CAST('nonsense' AS BLOB) WHERE idx = 1",
        "DELETE FROM entries WHERE idx = 1",
        "DELETE FROM entries WHERE idx >= 1",
        "DELETE FROM entries",
        "UPDATE checkpoints SET note = 'nonsense'",
    ],
)
def test_a_log_that_disagrees_with_its_checkpoint_is_not_signed(
    state: Path, log: SqliteLog, item: Make, damage: str
) -> None:
    log.append([item(1), item(2)], durable=True)
    log.checkpoint(NOW_US)
    log.abandon()
    with closing(sqlite3.connect(log.path, isolation_level=None)) as connection:
        connection.execute(damage)
    (found,) = recover(state, now_us=NOW_US)
    assert found.damaged
    with closing(sqlite3.connect(log.path, isolation_level=None)) as connection:
        assert connection.execute("SELECT count(*) FROM checkpoints").fetchone() == (1,)
    with pytest.raises(Tampered):
        verify_log(log.path, (state / "audit.pub").read_text())


def test_a_damaged_log_does_not_keep_the_others_from_being_ended(state: Path, log: SqliteLog) -> None:
    other = SqliteLog.open(state, now_us=NOW_US, label="other")
    log.abandon()
    other.abandon()
    log.path.write_bytes(b"no database" * 1000)
    found = {one.log: one.damaged for one in recover(state, now_us=NOW_US)}
    assert found[other.id] == ""
    assert "not a database" in found[log.id]

"""One log: what an append promises, what the store sets, what it refuses, and what lies on the disk."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doorward.audit.checkpoint import parse
from doorward.audit.entry import INLINE_BODY_BYTES, AlreadySpent, Entry, commit, decode
from doorward.audit.merkle import leaf_hash, merkle_tree_hash
from doorward.audit.stores.sqlite import Item, SqliteLog
from doorward.audit.verify import verify_log
from doorward.errors import StorageError

NOW_US = 1_795_338_600_000_000  # 2026-11-22T09:10:00Z
Make = Callable[..., Item]


@pytest.fixture
def log(state: Path) -> Iterator[SqliteLog]:
    log = SqliteLog.open(state, now_us=NOW_US, label="wrap test")
    yield log
    log.abandon()


def stored(log: SqliteLog) -> list[Entry]:
    with closing(sqlite3.connect(log.path, isolation_level=None)) as connection:
        return [decode(leaf) for (leaf,) in connection.execute("SELECT leaf FROM entries ORDER BY idx")]


def public_key(state: Path) -> str:
    return (state / "audit.pub").read_text()


def test_a_log_begins_with_an_entry_that_names_it(log: SqliteLog) -> None:
    (first,) = stored(log)
    assert (first.kind, first.link, first.at) == ("opened", "", NOW_US)
    assert first.detail == {"format": "1", "label": "wrap test", "log": log.id, "pid": str(os.getpid())}


def test_entries_stand_in_the_order_they_were_appended_under_the_index_returned(log: SqliteLog, item: Make) -> None:
    assert log.append([item(1), item(2)], durable=True) == 1
    assert log.append([item(3)], durable=False) == 3
    assert [(entry.index, entry.request) for entry in stored(log)] == [(0, ""), (1, "1"), (2, "2"), (3, "3")]


def test_the_tree_in_memory_is_the_tree_of_what_is_stored(log: SqliteLog, item: Make) -> None:
    for number in range(20):
        log.append([item(number)], durable=number % 3 == 0)
    with closing(sqlite3.connect(log.path, isolation_level=None)) as connection:
        leaves = [leaf_hash(leaf) for (leaf,) in connection.execute("SELECT leaf FROM entries ORDER BY idx")]
    assert log.root() == merkle_tree_hash(leaves.__getitem__, 21)


def test_nothing_to_append_appends_nothing(log: SqliteLog) -> None:
    assert log.append([], durable=True) == log.size == 1


def test_a_checkpoint_signs_what_is_new_and_nothing_twice(log: SqliteLog, item: Make, state: Path) -> None:
    log.append([item(1)], durable=False)
    assert log.checkpoint(NOW_US + 1_000_000)
    assert not log.checkpoint(NOW_US + 2_000_000)
    verified = verify_log(log.path, public_key(state))
    assert (verified.size, verified.checkpoints, verified.unsigned_tail) == (2, 1, 0)
    assert parse(verified.checkpoint).at == NOW_US + 1_000_000


def test_a_log_verifies_while_its_owner_writes(log: SqliteLog, item: Make, state: Path) -> None:
    log.checkpoint(NOW_US)
    log.append([item(1), item(2)], durable=True)
    verified = verify_log(log.path, public_key(state))
    assert (verified.size, verified.unsigned_tail, verified.closed) == (3, 2, False)


def test_a_closed_log_is_one_plain_file_signed_to_its_end(log: SqliteLog, item: Make, state: Path) -> None:
    log.append([item(1)], durable=True)
    log.close(NOW_US + 5)
    log.close(NOW_US + 6)
    verified = verify_log(log.path, public_key(state))
    assert (verified.size, verified.unsigned_tail, verified.closed) == (3, 0, True)
    assert os.listdir(state / "audit") == [log.path.name]


def test_a_reader_in_the_way_does_not_keep_a_log_from_closing(log: SqliteLog, item: Make, state: Path) -> None:
    log.append([item(1)], durable=True)
    with closing(sqlite3.connect(log.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM entries").fetchone()
        log.close(NOW_US + 5)
        assert reader.execute("SELECT count(*) FROM entries").fetchone() == (2,)
        reader.execute("ROLLBACK")
    assert verify_log(log.path, public_key(state)).closed


def test_a_closed_log_takes_nothing_more(log: SqliteLog, item: Make) -> None:
    log.close(NOW_US)
    with pytest.raises(StorageError, match="closed"):
        log.append([item(1)], durable=True)
    with pytest.raises(StorageError, match="closed"):
        log.checkpoint(NOW_US)


def test_a_time_before_the_last_checkpoint_is_lifted_to_it_and_the_clock_is_quoted(
    log: SqliteLog, item: Make, state: Path
) -> None:
    log.checkpoint(NOW_US + 1_000_000)
    log.append([item(5, detail={"why": "owed"})], durable=True)
    late = stored(log)[1]
    assert (late.at, late.detail) == (NOW_US + 1_000_000, {"observed": str(NOW_US + 5), "why": "owed"})
    log.close(NOW_US)  # the clock ran backwards: the checkpoint does not
    assert verify_log(log.path, public_key(state)).signed_at_us == NOW_US + 1_000_000


def test_a_checkpoint_is_not_older_than_the_entries_it_covers(log: SqliteLog, item: Make, state: Path) -> None:
    log.append([item(1, at=NOW_US + 70)], durable=True)
    log.checkpoint(NOW_US + 20)
    assert verify_log(log.path, public_key(state)).signed_at_us == NOW_US + 70


def test_a_ticket_is_spent_once(log: SqliteLog, item: Make) -> None:
    log.append([item(1, ticket="t1"), item(2, ticket="t1", spends="t1")], durable=True)
    root = log.root()
    with pytest.raises(AlreadySpent) as caught:
        log.append([item(3), item(4, spends="t1"), item(5)], durable=True)
    assert (caught.value.ticket, caught.value.position) == ("t1", 1)
    assert (log.size, log.root(), len(stored(log))) == (3, root, 3)
    assert log.append([item(3), item(5)], durable=True) == 3


def test_a_ticket_is_not_spent_twice_within_one_append_either(log: SqliteLog, item: Make) -> None:
    with pytest.raises(AlreadySpent):
        log.append([item(1, spends="t1"), item(2, spends="t1")], durable=True)
    assert log.size == len(stored(log)) == 1


def test_a_spent_ticket_stays_spent_when_the_append_after_it_failed(log: SqliteLog, item: Make) -> None:
    with pytest.raises(AlreadySpent):
        log.append([item(1, spends="t1"), item(2, spends="t1")], durable=True)
    log.append([item(1, spends="t1")], durable=True)
    with pytest.raises(AlreadySpent):
        log.append([item(2, spends="t1")], durable=False)


def test_a_large_body_stands_once_however_many_entries_name_it(log: SqliteLog, item: Make, state: Path) -> None:
    body = b'"' + b"x" * INLINE_BODY_BYTES + b'"'
    named = Item(item(1).entry, body=body)
    inline = item(2, body=body.decode())
    log.append([named, inline], durable=True)
    for entry in stored(log)[1:]:
        assert (entry.body, entry.body_stored, entry.body_size) == ("", True, len(body))
        assert entry.body_digest == hashlib.sha256(body).hexdigest()
    with closing(sqlite3.connect(log.path, isolation_level=None)) as connection:
        assert connection.execute("SELECT body FROM bodies").fetchall() == [(body,)]
    log.close(NOW_US + 9)
    assert verify_log(log.path, public_key(state)).closed


def test_a_body_of_exactly_the_limit_stays_in_its_entry(log: SqliteLog, item: Make) -> None:
    log.append([item(1, body="ä" * (INLINE_BODY_BYTES // 2))], durable=True)
    assert not stored(log)[1].body_stored
    log.append([item(2, body="ä" * (INLINE_BODY_BYTES // 2) + "b")], durable=True)
    assert stored(log)[2].body_stored


def test_the_salt_lies_beside_the_leaf_and_not_in_it(log: SqliteLog, item: Make) -> None:
    salt = b"0123456789abcdef"
    log.append([Item(item(1, commitment=commit(salt, bytes(32))).entry, salt=salt)], durable=True)
    with closing(sqlite3.connect(log.path, isolation_level=None)) as connection:
        leaf, beside = connection.execute("SELECT leaf, salt FROM entries WHERE idx = 1").fetchone()
    assert beside == salt
    assert salt not in leaf
    assert salt.hex().encode() not in leaf


@pytest.mark.parametrize(
    "broken",
    [
        Item(Entry(kind="notice", at=NOW_US, link="l", subject="\ud800")),
        Item(Entry(kind="notice", at=NOW_US, link=object())),  # type: ignore[arg-type]
        Item(Entry(kind="rumour", at=NOW_US, link="l")),  # type: ignore[arg-type]
        Item(Entry(kind="notice", at=NOW_US, link="l", body_digest="0" * 64), body=b"x"),
        Item(Entry(kind="notice", at=NOW_US, link="l", body_size=2), body=b"x"),
        Item(Entry(kind="notice", at=NOW_US, link="l", body_stored=True)),
        Item(Entry(kind="notice", at=NOW_US, link="l", commitment="0" * 64)),
    ],
    ids=["surrogate", "type", "kind", "digest", "size", "no body", "no salt"],
)
def test_what_cannot_be_an_entry_takes_its_whole_group_with_it(log: SqliteLog, item: Make, broken: Item) -> None:
    with pytest.raises(StorageError, match="cannot be recorded"):
        log.append([item(1), broken], durable=True)
    assert log.size == len(stored(log)) == 1
    assert log.append([item(1)], durable=True) == 1


def test_a_database_that_is_full_refuses_and_later_recovers(log: SqliteLog, item: Make, state: Path) -> None:
    log.append([item(1)], durable=True)
    pages = log.connection.execute("PRAGMA page_count").fetchone()[0]
    log.connection.execute(f"PRAGMA max_page_count = {pages}")
    root = log.root()
    with pytest.raises(StorageError, match="full"):
        log.append([item(2), Item(item(3).entry, body=b"x" * 100_000)], durable=True)
    assert (log.size, log.root(), len(stored(log))) == (2, root, 2)
    log.connection.execute("PRAGMA max_page_count = 1000000")
    assert log.append([item(2)], durable=True) == 2
    log.close(NOW_US + 9)
    assert verify_log(log.path, public_key(state)).size == 4


@pytest.mark.parametrize("umask", [0, 0o777])
def test_no_mode_depends_on_the_umask(state: Path, item: Make, umask: int, request: pytest.FixtureRequest) -> None:
    state.mkdir(mode=0o700)
    before = os.umask(umask)
    try:
        log = SqliteLog.open(state, now_us=NOW_US, label="wrap test")
        log.append([item(1)], durable=True)
    finally:
        os.umask(before)
    request.addfinalizer(log.abandon)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (state, *state.rglob("*"))}
    assert modes.pop("audit.pub") == 0o644
    assert (modes.pop("state"), modes.pop("audit")) == (0o700, 0o700)
    assert set(modes) == {"audit.key", *(log.id + end for end in (".lock", ".sqlite", ".sqlite-wal", ".sqlite-shm"))}
    assert set(modes.values()) == {0o600}


def test_a_folder_that_was_opened_to_others_is_closed_again(state: Path) -> None:
    SqliteLog.open(state, now_us=NOW_US, label="one").close(NOW_US)
    (state / "audit").chmod(0o777)
    SqliteLog.open(state, now_us=NOW_US, label="two").close(NOW_US)
    assert stat.S_IMODE((state / "audit").stat().st_mode) == 0o700


def test_a_folder_that_is_a_link_is_refused(state: Path, tmp_path: Path) -> None:
    state.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (state / "audit").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="not a folder"):
        SqliteLog.open(state, now_us=NOW_US, label="x")
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_key_that_others_can_read_is_refused(state: Path) -> None:
    SqliteLog.open(state, now_us=NOW_US, label="one").close(NOW_US)
    (state / "audit.key").chmod(0o640)
    with pytest.raises(StorageError, match="read by others"):
        SqliteLog.open(state, now_us=NOW_US, label="two")


def test_a_public_half_that_is_not_of_this_key_is_refused(state: Path) -> None:
    SqliteLog.open(state, now_us=NOW_US, label="one").close(NOW_US)
    (state / "audit.pub").write_text("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n")
    with pytest.raises(StorageError, match="public half"):
        SqliteLog.open(state, now_us=NOW_US, label="two")


def test_a_key_that_is_none_is_refused_and_leaves_no_log_behind(state: Path) -> None:
    state.mkdir()
    (state / "audit.key").touch(mode=0o600)
    with pytest.raises(StorageError, match="note key"):
        SqliteLog.open(state, now_us=NOW_US, label="x")
    assert os.listdir(state / "audit") == []


def test_the_wal_is_folded_into_the_file_by_a_checkpoint_and_by_nothing_else(log: SqliteLog, item: Make) -> None:
    wal = Path(f"{log.path}-wal")
    before = log.path.stat().st_size
    body = "x" * 50_000
    for _ in range(110):
        log.append([item(1, body=body)], durable=False)
    assert log.path.stat().st_size == before
    assert wal.stat().st_size > 5 << 20
    log.checkpoint(NOW_US + 1)
    assert log.path.stat().st_size > 4 << 20
    folded = wal.stat().st_size, log.path.stat().st_size
    for number in range(2, 40):
        log.append([item(number, body=body)], durable=True)
        log.checkpoint(NOW_US + number)
    assert (wal.stat().st_size, log.path.stat().st_size) == folded, "what was folded is written over, and is little"


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.sampled_from(["", "a", "b", "c"])), max_size=25))
def test_whatever_is_appended_the_log_verifies_and_holds_exactly_what_was_accepted(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool, str]]
) -> None:
    state = tmp_path_factory.mktemp("state")
    log = SqliteLog.open(state, now_us=NOW_US, label="property")
    accepted, spent = 1, set()
    for count, durable, ticket in steps:
        entry = Entry(kind="intent", at=NOW_US + accepted, link="l", spends=ticket)
        items = [Item(entry), *[Item(Entry(kind="notice", at=NOW_US, link="l"))] * count]
        if ticket and ticket in spent:
            with pytest.raises(AlreadySpent):
                log.append(items, durable=durable)
            log.checkpoint(NOW_US + accepted)
        else:
            assert log.append(items, durable=durable) == accepted
            accepted += len(items)
            spent.add(ticket)
    assert verify_log(log.path, public_key(state)).size == accepted
    log.close(NOW_US)
    assert verify_log(log.path, public_key(state)).size == accepted + 1

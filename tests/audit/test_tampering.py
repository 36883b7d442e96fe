"""Every way to change a log that the verifier promises to see, played by an operator with full access to the file.

``honest`` is a closed log: entries 0 to 20, a checkpoint after each five. ``rewrite`` plays an operator who also holds
the signing key and signs whatever he likes: against him only rules about content, and checkpoints kept elsewhere, help.
"""

from __future__ import annotations

import ast
import inspect
import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from doorward.audit.checkpoint import Checkpoint, SigningKey, generate, public_text, read_private, sign
from doorward.audit.entry import Entry, decode, encode
from doorward.audit.merkle import Tree, leaf_hash
from doorward.audit.stores.sqlite import Item, SqliteLog
from doorward.audit.verify import Fault, Tampered, Verified, verify_log
from doorward.errors import AuditError, VerificationError

NOW_US = 1_795_338_600_000_000  # 2026-11-22T09:10:00Z
SECOND = 1_000_000
Make = Callable[..., Item]

LARGE = b'"' + b"x" * 70_000 + b'"'


@pytest.fixture
def honest(state: Path, item: Make) -> Path:
    log = SqliteLog.open(state, now_us=NOW_US, label="test")
    for number in range(1, 20):
        special = {3: {"reference": "ref-3"}, 8: {"ticket": "t-8"}, 9: {"spends": "t-8", "kind": "answer"}}
        made = item(number, at=NOW_US + number * SECOND, **special.get(number, {}))
        log.append([Item(made.entry, body=LARGE) if number == 12 else made], durable=number % 2 == 0)
        if log.size % 5 == 0:
            log.checkpoint(NOW_US + number * SECOND + 1)
    log.close(NOW_US + 30 * SECOND)
    return log.path


@pytest.fixture
def key(honest: Path) -> str:
    return (honest.parent.parent / "audit.pub").read_text()


def signing_key(log: Path) -> SigningKey:
    return read_private((log.parent.parent / "audit.key").read_text())


def change(log: Path, *statements: str) -> None:
    with closing(sqlite3.connect(log, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def claim(log: Path, index: str, sql: object) -> None:
    """Let the file say that ``index`` was made by ``sql``."""
    with closing(sqlite3.connect(log, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (sql, index))


def query(log: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(log)) as connection:
        return connection.execute(statement, values).fetchall()


def caught(log: Path, key: str, witnessed: Sequence[str] = ()) -> Tampered:
    with pytest.raises(VerificationError) as error:
        verify_log(log, key, witnessed=witnessed)
    assert isinstance(error.value, Tampered)
    return error.value


def entries_of(log: Path) -> list[Entry]:
    return [decode(leaf) for (leaf,) in query(log, "SELECT leaf FROM entries ORDER BY idx")]  # type: ignore[arg-type]


def rewrite(log: Path, entries: Sequence[Entry], checkpoints: Sequence[tuple[int, int]]) -> None:
    """Make ``log`` say ``entries``, with hashes, columns and signatures to match; ``checkpoints`` are (size, time)."""
    key, tree, roots = signing_key(log), Tree(), [b""]
    with closing(sqlite3.connect(log, isolation_level=None)) as connection:
        connection.execute("DELETE FROM entries")
        connection.execute("DELETE FROM checkpoints")
        for index, entry in enumerate(entries):
            leaf = encode(msgspec.structs.replace(entry, index=index))
            tree.append(leaf_hash(leaf))
            roots.append(tree.root())
            columns = (entry.reference or None, entry.ticket or None, entry.request or None, entry.spends or None)
            row = (index, leaf, leaf_hash(leaf), None, *columns)
            connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        for size, at in checkpoints:
            note = sign(Checkpoint(f"{key.name}/{log.stem}", size, roots[size], at), key)
            connection.execute("INSERT INTO checkpoints (size, note) VALUES (?, ?)", (size, note))


def test_the_honest_log_verifies(honest: Path, key: str) -> None:
    verified = verify_log(honest, key)
    assert verified[1:6] == (21, verified.root, 5, 0, True)
    assert isinstance(verified, Verified)


def test_the_operators_rewriting_is_good_enough_to_pass_when_it_breaks_no_rule(honest: Path, key: str) -> None:
    rewrite(honest, entries_of(honest), [(21, NOW_US + 40 * SECOND)])
    assert verify_log(honest, key).checkpoints == 1


def test_a_changed_entry_is_named(honest: Path, key: str) -> None:
    ((stored,),) = query(honest, "SELECT hex(hash) FROM entries WHERE idx = 7")
    change(honest, "UPDATE entries SET leaf = CAST(replace(leaf, 'intent', 'notice') AS BLOB) WHERE idx = 7")
    error = caught(honest, key)
    assert (error.fault, error.index, error.expected) == ("changed", 7, str(stored).lower())
    ((leaf,),) = query(honest, "SELECT leaf FROM entries WHERE idx = 7")
    assert isinstance(leaf, bytes)
    assert error.actual == leaf_hash(leaf).hex()


@pytest.mark.parametrize("seed", range(30))
def test_any_flipped_bit_of_any_entry_is_named(honest: Path, key: str, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 (must repeat)
    index = chance.randrange(21)
    ((leaf,),) = query(honest, "SELECT leaf FROM entries WHERE idx = ?", index)
    assert isinstance(leaf, bytes)
    flipped = bytearray(leaf)
    flipped[chance.randrange(len(leaf))] ^= 1 << chance.randrange(8)
    with closing(sqlite3.connect(honest, isolation_level=None)) as connection:
        connection.execute("UPDATE entries SET leaf = ? WHERE idx = ?", (bytes(flipped), index))
    assert caught(honest, key).index == index


def test_a_changed_entry_whose_hash_was_changed_too_is_found_in_the_range_of_its_checkpoint(
    honest: Path, key: str
) -> None:
    forged = encode(msgspec.structs.replace(entries_of(honest)[7], subject="harmless"))
    with closing(sqlite3.connect(honest, isolation_level=None)) as connection:
        connection.execute("UPDATE entries SET leaf = ?, hash = ? WHERE idx = 7", (forged, leaf_hash(forged)))
    error = caught(honest, key)
    assert (error.fault, error.index) == ("rewritten", 5)
    tree = Tree()
    for (leaf,) in query(honest, "SELECT leaf FROM entries WHERE idx < 10 ORDER BY idx"):
        tree.append(leaf_hash(leaf))  # type: ignore[arg-type]
    assert error.actual == tree.root().hex() != error.expected


def test_two_entries_that_changed_places_are_named(honest: Path, key: str) -> None:
    change(
        honest,
        "UPDATE entries SET idx = -1 WHERE idx = 6",
        "UPDATE entries SET idx = 6 WHERE idx = 9",
        "UPDATE entries SET idx = 9 WHERE idx = -1",
    )
    error = caught(honest, key)
    assert (error.fault, error.index, error.expected, error.actual) == ("swapped", 6, "6", "9")


def test_a_missing_entry_is_named(honest: Path, key: str) -> None:
    change(honest, "DELETE FROM entries WHERE idx = 8")
    error = caught(honest, key)
    assert (error.fault, error.index, error.expected, error.actual) == ("dropped", 8, "8", "9")


def test_a_missing_entry_is_named_when_those_after_it_moved_up(honest: Path, key: str) -> None:
    change(
        honest,
        "DELETE FROM entries WHERE idx = 8",
        "UPDATE entries SET idx = -idx WHERE idx > 8",
        "UPDATE entries SET idx = -idx - 1 WHERE idx < 0",
    )
    error = caught(honest, key)
    assert (error.fault, error.index, error.expected, error.actual) == ("dropped", 8, "8", "9")


def test_an_entry_that_was_put_in_between_is_named(honest: Path, key: str) -> None:
    change(
        honest,
        "UPDATE entries SET idx = -idx WHERE idx > 4",
        "UPDATE entries SET idx = -idx + 1 WHERE idx < 0",
        "INSERT INTO entries SELECT 5, leaf, hash, salt, NULL, NULL, request, NULL FROM entries WHERE idx = 4",
    )
    error = caught(honest, key)
    assert (error.fault, error.index) == ("inserted", 5)


def test_a_missing_end_is_named_while_a_checkpoint_over_it_is_left(honest: Path, key: str) -> None:
    change(honest, "DELETE FROM entries WHERE idx >= 17")
    error = caught(honest, key)
    assert (error.fault, error.index, error.expected, error.actual) == ("truncated", 17, "20", "17")


def test_a_log_without_any_entry_is_no_log(honest: Path, key: str) -> None:
    change(honest, "DELETE FROM entries", "DELETE FROM checkpoints", "DELETE FROM bodies")
    assert caught(honest, key).fault == "truncated"


def test_an_end_removed_with_its_checkpoints_is_seen_by_whoever_kept_a_checkpoint_and_by_nobody_else(
    honest: Path, key: str
) -> None:
    kept = verify_log(honest, key).checkpoint
    change(honest, "DELETE FROM entries WHERE idx >= 15", "DELETE FROM checkpoints WHERE size > 15")
    assert verify_log(honest, key).closed is False  # the stated limit of a log alone
    error = caught(honest, key, [kept])
    assert (error.fault, error.index, error.expected, error.actual) == ("truncated", 15, "21", "15")


def test_another_history_signed_with_the_same_key_is_seen_by_whoever_kept_a_checkpoint(honest: Path, key: str) -> None:
    kept = verify_log(honest, key).checkpoint
    entries = entries_of(honest)
    entries[13] = msgspec.structs.replace(entries[13], subject="harmless")
    rewrite(honest, entries, [(21, NOW_US + 40 * SECOND)])
    assert verify_log(honest, key).size == 21
    assert caught(honest, key, [kept]).fault == "forked"


def test_two_signed_histories_in_one_log_are_a_fork(honest: Path, key: str) -> None:
    signer = signing_key(honest)
    note = sign(Checkpoint(f"{signer.name}/{honest.stem}", 10, b"\x05" * 32, NOW_US + 9 * SECOND + 1), signer)
    with closing(sqlite3.connect(honest, isolation_level=None)) as connection:
        connection.execute("UPDATE checkpoints SET note = ? WHERE size = 10", (note,))
    error = caught(honest, key)
    assert (error.fault, error.index, error.expected) == ("forked", 5, ("05" * 32))


def test_two_checkpoints_over_the_same_entries_are_a_fork(honest: Path, key: str) -> None:
    signer = signing_key(honest)
    note = sign(Checkpoint(f"{signer.name}/{honest.stem}", 21, b"\x05" * 32, NOW_US + 60 * SECOND), signer)
    with closing(sqlite3.connect(honest, isolation_level=None)) as connection:
        connection.execute("INSERT INTO checkpoints (size, note) VALUES (21, ?)", (note,))
    assert caught(honest, key).fault == "forked"


@pytest.mark.parametrize(("size", "at"), [(3, 90), (21, 1)])
def test_a_checkpoint_that_takes_back_an_earlier_one_is_a_fork(honest: Path, key: str, size: int, at: int) -> None:
    entries = entries_of(honest)
    rewrite(honest, entries, [(20, NOW_US + 50 * SECOND), (size, NOW_US + at * SECOND)])
    assert caught(honest, key).fault == "forked"


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (NOW_US + 9 * SECOND, f"at least {NOW_US + 9 * SECOND + 1}"),
        (NOW_US + 99 * SECOND, f"at most {NOW_US + 60 * SECOND}"),
    ],
    ids=["back", "forward"],
)
def test_a_time_outside_the_checkpoints_around_it_is_named(honest: Path, key: str, at: int, expected: str) -> None:
    entries = entries_of(honest)
    entries[14] = msgspec.structs.replace(entries[14], at=at)
    rewrite(honest, entries, [(10, NOW_US + 9 * SECOND + 1), (21, NOW_US + 60 * SECOND)])
    error = caught(honest, key)
    assert (error.fault, error.index, error.expected, error.actual) == ("backdated", 14, expected, str(at))


def test_a_time_before_the_last_checkpoint_is_named_in_an_unsigned_tail_too(honest: Path, key: str) -> None:
    entries = entries_of(honest)[:-1]
    entries.append(msgspec.structs.replace(entries[-1], at=NOW_US))
    rewrite(honest, entries, [(20, NOW_US + 60 * SECOND)])
    error = caught(honest, key)
    assert (error.fault, error.index) == ("backdated", 20)


def spend_twice(honest: Path) -> None:
    entries = entries_of(honest)
    entries[15] = msgspec.structs.replace(entries[15], spends="t-8")
    sound = query(honest, "SELECT sql FROM sqlite_schema WHERE name = 'spent_once'")[0][0]
    change(honest, "DROP INDEX spent_once", "CREATE INDEX spent_once ON entries (spends) WHERE spends IS NOT NULL")
    rewrite(honest, entries, [(21, NOW_US + 60 * SECOND)])
    claim(honest, "spent_once", sound)


def test_a_ticket_spent_twice_is_named(honest: Path, key: str) -> None:
    spend_twice(honest)
    error = caught(honest, key)
    assert (error.fault, error.index, error.actual) == ("spent twice", 15, "t-8")


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("UPDATE entries SET reference = 'ref-4' WHERE idx = 3", 3),
        ("UPDATE entries SET reference = NULL WHERE idx = 3", 3),
        ("UPDATE entries SET ticket = 't-9' WHERE idx = 8", 8),
        ("UPDATE entries SET ticket = 't-9' WHERE idx = 7", 7),
        ("UPDATE entries SET request = 'seven' WHERE idx = 7", 7),
        ("UPDATE entries SET request = CAST('7' AS BLOB) WHERE idx = 7", 7),
        ("UPDATE entries SET spends = NULL WHERE idx = 9", 9),
    ],
)
def test_a_search_column_that_disagrees_with_its_entry_is_named(
    honest: Path, key: str, statement: str, index: int
) -> None:
    change(honest, statement)
    error = caught(honest, key)
    assert (error.fault, error.index) == ("column", index)


def test_a_column_of_the_checkpoints_that_disagrees_with_its_note_is_named(honest: Path, key: str) -> None:
    change(honest, "UPDATE checkpoints SET size = 6 WHERE size = 5")
    error = caught(honest, key)
    assert (error.fault, error.expected, error.actual) == ("column", "5", "6")


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("UPDATE bodies SET body = CAST(replace(body, 'xxx', 'xyx') AS BLOB)", 12),
        ("UPDATE bodies SET body = CAST(body AS TEXT)", 12),
        ("DELETE FROM bodies", 12),
        ("UPDATE bodies SET digest = 'other'", 12),
        ("INSERT INTO bodies VALUES ('planted', x'00')", None),
    ],
)
def test_a_body_that_is_not_the_one_recorded_is_named(
    honest: Path, key: str, statement: str, index: int | None
) -> None:
    change(honest, statement)
    error = caught(honest, key)
    assert (error.fault, error.index) == ("body", index)


def test_a_log_signed_with_another_key_is_not_ours(honest: Path) -> None:
    assert caught(honest, public_text(generate(b"\x01" * 32))).fault == "unknown key"


def test_a_note_that_was_edited_after_signing_is_forged(honest: Path, key: str) -> None:
    change(honest, "UPDATE checkpoints SET note = replace(note, 'doorward-time-us 17', 'doorward-time-us 18')")
    assert caught(honest, key).fault == "forged"


@pytest.mark.parametrize("note", ["", "text", "a\n\n", "a\n\n— b", None])
def test_a_note_that_is_none_is_damage(honest: Path, key: str, note: str | None) -> None:
    with closing(sqlite3.connect(honest, isolation_level=None)) as connection:
        connection.execute("UPDATE checkpoints SET note = CAST(? AS BLOB) WHERE size = 5", (note or "x",))
    assert caught(honest, key).fault == "damaged"


def test_further_signatures_by_others_do_not_disturb(honest: Path, key: str) -> None:
    change(honest, "UPDATE checkpoints SET note = note || '— witness.example/w AAAAAAAA' || char(10)")
    assert verify_log(honest, key).checkpoints == 5


def test_a_log_under_the_name_of_another_is_foreign(honest: Path, key: str) -> None:
    other = honest.with_name("20261122T091000Z-ffffffffffff.sqlite")
    honest.rename(other)
    assert caught(other, key).fault == "foreign"


def test_entries_of_another_log_under_this_name_are_foreign(honest: Path, key: str) -> None:
    entries = entries_of(honest)
    entries[0] = msgspec.structs.replace(entries[0], detail={**entries[0].detail, "log": "another"})
    rewrite(honest, entries, [(21, NOW_US + 60 * SECOND)])
    error = caught(honest, key)
    assert (error.fault, error.index, error.actual) == ("foreign", 0, "another")


def test_a_closed_log_whose_last_checkpoint_is_gone_has_a_tail(honest: Path, key: str) -> None:
    change(honest, "DELETE FROM checkpoints WHERE size = 21")
    error = caught(honest, key)
    assert (error.fault, error.index) == ("tail", 20)


def test_entries_after_the_end_of_a_closed_log_are_a_tail(honest: Path, key: str) -> None:
    entries = entries_of(honest)
    entries.append(Entry(kind="notice", at=NOW_US + 40 * SECOND, link="link-1"))
    rewrite(honest, entries, [(22, NOW_US + 60 * SECOND)])
    error = caught(honest, key)
    assert (error.fault, error.index) == ("tail", 21)


def test_a_tail_of_a_log_that_was_not_closed_is_counted(honest: Path, key: str) -> None:
    rewrite(honest, entries_of(honest)[:-1], [(18, NOW_US + 60 * SECOND)])
    assert caught(honest, key).index == 18  # which is older than the checkpoint before it
    rewrite(honest, entries_of(honest), [(18, NOW_US + 17 * SECOND)])
    verified = verify_log(honest, key)
    assert (verified.size, verified.unsigned_tail, verified.closed) == (20, 2, False)


def test_an_index_that_leaves_an_entry_out_is_damage(honest: Path, key: str) -> None:
    change(
        honest,
        "DROP INDEX by_reference",
        "CREATE INDEX by_reference ON entries (reference) WHERE reference IS NOT NULL AND idx <> 3",
    )
    error = caught(honest, key)
    assert error.fault == "damaged"
    assert "by_reference" in str(error)


def test_an_index_that_leaves_an_entry_out_is_damage_even_if_it_says_otherwise(honest: Path, key: str) -> None:
    ((sound,),) = query(honest, "SELECT sql FROM sqlite_schema WHERE name = 'by_reference'")
    change(
        honest,
        "DROP INDEX by_reference",
        "CREATE INDEX by_reference ON entries (reference) WHERE reference IS NOT NULL AND idx <> 3",
    )
    claim(honest, "by_reference", sound)
    assert query(honest, "SELECT idx FROM entries WHERE reference = 'ref-3'") == []
    assert caught(honest, key).fault == "damaged"


@pytest.mark.parametrize("statement", ["CREATE TABLE more (x)", "DROP INDEX by_ticket", "DROP TABLE bodies"])
def test_a_file_laid_out_otherwise_is_damage(honest: Path, key: str, statement: str) -> None:
    change(honest, statement)
    assert caught(honest, key).fault == "damaged"


@pytest.mark.parametrize("leaf", [b"[]", b"\xff", b"nonsense", b"[" * 100_000, b'{"kind":"opened","detail":[]}'])
def test_a_leaf_that_is_no_entry_does_not_stop_the_verifier_from_answering(honest: Path, key: str, leaf: bytes) -> None:
    with closing(sqlite3.connect(honest, isolation_level=None)) as connection:
        connection.execute("UPDATE entries SET leaf = ?, hash = ? WHERE idx = 0", (leaf, leaf_hash(leaf)))
    assert caught(honest, key).index == 0


@pytest.mark.parametrize("seed", range(20))
def test_a_file_with_any_page_overwritten_does_not_verify_and_does_not_crash_the_verifier(
    honest: Path, key: str, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 (must repeat)
    content = bytearray(honest.read_bytes())
    page = chance.randrange(len(content) // 4096) * 4096
    content[page : page + 4096] = chance.randbytes(4096)
    honest.write_bytes(content)
    try:
        verify_log(honest, key)
    except VerificationError:
        return
    pytest.fail(f"nobody missed page {page // 4096}")


def test_what_is_no_log_is_not_called_tampered_with(tmp_path: Path, honest: Path, key: str) -> None:
    with pytest.raises(AuditError) as error:
        verify_log(tmp_path / "missing.sqlite", key)
    assert not isinstance(error.value, VerificationError)
    for wrong in ("", "name+00000000+AAAA", key.replace("+", "+0", 1), key[:-10]):
        with pytest.raises(AuditError) as error:
            verify_log(honest, wrong)
        assert not isinstance(error.value, VerificationError)


def test_every_fault_has_a_test_here() -> None:
    text = Path(__file__).read_text()
    missing = [fault for fault in Fault.__args__ if f'"{fault}"' not in text]  # type: ignore[attr-defined]
    assert missing == []


def test_the_verifier_shares_no_code_with_the_writer() -> None:
    tree = ast.parse(Path(inspect.getfile(verify_log)).read_text())
    ours = {
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and "doorward" in (node.module or "")
    } | {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert {name for name in ours if name and name.startswith("doorward")} == {"doorward.errors"}

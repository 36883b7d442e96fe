"""A log in one SQLite file: entries, their tree, its signed checkpoints. One writer, one file, one thread at a time.

Durability. The file is in WAL mode. ``append(durable=True)`` commits with ``synchronous=FULL``: SQLite syncs the WAL
before COMMIT returns. ``durable=False`` commits with ``synchronous=NORMAL``: the frames go to the kernel in order, and
the next synced commit of this file, a durable append or a checkpoint, makes them durable too, because frames are
checksummed in a chain and recovery stops at the first that is broken. So entries are lost from the end only, never out
of the middle, and never one that was acknowledged as durable. A killed process loses nothing: the kernel has it all.

A checkpoint is inserted by a synced commit, so a note that can be read covers synced entries only. The WAL is folded
into the file by ``checkpoint`` and ``close``, never by an append.

Failures. Whatever goes wrong while appending, the transaction is rolled back and the tree in memory stays as it was. A
full disk refuses and later recovers. A failed *sync* does not: the kernel may have dropped the pages and would report
success the next time, so the log refuses for good, and its owner has to open another one.

What this does not protect against: whoever may write the file and read the key can write another history, and whoever
may write the file can remove its end together with the checkpoints over it. Only checkpoints kept elsewhere show that.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from doorward.audit.checkpoint import Checkpoint, SigningKey, parse, sign
from doorward.audit.entry import INLINE_BODY_BYTES, AlreadySpent, Entry, encode
from doorward.audit.merkle import Tree, leaf_hash
from doorward.audit.stores.directory import Lock, audit_folder, create_private, signing_key, sync_folder
from doorward.errors import AuditError, StorageError

FORMAT: Final = 1
_APPLICATION_ID: Final = 0x44574C47  # "DWLG", so that file(1) can tell
_FOLD_ABOVE_BYTES: Final = 4 << 20
_KEPT_WAL_BYTES: Final = 64 << 20
"""Of a folded WAL, to be written over: a file that grows costs every sync a change of its size, and is new memory. As
much as a busy gateway writes between two folds; a quiet one never gets there."""
_BESIDE_LEAVES_BYTES: Final = 4 * 4096
"""What a commit writes beside its leaves and bodies: the pages that lead to them."""
_BUSY_SECONDS: Final = 5.0

# Search columns repeat what the leaf says and are NULL where it says nothing; the verifier compares the two.
_SCHEMA: Final = (
    """CREATE TABLE entries (
        idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, hash BLOB NOT NULL, salt BLOB,
        reference TEXT, ticket TEXT, request TEXT, spends TEXT
    )""",
    "CREATE TABLE bodies (digest TEXT PRIMARY KEY, body BLOB NOT NULL)",
    "CREATE TABLE checkpoints (number INTEGER PRIMARY KEY, size INTEGER NOT NULL, note TEXT NOT NULL)",
    "CREATE INDEX by_reference ON entries (reference) WHERE reference IS NOT NULL",
    "CREATE INDEX by_ticket ON entries (ticket) WHERE ticket IS NOT NULL",
    "CREATE INDEX by_request ON entries (request) WHERE request IS NOT NULL",
    "CREATE UNIQUE INDEX spent_once ON entries (spends) WHERE spends IS NOT NULL",
)
_INSERT_ENTRY: Final = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_BODY: Final = "INSERT OR IGNORE INTO bodies VALUES (?, ?)"
_INSERT_CHECKPOINT: Final = "INSERT INTO checkpoints (size, note) VALUES (?, ?)"


class Item(msgspec.Struct, frozen=True, gc=False):
    """An entry to append, the salt of its commitment, and its masked body where that is too large for the entry."""

    entry: Entry
    salt: bytes = b""
    body: bytes = b""


class _Row(msgspec.Struct, frozen=True, gc=False):
    """What is stored for one item."""

    columns: tuple[object, ...]
    hash: bytes
    at: int
    digest: str
    body: bytes
    size: int


class SqliteLog:
    """A log that this process owns. All methods block, and belong to one thread at a time.

    ``append`` costs 35 µs of CPU in the written grade, and one disk sync more in the durable one.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, lock: Lock, key: SigningKey) -> None:
        """For ``open`` and ``recovery``: a log whose lock is held, positioned behind its last entry by ``advance``."""
        self.id = path.stem
        self.path = path
        self.connection = connection
        self._lock = lock
        self._key = key
        self._tree = Tree()
        self._signed_size = 0
        self._signed_at = 0  # no entry may claim an earlier time than the checkpoint before it
        self._latest_at = 0
        self._full = True
        self._unfolded = 0  # bytes in the WAL, nearly
        self._broken = ""  # why nothing more is taken
        self._closed = False

    @classmethod
    def open(cls, state: Path, *, now_us: int, label: str) -> SqliteLog:
        """Create a log for this process and take its lock. Its first entry names the log, ``label`` and the process.

        ``label`` says what the process is for (``wrap filesystem``). ``StorageError``: the folder, the key or the file
        cannot be made; nothing is left behind that looks like a log.
        """
        folder = audit_folder(state)
        key = signing_key(state)
        try:
            path, lock = _reserve(folder, now_us)
        except (OSError, ValueError, OverflowError) as error:
            raise StorageError(f"no log can be created in {folder}: {error}") from error
        try:
            opened = Entry(
                kind="opened",
                at=now_us,
                link="",
                sender="doorward",
                detail={"format": str(FORMAT), "label": label, "log": path.stem, "pid": str(os.getpid())},
            )
            row = _row(Item(opened), 0, 0)
            _create(path, row)
            log = cls(connect(path), path, lock, key)
            log.advance(row.hash, now_us)
        except (OSError, sqlite3.Error, ValueError) as error:
            lock.release(remove=True)
            raise StorageError(f"no log can be created in {folder}: {error}") from error
        return log

    @property
    def size(self) -> int:
        """How many entries the log has."""
        return self._tree.size

    def root(self) -> bytes:
        """The root of the tree over all entries, signed or not."""
        return self._tree.root()

    def advance(self, hashed_leaf: bytes, at: int) -> None:
        """Take note of an entry that is already stored (``recovery``)."""
        self._tree.append(hashed_leaf)
        self._latest_at = max(self._latest_at, at)

    def resume_after(self, last: Checkpoint) -> None:
        """Take note of the last checkpoint that is already stored (``recovery``)."""
        self._signed_size, self._signed_at = last.size, last.at

    def append(self, items: Sequence[Item], *, durable: bool) -> int:
        """Append all items in one transaction, in order, and return the index of the first.

        The store sets ``index``, moves bodies over 64 KiB out of their entries, and lifts an ``at`` that lies before
        the last checkpoint up to it, keeping what the clock said as ``detail["observed"]``.

        On any exception nothing was appended. ``AlreadySpent``: an item spends a ticket that was spent before.
        ``StorageError``: an entry cannot be encoded, its body is not what it says, or the disk refuses.
        """
        self._require_open()
        if not items:
            return self._tree.size
        tree, latest = self._tree.copy(), self._latest_at
        first = tree.size
        rows = []
        for item in items:
            row = _row(item, tree.size, self._signed_at)
            tree.append(row.hash)
            latest = max(latest, row.at)
            rows.append(row)
        self._commit(rows, None, durable=durable)
        self._tree, self._latest_at = tree, latest
        return first

    def checkpoint(self, now_us: int) -> bool:
        """Sign and sync everything appended so far; False, and nothing done, when there is nothing new.

        The note carries ``now_us``, or the latest time among the entries if the clock stands before that. Folds the
        WAL into the file once it has about 4 MiB. ``StorageError``: as for ``append``; the entries stay, unsigned.
        """
        self._require_open()
        if self._tree.size == self._signed_size:
            return False
        signed = self._signed(self._tree, max(now_us, self._latest_at))
        self._commit((), signed, durable=True)
        self._signed_size, self._signed_at = signed[0].size, signed[0].at
        self._fold()
        return True

    def close(self, now_us: int) -> None:
        """End the log: a last entry ``closed``, signed in the same transaction, one plain file left, the lock given up.

        Does nothing the second time. ``StorageError``: the end could not be written; the lock is given up all the same
        and the log is left to ``recover``.
        """
        if self._closed:
            return
        self.finish(Entry(kind="closed", at=now_us, link="", sender="doorward"), now_us)

    def finish(self, last: Entry, now_us: int) -> None:
        """Close with ``last`` as the final entry, covered by a checkpoint in the same transaction."""
        try:
            self._require_open()
            tree = self._tree.copy()
            row = _row(Item(last), tree.size, self._signed_at)
            tree.append(row.hash)
            self._commit((row,), self._signed(tree, max(now_us, self._latest_at, row.at)), durable=True)
        except StorageError:
            self.abandon()
            raise
        self.fold_up()

    def fold_up(self) -> None:
        """Make a log that has its last entry one plain file, and give up its lock for good."""
        try:
            # Needs to be alone for a moment. A reader in the way only means that the WAL stays beside the file.
            self.connection.execute("PRAGMA busy_timeout = 0")
            self.connection.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error:
            pass
        finally:
            self.connection.close()
            self._end()
            self._lock.release(remove=True)

    def abandon(self) -> None:
        """Let go of the log without a last entry, as if the process had died: ``recover`` will end it."""
        self._end()
        try:
            self.connection.close()
        finally:
            self._lock.release(remove=False)

    def _end(self) -> None:
        self._closed, self._broken = True, "the log is closed"

    def _require_open(self) -> None:
        if self._broken:
            raise StorageError(self._broken)

    def _signed(self, tree: Tree, at: int) -> tuple[Checkpoint, str]:
        origin = f"{self._key.name}/{self.id}"
        statement = Checkpoint(origin, tree.size, tree.root(), max(at, self._signed_at))
        return statement, sign(statement, self._key)

    def _commit(self, rows: Sequence[_Row], signed: tuple[Checkpoint, str] | None, *, durable: bool) -> None:
        execute = self.connection.execute
        try:
            if durable != self._full:
                execute("PRAGMA synchronous = FULL" if durable else "PRAGMA synchronous = NORMAL")
                self._full = durable
            if len(rows) == 1 and not rows[0].digest and signed is None:
                self._insert(rows)  # one statement is a transaction by itself, in half the time
            else:
                execute("BEGIN IMMEDIATE")
                self._insert(rows)
                if signed is not None:
                    execute(_INSERT_CHECKPOINT, (signed[0].size, signed[1]))
                execute("COMMIT")
            self._unfolded += _BESIDE_LEAVES_BYTES + sum([row.size for row in rows])
        except sqlite3.Error as error:
            self._undo(error)
            raise StorageError(f"the audit log cannot be written: {error}") from error
        except AlreadySpent as error:
            self._undo(error)
            raise

    def _insert(self, rows: Sequence[_Row]) -> None:
        before = self.connection.total_changes
        try:
            self.connection.executemany(_INSERT_ENTRY, [row.columns for row in rows])
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorname == "SQLITE_CONSTRAINT_UNIQUE":
                position = self.connection.total_changes - before
                raise AlreadySpent(str(rows[position].columns[-1]), position) from error
            raise
        bodies = [(row.digest, row.body) for row in rows if row.digest]
        if bodies:
            self.connection.executemany(_INSERT_BODY, bodies)

    def _undo(self, error: Exception) -> None:
        """Roll back, and refuse from now on if what is on the disk is not certain any more."""
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._broken = "the audit log could not roll back, and takes nothing more"
        if getattr(error, "sqlite_errorname", "") in _SYNC_FAILURES:
            self._broken = "the disk failed to sync the audit log, which takes nothing more"

    def _fold(self) -> None:
        if self._unfolded <= _FOLD_ABOVE_BYTES:
            return
        try:
            _, frames, folded = self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            # Everything is already durable in the WAL, which is only read more slowly and tried again next time.
            return
        if frames == folded:  # else somebody reads, and the rest of it comes next time
            self._unfolded = 0


_SYNC_FAILURES: Final = frozenset({"SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC"})


def _row(item: Item, index: int, not_before: int) -> _Row:
    """What to store for an item at ``index``. ``StorageError``: it cannot be an entry."""
    entry, body, digest = item.entry, item.body, ""
    try:
        if not body and len(entry.body) * 4 > INLINE_BODY_BYTES:  # a character has at most four bytes
            body = entry.body.encode() if len(entry.body.encode()) > INLINE_BODY_BYTES else b""
        changes: dict[str, object] = {}
        if body:
            digest = hashlib.sha256(body).hexdigest()
            if entry.body_digest not in ("", digest) or entry.body_size not in (0, len(body)):
                raise ValueError("the body is not the one that the entry describes")
            changes.update(body="", body_digest=digest, body_size=len(body), body_stored=True)
        elif entry.body_stored:
            raise ValueError("the entry says that its body is stored, and none was given")
        if entry.commitment and not item.salt:
            raise ValueError("a commitment without its salt can never be opened")
        if entry.at < not_before:
            changes.update(at=not_before, detail={**entry.detail, "observed": str(entry.at)})
        if changes:
            entry = msgspec.structs.replace(entry, **changes)
        leaf = encode(entry, index)
    except (ValueError, OverflowError, TypeError) as error:
        raise StorageError(f"an entry cannot be recorded: {error}") from error
    hashed = leaf_hash(leaf)
    columns = (
        index,
        leaf,
        hashed,
        item.salt or None,
        entry.reference or None,
        entry.ticket or None,
        entry.request or None,
        entry.spends or None,
    )
    return _Row(columns, hashed, entry.at, digest, body, len(leaf) + len(body))


def _reserve(folder: Path, now_us: int) -> tuple[Path, Lock]:
    """An id that nobody uses, and its lock, taken before there is a log so that nobody takes it for a dead one."""
    second = datetime.fromtimestamp(now_us // 1_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    while True:
        path = folder / f"{second}-{os.urandom(6).hex()}.sqlite"
        lock = Lock.take(path.with_suffix(".lock"))
        if lock is not None and not path.exists():
            return path, lock


def draft_of(path: Path) -> Path:
    """Where a log is built before it has its name."""
    return path.with_name(f".{path.stem}.new")


def _create(path: Path, opened: _Row) -> None:
    """Build the file aside, with its first entry, and give it its name when it is whole and on the disk."""
    draft = draft_of(path)
    descriptor = create_private(draft)
    try:
        connection = connect(draft)
        try:
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("PRAGMA synchronous = OFF")  # one sync below, of the whole, instead of several here
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
            connection.execute("BEGIN")
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(_INSERT_ENTRY, opened.columns)
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
        os.fsync(descriptor)
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def connect(path: Path) -> sqlite3.Connection:
    """A connection that writes an existing file: explicit transactions, synced commits, no folding behind our back."""
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        isolation_level=None,
        check_same_thread=False,  # opened on the main thread, used by the writer's
        timeout=_BUSY_SECONDS,
    )
    try:
        for pragma in ("synchronous = FULL", "wal_autocheckpoint = 0", f"journal_size_limit = {_KEPT_WAL_BYTES}"):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def last_checkpoint(connection: sqlite3.Connection) -> Checkpoint | None:
    """The newest checkpoint stored, or None. ``AuditError``: it cannot be read."""
    found = connection.execute("SELECT note FROM checkpoints ORDER BY number DESC LIMIT 1").fetchone()
    if found is None:
        return None
    if not isinstance(found[0], str):
        raise AuditError("not a checkpoint of this program")
    return parse(found[0])

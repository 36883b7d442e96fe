"""Whether a log is what its checkpoints say. For whoever does not trust the program that wrote it.

Shares no code with the writer: own recursion of RFC 6962, own reading of notes, the leaves as plain JSON; the standard
library and ``cryptography`` only. Opens the file read-only, in one read transaction, and works while its owner writes.

``verify_log`` follows these steps; their numbers stand in the code, and ``docs/audit-format.md`` describes the format.

1. The file has exactly the tables and indexes of the format (an index with another condition could hide an entry).
2. Every checkpoint is a note that the given key signed, for this log; sizes and times never decrease.
3. Every entry, in order: stands where it says, has the hash beside it, agrees with its search columns, has the body it
   names, is not older than the checkpoint before it nor younger than the one over it, spends no ticket a second time.
4. For every checkpoint, the tree of the first entries has the root that was signed.
5. Every stored body belongs to an entry. No search index hides an entry.
6. Nothing follows the last entry of a closed log, and its last checkpoint covers it.
7. Checkpoints that were kept elsewhere (``witnessed``) agree as well.

What it cannot see: that a whole log is missing; that the end of a log was removed together with the checkpoints over it
(step 7 is the answer to both; with every checkpoint gone, ``unsigned_tail`` is ``size``, and nothing of it is proven);
that a salt was exchanged for another one; entries that were never written; anything done by whoever holds the signing
key.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, NamedTuple
from urllib.parse import quote

from doorward.errors import AuditError, VerificationError

Fault = Literal[
    "damaged", "unknown key", "forged", "foreign", "changed", "dropped", "inserted", "swapped", "rewritten",
    "truncated", "forked", "backdated", "spent twice", "column", "body", "tail",
]  # fmt: skip
"""What is wrong, in one word for scripts. ``rewritten``: some entry of a signed range, without a trace of which."""


class Tampered(VerificationError):  # noqa: N818 (it says what was found)
    """A log, or one of its checkpoints, is not what was signed. ``fault`` names how."""

    code: ClassVar[str] = "audit-verification"

    def __init__(self, fault: Fault, message: str, index: int | None, expected: str = "", actual: str = "") -> None:
        super().__init__(f"{fault}: {message}", index=index, expected=expected, actual=actual)
        self.fault: Fault = fault


class Verified(NamedTuple):
    """A log that holds. ``root`` is over all ``size`` entries; no checkpoint covers the last ``unsigned_tail``.

    ``checkpoint`` is the newest signed note: what to keep elsewhere, so that the log cannot lose its end unseen.
    """

    log: str
    size: int
    root: str
    checkpoints: int
    unsigned_tail: int
    closed: bool
    signed_at_us: int
    checkpoint: str


class _PublicKey(NamedTuple):
    name: str
    key_id: bytes
    raw: bytes


class _Checkpoint(NamedTuple):
    size: int
    root: bytes
    at: int
    note: str


_HASH_BYTES: Final = 32
_KEY_BYTES: Final = 32
_TIME_LINE: Final = "doorward-time-us "
_COLUMNS: Final = ("reference", "ticket", "request", "spends")
_ENTRIES: Final = "SELECT idx, leaf, hash, salt, reference, ticket, request, spends FROM entries ORDER BY idx"
_SALT_BYTES: Final = range(16, 256)
_SCHEMA: Final = {
    "entries": "CREATE TABLE entries ( idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, hash BLOB NOT NULL, salt BLOB,"
    " reference TEXT, ticket TEXT, request TEXT, spends TEXT )",
    "bodies": "CREATE TABLE bodies (digest TEXT PRIMARY KEY, body BLOB NOT NULL)",
    "checkpoints": "CREATE TABLE checkpoints (number INTEGER PRIMARY KEY, size INTEGER NOT NULL, note TEXT NOT NULL)",
    "by_reference": "CREATE INDEX by_reference ON entries (reference) WHERE reference IS NOT NULL",
    "by_ticket": "CREATE INDEX by_ticket ON entries (ticket) WHERE ticket IS NOT NULL",
    "by_request": "CREATE INDEX by_request ON entries (request) WHERE request IS NOT NULL",
    "spent_once": "CREATE UNIQUE INDEX spent_once ON entries (spends) WHERE spends IS NOT NULL",
    "sqlite_autoindex_bodies_1": "",
}
_NOT_THE_FILES_FAULT: Final = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_FULL,
}  # fmt: skip


def verify_log(path: Path, public_key: str, *, witnessed: Iterable[str] = ()) -> Verified:
    """Check a whole log against ``public_key`` (a C2SP vkey, as in ``STATE/audit.pub``).

    ``witnessed``: signed checkpoints of this log that were kept elsewhere. About 12 µs per entry and 130 µs per
    checkpoint; memory about 100 bytes per entry. ``Tampered`` (a ``VerificationError``): the first thing that does not
    hold. ``AuditError``: the file cannot be opened or read, or the key is no vkey.
    """
    key = _parse_vkey(public_key)
    if not path.is_file():
        raise AuditError(f"there is no log {path}")
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            return _Examination(connection, path.stem, key).run(witnessed)
        finally:
            connection.close()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_THE_FILES_FAULT:
            raise AuditError(f"the log {path} cannot be read: {error}") from error
        raise Tampered("damaged", f"the file is no sound database: {error}", None) from error


class _Examination:
    """One pass over one log."""

    def __init__(self, connection: sqlite3.Connection, log: str, key: _PublicKey) -> None:
        self.connection = connection
        self.log = log
        self.key = key
        self.hashes = _Hashes()
        self.spent: dict[str, int] = {}
        self.bodies: set[str] = set()

    def run(self, witnessed: Iterable[str]) -> Verified:
        self._check_schema()  # 1
        checkpoints = list(self._checkpoints())  # 2
        closed = self._check_entries(checkpoints)  # 3
        self._check_roots(checkpoints)  # 4
        self._check_leftovers()  # 5
        newest = checkpoints[-1] if checkpoints else _Checkpoint(0, b"", 0, "")
        size, signed = len(self.hashes), newest.size
        if closed and signed != size:  # 6
            raise Tampered("tail", "a closed log has entries that no checkpoint covers", signed, str(signed), str(size))
        for number, note in enumerate(witnessed):  # 7
            self._check_witnessed(self._read_note(note, number))
        root = self.hashes.root(size).hex()
        return Verified(self.log, size, root, len(checkpoints), size - signed, closed, newest.at, newest.note)

    def _check_schema(self) -> None:
        found = {
            name: " ".join((sql or "").split())
            for name, sql in self.connection.execute("SELECT name, sql FROM sqlite_schema")
        }
        if found != _SCHEMA:
            differing = ", ".join(sorted(name for name, _ in found.items() ^ _SCHEMA.items()))
            raise Tampered("damaged", f"the file is not laid out as a log: {differing}", None)

    def _checkpoints(self) -> Iterator[_Checkpoint]:
        before = _Checkpoint(0, b"", 0, "")
        for number, size, note in self.connection.execute("SELECT number, size, note FROM checkpoints ORDER BY number"):
            found = self._read_note(note, number)
            if found.size != size:
                raise Tampered("column", f"checkpoint {number} has another size than its note", None, str(found.size),
                               str(size))  # fmt: skip
            if found.size < before.size or found.at < before.at:
                message = f"checkpoint {number} takes back what the one before it says"
                raise Tampered("forked", message, found.size, f"{before.size} at {before.at}", f"{size} at {found.at}")
            if found.size == before.size and found.root != before.root:
                message = f"two checkpoints over the same {found.size} entries were signed"
                raise Tampered("forked", message, 0, before.root.hex(), found.root.hex())
            before = found
            yield found

    def _read_note(self, note: object, number: int) -> _Checkpoint:
        what = f"checkpoint {number}"
        text = _open_note(note, self.key, what)
        try:
            origin, size, root, time, end = text.split("\n")
            found = _Checkpoint(
                int(size), b64decode(root, validate=True), int(time.removeprefix(_TIME_LINE)), str(note)
            )
            if end or len(found.root) != _HASH_BYTES or (size, time) != (str(found.size), f"{_TIME_LINE}{found.at}"):
                raise ValueError(text)
        except ValueError:
            raise Tampered("damaged", f"{what} is not in the format of checkpoints", None, "", text) from None
        if origin != f"{self.key.name}/{self.log}":
            raise Tampered("foreign", f"{what} is of another log", None, f"{self.key.name}/{self.log}", origin)
        return found

    def _check_entries(self, checkpoints: Sequence[_Checkpoint]) -> bool:
        """Whether the last entry closes the log."""
        ahead = iter(checkpoints)
        over, behind = next(ahead, None), 0  # the checkpoint that covers this entry; the time of the one before it
        closed = False
        for row in self.connection.execute(_ENTRIES):
            index = len(self.hashes)
            while over is not None and over.size <= index:
                behind, over = over.at, next(ahead, None)
            if closed:
                raise Tampered("tail", f"entry {index} follows the last entry of a closed log", index)
            entry = self._check_entry(index, row)
            self._check_time(index, entry.get("at"), behind, None if over is None else over.at)
            closed = entry.get("kind") in ("closed", "interrupted") and not entry.get("link")
        if not len(self.hashes):
            raise Tampered("truncated", "the log has no entries, not even its first", 0, "1", "0")
        return closed

    def _check_entry(self, index: int, row: tuple[Any, ...]) -> dict[str, Any]:
        idx, leaf, stored = row[:3]
        if idx != index:
            raise Tampered("dropped", f"entry {index} is missing", index, str(index), str(idx))
        if not isinstance(leaf, bytes):
            raise Tampered("damaged", f"entry {index} has no bytes", index)
        computed = hashlib.sha256(b"\x00" + leaf).digest()
        entry = _read_leaf(index, leaf)
        if entry.get("index", 0) != index:
            self._name_displacement(index, entry.get("index", 0))
        if computed != stored:
            expected = stored.hex() if isinstance(stored, bytes) else repr(stored)
            raise Tampered("changed", f"entry {index} is not the one that was hashed", index, expected, computed.hex())
        if index == 0:
            self._check_first(entry)
        self.hashes.append(computed)
        self._check_salt(index, entry, row[3])
        self._check_columns(index, entry, row[4:])
        self._check_body(index, entry)
        self._check_spending(index, str(entry.get("spends", "")))
        return entry

    def _check_first(self, entry: dict[str, Any]) -> None:
        detail = entry.get("detail")
        names = detail.get("log") if isinstance(detail, dict) else None
        if entry.get("kind") != "opened" or names != self.log:
            raise Tampered("foreign", "the first entry does not open this log", 0, self.log, str(names))

    def _name_displacement(self, index: int, says: object) -> None:
        """Entry ``index`` was written as another one, and all before it stand where they were written."""
        fault: Fault = "inserted"  # an earlier one a second time
        if not isinstance(says, int) or says > index:
            rest = self.connection.execute("SELECT idx, leaf FROM entries WHERE idx > ? ORDER BY idx", (index,))
            later = (_read_leaf(at, leaf).get("index") for at, leaf in rest if isinstance(leaf, bytes))
            fault = "swapped" if index in later else "dropped"
        raise Tampered(fault, f"where entry {index} belongs stands entry {says}", index, str(index), str(says))

    def _check_salt(self, index: int, entry: dict[str, Any], salt: object) -> None:
        """Without its salt a commitment can never be opened. Which bytes the salt has, only the original shows."""
        if "commitment" in entry and not (isinstance(salt, bytes) and len(salt) in _SALT_BYTES):
            raise Tampered("column", f"the salt of entry {index} is gone, so its commitment proves nothing", index)

    def _check_columns(self, index: int, entry: dict[str, Any], columns: Sequence[object]) -> None:
        for name, column in zip(_COLUMNS, columns, strict=True):
            says = entry.get(name)
            if column != says:
                message = f"search column {name!r} of entry {index} disagrees with the entry"
                raise Tampered("column", message, index, str(says), str(column))

    def _check_body(self, index: int, entry: dict[str, Any]) -> None:
        if not entry.get("body_stored"):
            return
        digest = str(entry.get("body_digest", ""))
        if digest not in self.bodies:
            found = self.connection.execute("SELECT body FROM bodies WHERE digest = ?", (digest,)).fetchone()
            if found is None or not isinstance(found[0], bytes):
                raise Tampered("body", f"the body of entry {index} is missing", index, digest)
            actual, size = hashlib.sha256(found[0]).hexdigest(), len(found[0])
            if actual != digest or size != entry.get("body_size"):
                raise Tampered("body", f"the body of entry {index} is not the one recorded", index, digest, actual)
            self.bodies.add(digest)

    def _check_spending(self, index: int, ticket: str) -> None:
        if not ticket:
            return
        if ticket in self.spent:
            message = f"entry {index} spends the ticket that entry {self.spent[ticket]} spent"
            raise Tampered("spent twice", message, index, "once", ticket)
        self.spent[ticket] = index

    def _check_time(self, index: int, at: object, not_before: int, not_after: int | None) -> None:
        if not isinstance(at, int) or at < not_before:
            message = f"entry {index} claims a time before the checkpoint that precedes it"
            raise Tampered("backdated", message, index, f"at least {not_before}", str(at))
        if not_after is not None and at > not_after:
            message = f"entry {index} claims a time after the checkpoint that covers it"
            raise Tampered("backdated", message, index, f"at most {not_after}", str(at))

    def _check_roots(self, checkpoints: Sequence[_Checkpoint]) -> None:
        vouched = 0
        for place, signed in enumerate(checkpoints):
            if not self._holds(signed):
                later = any(self._holds(other) for other in checkpoints[place + 1 :])
                self._name_mismatch(signed, vouched, forked=later)
            vouched = signed.size

    def _check_witnessed(self, signed: _Checkpoint) -> None:
        if not self._holds(signed):
            self._name_mismatch(signed, 0, forked=True)

    def _holds(self, signed: _Checkpoint) -> bool:
        return signed.size <= len(self.hashes) and self.hashes.root(signed.size) == signed.root

    def _name_mismatch(self, signed: _Checkpoint, vouched: int, *, forked: bool) -> None:
        size = len(self.hashes)
        if signed.size > size:
            message = f"{signed.size} entries were signed, and the log has {size}"
            raise Tampered("truncated", message, size, str(signed.size), str(size))
        actual = self.hashes.root(signed.size).hex()
        span = f"entries {vouched} to {signed.size - 1}"
        if forked:
            raise Tampered("forked", f"another history of {span} was signed too", vouched, signed.root.hex(), actual)
        raise Tampered("rewritten", f"{span} are not those that were signed", vouched, signed.root.hex(), actual)

    def _check_leftovers(self) -> None:
        for (digest,) in self.connection.execute("SELECT digest FROM bodies"):
            if digest not in self.bodies:
                raise Tampered("body", "a stored body belongs to no entry", None, "", str(digest))
        for (verdict,) in self.connection.execute("PRAGMA integrity_check(1)"):
            if verdict != "ok":
                raise Tampered("damaged", f"the file is no sound database: {verdict}", None)


class _Hashes:
    """Leaf hashes in order, and RFC 6962 roots over their beginnings.

    MTH(D[n]) = SHA-256(0x01 ‖ MTH(D[0:k]) ‖ MTH(D[k:n])), k the largest power of two below n. Complete subtrees are
    remembered, so the root for each further checkpoint takes a number of hashes logarithmic in the size.
    """

    def __init__(self) -> None:
        self._leaves: list[bytes] = []
        self._complete: dict[tuple[int, int], bytes] = {}

    def __len__(self) -> int:
        return len(self._leaves)

    def append(self, leaf: bytes) -> None:
        self._leaves.append(leaf)

    def root(self, size: int) -> bytes:
        return self._mth(0, size) if size else hashlib.sha256(b"").digest()

    def _mth(self, start: int, size: int) -> bytes:
        if size == 1:
            return self._leaves[start]
        known = self._complete.get((start, size))
        if known is not None:
            return known
        k = 1
        while k * 2 < size:
            k *= 2
        node = hashlib.sha256(b"\x01" + self._mth(start, k) + self._mth(start + k, size - k)).digest()
        if k * 2 == size:
            self._complete[start, size] = node
        return node


def verify_inclusion(leaf_hash: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether ``path`` proves that this is leaf ``index`` of the tree of ``size`` with ``root`` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, found = index, size - 1, leaf_hash
    for step in path:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = hashlib.sha256(b"\x01" + step + found).digest()
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\x01" + found + step).digest()
        node, last = node >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether ``proof`` shows that the second tree begins with the first (RFC 9162, 2.1.4.2)."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    steps = list(proof) if first & (first - 1) else [first_root, *proof]
    if not steps:
        return False
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old = hashlib.sha256(b"\x01" + step + old).digest()
            new = hashlib.sha256(b"\x01" + step + new).digest()
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = hashlib.sha256(b"\x01" + new + step).digest()
        node, last = node >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _read_leaf(index: int, leaf: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(leaf.decode("utf-8"))
    except (ValueError, RecursionError):  # also bad UTF-8
        entry = None
    if not isinstance(entry, dict):
        raise Tampered("changed", f"entry {index} is no JSON object", index)
    return entry


def _parse_vkey(text: str) -> _PublicKey:
    fields = text.strip().split("+", 2)
    try:
        name, key_id, encoded = fields
        raw = b64decode(encoded, validate=True)
        identity = bytes.fromhex(key_id)
    except ValueError:
        raise AuditError("the public key is no note verifier key (NAME+ID+BASE64)") from None
    if (
        raw[:1] != b"\x01"
        or len(raw) != 1 + _KEY_BYTES
        or hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4] != identity
    ):
        raise AuditError("the public key is no Ed25519 note verifier key, or was mistyped")
    return _PublicKey(name, identity, raw[1:])


def _open_note(note: object, key: _PublicKey, what: str) -> str:
    """The text of a signed note, with its last newline, once a signature by ``key`` was found to hold."""
    if not isinstance(note, str) or "\n\n" not in note or not note.endswith("\n"):
        raise Tampered("damaged", f"{what} is no signed note", None)
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    ours = f"— {key.name} "
    for line in signatures.removesuffix("\n").split("\n"):
        try:
            blob = b64decode(line.removeprefix(ours), validate=True) if line.startswith(ours) else b""
        except ValueError:
            raise Tampered("damaged", f"{what} has a signature that is not Base64", None) from None
        if blob[:4] == key.key_id:
            if not _signed(text.encode(), blob[4:], key.raw):
                raise Tampered("forged", f"{what} was not signed by {key.name}", None)
            return text
    raise Tampered("unknown key", f"{what} is signed, but not by {key.name}", None, key.key_id.hex(), signatures)


def _signed(text: bytes, signature: bytes, public: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True

"""Ending the logs of processes that died: what was under way is named, and the log is signed and closed.

A log whose lock file lies there unlocked has no owner any more. Whoever finds it takes the lock, so of several
processes that start at once one does the work and the others pass by. A log that does not agree with its own last
checkpoint is left as it is: signing it would lend our name to whatever happened to it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from doorward.audit import checkpoint
from doorward.audit.entry import Entry, decode
from doorward.audit.merkle import leaf_hash
from doorward.audit.stores.directory import Lock, signing_key
from doorward.audit.stores.sqlite import SqliteLog, connect, draft_of, last_checkpoint
from doorward.errors import AuditError, StorageError

NAMED_REQUESTS: Final = 32
"""So many open requests are named in the closing entry; beyond that it gives their number."""

_SHOWN_CHARACTERS: Final = 256


class OpenRequest(msgspec.Struct, frozen=True, gc=False):
    """A request that was recorded, and perhaps sent, and whose outcome nobody recorded: it may have had its effect."""

    index: int
    link: str
    sender: str
    request: str
    method: str
    subject: str


class Interrupted(msgspec.Struct, frozen=True, gc=False):
    """A log that was found without an owner.

    ``first`` is the index of the oldest open request, or the log's size if there is none, and ``last`` that of the last
    entry its owner wrote: between them the record may be incomplete. ``open_count`` may exceed ``len(open)``, which
    stops at ``NAMED_REQUESTS``. ``damaged`` is empty, or says why the log was left alone.
    """

    log: str
    label: str = ""
    first: int = 0
    last: int = 0
    open: tuple[OpenRequest, ...] = ()
    open_count: int = 0
    damaged: str = ""


def recover(state: Path, *, now_us: int) -> list[Interrupted]:
    """End every log in STATE whose owner died. Costs one listing of the folder when there is none.

    Reads a dead log once (about 4 µs per entry). ``StorageError``: the folder or the signing key cannot be read. What
    goes wrong with one log is said in its ``Interrupted.damaged`` and does not stop the others.
    """
    folder = state / "audit"
    dead = [found for name in _unlocked(folder) if (found := _take(folder, name)) is not None]
    if not dead:
        return []
    try:
        key = signing_key(state)
        return [ended for path, lock in dead if (ended := _end(path, lock, key, now_us)) is not None]
    finally:
        for _, lock in dead:
            lock.release(remove=False)  # nothing left to do for those that were ended


def _unlocked(folder: Path) -> list[str]:
    """Ids with a lock file or a WAL: a log that was closed has neither."""
    try:
        names = [found.name for found in folder.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"the audit folder {folder} cannot be read: {error.strerror}") from error
    ids = (name.removesuffix(ending) for name in names for ending in (".lock", ".sqlite-wal") if name.endswith(ending))
    return sorted(set(ids))


def _take(folder: Path, log_id: str) -> tuple[Path, Lock] | None:
    path = folder / f"{log_id}.sqlite"
    try:
        lock = Lock.take(path.with_suffix(".lock"))
        if lock is None:
            return None
        if path.exists():
            return path, lock
        draft_of(path).unlink(missing_ok=True)  # killed before there was a log: nothing was ever recorded in it
        lock.release(remove=True)
    except OSError as error:
        raise StorageError(f"the audit folder {folder} cannot be used: {error.strerror}") from error
    return None


def _end(path: Path, lock: Lock, key: checkpoint.SigningKey, now_us: int) -> Interrupted | None:
    """End one log; None if its owner had closed it and only its lock or its WAL was left."""
    log = None
    try:
        log = SqliteLog(connect(path), path, lock, key)
        found, closed = _read_back(log)
        if closed:
            log.fold_up()
            return None
        log.finish(_closing_entry(found, now_us), now_us)
    except (AuditError, sqlite3.Error, msgspec.MsgspecError, ValueError, TypeError) as error:
        if log is not None:
            log.abandon()
        return Interrupted(path.stem, damaged=str(error))
    return found


def _read_back(log: SqliteLog) -> tuple[Interrupted, bool]:
    """Bring ``log`` behind its last entry; what was under way, and whether the last entry says that it is closed.

    ``AuditError``: the log is not what its last checkpoint signed.
    """
    under_way: dict[tuple[str, str], list[OpenRequest]] = {}
    signed = last_checkpoint(log.connection)
    label, entry = "", None
    for index, leaf in log.connection.execute("SELECT idx, leaf FROM entries ORDER BY idx"):
        entry = decode(leaf)
        if index != log.size or entry.index != index:
            raise AuditError(f"entry {log.size} is not where it should be")
        if index == 0:
            label = entry.detail.get("label", "")
        log.advance(leaf_hash(leaf), entry.at)
        _follow(under_way, entry)
        if signed is not None and signed.size == log.size and signed.root != log.root():
            raise AuditError("its entries are not those of its last checkpoint")
    if entry is None or (signed is not None and signed.size > log.size):
        raise AuditError("entries are missing")
    if signed is not None:
        log.resume_after(signed)
    requests = sorted((one for several in under_way.values() for one in several), key=lambda one: one.index)
    first = requests[0].index if requests else log.size
    named = tuple(requests[:NAMED_REQUESTS])
    closed = entry.kind in ("closed", "interrupted") and not entry.link
    return Interrupted(log.id, label, first, log.size - 1, named, len(requests)), closed


def _follow(under_way: dict[tuple[str, str], list[OpenRequest]], entry: Entry) -> None:
    """An intent with a request id opens, the outcome of the same link and id by another side ends the oldest."""
    if not entry.request:
        return
    key = (entry.link, entry.request)
    if entry.kind == "intent":
        opened = OpenRequest(entry.index, entry.link, entry.sender, entry.request, entry.method, entry.subject)
        under_way.setdefault(key, []).append(opened)
    elif entry.kind == "outcome" and key in under_way:
        waiting = under_way[key]
        ended = next((one for one in waiting if one.sender != entry.sender), waiting[0])
        waiting.remove(ended)
        if not waiting:
            del under_way[key]


def _closing_entry(found: Interrupted, now_us: int) -> Entry:
    shown = [[str(one.index), one.link, one.request, one.method, one.subject] for one in found.open]
    return Entry(
        kind="interrupted",
        at=now_us,
        link="",
        sender="doorward",
        outcome="unknown" if found.open_count else "",
        count=found.open_count,
        detail={"from": str(found.first), "to": str(found.last), "requests": _json(_shortened(shown))},
    )


def _shortened(rows: Iterable[list[str]]) -> list[list[str]]:
    return [[text[:_SHOWN_CHARACTERS] for text in row] for row in rows]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()

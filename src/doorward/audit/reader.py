"""Finding what was recorded, over all logs of a state directory. Needs no writer, and none of the writer's locks.

Every log is opened read-only and read in one transaction, so an owner that is writing disturbs nobody and is not
disturbed. What is shown comes from the leaf, never from a search column. This does not verify anything: a log that was
tampered with is shown as it is, and ``doorward audit verify`` says so.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

import msgspec

from doorward.audit.entry import Entry, decode
from doorward.errors import AuditError

RECENT: Final = 20
MOST: Final = 1_000
"""No search gives more entries than this per log; the newest are kept."""

_INDEX_DIGITS: Final = 18  # what SQLite's integers hold
_NEWEST: Final = "SELECT idx, leaf, salt FROM entries ORDER BY idx DESC LIMIT ?"
_ALL: Final = "SELECT idx, leaf, salt FROM entries ORDER BY idx"
_AT_INDEX: Final = "SELECT idx, leaf, salt FROM entries WHERE idx = ?"
_OF_REQUEST: Final = "SELECT idx, leaf, salt FROM entries WHERE request = ? ORDER BY idx DESC"
_NAMED: Final = "SELECT idx, leaf, salt FROM entries WHERE reference = ? OR ticket = ? OR spends = ? ORDER BY idx DESC"
_MATCHING: Final = {
    "reference": "SELECT idx, leaf, salt FROM entries WHERE reference = ? ORDER BY idx DESC",
    "ticket": "SELECT idx, leaf, salt FROM entries WHERE ticket = ? OR spends = ? ORDER BY idx DESC",
    "request": _OF_REQUEST,
    "link": "SELECT idx, leaf, salt FROM entries ORDER BY idx DESC",
}


class Found(msgspec.Struct, frozen=True, gc=False):
    """An entry, where it stands, and what lies beside it. ``body`` is the masked body, wherever it is stored."""

    log: str
    index: int
    entry: Entry
    body: str = ""
    salt: bytes = b""

    @property
    def place(self) -> str:
        """``LOG/INDEX``: the one name that every entry has."""
        return f"{self.log}/{self.index}"


class Unreadable(msgspec.Struct, frozen=True, gc=False):
    """A log that could not be read, and why. The others were."""

    log: str
    why: str


class Search(msgspec.Struct, frozen=True):
    """What was found, oldest first, and what could not be read: then nothing found proves nothing."""

    found: tuple[Found, ...]
    unreadable: tuple[Unreadable, ...] = ()


def logs(state: Path) -> list[Path]:
    """The logs in STATE, oldest first. ``AuditError``: the folder is there and cannot be read."""
    try:
        return sorted((state / "audit").glob("[!.]*.sqlite"))
    except OSError as error:
        raise AuditError(f"the audit folder cannot be read: {error.strerror}") from error


def last(state: Path, count: int = RECENT) -> Search:
    """The last ``count`` entries over all logs."""
    search = _over(logs(state), lambda log: log.rows(_NEWEST, count))
    return Search(search.found[-count:] if count else (), search.unreadable)


def search(state: Path, *, reference: str = "", ticket: str = "", request: str = "", link: str = "") -> Search:
    """Entries that match everything given (``request`` is JSON text), at most ``MOST`` per log.

    ``ticket`` finds what is about a ticket and what spent it. ``link`` alone reads every entry; the rest use an index.
    """
    asked = {"reference": reference, "ticket": ticket, "request": request, "link": link}
    wanted = {name: value for name, value in asked.items() if value}
    first = next(iter(wanted), "link")
    values = [asked[first]] * _MATCHING[first].count("?")
    return _over(logs(state), lambda log: log.rows(_MATCHING[first], *values, also=wanted))


def show(state: Path, name: str) -> Search:
    """Everything about a reference, a ticket, or one entry by ``LOG/INDEX``.

    That is the entries that carry the name, and those of the same link that belong to the same request.
    """
    log_id, _, index = name.rpartition("/")
    paths = logs(state)
    if log_id and index.isascii() and index.isdecimal() and len(index) <= _INDEX_DIGITS:
        paths = [path for path in paths if path.stem == log_id]
        return _over(paths, lambda log: log.with_related(log.rows(_AT_INDEX, int(index))))
    return _over(paths, lambda log: log.with_related(log.rows(_NAMED, name, name, name)))


def each(state: Path, since_us: int = 0) -> Iterator[Found | Unreadable]:
    """Every entry of every log from ``since_us`` on, log by log, each in its order; and what could not be read.

    One at a time, so that logs of any length can be gone through.
    """
    for path in logs(state):
        try:
            with _Log(path) as log:
                yield from (found for found in log.all() if found.entry.at >= since_us)
        except (sqlite3.Error, msgspec.MsgspecError, TypeError, ValueError) as error:
            yield Unreadable(path.stem, str(error))


def _matches(entry: Entry, wanted: Mapping[str, str]) -> bool:
    return all(
        getattr(entry, name) == value or (name == "ticket" and entry.spends == value) for name, value in wanted.items()
    )


def _over(paths: Iterable[Path], ask: Callable[[_Log], list[Found]]) -> Search:
    found: list[list[Found]] = []
    unreadable: list[Unreadable] = []
    for path in paths:
        try:
            with _Log(path) as log:
                found.append(sorted(ask(log), key=lambda one: one.index))
        except (sqlite3.Error, msgspec.MsgspecError, TypeError, ValueError) as error:
            unreadable.append(Unreadable(path.stem, str(error)))
    # By time across logs, but never against the order within a log: a clock may step back, an index does not.
    return Search(tuple(heapq.merge(*found, key=lambda one: one.entry.at)), tuple(unreadable))


class _Log:
    """One log, open for reading, seen as it was at one moment."""

    def __init__(self, path: Path) -> None:
        self.id = path.stem
        self.connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)

    def __enter__(self) -> Self:
        try:
            self.connection.execute("PRAGMA query_only = ON")
            self.connection.execute("BEGIN")
        except sqlite3.Error:
            self.connection.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def rows(self, query: str, *values: str | int, also: Mapping[str, str] | None = None) -> list[Found]:
        found: list[Found] = []
        for index, leaf, salt in self.connection.execute(query, values):
            entry = decode(leaf)
            if also and not _matches(entry, also):
                continue
            found.append(Found(self.id, index, entry, self._body(entry), salt or b""))
            if len(found) == MOST:
                break
        return found

    def all(self) -> Iterator[Found]:
        for index, leaf, salt in self.connection.execute(_ALL):
            entry = decode(leaf)
            yield Found(self.id, index, entry, self._body(entry), salt or b"")

    def with_related(self, named: list[Found]) -> list[Found]:
        """``named`` and whatever belongs to the same requests of the same links."""
        by_index = {one.index: one for one in named}
        for link, request in {(one.entry.link, one.entry.request) for one in named if one.entry.request}:
            for one in self.rows(_OF_REQUEST, request, also={"link": link}):
                by_index.setdefault(one.index, one)
        return list(by_index.values())

    def _body(self, entry: Entry) -> str:
        if not entry.body_stored:
            return entry.body
        row = self.connection.execute("SELECT body FROM bodies WHERE digest = ?", (entry.body_digest,)).fetchone()
        return row[0].decode(errors="replace") if row is not None and isinstance(row[0], bytes) else ""

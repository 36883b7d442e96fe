"""What the operator of a log may do to a copy of it before handing it over: with a database tool, or with the key."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from doorward.audit.checkpoint import TIME_LINE, Checkpoint, read_private, sign
from doorward.audit.merkle import Tree, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Entry = dict[str, Any]

_INSERT = (
    "INSERT INTO entries (idx, leaf, hash, salt, reference, ticket, request, spends) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE = "UPDATE entries SET leaf = ?, hash = ?, reference = ?, ticket = ?, request = ?, spends = ? WHERE idx = ?"


def edit(log: Path, index: int, change: Callable[[Entry], Entry]) -> None:
    """Write another entry where one stands, its hash and the columns by which it is found with it."""
    with closing(sqlite3.connect(log)) as file, file:
        [(leaf,)] = file.execute("SELECT leaf FROM entries WHERE idx = ?", (index,))
        entry = change(json.loads(leaf))
        fresh = _encoded(entry)
        file.execute(_UPDATE, (fresh, leaf_hash(fresh), *_found_by(entry), index))


def move_consent(log: Path, asked: int, released: int, deed: int) -> None:
    """Let the question at ``asked`` be about the request at ``deed``, and that one be what the answer released. What it
    did release, at ``released``, is then a request about which nobody was asked.
    """
    with closing(sqlite3.connect(log)) as file:
        rows = file.execute("SELECT idx, leaf FROM entries WHERE idx IN (?, ?, ?)", (asked, released, deed))
        was = {index: json.loads(leaf) for index, leaf in rows}
    given = {name: was[released][name] for name in ("ticket", "spends", "detail")}
    about = {name: was[deed][name] for name in ("subject", "request", "body")}
    unasked = {name: value for name, value in was[released].items() if name not in given}
    edit(log, asked, lambda entry: {**entry, **about})
    edit(log, released, lambda _: {**unasked, "body": was[asked]["body"]})
    edit(log, deed, lambda entry: {**entry, **given})


def drop(log: Path, index: int) -> None:
    """Delete one entry."""
    with closing(sqlite3.connect(log)) as file, file:
        file.execute("DELETE FROM entries WHERE idx = ?", (index,))


def copy_to_end(log: Path, index: int, change: Callable[[Entry], Entry]) -> None:
    """Add an entry that is made of another."""
    with closing(sqlite3.connect(log)) as file, file:
        [(leaf, salt)] = file.execute("SELECT leaf, salt FROM entries WHERE idx = ?", (index,))
        [(end,)] = file.execute("SELECT max(idx) + 1 FROM entries")
        entry = {**change(json.loads(leaf)), "index": end}
        fresh = _encoded(entry)
        file.execute(_INSERT, (end, fresh, leaf_hash(fresh), salt, *_found_by(entry)))


def truncate(log: Path, index: int) -> None:
    """Remove the end from ``index`` on, with the checkpoints over it."""
    with closing(sqlite3.connect(log)) as file, file:
        file.execute("DELETE FROM entries WHERE idx >= ?", (index,))
        file.execute("DELETE FROM checkpoints WHERE size > ?", (index,))


def rewrite(log: Path, without: set[int], key_file: Path) -> None:
    """Make a log of the other entries, as if those had never been, and sign it with the key."""
    key = read_private(key_file.read_text(encoding="utf-8"))
    with closing(sqlite3.connect(log)) as file, file:
        rows = file.execute("SELECT idx, leaf, salt FROM entries ORDER BY idx").fetchall()
        notes = file.execute("SELECT note FROM checkpoints ORDER BY number").fetchall()
        file.execute("DELETE FROM entries")
        file.execute("DELETE FROM checkpoints")
        tree, at = Tree(), 0
        for index, (_, leaf, salt) in enumerate(row for row in rows if row[0] not in without):
            entry = {name: value for name, value in json.loads(leaf).items() if name != "index"}
            fresh = _encoded({"index": index, **entry} if index else entry)
            tree.append(leaf_hash(fresh))
            at = max(at, entry["at"])
            file.execute(_INSERT, (index, fresh, leaf_hash(fresh), salt, *_found_by(entry)))
        origin, _, _, time, *_ = notes[-1][0].split("\n")
        size = len(rows) - len(without)
        said = Checkpoint(origin, size, tree.root(), max(at, int(time.removeprefix(TIME_LINE))))
        file.execute("INSERT INTO checkpoints (size, note) VALUES (?, ?)", (size, sign(said, key)))


def _encoded(entry: Entry) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode()


def _found_by(entry: Entry) -> tuple[str | None, ...]:
    """What stands beside an entry in the columns by which it is found."""
    return tuple(entry.get(name) for name in ("reference", "ticket", "request", "spends"))

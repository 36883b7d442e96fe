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


def edit(log: Path, index: int, change: Callable[[Entry], Entry]) -> None:
    """Write another entry where one stands, its hash with it."""
    with closing(sqlite3.connect(log)) as file, file:
        [(leaf,)] = file.execute("SELECT leaf FROM entries WHERE idx = ?", (index,))
        fresh = json.dumps(change(json.loads(leaf)), separators=(",", ":")).encode()
        file.execute("UPDATE entries SET leaf = ?, hash = ? WHERE idx = ?", (fresh, leaf_hash(fresh), index))


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
        fresh = json.dumps(entry, separators=(",", ":")).encode()
        row = (end, fresh, leaf_hash(fresh), salt, entry.get("request"))
        file.execute("INSERT INTO entries (idx, leaf, hash, salt, request) VALUES (?, ?, ?, ?, ?)", row)


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
            fresh = json.dumps({"index": index, **entry} if index else entry, separators=(",", ":")).encode()
            tree.append(leaf_hash(fresh))
            at = max(at, entry["at"])
            row = (index, fresh, leaf_hash(fresh), salt, entry.get("request"))
            file.execute("INSERT INTO entries (idx, leaf, hash, salt, request) VALUES (?, ?, ?, ?, ?)", row)
        origin, _, _, time, *_ = notes[-1][0].split("\n")
        size = len(rows) - len(without)
        said = Checkpoint(origin, size, tree.root(), max(at, int(time.removeprefix(TIME_LINE))))
        file.execute("INSERT INTO checkpoints (size, note) VALUES (?, ?)", (size, sign(said, key)))

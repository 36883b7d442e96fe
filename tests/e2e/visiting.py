"""What the real clients find when they visit the real servers: the servers, and how a table of outcomes is read."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tests.e2e.clients import Visited
from tests.e2e.peering import EVERYTHING, FETCH, FILESYSTEM, GIT, MEMORY, PAGE_SAYS, TIME, Place

BY_URL, BY_SSE = "everything-http", "everything-sse"
_SUM: Final = {"a": 2, "b": 3}
_NOON: Final = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}


def read_table(text: str) -> dict[tuple[str, str], str]:
    """(client, server) → the expected word, from a table with a client a row and a server a column."""
    head, *rows = (line.split() for line in text.strip().splitlines())
    return {(client, server): word for client, *words in rows for server, word in zip(head, words, strict=True)}


def cells(table: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Which cells of a table are played: all in `make soak` (``DOORWARD_WHOLE=1``), else as few as have every row and
    every column at least once, drawn by ``DOORWARD_SAMPLE``. The whole takes minutes on two cores.
    """
    whole = list(table)
    if os.environ.get("DOORWARD_WHOLE"):
        return whole
    draw = random.Random(int(os.environ.get("DOORWARD_SAMPLE", "20261125")))  # noqa: S311 (a choice, not a secret)
    rows, columns = (sorted({cell[axis] for cell in whole}) for axis in (0, 1))
    draw.shuffle(rows)
    draw.shuffle(columns)
    longer = max(len(rows), len(columns))
    sample = {(rows[i % len(rows)], columns[i % len(columns)]) for i in range(longer)}
    return [cell for cell in whole if cell in sample]


def visited(name: str, place: Place, page: str) -> Visited:
    """The server ``name`` and what is asked of it; how it is reached is added by whoever knows."""
    folder = str(place.folder)
    asked: dict[str, tuple[str, dict[str, Any], str]] = {
        FILESYSTEM: ("read_text_file", {"path": f"{folder}/a.txt"}, "hello"),
        MEMORY: ("read_graph", {}, "relations"),
        GIT: ("git_log", {"repo_path": folder}, "Message: first"),
        TIME: ("convert_time", _NOON, "+9.0h"),
        FETCH: ("fetch", {"url": page}, PAGE_SAYS),
    }
    return Visited(name, *asked.get(name, ("get-sum", _SUM, "is 5")))


def configuration(place: Place, urls: dict[str, str], quiet: str = "") -> Path:
    """A ``doorward.toml`` with every server that is started by its command, and those that have one of ``urls``. The
    fetch server may fetch the page ``quiet``, which is on this machine, if there is one.

    It lies in a folder of its own: a server is never given the folder of Doorward's configuration.
    """
    lines = []
    for name in (EVERYTHING, FILESYSTEM, MEMORY, GIT, TIME, FETCH):
        lines += [f"[servers.{name}]", f"command = {json.dumps(place.command(name))}"]
        lines += [f'connect = ["{urlsplit(quiet).netloc}"]'] if name == FETCH and quiet else []
    for name, url in urls.items():
        lines += [f"[servers.{name}]", f"url = {json.dumps(url)}"]
        lines += ['transport = "sse"'] if name == BY_SSE else []
    policy = place.top / "etc" / "doorward.toml"
    policy.parent.mkdir(mode=0o700)
    policy.write_text("\n".join((*lines, "")))
    policy.chmod(0o600)
    return policy

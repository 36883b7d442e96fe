"""What the tests of the archive share: entries, a state directory, and programs in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from doorward.audit.entry import Entry
from doorward.audit.stores.sqlite import Item

NOW_US = 1_795_338_600_000_000  # 2026-11-22T09:10:00Z

Make = Callable[..., Item]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def item() -> Make:
    """Makes an item: an intent for request ``number``, unless told otherwise."""

    def make(number: int, **fields: object) -> Item:
        plain = {"kind": "intent", "at": NOW_US + number, "link": "link-1", "sender": "client", "request": str(number)}
        return Item(Entry(**{**plain, **fields}))  # type: ignore[arg-type]

    return make


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a Python program with arguments; whatever still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(program: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate(timeout=30)

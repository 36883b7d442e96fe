"""What tests of the lab that set stages by themselves must leave as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest


def below(pid: int) -> set[int]:
    """All processes that descend from ``pid``, as the kernel has them."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended while we looked
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
    found, fresh = set[int](), {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


@pytest.fixture
def no_process_or_folder_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test gets its own place for stages, and leaves nothing of them behind."""
    stages = Path("/tmp", f"lab-{os.getpid()}-{tmp_path.parent.name[-8:]}")  # short, for sockets
    stages.mkdir(mode=0o711, exist_ok=True)  # a second user passes through
    monkeypatch.setattr("tempfile.tempdir", str(stages))
    before = below(os.getpid())
    yield
    after = below(os.getpid())
    left = list(stages.iterdir())
    stages.rmdir()
    assert (after - before, left) == (set(), [])

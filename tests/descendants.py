"""Which processes a process has started, at any depth."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


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

"""Which processes a process has started, at any depth."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def outside(pid: int, among: Iterable[int]) -> int:
    """The process that has the number ``pid`` in its own namespace. AssertionError if it is none of ``among``."""
    for candidate in among:
        with suppress(OSError):
            numbers = Path(f"/proc/{candidate}/status").read_text().partition("NSpid:")[2].splitlines()[0].split()
            if int(numbers[-1]) == pid:
                return candidate
    raise AssertionError(f"no process is {pid} in its namespace")


def called_with(word: str) -> list[int]:
    """The processes that have ``word`` among their arguments, whoever started them."""
    found = list[int]()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended while we looked
            found += [int(entry.parent.name)] if word.encode() in entry.read_bytes().split(b"\0") else []
    return found


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

"""How much memory the victims of an attack came to hold, as the kernel says it (``/proc/PID/status``).

Watched are processes of the stage and whatever they started. What counts is the most that a process held resident,
less what it held when the watching began; a process that is new is counted from nothing.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

LOOK_SECONDS = 0.02
_KIB = 1024


class Held(msgspec.Struct):
    """Of one process, in bytes: what it held at first, the highest mark of its life by then, and the most since."""

    name: str
    before: int
    mark: int
    most: int


class Watch:
    """``grown`` is by how much the process that grew most has grown, in bytes; ``who`` is that process's name."""

    def __init__(self, roots: Callable[[], Iterable[int]]) -> None:
        self._roots = roots
        self._held: dict[int, Held] = {}
        for pid in below(roots()):
            if now := _status(pid):
                self._held[pid] = Held(now[0], now[1], now[2], now[1])

    def look(self) -> None:
        """Take in what is there now."""
        for pid in below(self._roots()):
            now = _status(pid)
            if now is None:
                continue
            name, resident, mark = now
            held = self._held.setdefault(pid, Held(name, 0, 0, 0))
            # A mark of its life that moved was set in our time, between two looks perhaps.
            held.most = max(held.most, resident, mark if mark > held.mark else 0)

    @property
    def grown(self) -> int:
        return max((held.most - held.before for held in self._held.values()), default=0)

    @property
    def who(self) -> str:
        return max(self._held.values(), key=lambda held: held.most - held.before).name if self._held else ""


@asynccontextmanager
async def watching(roots: Callable[[], Iterable[int]]) -> AsyncIterator[Watch]:
    """Look at ``roots`` and all below them, every 20 ms, until the block is left."""
    watch = Watch(roots)

    async def look() -> None:
        while True:
            watch.look()
            await anyio.sleep(LOOK_SECONDS)

    async with anyio.create_task_group() as life:
        life.start_soon(look)
        yield watch
        watch.look()
        life.cancel_scope.cancel()


def below(roots: Iterable[int]) -> set[int]:
    """``roots`` and all their descendants that live."""
    found, fresh = set[int](), set(roots)
    while fresh:
        found |= fresh
        fresh = {child for pid in fresh for child in _children(pid)} - found
    return found


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:  # it ended
        return []


def writable(pid: int) -> int:
    """How much memory of its own a process may write to, in bytes, whether it ever did; 0 where it is gone."""
    fields = _fields(pid)
    return int(fields["VmData"].split()[0]) * _KIB if "VmData" in fields else 0


def _status(pid: int) -> tuple[str, int, int] | None:
    """Name, resident now, highest mark; None where the process is gone, or is none any more."""
    fields = _fields(pid)
    if "VmRSS" not in fields:
        return None
    resident, mark = (int(fields[name].split()[0]) * _KIB for name in ("VmRSS", "VmHWM"))
    return fields["Name"].strip(), resident, mark


def _fields(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return dict(line.partition(":")[::2] for line in lines)

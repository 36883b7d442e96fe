"""What each running server uses of the machine, for whoever watches it: ``GET /metrics``, in the text of OpenMetrics.

One row for each server that runs as our child, so as many as ``limits.children`` lets there be; its labels are the
server's name and its link, which is the link of the log (``doorward audit``). Nothing that a client or a server sent
appears. Looking takes a while, so it is done beside the event loop, by one at a time and at most once a second: whoever
asks in between gets what was seen.

Source: OpenMetrics 1.0 (text format, section 5.1 "Overall structure", naming of units and totals).
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from doorward.confine.process import Child
from doorward.confine.usage import Usage, measure, top

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
FRESH_S: Final = 1.0

_FAMILIES: Final = (
    ("doorward_server_memory_bytes", "gauge", "bytes", "memory that a server and all that it started use"),
    ("doorward_server_processor_seconds", "counter", "seconds", "processor time that they have used"),
    ("doorward_server_throttled_seconds", "counter", "seconds", "time in which they had used up their share of them"),
    ("doorward_server_descriptors", "gauge", "", "descriptors that they have open"),
    ("doorward_server_processes", "gauge", "", "processes that they are"),
)


class Figures:
    """The servers that run, and what they were last seen to use."""

    def __init__(self) -> None:
        self._running: dict[int, tuple[Child, str, str]] = {}
        self._seen: dict[int, Usage] = {}
        self._seen_at = -FRESH_S
        self._looking = asyncio.Lock()

    def watch(self, child: Child, server: str, link: str) -> None:
        """From now on ``child`` is one of them."""
        self._running[child.supervisor] = child, server, link

    def forget(self, supervisor: int) -> None:
        """It has ended."""
        self._running.pop(supervisor, None)
        self._seen.pop(supervisor, None)

    async def text(self) -> bytes:
        """All of them, as OpenMetrics."""
        async with self._looking:
            now = asyncio.get_running_loop().time
            if now() - self._seen_at >= FRESH_S:
                children = [child for child, _, _ in self._running.values()]
                self._adopt(await asyncio.to_thread(_look, children))
                self._seen_at = now()
        lines = []
        for family, kind, unit, words in _FAMILIES:
            lines += [f"# TYPE {family} {kind}"]
            lines += [f"# UNIT {family} {unit}"] if unit else []
            lines += [f"# HELP {family} {words}", *self._rows(family, kind)]
        return "\n".join([*lines, "# EOF", ""]).encode()

    def _adopt(self, seen: dict[int, Usage]) -> None:
        for supervisor, usage in seen.items():
            # What has ended and was waited for by nobody is missing: a counter that falls would be taken for a new one.
            before = self._seen.get(supervisor, usage)
            if supervisor in self._running:
                self._seen[supervisor] = msgspec.structs.replace(
                    usage,
                    processor_seconds=max(before.processor_seconds, usage.processor_seconds),
                    throttled_seconds=max(before.throttled_seconds, usage.throttled_seconds),
                )

    def _rows(self, family: str, kind: str) -> list[str]:
        field, total = family.removeprefix("doorward_server_"), "_total" if kind == "counter" else ""
        return [
            f'{family}{total}{{server="{server}",link="{link}"}} {getattr(self._seen[supervisor], field)}'
            for supervisor, (_, server, link) in self._running.items()
            if supervisor in self._seen
        ]


def _look(children: list[Child]) -> dict[int, Usage]:
    return {child.supervisor: measure(top(child.supervisor, child.mechanism or ""), child.groups) for child in children}

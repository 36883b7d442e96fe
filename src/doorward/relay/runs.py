"""Floods become counts: a flood of messages must not become a flood of records.

Refusals by gates are recorded once per link and window with a count. Progress above ten a second on one request is
a run: an opening entry, and a closing entry with the count and a running hash each second and at the end (DESIGN
§4, Streams).
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

WINDOW_US: Final = 1_000_000
PROGRESS_PER_WINDOW: Final = 10
_MAX_KINDS: Final = 62  # distinct refusals kept per window; those beyond are counted together, for each sender
_OTHERS: Final = ("several", "")  # the control and method of such a count


class Run(msgspec.Struct):
    """What happened since ``since``: how often, and a hash over all of it."""

    since: int
    method: str
    reference: str
    count: int = 0
    folded: int = 0  # of these, how many have no entry of their own
    running: str = ""

    def add(self, body: bytes) -> None:
        self.count += 1
        self.folded += 1
        self.running = hashlib.sha256(self.running.encode() + body).hexdigest()


class Refusals:
    """Refusals of one kind within one window: the first is recorded at once, the others are counted."""

    def __init__(self) -> None:
        self.runs: dict[tuple[str, str, str], Run] = {}

    def again(self, kind: tuple[str, str, str], body: bytes) -> str:
        """Count one more of a kind that has its entry already, and give that entry's reference; empty where this one
        would be the first.
        """
        run = self.runs.get(kind)
        if run is None and len(self.runs) >= _MAX_KINDS:
            run = self.runs.get((kind[0], *_OTHERS))
        if run is None:
            return ""
        run.add(body)
        return run.reference

    def first(self, kind: tuple[str, str, str], body: bytes, now: int, reference: str) -> tuple[bool, str]:
        """Whether this refusal gets an entry of its own, and the reference that its peer is told."""
        known = self.again(kind, body)
        if known:
            return False, known
        if len(self.runs) >= _MAX_KINDS:
            kind = (kind[0], *_OTHERS)
        self.runs[kind] = Run(now, kind[2], reference)
        return True, reference

    def closed(self, now: int, *, all_of_them: bool = False) -> list[tuple[tuple[str, str, str], Run]]:
        """The windows that are over, with what was only counted in them; they start anew with the next refusal."""
        over = [(kind, run) for kind, run in self.runs.items() if all_of_them or now - run.since >= WINDOW_US]
        for kind, _ in over:
            del self.runs[kind]
        return [(kind, run) for kind, run in over if run.folded]

    @property
    def deadline(self) -> int | None:
        for oldest in self.runs.values():  # they stand in the order in which they began
            return oldest.since + WINDOW_US
        return None


class Progress:
    """Progress of one request: single entries up to ten a second, then a run until a window stays below that."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}

    def single(self, request: str, body: bytes, now: int) -> tuple[bool, bool]:
        """(this one gets an entry of its own, that entry opens a run)."""
        run = self.runs.get(request)
        if run is None or (now - run.since >= WINDOW_US and not run.folded):
            run = self.runs[request] = Run(now, "notifications/progress", request)
        if run.folded or run.count > PROGRESS_PER_WINDOW:
            run.add(body)
            return False, False
        run.count += 1
        return True, run.count > PROGRESS_PER_WINDOW

    def closed(self, now: int, request: str | None = None) -> list[tuple[str, Run]]:
        """The runs to close: of ``request`` if given, else all whose second is over."""
        over = [
            (key, run)
            for key, run in self.runs.items()
            if (key == request if request is not None else now - run.since >= WINDOW_US)
        ]
        for key, _ in over:
            del self.runs[key]
        return [(key, run) for key, run in over if run.count > PROGRESS_PER_WINDOW]

    @property
    def deadline(self) -> int | None:
        """When the oldest window is over."""
        return min((run.since + WINDOW_US for run in self.runs.values()), default=None)

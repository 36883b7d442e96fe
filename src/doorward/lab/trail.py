"""What the audit log says about a stage: the lab's only source for which control fired.

It is read once the stage has played and its gateway has ended. Nothing that a peer was told counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from doorward.audit import reader

if TYPE_CHECKING:
    from pathlib import Path


class Fired(msgspec.Struct, frozen=True, gc=False):
    """One finding of one entry. ``at`` is microseconds since the epoch, UTC; ``effect`` is NOTE, ASK or DENY."""

    at: int
    method: str
    control: str
    effect: str
    reason: str
    evidence: str = ""

    def __str__(self) -> str:
        return f"{self.effect} by {self.control}: {self.reason}" + (f" ({self.evidence})" if self.evidence else "")


class TrailUnreadableError(Exception):
    """The log of a stage could not be read, so nothing in it can be named."""


def read(state: Path) -> tuple[Fired, ...]:
    """Every finding in the logs below ``state``, oldest first: of all entries, since a flood leaves many behind it.

    Raises:
        TrailUnreadableError: a log could not be read.
    """
    fired, unreadable = [], []
    for one in reader.each(state):
        if isinstance(one, reader.Unreadable):
            unreadable.append(f"{one.log}: {one.why}")
            continue
        entry = one.entry
        fired += [Fired(entry.at, entry.method, f.control, f.effect, f.reason, f.evidence) for f in entry.findings]
    if unreadable:
        raise TrailUnreadableError("; ".join(unreadable))
    return tuple(sorted(fired, key=lambda item: item.at))


def between(fired: tuple[Fired, ...], started: int, ended: int) -> tuple[Fired, ...]:
    """What fired while one variant was played. All clocks here are one clock."""
    return tuple(item for item in fired if started <= item.at <= ended)


def decisive(fired: tuple[Fired, ...], controls: tuple[str, ...]) -> Fired | None:
    """What may be named as the reason why no harm came, or None.

    Only controls that the scenario lists: a refusal or a question, or the note of a control that edits and says what it
    took out. What any other control refused is an accident of the lab, not a defence.
    """
    named = [item for item in fired if item.control in controls]
    order = ("DENY", "ASK", "NOTE")
    return min(named, key=lambda item: order.index(item.effect), default=None)


def strays(fired: tuple[Fired, ...], controls: tuple[str, ...]) -> tuple[Fired, ...]:
    """Refusals by controls that the scenario does not list: worth saying, never worth counting."""
    return tuple(item for item in fired if item.control not in controls and item.effect != "NOTE")

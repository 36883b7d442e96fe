"""The cells that are not prevented yet: ``open.toml``, read and compared with what was seen.

An open cell is shown as such, with the letter of the issue that owns it. Listing one changes what it is called and what
the exit code says, never what was seen. Only what is listed counts: a variant beside it that does harm is harm.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from doorward.lab.scenario import Kind, Protection, Topology

if TYPE_CHECKING:
    from doorward.lab.judgment import Verdict

FILE = Path(__file__).parent / "open.toml"


class OpenCell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Some variants of one example that are not prevented, where they are not, whose they are and why.

    ``varies``: what is compared is a wait near its bar, so that each of them may come out prevented or not.
    """

    scenario: str
    example: str
    topologies: tuple[Topology, ...]
    protections: tuple[Protection, ...]
    variants: tuple[str, ...]
    issue: str
    why: str
    varies: bool = False


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cell: tuple[OpenCell, ...] = ()


@cache
def listed() -> tuple[OpenCell, ...]:
    """All of ``open.toml``."""
    return msgspec.toml.decode(FILE.read_bytes(), type=_Document).cell


def of(scenario: str, example: str, topology: Topology, protection: Protection) -> OpenCell | None:
    """The entry for one cell, if there is one."""
    for cell in listed():
        here = topology in cell.topologies and protection in cell.protections
        if here and (cell.scenario, cell.example) == (scenario, example):
            return cell
    return None


def explains(cell: OpenCell | None, found: Verdict) -> bool:
    """Whether, of what was played, exactly the listed variants are not prevented, and honest users are served; where
    it ``varies``, some of them.
    """
    if cell is None or found.note:
        return False
    played = {v.variant for v in found.variants}
    unprevented = {v.variant for v in found.variants if v.outcome not in (Kind.PREVENTED, Kind.EXCLUDED)}
    listed = played & set(cell.variants)
    return bool(unprevented) and (unprevented <= listed if cell.varies else unprevented == listed)

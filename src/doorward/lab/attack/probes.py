"""What is sent: probes, the honest calls around them, and a plan of both for one place of the target."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class Bulk(StrEnum):
    """What a probe is made of whose size is the attack."""

    NONE = ""
    TEXT = "text"
    NESTED = "nested lists"
    KEYS = "keys"


BULK = "{bulk}"
"""Stands in the parameters where the bulk goes, so that a probe can be listed and reported."""


class Probe(msgspec.Struct, frozen=True):
    """One request that must do no harm. ``secret`` is what its oracle looks for, where that is its own; ``marker`` the
    file that must not be there afterwards; ``amount`` the letters, lists or keys of its ``bulk``.
    """

    id: str
    title: str
    method: str
    params: dict[str, Any]
    secret: str = ""
    marker: str = ""
    bulk: Bulk = Bulk.NONE
    amount: int = 0


class Honest(msgspec.Struct, frozen=True):
    """One request of an honest user, and the value that shows that it was served: in its answer, or (``in_log``) in a
    log message, where an empty value stands for any.
    """

    method: str
    params: dict[str, Any]
    proof: str
    in_log: bool = False


class Plan(msgspec.Struct, frozen=True):
    """What will be done at one place. ``honest`` are calls that were served by the bare target; a plan without one can
    show harm, and nothing else. ``doubt`` says why there is none.
    """

    family: str
    place: str
    probes: tuple[Probe, ...] = ()
    honest: tuple[Honest, ...] = ()
    doubt: str = ""


class Unplayed(msgspec.Struct, frozen=True):
    """A family, or a part of it, that is not played: the target has no place for it, or nobody allowed it."""

    family: str
    why: str
    excluded: bool = False
    unreached: bool = False

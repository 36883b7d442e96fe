"""From what was seen to an outcome. Pure, so that each rule of docs/threats.md has a test that can fail.

1. Harm, of whatever variant: ``SUCCEEDED``. As shipped, harm that stays in the server's own folders: ``EXCLUDED``, but
   only where honest users are served; the run is what its other variants are.
2. The target was not reached: ``INCONCLUSIVE`` bare, ``OBSTRUCTED`` where the bare target was reached.
3. The benign twin broke: ``OBSTRUCTED``.
4. Bare and no harm: ``INCONCLUSIVE``; the attack or the lab is broken, nothing was prevented.
5. Every variant has a control of the scenario that fired in the audit log (a question counts unless the person said
   yes), or the same variant did harm once one wall was replaced by its stand-in: ``PREVENTED``.
6. Anything else: ``INCONCLUSIVE``. Nobody knows why there was no harm.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from doorward.lab import trail
from doorward.lab.scenario import Exclusion, Harm, Kind, Protection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.lab.scenario import Glance
    from doorward.lab.trail import Fired
    from doorward.lab.transcript import Told


REMOTE = "inside a remote server: not Doorward's to prevent"
INSIDE = "inside the server's own folders, where nothing is prevented as shipped"


class Seen(msgspec.Struct, frozen=True):
    """What one variant did on one stage. ``exchange`` is for reports: no rule reads it."""

    harm: Harm | None
    fired: tuple[Fired, ...] = ()
    glances: tuple[Glance, ...] = ()
    exchange: tuple[Told, ...] = ()


class Played(msgspec.Struct, frozen=True):
    """What one stage showed: every variant by id, and the benign twin after them.

    ``unreached`` says why the target was not reached, ``broken`` why the benign twin did not work; empty when it did.
    """

    seen: Mapping[str, Seen] = {}
    benign: str = ""
    broken: str = ""
    unreached: str = ""


class Finding(msgspec.Struct, frozen=True):
    """The verdict on one variant: its outcome, the control or wall it owes that to, and what was seen.

    ``reason`` only where it was excluded, as in ``scenario.Outcome``.
    """

    variant: str
    outcome: Kind
    control: str
    saw: str
    reason: StrEnum | None = None


class Verdict(msgspec.Struct, frozen=True):
    """The verdict on a run: the worst of its variants, with the controls and walls that stopped it."""

    outcome: Kind
    controls: tuple[str, ...]
    variants: tuple[Finding, ...]
    note: str = ""


def verdict(
    protection: Protection,
    played: Played,
    controls: tuple[str, ...],
    *,
    reachable: bool = True,
    ablated: Mapping[str, Played] | None = None,
    excluded: tuple[str, ...] = (),
) -> Verdict:
    """Apply the rules at the head of this file.

    ``reachable`` says whether the bare target was reached; ``ablated`` maps a wall to what the same stage showed
    without it; ``excluded`` are variants that were not played, since only a remote server itself could stop them.
    """
    naive = protection is Protection.NAIVE
    if played.unreached:
        kind = Kind.INCONCLUSIVE if naive or not reachable else Kind.OBSTRUCTED
        return Verdict(kind, (), (), f"not reached: {played.unreached}")
    found = tuple(_variant(id, seen, played, controls, protection, ablated or {}) for id, seen in played.seen.items())
    kinds = {finding.outcome for finding in found}
    found += tuple(Finding(id, Kind.EXCLUDED, "", REMOTE, Exclusion.REMOTE_INTERNALS) for id in excluded)
    worst = next((kind for kind in _worst(naive) if kind in kinds), Kind.INCONCLUSIVE)
    named = tuple(dict.fromkeys(finding.control for finding in found if finding.control))
    note = f"the benign twin broke: {played.broken}" if played.broken else ""
    return Verdict(worst, named if worst is Kind.PREVENTED else (), found, note)


def undecided(played: Played, controls: tuple[str, ...]) -> tuple[str, ...]:
    """The variants that did no harm although no control fired: a wall was hit, or nothing is known."""
    if played.unreached or played.broken:
        return ()
    return tuple(id for id, seen in played.seen.items() if seen.harm is None and _named(seen, controls) is None)


def _named(seen: Seen, controls: tuple[str, ...]) -> Fired | None:
    """The control that stopped a variant. A question that the person answered with yes stopped nothing."""
    fired = trail.decisive(seen.fired, controls)
    if fired is not None and fired.effect == "ASK" and any(glance.approved for glance in seen.glances):
        return None
    return fired


def _worst(naive: bool) -> tuple[Kind, ...]:
    """A bare run counts as succeeded only if all its variants did; behind protection one is enough."""
    if naive:
        return (Kind.OBSTRUCTED, Kind.INCONCLUSIVE, Kind.SUCCEEDED)
    return (Kind.SUCCEEDED, Kind.OBSTRUCTED, Kind.INCONCLUSIVE, Kind.PREVENTED, Kind.EXCLUDED)


def _variant(
    id: str,
    seen: Seen,
    played: Played,
    controls: tuple[str, ...],
    protection: Protection,
    ablated: Mapping[str, Played],
) -> Finding:
    if seen.harm is not None:
        inside = seen.harm.inside and protection is Protection.SHIPPED and not played.broken
        if inside:
            return Finding(id, Kind.EXCLUDED, "", f"{INSIDE}: {seen.harm.seen}", Exclusion.INSIDE_ITS_FOLDERS)
        return Finding(id, Kind.SUCCEEDED, "", seen.harm.seen)
    if played.broken:
        return Finding(id, Kind.OBSTRUCTED, "", "no harm, but an honest user was not served either")
    if protection is Protection.NAIVE:
        return Finding(id, Kind.INCONCLUSIVE, "", "no harm on the bare target: the attack is broken")
    if fired := _named(seen, controls):
        said = "".join(f"; the person {'agreed' if g.approved else 'refused'}: {g.why}" for g in seen.glances)
        return Finding(id, Kind.PREVENTED, fired.control, f"{fired}{said}")
    for wall, without in ablated.items():
        there = without.seen.get(id)
        if there is not None and there.harm is not None:
            return Finding(id, Kind.PREVENTED, wall, f"no harm; without {wall} alone: {there.harm.seen}")
    strays = "; ".join(str(stray) for stray in trail.strays(seen.fired, controls))
    why = f"only {strays}" if strays else "no control fired and no wall was hit"
    return Finding(id, Kind.INCONCLUSIVE, "", f"no harm, but {why}")

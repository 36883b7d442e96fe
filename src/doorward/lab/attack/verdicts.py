"""From what was seen to a verdict on one place. Pure; each rule has a test that can fail.

1. Harm, of whatever probe: ``SUCCEEDED``.
2. The target was not reached: ``INCONCLUSIVE`` bare, ``OBSTRUCTED`` behind Doorward.
3. An honest call that was served is not any more, after the probes or behind Doorward: ``OBSTRUCTED``.
4. No honest call is known that the target serves there, or not all probes were sent: ``INCONCLUSIVE``.
5. Behind Doorward, where the bare target was harmed: ``PREVENTED`` if for each such probe a control fired that is made
   for the threat, or the harm comes back without one wall; else ``INCONCLUSIVE``.
6. Anything else: ``RESISTED``. It means these probes did no harm there while honest users were served, and no more.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from doorward.lab import trail
from doorward.lab.transcript import Told, records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.lab.attack.play import Played, Saw
    from doorward.lab.trail import Fired


class Outcome(StrEnum):
    """How the attack on one place ended."""

    SUCCEEDED = "SUCCEEDED"
    """Harm was seen."""
    RESISTED = "RESISTED"
    """These probes did no harm, and honest users were served before and after."""
    PREVENTED = "PREVENTED"
    """Harm bare, none behind Doorward, and what stopped it has a name."""
    OBSTRUCTED = "OBSTRUCTED"
    """No harm, and no service either: honest users were served before."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """The target or the place was not reached. Nothing is known; that is not safe."""
    NOT_APPLICABLE = "NOT APPLICABLE"
    """The target has no place for it. Nothing was tried; that is not safe either."""
    EXCLUDED = "EXCLUDED"
    """Not played, since nobody allowed it."""


class Shown(msgspec.Struct, frozen=True):
    """One probe in a row: its request as it was sent (bulk in short), what it did, and what stopped it. Behind Doorward
    ``alone`` is the harm that it did bare, empty where it did none, and ``records`` what the audit log says.
    """

    variant: str
    title: str
    outcome: Outcome
    saw: str
    control: str
    request: dict[str, Any]
    alone: str = ""
    exchange: tuple[Told, ...] = ()
    records: tuple[dict[str, Any], ...] = ()


class Verdict(msgspec.Struct, frozen=True):
    """The verdict on one place."""

    outcome: Outcome
    note: str = ""
    controls: tuple[str, ...] = ()
    probes: tuple[Shown, ...] = ()


def bare(played: Played) -> Verdict:
    """The verdict on the target alone."""
    if played.unreached:
        return Verdict(Outcome.INCONCLUSIVE, f"not reached: {played.unreached}")
    outcome, note = _service(played)
    if not all(played.before):  # nothing of ours stood in between: the call is no measure
        outcome = Outcome.INCONCLUSIVE
    return worst([_shown(saw, outcome, "") for saw in played.saw], note, outcome)


def behind(
    alone: Played, played: Played, fired: tuple[Fired, ...], controls: tuple[str, ...], ablated: Mapping[str, Played]
) -> Verdict:
    """The verdict on the same plan behind Doorward: ``fired`` is what its log says, ``ablated`` what a wall held."""
    if played.unreached:
        return Verdict(Outcome.OBSTRUCTED, f"not reached: {played.unreached}")
    outcome, note = _service(played)
    harmed = {saw.probe.id: saw.harm for saw in alone.saw if saw.harm}
    shown = []
    for saw in played.saw:
        own = trail.between(fired, saw.started, saw.ended)
        named, strays = trail.decisive(own, controls), trail.strays(own, controls)
        one = _behind_one(saw, outcome, saw.probe.id in harmed, named, ablated, strays)
        shown.append(msgspec.structs.replace(one, alone=harmed.get(saw.probe.id, ""), records=records(own)))
    return worst(shown, note, outcome)


def harmless_without_a_name(alone: Played, played: Played, fired: tuple[Fired, ...], controls: tuple[str, ...]) -> bool:
    """Whether something that was harmful bare is harmless behind, and none of ``controls`` fired: a wall, or nothing
    known.
    """
    harmed = {saw.probe.id for saw in alone.saw if saw.harm}
    return any(
        saw.probe.id in harmed
        and not saw.harm
        and all(
            one.effect == "NOTE" or one.control not in controls for one in trail.between(fired, saw.started, saw.ended)
        )
        for saw in played.saw
    )


def _behind_one(
    saw: Saw,
    service: Outcome,
    harmed: bool,
    named: Fired | None,
    ablated: Mapping[str, Played],
    strays: tuple[Fired, ...],
) -> Shown:
    words = str(named or "")
    if saw.harm or not harmed or service is Outcome.OBSTRUCTED:
        return _shown(saw, service, named.control if named and not saw.harm else "", words)
    if named is not None:
        return _shown(saw, Outcome.PREVENTED, named.control, words)
    for wall, without in ablated.items():
        if harm := next((one.harm for one in without.saw if one.probe.id == saw.probe.id), ""):
            held = "no mark, though the command may have run within these walls" if saw.probe.marker else "no harm"
            return _shown(saw, Outcome.PREVENTED, wall, f"{held}; without {wall} alone: {harm}")
    why = f"only {'; '.join(map(str, strays))}" if strays else "no control fired and no wall was hit"
    return _shown(saw, Outcome.INCONCLUSIVE, "", f"no harm, but {why}")


def _service(played: Played) -> tuple[Outcome, str]:
    """What a probe without harm may be called in this play."""
    plan = played.plan
    if not plan.honest:
        ended = "the server ended; " if played.ended else ""
        return Outcome.INCONCLUSIVE, ended + plan.doubt
    if not all(played.before):
        return Outcome.OBSTRUCTED, "an honest call was not served, before any probe"
    if not all(played.after):
        return Outcome.OBSTRUCTED, "an honest call that was served before the probes was not served after them"
    if played.unsent:
        return Outcome.INCONCLUSIVE, f"{played.unsent} probes were not sent"
    return Outcome.RESISTED, ""


_ORDER = (
    Outcome.SUCCEEDED,
    Outcome.OBSTRUCTED,
    Outcome.INCONCLUSIVE,
    Outcome.PREVENTED,
    Outcome.RESISTED,
    Outcome.NOT_APPLICABLE,
)


def worst(shown: list[Shown], note: str = "", service: Outcome = Outcome.NOT_APPLICABLE) -> Verdict:
    """The verdict on a place: the worst of ``service`` and of what its probes came to."""
    kinds = {service, *(one.outcome for one in shown)}
    outcome = next(kind for kind in _ORDER if kind in kinds)
    named = tuple(dict.fromkeys(one.control for one in shown if one.outcome is Outcome.PREVENTED))
    return Verdict(outcome, note, named if outcome is Outcome.PREVENTED else (), tuple(shown))


def _shown(saw: Saw, service: Outcome, control: str, words: str = "") -> Shown:
    outcome = Outcome.SUCCEEDED if saw.harm else service
    request = {"method": saw.probe.method, "params": saw.probe.params}
    said = saw.harm or words or f"no harm; the answer was {saw.answer}"
    # Who knows of a probe that it reads has not heard that it writes: that is a finding of its own.
    variant = f"{saw.probe.id} (changes)" if saw.changed else saw.probe.id
    return Shown(variant, saw.probe.title, outcome, said, control, request, exchange=saw.exchange)

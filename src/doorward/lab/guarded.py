"""What a server's author can stop without Doorward: each target bare, then its twin, judged by the same scenario.

1. The bare target must do harm; where it does not, nothing was shown: ``INCONCLUSIVE``.
2. Harm on the twin: ``SUCCEEDED``. Its honest use broke: ``OBSTRUCTED``. It was not reached: ``OBSTRUCTED``.
3. A guard of the twin refused while the variant was played, as its witness wrote down: ``PREVENTED`` by that rule.
4. No guard refused: the twin stands beside its target as a wall beside its stand-in. The target did harm, and it
   differs from the twin by what that is written with (``targets.guarded.PARTS``): ``PREVENTED`` by these, together.
5. What no author could stop with the guard is not played, and says why (``UNSTOPPED``): ``EXCLUDED``.

That only the guard differs is not proved here: a test compares what both servers offer, word by word.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import anyio
import msgspec

from doorward.lab import rows, runner
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.judgment import Finding, Verdict, verdict
from doorward.lab.scenario import Kind, Outcome, Protection, Topology
from doorward.lab.stage import Staging
from doorward.lab.targets.guarded import PARTS, record, twin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from doorward.lab.judgment import Played
    from doorward.lab.report.model import Run
    from doorward.lab.runner import Cell, Listener
    from doorward.lab.scenario import Scenario, Target, Trace, Variant
    from doorward.lab.stage import Stage

PLAYED = (Topology.WRAP, Topology.SERVE_URL)
"""The bare pipe and the bare URL: with nothing in front, ``serve`` of a command is the pipe once more."""


class Unstopped(StrEnum):
    """Why a target has no twin, or a twin is not played in a variant. There is no other reason."""

    ATTACKER = "the server is the attacker"
    ELSEWHERE = "the harm is not the server's"
    """Its client, or the way between the two, is what is attacked."""
    PUBLISHED = "published by others"
    BEFORE_REQUEST = "before there is a request"
    """What the transport of the SDK does with bytes, which no guard of an author stands before."""
    NO_PART = "no part of the guard yet"


UNWRITTEN: dict[str, tuple[Unstopped, str]] = {
    "trusted.internal": (Unstopped.ELSEWHERE, "another server takes its name, and the client believes it"),
    "query-desk": (Unstopped.ELSEWHERE, "what is tampered with is the way to it"),
    "git-server": (Unstopped.PUBLISHED, "its authors have mended it since"),
    "file-keeper": (Unstopped.NO_PART, "an author's own record is the two-sided audit, which is to come"),
    "filesystem": (Unstopped.PUBLISHED, "its authors have mended it since"),
    "endless-answer": (Unstopped.ATTACKER, "whose answers have no end by intent"),
    "mail-summary": (Unstopped.ATTACKER, "whose author wrote what hides in the mail"),
}
"""Targets of the catalogue without a twin, by their ids."""

_WORK = (
    Unstopped.BEFORE_REQUEST,
    "a refused request still costs the SDK its decoding, and sixty-four at a time keep the honest client waiting",
)
_BYTES = (Unstopped.BEFORE_REQUEST, "it is read and decoded as a whole before anybody can ask how large it is")
UNSTOPPED: dict[tuple[str, str], dict[str, tuple[Unstopped, str]]] = {
    ("request-flooding", "tight-loop"): dict.fromkeys(
        ("own-sessions", "own-addresses", "separate-principals", "same-session"), _WORK
    ),
    ("oversized-payload", "string-argument"): dict.fromkeys(
        ("header-list", "many-values", "string", "announced", "huge-id"), _BYTES
    ),
}
"""Variants that the twin of their target does not stop either, by scenario and example."""


class Shown(msgspec.Struct, frozen=True):
    """One variant: how the target and its twin did, what of the guard that is owed to, and what was seen."""

    variant: str
    naive: Kind
    guarded: Kind
    guard: str
    saw: str


class Row(msgspec.Struct, frozen=True):
    """One example in one era, over a pipe or by URL. ``note`` says what was not reached or broke."""

    id: str
    example: str
    era: str
    topology: str
    outcome: Kind
    variants: tuple[Shown, ...]
    benign: str = ""
    note: str = ""


def cells(scenarios: Iterable[Scenario] = CATALOGUE) -> tuple[Cell, ...]:
    """Every example whose target has a twin, over a pipe and by URL, in each era, with the variants to be stopped."""
    return tuple(cell for cell in _with_twins(scenarios) if cell.example.variants)


def left_out(scenarios: Iterable[Scenario] = CATALOGUE) -> tuple[Run, ...]:
    """The rows of the examples whose target has a twin that stops none of their variants."""
    found = []
    for cell in _with_twins(scenarios):
        if not cell.example.variants:
            left = _left(cell)
            note = "; ".join(dict.fromkeys(one.saw for one in left))
            outcome = Outcome(Kind.EXCLUDED, left[0].reason)
            found.append(rows.row(cell, Protection.GUARDED, outcome, (), {"note": note}))
    return tuple(found)


def unplayed(scenarios: Iterable[Scenario] = CATALOGUE) -> tuple[str, ...]:
    """What of ``scenarios`` no twin is shown to stop, and why: a line for each target or example, and reason."""
    lines: dict[str, dict[str, None]] = {}
    for scenario in scenarios:
        for example in scenario.examples:
            if example.target.id in UNWRITTEN:
                reason, why = UNWRITTEN[example.target.id]
                lines[f"no twin of {example.target.id}: {reason}, {why}"] = {}
            for id, (reason, why) in UNSTOPPED.get((scenario.id, example.id), {}).items():
                what = f"no twin stops {scenario.id} on {example.id}: {reason}, {why}"
                lines.setdefault(what, {})[id] = None
    return tuple(f"{what} ({', '.join(variants)})" if variants else what for what, variants in lines.items())


async def play_all(wanted: Iterable[Cell], listener: Listener, *, seed: int) -> list[Run]:
    """Play ``wanted`` and answer the rows in their order: of each the bare target, then its twin."""
    numbered = list(enumerate(wanted))
    played: dict[int, tuple[Run, Run]] = {}
    places = anyio.CapacityLimiter(runner.STAGES_AT_ONCE)

    async def one(number: int, cell: Cell) -> None:
        async with places:
            listener.started(cell, Protection.GUARDED)
            played[number] = await runs(cell, seed)
        for run in played[number]:
            listener.finished(cell, run)

    async with anyio.create_task_group() as tasks:
        for number, cell in numbered:
            if not cell.scenario.measures:
                tasks.start_soon(one, number, cell)
    for number, cell in numbered:
        if cell.scenario.measures:
            await one(number, cell)
    return [run for number in sorted(played) for run in played[number]]


async def runs(cell: Cell, seed: int) -> tuple[Run, Run]:
    """What a report gets of ``cell``: the bare target as in every demo, and its twin."""
    return told(cell, *await _pair(cell, seed))


def told(cell: Cell, found: Row, naive: Played, behind: Played) -> tuple[Run, Run]:
    """The same, of what was seen."""
    bare = verdict(Protection.NAIVE, naive, ())
    parts = tuple(dict.fromkeys(part for one in found.variants for part in one.guard.split(", ") if part))
    judged = tuple(Finding(one.variant, one.guarded, one.guard, one.saw) for one in found.variants)
    named = parts if found.outcome is Kind.PREVENTED else ()
    own = Verdict(found.outcome, named, (*judged, *_left(cell)), found.note)
    return (
        rows.row(cell, Protection.NAIVE, Outcome(bare.outcome), (), rows.evidence(cell, Protection.NAIVE, bare, naive)),
        rows.row(
            cell,
            Protection.GUARDED,
            Outcome(own.outcome),
            own.controls,
            rows.evidence(_whole(cell), Protection.GUARDED, own, behind),
        ),
    )


async def row(cell: Cell, seed: int) -> Row:
    """Play the target of ``cell`` and its twin, and judge."""
    return (await _pair(cell, seed))[0]


def _with_twins(scenarios: Iterable[Scenario]) -> Iterable[Cell]:
    """All examples that could be played, each with the variants that its twin stops, be there any or none."""
    for cell in runner.cells(scenarios):
        if twin(cell.example.target) is None or cell.topology not in PLAYED or runner.exclusion(cell):
            continue
        unstopped = UNSTOPPED.get((cell.scenario.id, cell.example.id), {})
        stopped = tuple(v for v in cell.example.variants_of(cell.topology) if v.id not in unstopped)
        yield msgspec.structs.replace(cell, example=msgspec.structs.replace(cell.example, variants=stopped))


def _whole(cell: Cell) -> Cell:
    """The cell with all variants of its example."""
    whole = next(example for example in cell.scenario.examples if example.id == cell.example.id)
    return msgspec.structs.replace(cell, example=whole)


def _left(cell: Cell) -> tuple[Finding, ...]:
    """Of a cell, the variants that no author could stop with the guard."""
    unstopped = UNSTOPPED.get((cell.scenario.id, cell.example.id), {})
    here = [variant.id for variant in _whole(cell).example.variants_of(cell.topology) if variant.id in unstopped]
    return tuple(Finding(id, Kind.EXCLUDED, "", "{}: {}".format(*unstopped[id]), unstopped[id][0]) for id in here)


async def _pair(cell: Cell, seed: int) -> tuple[Row, Played, Played]:
    guarded = twin(cell.example.target)
    assert guarded is not None  # noqa: S101 - cells answers no other
    naive = await _played(cell, cell.example.target, seed)
    refusals: dict[str, tuple[str, ...]] = {}
    behind = await _played(cell, guarded, seed, refusals)
    shown = tuple(_variant(v, naive, behind, refusals.get(v.id, ()), cell) for v in cell.example.variants)
    kinds = {one.guarded for one in shown}
    worst = next(kind for kind in (Kind.SUCCEEDED, Kind.OBSTRUCTED, Kind.INCONCLUSIVE, Kind.PREVENTED) if kind in kinds)
    note = "; ".join(filter(None, (naive.unreached, naive.broken, behind.unreached, behind.broken)))
    where = (cell.scenario.id, cell.example.id, cell.era.value, "pipe" if cell.topology is Topology.WRAP else "URL")
    return Row(*where, worst, shown, behind.benign, note), naive, behind


async def _played(cell: Cell, target: Target, seed: int, refusals: dict[str, tuple[str, ...]] | None = None) -> Played:
    example = msgspec.structs.replace(cell.example, target=target)
    staging = Staging(cell.era, Protection.NAIVE, seed, topology=cell.topology)
    watched = cell.scenario if refusals is None else _noting(cell.scenario, refusals)
    return await runner.play(watched, example, staging)


def _noting(scenario: Scenario, refusals: dict[str, tuple[str, ...]]) -> Scenario:
    """The same scenario, whose oracle leaves in ``refusals`` what the twin's guards refused of each variant."""
    kind = type(scenario)

    class Noting(kind):  # type: ignore[misc, valid-type] # the class of a scenario is known only here
        def harmed(self, stage: Stage, variant: Variant, trace: Trace, /) -> Any:
            refusals[variant.id] = _refused(stage, trace)
            return super().harmed(stage, variant, trace)

    return Noting()


def _refused(stage: Stage, trace: Trace) -> tuple[str, ...]:
    """The refusals of one variant's time, each once, in their order."""
    file = record(stage)
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    made = [json.loads(line) for line in lines]
    return tuple(
        dict.fromkeys(f"{one['rule']}: {one['words']}" for one in made if trace.started <= one["at"] <= trace.ended)
    )


def _variant(variant: Variant, naive: Played, behind: Played, refused: tuple[str, ...], cell: Cell) -> Shown:
    bare, seen = naive.seen.get(variant.id), behind.seen.get(variant.id)
    harm = bare.harm.seen if bare is not None and bare.harm is not None else ""
    before = Kind.SUCCEEDED if harm else Kind.INCONCLUSIVE
    if seen is None or behind.unreached:
        return Shown(variant.id, before, Kind.OBSTRUCTED if harm else Kind.INCONCLUSIVE, "", behind.unreached)
    if seen.harm is not None:
        return Shown(variant.id, before, Kind.SUCCEEDED, "", seen.harm.seen)
    if behind.broken:
        return Shown(variant.id, before, Kind.OBSTRUCTED, "", behind.broken)
    if not harm:
        return Shown(variant.id, before, Kind.INCONCLUSIVE, "", "no harm on the bare target: nothing was shown")
    if refused:
        rules = dict.fromkeys(one.partition(":")[0] for one in refused)
        return Shown(variant.id, before, Kind.PREVENTED, ", ".join(rules), f"refused: {'; '.join(refused)}")
    parts = ", ".join(PARTS[cell.example.target.id])
    return Shown(variant.id, before, Kind.PREVENTED, parts, f"nothing was refused; without {parts}: {harm}")

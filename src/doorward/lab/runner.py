"""Plays the catalogue: every example in every topology and era, bare, behind Doorward as shipped, and configured.

Three stages run at a time, since a stage is two or three processes that often wait and a machine has at least two
cores; scenarios that measure run alone, at the end. Within one example the order is fixed: the bare target first,
because what is not harmful there proves nothing elsewhere.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import msgspec

from doorward.content.redaction import Masker
from doorward.lab import ablated, open_cells, own_folders, rows
from doorward.lab.judgment import Played, Seen, undecided, verdict
from doorward.lab.report.model import Run
from doorward.lab.scenario import (
    BEHIND,
    GATEWAY,
    BenignTwinBrokenError,
    Era,
    Example,
    Exclusion,
    Kind,
    Outcome,
    Protection,
    Scenario,
    Topology,
    Variant,
)
from doorward.lab.stage import Stage, Staging, raised
from doorward.lab.trail import TrailUnreadableError, between
from doorward.lab.transcript import Told, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STAGES_AT_ONCE = 3
STAGE_LIMIT_SECONDS = 90.0
"""A whole stage, all variants included; each answer inside has its own, shorter limit."""

BENIGN_LIMIT_SECONDS = 15.0


class Cell(msgspec.Struct, frozen=True):
    """One example in one era and topology: the unit that is played in order.

    ``beside`` are further cells that are played after it on its stage, each with rows of its own.
    """

    scenario: Scenario
    example: Example
    era: Era
    topology: Topology = Topology.WRAP
    beside: tuple[Cell, ...] = ()

    @property
    def all(self) -> tuple[Cell, ...]:
        """What is played on its stage."""
        return (self, *self.beside)


class Listener(Protocol):
    """Whoever wants to know how far the lab is."""

    def started(self, cell: Cell, protection: Protection) -> None: ...

    def finished(self, cell: Cell, run: Run) -> None: ...


def cells(catalogue: Iterable[Scenario]) -> tuple[Cell, ...]:
    """Every example in every topology and era, whether it can be played there or not."""
    return tuple(
        Cell(s, example, era, topology)
        for topology in Topology
        for s in catalogue
        for example in s.examples
        if example.variants_of(topology)
        for era in example.eras
    )


def canonical(cell: Cell) -> Cell:
    """The same with one variant: the first that is Doorward's to prevent there, as shipped too if there is one. Beside
    it the first that as shipped is not, since its harm stays in the server's own folders: that is shown, not left out.
    """
    here = cell.example.variants_of(cell.topology)
    own = [[v for v in here if v.id in _to_play(cell, protection)] for protection in BEHIND]
    everywhere = [v for v in own[0] if not v.inside]
    chosen = next(filter(None, (everywhere, *own)), list(here))[0]
    beside = [v for v in own[0] if v.inside and v is not chosen][:1]
    return msgspec.structs.replace(cell, example=msgspec.structs.replace(cell.example, variants=(chosen, *beside)))


def together(wanted: Iterable[Cell]) -> tuple[Cell, ...]:
    """The same cells, those on one stage that one stage can serve: with one target, client, era and topology."""
    stages: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in wanted:
        example, answers = cell.example, (type(cell.scenario).sampler, type(cell.scenario).elicited)
        alone = (cell.scenario.id, example.id) if example.alone else ()
        key = (example.target.id, example.asks, example.announced, answers, alone, cell.era, cell.topology)
        stages.setdefault(key, []).append(cell)
    return tuple(msgspec.structs.replace(first, beside=tuple(others)) for first, *others in stages.values())


async def play_all(
    wanted: tuple[Cell, ...], listener: Listener, *, seed: int, protections: tuple[Protection, ...] = GATEWAY
) -> list[Run]:
    """Play ``wanted`` under each of ``protections`` and answer the rows in their order."""
    results: dict[int, list[Run]] = {}
    playing = _Playing(listener, anyio.CapacityLimiter(STAGES_AT_ONCE), seed, protections, {})

    async def one(index: int, cell: Cell) -> None:
        results[index] = await _cell(cell, playing)

    async with anyio.create_task_group() as tasks:
        for index, cell in enumerate(wanted):
            if not cell.scenario.measures:
                tasks.start_soon(one, index, cell)
    for index, cell in enumerate(wanted):
        if cell.scenario.measures:
            await one(index, cell)
    return [run for index in sorted(results) for run in results[index]]


class Part(msgspec.Struct, frozen=True):
    """What of one example is played on a stage: all variants, or ``only`` those."""

    scenario: Scenario
    example: Example
    only: tuple[str, ...] | None = None


async def play(
    scenario: Scenario, example: Example, staging: Staging, *, only: tuple[str, ...] | None = None
) -> Played:
    """Set one stage, play the variants (all, or ``only`` those), then the benign twin, and read the trail."""
    (played,) = await play_parts((Part(scenario, example, only),), staging)
    return played


async def play_parts(parts: tuple[Part, ...], staging: Staging) -> list[Played]:
    """The same for all ``parts``, one after the other on one stage, which is that of the first."""
    heard: list[_Heard] = []
    try:
        with anyio.fail_after(STAGE_LIMIT_SECONDS):
            async with raised(parts[0].scenario, parts[0].example, staging) as stage:
                if stage.unreached:
                    return [Played(unreached=stage.unreached)] * len(parts)
                # What the stage planted counts as a known secret, so that a report shows where it went.
                masker = Masker(os.urandom(32), (stage.canary, stage.credential, stage.entrusted))
                heard = await _variants(parts, stage, masker)
                benign = [await _benign(part, stage) for part in parts]
    except TrailUnreadableError as problem:
        return [Played(unreached=f"the audit log of this stage cannot be read: {problem}")] * len(parts)
    except TimeoutError:
        return [Played(unreached=f"the stage did not end within {STAGE_LIMIT_SECONDS:g} s")] * len(parts)
    return [Played(_seen(part, stage), *honest) for part, honest in zip(heard, benign, strict=True)]


class _Heard(msgspec.Struct):
    """Of one part, by variant: what arrived, what harm was seen, and what a report shows of it."""

    traces: dict[str, Any] = {}
    harms: dict[str, Any] = {}
    exchanges: dict[str, tuple[Told, ...]] = {}


async def _variants(parts: tuple[Part, ...], stage: Stage, masker: Masker) -> list[_Heard]:
    """All variants of all parts in their order, but that what would have to wait lets others go first."""
    heard = [_Heard() for _ in parts]
    waiting = [
        (number, variant)
        for number, part in enumerate(parts)
        for variant in part.example.variants_of(stage.staging.topology)
        if part.only is None or variant.id in part.only
    ]
    while waiting:
        number, variant = min(waiting, key=lambda one: _free_at(parts[one[0]].scenario, stage))
        waiting.remove((number, variant))
        stage.example = parts[number].example
        trace, harm = await _attack(parts[number].scenario, stage, variant)
        heard[number].traces[variant.id], heard[number].harms[variant.id] = trace, harm
        heard[number].exchanges[variant.id] = told(trace.exchange, masker)
    return heard


def _free_at(scenario: Scenario, stage: Stage) -> float:
    """From when on what refuses this scenario records a refusal as one of its own; 0 for now."""
    return stage.free_at(scenario.controls) if scenario.apart and stage.relayed else 0.0


def _seen(heard: _Heard, stage: Stage) -> dict[str, Seen]:
    return {
        id: Seen(heard.harms[id], between(stage.trail, trace.started, trace.ended), trace.glances, heard.exchanges[id])
        for id, trace in heard.traces.items()
    }


async def _attack(scenario: Scenario, stage: Stage, variant: Variant) -> tuple[Any, Any]:
    await anyio.sleep(max(0.0, _free_at(scenario, stage) - time.monotonic()))
    mark = stage.mark()
    # A client raises what it was refused with, or what it could not read: either is an answer to an attacker.
    with suppress(Exception):
        await scenario.attack(stage, variant)
    stage.refused(scenario.controls)
    trace = stage.since(mark)
    harm = scenario.harmed(stage, variant, trace)
    if harm is not None and harm.inside and not (variant.inside and await own_folders.hold_it(stage)):
        harm = msgspec.structs.replace(harm, inside=False)
    return trace, harm


async def _benign(part: Part, stage: Stage) -> tuple[str, str]:
    stage.example = part.example
    try:
        with anyio.fail_after(BENIGN_LIMIT_SECONDS):
            return await part.scenario.honest_use(stage), ""
    except BenignTwinBrokenError as problem:
        return "", str(problem)
    except Exception as problem:  # noqa: BLE001 - whatever the client raised, an honest user was not served
        return "", f"{type(problem).__name__}: {problem}" + (f"; {said}" if (said := stage.stderr()) else "")


class _Playing(msgspec.Struct, frozen=True):
    """What all cells of one demo share. ``bare`` are the stages of bare commands: ``serve`` in front of a command has
    the same bare target as ``wrap``, so it is played once.
    """

    listener: Listener
    places: anyio.CapacityLimiter
    seed: int
    protections: tuple[Protection, ...]
    bare: dict[tuple[Any, ...], _Bare]


class _Bare:
    """A stage of a bare command, for whoever comes second."""

    def __init__(self) -> None:
        self.played: list[Played] = []
        self.done = anyio.Event()


async def _cell(cell: Cell, playing: _Playing) -> list[Run]:
    """The rows of all that is played on one stage, cell by cell."""
    runs: dict[int, list[Run]] = {}
    unreachable: set[int] = set()
    for protection in playing.protections:
        played = await _played(cell, protection, playing)
        without = await _without_walls(cell, protection, played, playing)
        for number, (one, seen) in enumerate(zip(cell.all, played, strict=True)):
            if isinstance(seen, Played) and protection is Protection.NAIVE and seen.unreached:
                unreachable.add(number)
            run = _run(one, protection, seen, without[number], number not in unreachable)
            runs.setdefault(number, []).append(run)
            playing.listener.finished(one, run)
    return [run for number in sorted(runs) for run in runs[number]]


Excluded = tuple[Exclusion, str]


async def _played(cell: Cell, protection: Protection, playing: _Playing) -> list[Played | Excluded]:
    """What was seen of each cell of a stage, or why it was not played."""
    found: list[Played | Excluded | None] = [exclusion(one) or _remote_internals(one, protection) for one in cell.all]
    staged = tuple(one for one, reason in zip(cell.all, found, strict=True) if reason is None)
    staging = Staging(cell.era, protection, playing.seed, topology=cell.topology)
    seen: list[Played] = []
    if staged and protection is Protection.NAIVE:
        seen = await _play_bare(staged, staging, playing)
    elif staged:
        parts = tuple(Part(one.scenario, one.example, _to_play(one, protection)) for one in staged)
        async with playing.places:
            playing.listener.started(cell, protection)
            seen = await play_parts(parts, staging)
    rest = iter(seen)
    return [next(rest) if one is None else one for one in found]


def _run(
    cell: Cell, protection: Protection, played: Played | Excluded, without: Mapping[str, Played], reachable: bool
) -> Run:
    """The row of one cell; ``without`` is what was seen of it with one wall out, by that wall."""
    if not isinstance(played, Played):
        return rows.row(cell, protection, Outcome(Kind.EXCLUDED, played[0]), (), {"note": played[1]})
    wanted, controls = _to_play(cell, protection), cell.scenario.controls
    excluded = tuple(v.id for v in cell.example.variants_of(cell.topology) if v.id not in wanted)
    found = verdict(protection, played, controls, reachable=reachable, ablated=without, excluded=excluded)
    evidence = rows.evidence(cell, protection, found, played)
    reason = Exclusion.INSIDE_ITS_FOLDERS if found.outcome is Kind.EXCLUDED else None
    run = rows.row(cell, protection, Outcome(found.outcome, reason), found.controls, evidence)
    opened = open_cells.of(cell.scenario.id, cell.example.id, cell.topology, protection)
    if opened is not None and open_cells.explains(opened, found):
        run = msgspec.structs.replace(run, issue=opened.issue, evidence={**evidence, "open": opened.why})
    return run


async def _without_walls(
    cell: Cell, protection: Protection, played: list[Played | Excluded], playing: _Playing
) -> list[dict[str, Played]]:
    """Of each cell of a stage, what its undecided variants do with one wall out, then another, then a group: each until
    harm shows what held.
    """
    found: list[dict[str, Played]] = [{} for _ in played]
    if protection is Protection.NAIVE:
        return found
    staging = Staging(cell.era, protection, playing.seed, topology=cell.topology)
    still = [
        undecided(seen, one.scenario.controls) if isinstance(seen, Played) else ()
        for one, seen in zip(cell.all, played, strict=True)
    ]
    for wall in ablated.ALL:
        meant = [n for n, one in enumerate(cell.all) if still[n] and wall in ablated.candidates(one.scenario.id)]
        if not meant:
            continue
        parts = tuple(Part(cell.all[n].scenario, cell.all[n].example, still[n]) for n in meant)
        async with playing.places:
            again = await play_parts(parts, msgspec.structs.replace(staging, without=wall))
        for n, seen in zip(meant, again, strict=True):
            found[n][wall] = seen
            still[n] = tuple(id for id in still[n] if id not in seen.seen or seen.seen[id].harm is None)
    return found


async def _play_bare(cells: tuple[Cell, ...], staging: Staging, playing: _Playing) -> list[Played]:
    """The bare target; that of a command is played once for all topologies that start one."""
    key = (*((one.scenario.id, one.example.id) for one in cells), staging.era)
    pipes = (Topology.WRAP, Topology.SERVE_COMMAND)
    shared = staging.topology in pipes and all(
        one.example.variants_of(pipes[0]) == one.example.variants_of(pipes[1]) for one in cells
    )
    if shared and key in playing.bare:
        await playing.bare[key].done.wait()
        return playing.bare[key].played
    mine = _Bare()
    if shared:
        playing.bare[key] = mine
    async with playing.places:
        playing.listener.started(cells[0], Protection.NAIVE)
        mine.played = await play_parts(tuple(Part(one.scenario, one.example) for one in cells), staging)
    mine.done.set()
    return mine.played


def _to_play(cell: Cell, protection: Protection) -> tuple[str, ...]:
    """The variants that are Doorward's to prevent there."""
    remote = cell.topology is Topology.SERVE_URL
    return tuple(
        variant.id
        for variant in cell.example.variants_of(cell.topology)
        if not (remote and protection in variant.remote_internals)
    )


def _remote_internals(cell: Cell, protection: Protection) -> Excluded | None:
    if _to_play(cell, protection):
        return None
    return Exclusion.REMOTE_INTERNALS, "only the remote server itself could stop this"


def exclusion(cell: Cell) -> Excluded | None:
    """Why a cell is not played at all, and in words; None where it is."""
    target = cell.example.target
    if cell.era not in target.eras:
        spoken = ", ".join(era.value for era in target.eras)
        return Exclusion.ERA_NOT_SPOKEN, f"{target.title} speaks {spoken} only"
    if cell.topology is Topology.SERVE_URL and not target.over_http:
        return Exclusion.TRANSPORT_NOT_SPOKEN, f"{target.title} speaks over pipes only"
    if missing := target.missing():
        return Exclusion.REGISTRY_UNREACHABLE, f"{target.title} is {missing}"
    return None

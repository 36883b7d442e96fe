"""Plays the catalogue: every example in every topology and era, bare, behind Doorward as shipped, and configured.

Two stages run at a time, since a stage is two or three processes and the machine has two cores. Within one example the
order is fixed: the bare target first, because what is not harmful there proves nothing elsewhere.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import msgspec

from doorward.content.redaction import Masker
from doorward.lab import ablated, open_cells
from doorward.lab.judgment import Finding, Played, Seen, Verdict, undecided, verdict
from doorward.lab.report.model import Run
from doorward.lab.scenario import (
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
from doorward.lab.stage import Stage, Staging, configuration_of, raised
from doorward.lab.trail import TrailUnreadableError, between
from doorward.lab.transcript import Told, records, told

if TYPE_CHECKING:
    from collections.abc import Iterable

STAGES_AT_ONCE = 2
STAGE_LIMIT_SECONDS = 90.0
"""A whole stage, all variants included; each answer inside has its own, shorter limit."""

BENIGN_LIMIT_SECONDS = 15.0


class Cell(msgspec.Struct, frozen=True):
    """One example in one era and topology: the unit that is played in order."""

    scenario: Scenario
    example: Example
    era: Era
    topology: Topology = Topology.WRAP


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
        for era in Era
    )


async def play_all(
    wanted: tuple[Cell, ...], listener: Listener, *, seed: int, protections: tuple[Protection, ...] = tuple(Protection)
) -> list[Run]:
    """Play ``wanted`` under each of ``protections`` and answer the rows in their order."""
    results: dict[int, list[Run]] = {}
    playing = _Playing(listener, anyio.CapacityLimiter(STAGES_AT_ONCE), seed, protections, {})

    async def one(index: int, cell: Cell) -> None:
        results[index] = await _cell(cell, playing)

    async with anyio.create_task_group() as tasks:
        for index, cell in enumerate(wanted):
            tasks.start_soon(one, index, cell)
    return [run for index in sorted(results) for run in results[index]]


async def play(
    scenario: Scenario, example: Example, staging: Staging, *, only: tuple[str, ...] | None = None
) -> Played:
    """Set one stage, play the variants (all, or ``only`` those), then the benign twin, and read the trail."""
    traces: dict[str, Any] = {}
    harms: dict[str, Any] = {}
    exchanges: dict[str, tuple[Told, ...]] = {}
    benign = broken = ""
    try:
        with anyio.fail_after(STAGE_LIMIT_SECONDS):
            async with raised(scenario, example, staging) as stage:
                if stage.unreached:
                    return Played(unreached=stage.unreached)
                # What the stage planted counts as a known secret, so that a report shows where it went.
                masker = Masker(os.urandom(32), (stage.canary, stage.credential))
                for variant in example.variants_of(staging.topology):
                    if only is None or variant.id in only:
                        traces[variant.id], harms[variant.id] = await _attack(scenario, stage, variant)
                        exchanges[variant.id] = told(traces[variant.id].exchange, masker)
                benign, broken = await _benign(scenario, stage)
    except TrailUnreadableError as problem:
        return Played(unreached=f"the audit log of this stage cannot be read: {problem}")
    except TimeoutError:
        return Played(unreached=f"the stage did not end within {STAGE_LIMIT_SECONDS:g} s")
    seen = {
        id: Seen(harms[id], between(stage.trail, trace.started, trace.ended), trace.glances, exchanges[id])
        for id, trace in traces.items()
    }
    return Played(seen, benign, broken)


async def _attack(scenario: Scenario, stage: Stage, variant: Variant) -> tuple[Any, Any]:
    mark = stage.mark()
    # A client raises what it was refused with, or what it could not read: either is an answer to an attacker.
    with suppress(Exception):
        await scenario.attack(stage, variant)
    trace = stage.since(mark)
    return trace, scenario.harmed(stage, variant, trace)


async def _benign(scenario: Scenario, stage: Stage) -> tuple[str, str]:
    try:
        with anyio.fail_after(BENIGN_LIMIT_SECONDS):
            return await scenario.honest_use(stage), ""
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
    bare: dict[tuple[str, str, Era], _Bare]


class _Bare:
    """A stage of a bare command, for whoever comes second."""

    def __init__(self) -> None:
        self.played = Played()
        self.done = anyio.Event()


async def _cell(cell: Cell, playing: _Playing) -> list[Run]:
    excluded = _exclusion(cell)
    runs: list[Run] = []
    reachable = True
    for protection in playing.protections:
        reason = excluded or _remote_internals(cell, protection)
        if reason is not None:
            run = _row(cell, protection, Outcome(Kind.EXCLUDED, reason[0]), (), {"note": reason[1]})
        else:
            found, played = await _protected(cell, protection, playing, reachable)
            if protection is Protection.NAIVE:
                reachable = not played.unreached
            evidence = _evidence(cell, protection, found, played)
            run = _row(cell, protection, Outcome(found.outcome), found.controls, evidence)
            opened = open_cells.of(cell.scenario.id, cell.example.id, cell.topology, protection)
            if opened is not None and open_cells.explains(opened, found):
                run = msgspec.structs.replace(run, issue=opened.issue, evidence={**evidence, "open": opened.why})
        runs.append(run)
        playing.listener.finished(cell, run)
    return runs


async def _protected(cell: Cell, protection: Protection, playing: _Playing, reachable: bool) -> tuple[Verdict, Played]:
    staging = Staging(cell.era, protection, playing.seed, topology=cell.topology)
    wanted = _to_play(cell, protection)
    if protection is Protection.NAIVE:
        played = await _play_bare(cell, staging, playing)
    else:
        async with playing.places:
            playing.listener.started(cell, protection)
            played = await play(cell.scenario, cell.example, staging, only=wanted)
    without: dict[str, Played] = {}
    if protection is not Protection.NAIVE and (open_ones := undecided(played, cell.scenario.controls)):
        without = await _without_walls(cell, staging, playing, open_ones)
    excluded = tuple(v.id for v in cell.example.variants_of(cell.topology) if v.id not in wanted)
    controls = cell.scenario.controls
    found = verdict(protection, played, controls, reachable=reachable, ablated=without, excluded=excluded)
    return found, played


async def _without_walls(
    cell: Cell, staging: Staging, playing: _Playing, open_ones: tuple[str, ...]
) -> dict[str, Played]:
    """What ``open_ones`` do with one wall out, then another, then a group: each until harm shows what held."""
    found: dict[str, Played] = {}
    for wall in ablated.candidates(cell.scenario.id):
        if not open_ones:
            break
        async with playing.places:
            without = msgspec.structs.replace(staging, without=wall)
            found[wall] = await play(cell.scenario, cell.example, without, only=open_ones)
        seen = found[wall].seen
        open_ones = tuple(id for id in open_ones if id not in seen or seen[id].harm is None)
    return found


async def _play_bare(cell: Cell, staging: Staging, playing: _Playing) -> Played:
    """The bare target; that of a command is played once for all topologies that start one."""
    key = (cell.scenario.id, cell.example.id, cell.era)
    shared = cell.topology is not Topology.SERVE_URL and cell.example.variants_of(
        Topology.WRAP
    ) == cell.example.variants_of(Topology.SERVE_COMMAND)
    if shared and key in playing.bare:
        await playing.bare[key].done.wait()
        return playing.bare[key].played
    mine = _Bare()
    if shared:
        playing.bare[key] = mine
    async with playing.places:
        playing.listener.started(cell, Protection.NAIVE)
        mine.played = await play(cell.scenario, cell.example, staging)
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


def _remote_internals(cell: Cell, protection: Protection) -> tuple[Exclusion, str] | None:
    if _to_play(cell, protection):
        return None
    return Exclusion.REMOTE_INTERNALS, "only the remote server itself could stop this"


def _exclusion(cell: Cell) -> tuple[Exclusion, str] | None:
    target = cell.example.target
    if cell.era not in target.eras:
        spoken = ", ".join(era.value for era in target.eras)
        return Exclusion.ERA_NOT_SPOKEN, f"{target.title} speaks {spoken} only"
    if cell.topology is Topology.SERVE_URL and not target.over_http:
        return Exclusion.TRANSPORT_NOT_SPOKEN, f"{target.title} speaks over pipes only"
    if missing := target.missing():
        return Exclusion.REGISTRY_UNREACHABLE, f"{target.title} is {missing}"
    return None


def _row(
    cell: Cell, protection: Protection, outcome: Outcome, controls: tuple[str, ...], evidence: dict[str, Any]
) -> Run:
    naive = protection is Protection.NAIVE
    return Run(
        id=cell.scenario.id,
        example=cell.example.id,
        era=cell.era.value,
        topology=cell.topology.value,
        target="naive" if naive else "relayed",
        configured=None if naive else protection is Protection.CONFIGURED,
        outcome=outcome.kind,
        reason=outcome.reason,
        control=", ".join(controls) or None,
        evidence=evidence,
    )


def _evidence(cell: Cell, protection: Protection, found: Verdict, played: Played) -> dict[str, Any]:
    titles = {variant.id: variant.title for variant in cell.example.variants}
    evidence: dict[str, Any] = {
        "benign": played.benign,
        "variants": [_shown(one, titles[one.variant], played.seen.get(one.variant)) for one in found.variants],
    }
    if found.note:
        evidence["note"] = found.note
    if protection is Protection.CONFIGURED:
        evidence["configuration"] = configuration_of(cell.example)
    return evidence


def _shown(found: Finding, title: str, seen: Seen | None) -> dict[str, Any]:
    """One variant as reports have it; ``seen`` is None where it was not played."""
    shown = {**msgspec.to_builtins(found), "title": title}
    if seen is not None:
        shown["exchange"] = msgspec.to_builtins(seen.exchange)
        shown["records"] = records(seen.fired)
    return shown

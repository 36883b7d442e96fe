"""Positive control: on the bare target every variant does harm, its oracle sees it, and the benign twin works."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import anyio
import msgspec
import pytest
from tests.lab.drawing import Silence, name, sample

from doorward.lab import runner
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.judgment import Played
from doorward.lab.report.model import Run
from doorward.lab.runner import Cell
from doorward.lab.scenario import Era, Exclusion, Harm, Kind, Protection, Scenario, Target, Topology
from doorward.lab.stage import Layout, Stage, Staging, raised
from doorward.lab.targets import published
from doorward.lab.targets.published import Installed

pytestmark = pytest.mark.usefixtures("no_process_or_folder_is_left")

CELLS = runner.cells(CATALOGUE)
PLAYED = [
    cell
    for cell in CELLS
    if cell.era in cell.example.target.eras
    and cell.topology is not Topology.SERVE_COMMAND  # its bare target is that of wrap
    and (cell.topology is Topology.WRAP or cell.example.target.over_http)
]


def played_bare(cell: Cell, target: Target | None = None) -> Played:
    example = msgspec.structs.replace(cell.example, target=target) if target else cell.example
    staging = Staging(cell.era, Protection.NAIVE, seed=7, topology=cell.topology)
    return anyio.run(runner.play, cell.scenario, example, staging)


@pytest.mark.parametrize("cell", sample(PLAYED, each="scenario"), ids=name)
def test_every_variant_does_harm_on_the_bare_target_and_the_benign_twin_works(
    cell: Cell, peers: Callable[[str], Installed]
) -> None:
    if cell.example.id in published.names():
        peers(cell.example.id)  # says what to do when it is not installed
    played = played_bare(cell)
    assert played.unreached == ""
    assert {id: seen.harm is not None for id, seen in played.seen.items()} == {
        v.id: True for v in cell.example.variants_of(cell.topology)
    }
    assert played.broken == ""
    assert played.benign


@pytest.mark.parametrize("scenario", CATALOGUE, ids=lambda s: s.id)
def test_the_oracle_is_silent_where_nobody_attacked(scenario: Scenario) -> None:
    example = scenario.examples[-1]

    async def honest_day() -> list[Harm | None]:
        async with raised(scenario, example, Staging(Era.LEGACY, Protection.NAIVE, seed=7)) as stage:
            assert stage.unreached == ""
            mark = stage.mark()
            await scenario.honest_use(stage)
            return [scenario.harmed(stage, variant, stage.since(mark)) for variant in example.variants]

    assert set(anyio.run(honest_day)) == {None}


def test_the_planted_values_follow_from_the_seed_and_differ_between_stages() -> None:
    scenario, staging = CATALOGUE[0], Staging(Era.LEGACY, Protection.NAIVE, seed=7)

    def planted(staging: Staging) -> tuple[str, str, str]:
        stage = Stage(Layout(Path("/nowhere")), staging, scenario.examples[0])
        return stage.canary, stage.greeting, stage.credential

    others = [msgspec.structs.replace(staging, seed=8), msgspec.structs.replace(staging, era=Era.MODERN)]
    assert planted(staging) == planted(staging)
    assert len({planted(one) for one in (staging, *others)}) == 3


def rows(*cells: Cell) -> list[Run]:
    async def play() -> list[Run]:
        return await runner.play_all(cells, Silence(), seed=7)

    return anyio.run(play)


def test_a_target_is_not_played_in_an_era_that_it_does_not_speak() -> None:
    unspoken = [c for c in CELLS if c.topology is Topology.WRAP and c.era not in c.example.target.eras]
    assert unspoken
    for cell in unspoken:
        found = rows(cell)
        assert {(run.outcome, run.reason) for run in found} == {(Kind.EXCLUDED, Exclusion.ERA_NOT_SPOKEN)}
        assert [run.configured for run in found] == [None, False, True]


def test_a_target_without_http_is_not_played_behind_a_url() -> None:
    found = rows(
        next(
            c
            for c in CELLS
            if c.topology is Topology.SERVE_URL and c.era in c.example.target.eras and not c.example.target.over_http
        )
    )
    assert {(run.outcome, run.reason) for run in found} == {(Kind.EXCLUDED, Exclusion.TRANSPORT_NOT_SPOKEN)}


def test_a_machine_that_cannot_hold_the_stage_leaves_it_inconclusive_and_says_why() -> None:
    cell = next(cell for cell in PLAYED if cell.scenario.id == "privileged-tool")
    target = msgspec.structs.replace(cell.example.target, equipped=lambda _: nullcontext("it is mounted nosuid"))
    found = rows(msgspec.structs.replace(cell, example=msgspec.structs.replace(cell.example, target=target)))
    assert {run.outcome for run in found} == {Kind.INCONCLUSIVE}
    assert {run.evidence["note"] for run in found} == {"not reached: it is mounted nosuid"}


def test_a_published_target_that_is_not_installed_is_excluded_and_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOORWARD_TARGETS", str(tmp_path))
    cell = next(cell for cell in PLAYED if cell.example.id.startswith("server-"))
    found = rows(cell)
    assert {(run.outcome, run.reason) for run in found} == {(Kind.EXCLUDED, Exclusion.REGISTRY_UNREACHABLE)}
    assert "not installed" in found[0].evidence["note"]
    assert list(tmp_path.iterdir()) == []

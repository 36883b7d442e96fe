"""The attacks next to those of the document: each line of its last section is played, or says why it is not.

Played as the catalogue is: bare, where each must do harm, then behind Doorward, where none may. All runs against one
target share a stage.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

import anyio
import msgspec
import pytest
from tests.lab.drawing import DRAW, WHOLE, Silence
from tests.lab.test_sentinels import PERMISSIVE, SENTINELS, sentinel

import doorward
from doorward.confine import caps, cgroups
from doorward.lab import open_cells, runner
from doorward.lab.ablated import CHILD_CAPS, CONFINE_NETWORK, WALLS
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.lines import Line
from doorward.lab.neighbours.catalogue import NEIGHBOURS
from doorward.lab.neighbours.lines import LINES
from doorward.lab.report import matrix
from doorward.lab.report.model import Run
from doorward.lab.runner import Cell
from doorward.lab.scenario import GATEWAY, Era, Exclusion, Harm, Kind, Protection, Topology, Trace
from doorward.lab.stage import Layout, Stage, Staging, raised

THREATS = Path(doorward.__file__).parents[2] / "docs" / "threats.md"
SECTION = " ".join(THREATS.read_text(encoding="utf-8").partition("\n## Threats next to these")[2].split())
CELLS = runner.cells(NEIGHBOURS)
SAMPLE = 5
"""Lines of one `make test`: waiting until refusals are recorded one by one takes longer than playing them."""


def drawn() -> tuple[Cell, ...]:
    """Some lines, drawn by ``DOORWARD_SAMPLE``; with ``DOORWARD_WHOLE=1``, as in `make soak`, all."""
    draw = random.Random(DRAW)  # noqa: S311 - a choice, not a secret
    chosen = CELLS if WHOLE else draw.sample(CELLS, SAMPLE)
    return runner.together(cell for cell in CELLS if cell in chosen)


STAGES = drawn()
every_stage = pytest.mark.parametrize(
    "stage", STAGES, ids=lambda c: f"{c.topology.name.lower()}-{c.example.target.id}-{c.era.name.lower()}"
)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.words)
def test_a_line_is_one_of_the_document_and_is_played_or_says_why_not(line: Line) -> None:
    assert line.words in SECTION
    assert set(line.runs) <= {scenario.id for scenario in (*CATALOGUE, *NEIGHBOURS)}
    assert bool(line.runs) is (line.unplayed is None)
    assert bool(line.why) is (line.unplayed is not None)
    assert line.unplayed is None or line.issue in "BCDEFGHI"
    assert not line.missing or line.runs


def test_every_item_of_the_document_is_a_line() -> None:
    items = [
        item for part in re.findall(r": (.+?)\.(?: |$)", SECTION.partition("What MCP")[2]) for item in part.split(";")
    ]
    assert len(items) > 40
    assert [item for item in items if not any(line.words in item for line in LINES)] == []


def test_every_run_plays_a_line() -> None:
    played = {run for line in LINES for run in line.runs}
    assert {scenario.id for scenario in NEIGHBOURS} <= played


async def played(stage: Cell) -> list[Run]:
    """The rows under each protection: all at once, since most of it is waiting."""
    found: list[Run] = []

    async def under(protection: Protection) -> None:
        found.extend(await runner.play_all((stage,), Silence(), seed=11, protections=(protection,)))

    async with anyio.create_task_group() as tasks:
        for protection in GATEWAY:
            tasks.start_soon(under, protection)
    return found


def require_bound_of_processes() -> None:
    """As `doorward doctor` finds out whether this machine has one."""
    if "pids" not in cgroups.held() and not caps.bound_of_user(1):
        pytest.skip("this machine has neither a control group to give nor a bound for our user")


@every_stage
def test_a_neighbour_does_harm_bare_and_none_behind_doorward_and_what_stopped_it_is_named(stage: Cell) -> None:
    scenarios = {one.scenario.id: one for one in stage.all}
    if "runaway-server" in scenarios:
        require_bound_of_processes()
    for run in anyio.run(played, stage):
        cell = scenarios[run.id]
        if run.reason is Exclusion.REMOTE_INTERNALS:
            assert cell.topology is Topology.SERVE_URL
            assert all(run.protection in variant.remote_internals for variant in cell.example.variants)
            continue
        opened = open_cells.of(run.id, run.example, cell.topology, run.protection)
        assert run.issue == (opened.issue if opened else None), (
            matrix.troubles([run]) or "listed as open, and prevented"
        )
        wanted = Kind.SUCCEEDED if run.protection is Protection.NAIVE else Kind.PREVENTED
        assert run.issue or run.outcome is wanted, matrix.troubles([run])
        assert run.evidence["benign"]
        named = {one["control"] for one in run.evidence["variants"] if one["outcome"] == Kind.PREVENTED}
        assert named <= {*cell.scenario.controls, *WALLS}


@every_stage
def test_no_oracle_of_a_neighbour_speaks_where_nobody_attacked(stage: Cell) -> None:
    async def honest_day() -> list[Harm | None]:
        staging = Staging(stage.era, Protection.NAIVE, seed=7, topology=stage.topology)
        async with raised(stage.scenario, stage.example, staging) as raised_stage:
            assert raised_stage.unreached == ""
            mark = raised_stage.mark()
            await stage.scenario.honest_use(raised_stage)
            return [
                cell.scenario.harmed(raised_stage, variant, raised_stage.since(mark))
                for cell in stage.all
                for variant in cell.example.variants
            ]

    assert set(anyio.run(honest_day)) == {None}


@pytest.mark.parametrize("kind", ["refuses all but lists", "says yes to everything"])
@pytest.mark.parametrize("name", ["bom", "undeclared-capability"])
def test_a_server_that_serves_nobody_is_no_defence_against_a_neighbour_either(name: str, kind: str) -> None:
    cell = next(cell for cell in CELLS if cell.scenario.id == name and cell.topology is Topology.WRAP)
    program = SENTINELS.get(kind) or PERMISSIVE.format(tools=cell.example.target.tools)
    mute = msgspec.structs.replace(cell.example, target=sentinel(cell.example.target, program))
    for run in anyio.run(played, msgspec.structs.replace(cell, example=mute)):
        assert run.outcome in (Kind.OBSTRUCTED, Kind.INCONCLUSIVE), run
        assert run.control is None


@pytest.mark.parametrize(
    ("name", "variants", "wall"),
    [
        ("ssrf-inside", ("loopback", "number"), CONFINE_NETWORK),
        ("runaway-server", ("memory", "file"), CHILD_CAPS),
        ("runaway-server", ("processes",), CHILD_CAPS),
    ],
)
def test_without_the_wall_around_its_server_a_neighbour_does_harm_again(
    name: str, variants: tuple[str, ...], wall: str
) -> None:
    if "processes" in variants:
        require_bound_of_processes()
    cell = next(cell for cell in CELLS if cell.scenario.id == name and cell.topology is Topology.WRAP)

    async def harmed(without: str) -> set[str]:
        staging = Staging(cell.era, Protection.SHIPPED, seed=11, without=without)
        seen = await runner.play(cell.scenario, cell.example, staging, only=variants)
        assert (seen.unreached, seen.broken) == ("", "")
        return {id for id, one in seen.seen.items() if one.harm is not None}

    assert anyio.run(harmed, "") == set()
    assert anyio.run(harmed, wall) == set(variants)


def test_whoever_is_asked_from_inside_is_harmed_though_no_answer_comes_back() -> None:
    cell = next(cell for cell in CELLS if cell.scenario.id == "ssrf-inside")
    stage = Stage(Layout(Path("/nowhere")), Staging(cell.era, Protection.SHIPPED, seed=11), cell.example)
    (variant, *_) = cell.example.variants
    assert cell.scenario.harmed(stage, variant, Trace(0, 1)) is None
    assert cell.scenario.harmed(stage, variant, Trace(0, 1, prompts=("asked /latest/meta-data/",))) is not None


def test_runs_of_one_target_share_a_stage_and_have_rows_of_their_own() -> None:
    alike = [cell for cell in CELLS if (cell.era, cell.topology) == (CELLS[0].era, CELLS[0].topology)]
    shared = runner.together(alike)
    assert len(shared) < len(alike)
    assert [cell.scenario.id for cell in shared[0].all] == [
        cell.scenario.id for cell in alike if cell.example.target.id == shared[0].example.target.id
    ]


def test_a_run_exists_in_an_era_or_is_not_played_in_it() -> None:
    modern_only = next(s for s in NEIGHBOURS if s.examples[0].eras == (Era.MODERN,))
    assert {cell.era for cell in CELLS if cell.scenario is modern_only} == {Era.MODERN}

"""Which variant the demo plays where it plays one: one that is Doorward's to prevent, wherever there is one."""

from __future__ import annotations

import random

import anyio
import pytest
from tests.lab.drawing import DRAW, WHOLE, Silence, name

from doorward.lab import runner
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.report.model import Run
from doorward.lab.runner import Cell
from doorward.lab.scenario import BEHIND, GATEWAY, Kind, Protection, Topology

CELLS = runner.cells(CATALOGUE)
STAGES = runner.together(map(runner.canonical, CELLS))
SHARED = [stage for stage in STAGES if stage.beside and not runner.exclusion(stage)]


@pytest.mark.parametrize("cell", CELLS, ids=name)
def test_the_canonical_variant_is_one_that_is_played_there(cell: Cell) -> None:
    chosen, *beside = runner.canonical(cell).example.variants
    here = cell.example.variants_of(cell.topology)
    assert chosen in here
    own = [v for v in here if set(v.remote_internals).isdisjoint(BEHIND)]
    if cell.topology is Topology.SERVE_URL:
        assert chosen in (own or here)
        assert beside == []
    else:
        assert chosen == next(v for v in here if not v.inside)
        assert beside == [v for v in here if v.inside][:1]


def test_every_cell_is_played_on_one_stage() -> None:
    assert sorted(name(cell) for stage in STAGES for cell in stage.all) == sorted(map(name, CELLS))


@pytest.mark.parametrize("stage", SHARED if WHOLE else random.Random(DRAW).sample(SHARED, 2), ids=name)  # noqa: S311
def test_on_a_shared_stage_each_example_ends_as_it_does_alone(stage: Cell) -> None:
    async def played() -> list[Run]:
        return await runner.play_all((stage,), Silence(), seed=3)

    runs = anyio.run(played)
    assert len(runs) == len(stage.all) * len(GATEWAY)
    for run in runs:
        kind = Kind.SUCCEEDED if run.protection is Protection.NAIVE else Kind.PREVENTED
        assert run.outcome in (kind, Kind.EXCLUDED) or run.issue, run

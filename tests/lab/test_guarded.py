"""A server that its author wrote with the guard needs nothing in front: no variant does harm, honest use works."""

from __future__ import annotations

import anyio
import msgspec
import pytest
from tests.lab.drawing import name

from doorward.lab import runner
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.judgment import Played
from doorward.lab.runner import Cell
from doorward.lab.scenario import Protection, Target, Topology
from doorward.lab.stage import Staging
from doorward.lab.targets.guarded import FOLDER, twin

pytestmark = pytest.mark.usefixtures("no_process_or_folder_is_left")

CELLS = [
    cell
    for cell in runner.cells(CATALOGUE)
    if twin(cell.example.target) is not None
    and cell.era in cell.example.target.eras
    and cell.topology is not Topology.SERVE_COMMAND  # its bare target is that of wrap
]


def played(cell: Cell, target: Target) -> Played:
    example = msgspec.structs.replace(cell.example, target=target)
    staging = Staging(cell.era, Protection.NAIVE, seed=7, topology=cell.topology)
    return anyio.run(runner.play, cell.scenario, example, staging)


@pytest.mark.parametrize("cell", CELLS, ids=name)
def test_no_variant_does_harm_to_the_twin_and_its_honest_use_works(cell: Cell) -> None:
    guarded = twin(cell.example.target)
    assert guarded is not None
    seen = played(cell, guarded)
    assert seen.unreached == ""
    assert {id: one.harm for id, one in seen.seen.items()} == {
        v.id: None for v in cell.example.variants_of(cell.topology)
    }
    assert seen.broken == ""
    assert seen.benign


def test_every_twin_is_of_a_target_and_played() -> None:
    scripts = {file.stem.replace("_", "-") for file in FOLDER.glob("*.py")} - {"--init--"}
    assert scripts == {cell.example.target.id for cell in CELLS}

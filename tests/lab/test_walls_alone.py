"""The walls of a server hold by themselves: with all that judges arguments and paths taken out, the harm of three
scenarios is still prevented, and an honest user is still served.

What lies inside the folders that the server was given is not the walls' to keep (``Variant.inside``), and a server
behind a URL has none of ours.
"""

from __future__ import annotations

import anyio
import pytest
from tests.lab.drawing import name, sample

from doorward.lab import runner
from doorward.lab.ablated import ARGUMENT_CONTROLS, CONFINE_FILES
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.judgment import Played
from doorward.lab.runner import Cell
from doorward.lab.scenario import Protection, Topology
from doorward.lab.stage import Staging

SCENARIOS = ("path-traversal", "argument-injection", "privileged-tool")
CELLS = [
    cell
    for cell in runner.cells(CATALOGUE)
    if cell.scenario.id in SCENARIOS
    and cell.topology is not Topology.SERVE_URL
    and cell.era in cell.example.target.eras
    and any(not variant.inside for variant in cell.example.variants_of(cell.topology))
]


def played(cell: Cell, without: str) -> Played:
    staging = Staging(cell.era, Protection.SHIPPED, 17, topology=cell.topology, without=without)
    wanted = tuple(variant.id for variant in cell.example.variants_of(cell.topology) if not variant.inside)
    return anyio.run(lambda: runner.play(cell.scenario, cell.example, staging, only=wanted))


@pytest.mark.parametrize("cell", sample(CELLS), ids=name)
def test_with_all_that_judges_arguments_out_no_harm_is_done_outside_the_folders(cell: Cell) -> None:
    seen = played(cell, ARGUMENT_CONTROLS)
    assert seen.unreached == ""
    assert {id: one.harm.seen for id, one in seen.seen.items() if one.harm is not None} == {}
    assert seen.seen, "no variant was played"
    assert seen.broken == "", "an honest user is served"


def test_what_is_taken_out_is_what_would_have_refused() -> None:
    """The proof that the attacks arrive: with the walls around files out as well as the judgment, they do harm."""
    cell = next(one for one in CELLS if one.scenario.id == "path-traversal")
    assert any(one.harm is not None for one in played(cell, f"{ARGUMENT_CONTROLS}+{CONFINE_FILES}").seen.values())

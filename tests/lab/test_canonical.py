"""Which variant the demo plays where it plays one: one that is Doorward's to prevent, wherever there is one."""

from __future__ import annotations

import pytest
from tests.lab.drawing import name

from doorward.lab import runner
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.runner import Cell
from doorward.lab.scenario import BEHIND, Topology

CELLS = runner.cells(CATALOGUE)


@pytest.mark.parametrize("cell", CELLS, ids=name)
def test_the_canonical_variant_is_one_that_is_played_there(cell: Cell) -> None:
    (chosen,) = runner.canonical(cell).example.variants
    assert chosen in cell.example.variants_of(cell.topology)
    own = [v for v in cell.example.variants_of(cell.topology) if set(v.remote_internals).isdisjoint(BEHIND)]
    if cell.topology is Topology.SERVE_URL and own:
        assert chosen in own
    else:
        assert chosen == cell.example.variants_of(cell.topology)[0]

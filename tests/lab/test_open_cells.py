"""What is listed as open exists in the catalogue, has an owner and a reason, and excuses nothing else."""

from __future__ import annotations

import msgspec
import pytest

from doorward.lab import open_cells
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.judgment import Finding, Verdict
from doorward.lab.neighbours.catalogue import NEIGHBOURS
from doorward.lab.open_cells import OpenCell
from doorward.lab.scenario import Kind, Protection, Topology

EXAMPLES = {
    (scenario.id, example.id): example for scenario in (*CATALOGUE, *NEIGHBOURS) for example in scenario.examples
}
CELL = OpenCell("s", "e", (Topology.WRAP,), (Protection.SHIPPED,), ("known",), "D", "nobody caps it")


@pytest.mark.parametrize("cell", open_cells.listed(), ids=lambda c: f"{c.example}-{c.issue}")
def test_a_listed_cell_is_one_that_is_played(cell: OpenCell) -> None:
    example = EXAMPLES[cell.scenario, cell.example]
    for topology in cell.topologies:
        assert set(cell.variants) <= {variant.id for variant in example.variants_of(topology)}
    assert Protection.NAIVE not in cell.protections
    assert cell.issue in "BCDEFGHI"
    assert len(cell.why.split()) > 5


def test_no_cell_is_listed_twice() -> None:
    names = [
        (c.scenario, c.example, topology, protection)
        for c in open_cells.listed()
        for topology in c.topologies
        for protection in c.protections
    ]
    assert len(set(names)) == len(names)


def verdict(**outcomes: Kind) -> Verdict:
    return Verdict(Kind.SUCCEEDED, (), tuple(Finding(id, kind, "", "") for id, kind in outcomes.items()))


@pytest.mark.parametrize(
    ("found", "explained"),
    [
        (verdict(known=Kind.SUCCEEDED, other=Kind.PREVENTED), True),
        (verdict(known=Kind.INCONCLUSIVE, remote=Kind.EXCLUDED), True),
        (verdict(known=Kind.SUCCEEDED, other=Kind.SUCCEEDED), False),
        (verdict(known=Kind.PREVENTED, other=Kind.PREVENTED), False),
        (verdict(other=Kind.PREVENTED), False),
        (Verdict(Kind.OBSTRUCTED, (), (), "the benign twin broke"), False),
    ],
)
def test_exactly_the_listed_variants_are_explained(found: Verdict, explained: bool) -> None:
    assert open_cells.explains(CELL, found) is explained


def test_where_a_wait_is_near_its_bar_some_of_the_listed_variants_are_enough() -> None:
    near = msgspec.structs.replace(CELL, variants=("known", "other"), varies=True)
    for found in (
        verdict(known=Kind.SUCCEEDED, other=Kind.PREVENTED),
        verdict(known=Kind.PREVENTED, other=Kind.SUCCEEDED),
    ):
        assert open_cells.explains(near, found)
        assert not open_cells.explains(msgspec.structs.replace(near, varies=False), found)
    assert not open_cells.explains(near, verdict(known=Kind.SUCCEEDED, stranger=Kind.SUCCEEDED))
    assert not open_cells.explains(near, verdict(known=Kind.PREVENTED, other=Kind.PREVENTED))


def test_only_what_measures_may_vary() -> None:
    measuring = {scenario.id for scenario in CATALOGUE if scenario.measures}
    assert {cell.scenario for cell in open_cells.listed() if cell.varies} <= measuring

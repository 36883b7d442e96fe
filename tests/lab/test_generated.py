"""Drawn variants: each does harm on the bare target, and none behind Doorward, as shipped and as configured.

In `make test` a tenth of them is played, drawn by the same code; all with ``DOORWARD_WHOLE=1``, as `make soak` does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import anyio
import pytest
from tests.lab.drawing import WHOLE, Silence

from doorward.lab import generated, open_cells, runner
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.generated import GRAMMARS, Grammar
from doorward.lab.judgment import REMOTE
from doorward.lab.report import matrix
from doorward.lab.report.model import Run
from doorward.lab.runner import Cell
from doorward.lab.scenario import BEHIND, Era, Kind, Topology

SEED = int(os.environ.get("DOORWARD_SEED", "20261126"))
AT_ONCE = 50
"""Variants on one stage: what one server process bears within the time of a stage."""

SCENARIOS = {scenario.id: scenario for scenario in CATALOGUE}


TOPOLOGIES = (Topology.WRAP, Topology.SERVE_URL) if WHOLE else (Topology.WRAP,)


def is_open(grammar: Grammar, topology: Topology) -> bool:
    """Whether ``open.toml`` says that this example is not whole there yet: then nothing more is claimed of it."""
    return any(open_cells.of(grammar.scenario, grammar.example, topology, protection) for protection in BEHIND)


def parts() -> Iterator[tuple[Grammar, Topology, int, int]]:
    for grammar in GRAMMARS:
        count = grammar.least if WHOLE else grammar.least // 10
        for topology in TOPOLOGIES:
            if not is_open(grammar, topology):
                for first in range(0, count, AT_ONCE):
                    yield grammar, topology, first, min(first + AT_ONCE, count)


@pytest.mark.parametrize("grammar", GRAMMARS, ids=lambda g: g.scenario)
def test_a_grammar_draws_as_many_different_variants_as_it_owes_and_the_same_ones_again(grammar: Grammar) -> None:
    drawn = generated.variants(grammar, grammar.least, SEED)
    assert len({str(variant.payload) for variant in drawn}) == len({variant.id for variant in drawn}) == grammar.least
    assert generated.variants(grammar, 20, SEED) == drawn[:20]
    assert generated.variants(grammar, 20, SEED + 1) != drawn[:20]


@pytest.mark.parametrize(
    ("grammar", "topology", "first", "end"), list(parts()), ids=lambda v: getattr(v, "scenario", getattr(v, "name", v))
)
def test_what_was_drawn_does_harm_bare_and_none_behind_doorward(
    grammar: Grammar, topology: Topology, first: int, end: int
) -> None:
    drawn = generated.variants(grammar, end, SEED)[first:]
    scenario = SCENARIOS[grammar.scenario]
    era = Era.MODERN if (first // AT_ONCE) % 2 else Era.LEGACY
    cell = Cell(scenario, generated.example(grammar, scenario, drawn), era, topology)
    bare, *behind = played(cell)
    assert not_so(bare, Kind.SUCCEEDED) == [], "the grammar draws what does no harm"
    for run in behind:
        assert not_so(run, Kind.PREVENTED) == [], (run.protection, matrix.troubles([run]))


def played(cell: Cell) -> list[Run]:
    async def play() -> list[Run]:
        return await runner.play_all((cell,), Silence(), seed=SEED)

    return anyio.run(play)


def not_so(run: Run, kind: Kind) -> list[tuple[str, str]]:
    """The variants that ended otherwise, but for those that only a remote server itself could stop."""
    if run.outcome is Kind.EXCLUDED:
        return []
    found = run.evidence["variants"]
    assert found, run.evidence
    return [(one["variant"], one["saw"]) for one in found if one["outcome"] != kind and one["saw"] != REMOTE]

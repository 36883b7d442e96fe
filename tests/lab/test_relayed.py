"""The same attacks behind Doorward, as shipped and configured: none does harm, each has a name for what stopped it."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import msgspec
import pytest

from doorward.controls import CONTROLS
from doorward.lab import runner
from doorward.lab.ablated import WALLS
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.report import matrix
from doorward.lab.runner import Cell, Run
from doorward.lab.scenario import Era, Kind, Protection, Scenario
from doorward.lab.stage import Staging
from doorward.lab.targets.published import Installed

CELLS = [cell for cell in runner.cells(CATALOGUE) if cell.era in cell.example.target.eras]


class Silence:
    def started(self, cell: Cell, protection: Protection) -> None: ...

    def finished(self, cell: Cell, run: Run) -> None: ...


def protected(cell: Cell) -> list[Run]:
    """The rows as shipped and configured; that the bare target is harmed is shown in test_naive.py."""

    async def play() -> list[Run]:
        both = (Protection.SHIPPED, Protection.CONFIGURED)
        return await runner.play_all((cell,), Silence(), seed=11, protections=both)

    return anyio.run(play)


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: f"{c.scenario.id}-{c.example.id}-{c.era.name.lower()}")
def test_every_attack_is_prevented_and_what_stopped_it_is_named(cell: Cell, peers: Callable[[str], Installed]) -> None:
    if cell.example.id.startswith("server-"):
        peers(cell.example.id)
    shipped, configured = (by_variant(run) for run in protected(cell))
    named = {*shipped.values(), *configured.values()}
    assert named <= {*cell.scenario.controls, *WALLS}
    if cell.scenario.id == "argument-injection":  # docs/threats.md says so of this one
        assert shipped["semicolon"] in WALLS
        assert set(configured.values()) == {"argument-constraints"}


def by_variant(run: Run) -> dict[str, str]:
    """Variant → what stopped it, of a run in which everything was stopped and the benign twin worked."""
    assert run.outcome is Kind.PREVENTED, matrix.troubles([run])
    assert run.evidence["benign"]
    return {variant["variant"]: variant["control"] for variant in run.evidence["variants"]}


@pytest.mark.parametrize("scenario", CATALOGUE, ids=lambda s: s.id)
def test_every_control_that_a_scenario_may_name_is_in_the_table_for_it(scenario: Scenario) -> None:
    for control in scenario.controls:
        assert scenario.id in CONTROLS[control].threats


def test_without_the_wall_the_attack_that_it_stops_succeeds_again() -> None:
    cell = next(cell for cell in CELLS if cell.scenario.id == "argument-injection" and cell.era is Era.LEGACY)
    staging = Staging(cell.era, Protection.SHIPPED, seed=11)

    async def both() -> tuple[bool, bool]:
        harmed = []
        for without in ("", *WALLS):
            set_up = msgspec.structs.replace(staging, without=without)
            played = await runner.play(cell.scenario, cell.example, set_up, only=("semicolon",))
            assert not played.unreached
            harmed.append(played.seen["semicolon"].harm is not None)
        return harmed[0], harmed[1]

    assert anyio.run(both) == (False, True)

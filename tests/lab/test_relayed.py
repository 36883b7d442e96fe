"""The same attacks behind Doorward, as shipped and configured: none does harm, each has a name for what stopped it."""

from __future__ import annotations

import os
from collections.abc import Callable

import anyio
import msgspec
import pytest
from tests.lab.drawing import Silence, name, sample
from tests.lab.test_ablated import is_administrator

from doorward.controls import CONTROLS
from doorward.lab import open_cells, runner
from doorward.lab.ablated import CONFINE_FILES, CONFINE_PRIVILEGES, STAND_INS, WALLS
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.neighbours.catalogue import NEIGHBOURS
from doorward.lab.report import matrix
from doorward.lab.report.model import Run
from doorward.lab.runner import Cell
from doorward.lab.scenario import Era, Exclusion, Kind, Protection, Scenario, Topology
from doorward.lab.scenarios.privileged_tool import SCENARIO as PRIVILEGED
from doorward.lab.stage import Staging
from doorward.lab.targets import published
from doorward.lab.targets.published import Installed
from doorward.policy import known_servers

WON_BY_WALLS = ("argument-injection", "privileged-tool")
"""As shipped by the sandbox, configured by what the operator demands of arguments (docs/threats.md)."""

CELLS = [
    cell
    for cell in runner.cells(CATALOGUE)
    if cell.era in cell.example.target.eras
    and (cell.topology is not Topology.SERVE_URL or cell.example.target.over_http)
]


def protected(cell: Cell) -> list[Run]:
    """The rows as shipped and configured; that the bare target is harmed is shown in test_naive.py."""

    async def play() -> list[Run]:
        both = (Protection.SHIPPED, Protection.CONFIGURED)
        return await runner.play_all((cell,), Silence(), seed=11, protections=both)

    return anyio.run(play)


@pytest.mark.parametrize(
    "cell",
    sample(CELLS, each="scenario"),
    ids=name,
)
def test_every_attack_is_prevented_and_what_stopped_it_is_named(cell: Cell, peers: Callable[[str], Installed]) -> None:
    if cell.example.id in published.names():
        peers(cell.example.id)
    shipped, configured = (by_variant(cell, run) for run in protected(cell))
    named = {*shipped.values(), *configured.values()}
    assert named <= {*cell.scenario.controls, *STAND_INS}
    well_known = known_servers.of_package(f"pypi:{cell.example.id.rpartition('-')[0]}") is not None
    if cell.scenario.id in WON_BY_WALLS and cell.topology is not Topology.SERVE_URL:
        # Of a well-known server Doorward demands as shipped what an operator would.
        won = {"argument-constraints"} if well_known else set(WALLS)
        assert won & set(shipped.values())
        assert not set(STAND_INS) & set(configured.values())


def by_variant(cell: Cell, run: Run) -> dict[str, str]:
    """Variant → what stopped it, of a run in which everything was stopped and the benign twin worked.

    A cell of open.toml fails exactly as it is listed there; one that would be prevented must not be listed any more.
    """
    if run.reason is Exclusion.REMOTE_INTERNALS:
        return {}
    opened = open_cells.of(cell.scenario.id, cell.example.id, cell.topology, run.protection)
    held = opened is not None and opened.varies and run.outcome is Kind.PREVENTED
    issue = opened.issue if opened and not held else None
    assert run.issue == issue, matrix.troubles([run]) or "listed as open, and prevented"
    assert run.issue or run.outcome is Kind.PREVENTED, matrix.troubles([run])
    assert run.evidence["benign"]
    stopped = (v for v in run.evidence["variants"] if v["outcome"] == Kind.PREVENTED)
    return {variant["variant"]: variant["control"] for variant in stopped}


@pytest.mark.parametrize("scenario", [*CATALOGUE, *NEIGHBOURS], ids=lambda s: s.id)
def test_every_control_that_a_scenario_may_name_is_in_the_table_for_it(scenario: Scenario) -> None:
    for control in scenario.controls:
        assert scenario.id in CONTROLS[control].threats


@pytest.mark.parametrize(
    ("example", "variants", "topology"),
    [
        ("script-runner", ("semicolon",), Topology.WRAP),
        ("script-runner", ("semicolon",), Topology.SERVE_COMMAND),
        ("order-book", ("sql-stacked",), Topology.WRAP),
        ("workspace-notes", ("swapped",), Topology.WRAP),
    ],
)
def test_without_the_wall_the_attack_that_it_stops_succeeds_again(
    example: str, variants: tuple[str, ...], topology: Topology
) -> None:
    cell = next(c for c in CELLS if c.example.id == example and c.topology is topology)
    staging = Staging(cell.era, Protection.SHIPPED, seed=11, topology=topology)

    async def harmed(without: str) -> set[str]:
        set_up = msgspec.structs.replace(staging, without=without)
        played = await runner.play(cell.scenario, cell.example, set_up, only=variants)
        assert not played.unreached
        return {id for id, seen in played.seen.items() if seen.harm is not None}

    assert anyio.run(harmed, "") == set()
    assert anyio.run(harmed, CONFINE_FILES) == set(variants)


def expected_without(wall: str) -> set[str]:
    """The variants of privileged-tool that do harm with ``wall`` alone out. docs/threats.md has the reasons."""
    every = {v.id for v in PRIVILEGED.examples[0].variants} - {"action"}  # which no wall stops, but a check
    if wall == CONFINE_FILES:
        return {"own-rights"} if os.geteuid() == 0 else every
    return {"opened", "newline"} if is_administrator() else every  # the other walls stand on it


@pytest.mark.parametrize("wall", [CONFINE_FILES, CONFINE_PRIVILEGES])
def test_with_one_wall_out_exactly_the_runs_that_owe_it_everything_succeed_again(wall: str) -> None:
    staging = Staging(Era.MODERN, Protection.SHIPPED, seed=11, without=wall)
    played = anyio.run(lambda: runner.play(PRIVILEGED, PRIVILEGED.examples[0], staging))
    assert not played.unreached
    assert {id for id, seen in played.seen.items() if seen.harm} == expected_without(wall)


UNLIMITED = """\
[unsafe_sizes]
to_server_bytes = 1_073_741_824
string_argument_bytes = 1_073_741_824
from_server_bytes = 8_589_934_592
"""


@pytest.mark.parametrize("topology", [Topology.WRAP, Topology.SERVE_COMMAND, Topology.SERVE_URL])
def test_where_the_size_limits_are_raised_the_same_argument_does_harm(topology: Topology) -> None:
    """Limits are numbers of the policy and no defence that is armed, so no stand-in takes their place: the operator's
    own unsafe key takes them out.
    """
    cell = next(c for c in CELLS if c.example.id == "string-argument" and c.topology is topology)
    target = msgspec.structs.replace(cell.example.target, configuration=UNLIMITED)
    example = msgspec.structs.replace(cell.example, target=target)
    staging = Staging(cell.era, Protection.CONFIGURED, seed=11, topology=topology)
    played = anyio.run(lambda: runner.play(cell.scenario, example, staging, only=("string",)))
    assert not played.unreached
    assert played.seen["string"].harm is not None


@pytest.mark.parametrize("topology", [Topology.WRAP, Topology.SERVE_COMMAND])
def test_where_a_message_may_be_as_large_as_the_file_reading_it_does_harm(topology: Topology) -> None:
    cell = next(c for c in CELLS if c.example.id == "large-resource" and c.topology is topology)
    target = msgspec.structs.replace(cell.example.target, configuration=UNLIMITED)
    example = msgspec.structs.replace(cell.example, target=target)
    staging = Staging(cell.era, Protection.CONFIGURED, seed=11, topology=topology)
    played = anyio.run(lambda: runner.play(cell.scenario, example, staging))
    assert not played.unreached
    assert played.seen["sparse-file"].harm is not None

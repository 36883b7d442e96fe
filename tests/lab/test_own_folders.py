"""As shipped, harm to a server's own data is excluded, and nothing else is: neither by a word nor by a wrong place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from tests.lab.drawing import Silence

from doorward.lab import own_folders, runner
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.neighbours.catalogue import NEIGHBOURS
from doorward.lab.report.model import Run
from doorward.lab.runner import Cell
from doorward.lab.scenario import BEHIND, Era, Exclusion, Kind, Protection, Target, Topology
from doorward.lab.scenarios.argument_injection import BOOK, entrust_book
from doorward.lab.stage import Staging, raised

pytestmark = pytest.mark.usefixtures("no_process_or_folder_is_left")

PIPES = (Topology.WRAP, Topology.SERVE_COMMAND)
INSIDE = {("argument-injection", "order-book", id) for id in ("sql-union", "sql-comment")}
CELLS = [cell for cell in runner.cells(CATALOGUE) if cell.example.target is BOOK and cell.era is Era.MODERN]


def cell_of(topology: Topology, target: Target = BOOK, **variant: Any) -> Cell:
    """The order book with ``target`` in its place, and ``sql-union`` alone if that is to be another."""
    cell = next(cell for cell in CELLS if cell.topology is topology)
    variants = cell.example.variants
    if variant:
        variants = (msgspec.structs.replace(variants[0], **variant),)
    return msgspec.structs.replace(
        cell, example=msgspec.structs.replace(cell.example, target=target, variants=variants)
    )


def played(cell: Cell, *protections: Protection) -> list[Run]:
    return anyio.run(lambda: runner.play_all((cell,), Silence(), seed=5, protections=protections))


def outcomes(run: Run) -> dict[str, tuple[str, str | None]]:
    return {one["variant"]: (one["outcome"], one["reason"]) for one in run.evidence["variants"]}


def test_nothing_else_of_the_catalogue_says_that_its_harm_stays_inside() -> None:
    everything = (*CATALOGUE, *NEIGHBOURS)
    said = {(s.id, one.id, v.id) for s in everything for one in s.examples for v in one.variants if v.inside}
    assert said == INSIDE


@pytest.mark.parametrize("topology", PIPES)
def test_as_shipped_it_is_excluded_in_words_and_configured_it_is_prevented(topology: Topology) -> None:
    shipped, configured = played(cell_of(topology), *BEHIND)
    excluded = (Kind.EXCLUDED.value, Exclusion.INSIDE_ITS_FOLDERS.value)
    prevented = (Kind.PREVENTED.value, None)
    assert outcomes(shipped) == {"sql-union": excluded, "sql-comment": excluded, "sql-stacked": prevented}
    assert (shipped.outcome, shipped.control, shipped.reason) == (Kind.PREVENTED, "confine-files", None)
    assert set(outcomes(configured).values()) == {prevented}
    assert (shipped.issue, configured.issue) == (None, None)


def test_a_run_of_which_nothing_else_is_played_is_excluded_as_a_whole() -> None:
    (run,) = played(cell_of(Topology.WRAP, title="alone"), Protection.SHIPPED)
    assert (run.outcome, run.reason) == (Kind.EXCLUDED, Exclusion.INSIDE_ITS_FOLDERS)


def copy_outside(work: Path, secret: str) -> None:
    entrust_book(work, secret)
    (work.parent / "outside" / "copy.txt").write_text(secret)


def copy_outside_encoded(work: Path, secret: str) -> None:
    entrust_book(work, secret)
    (work.parent / "home" / "copy.txt").write_text(secret.encode().hex())


def by_another_name(work: Path, secret: str) -> None:
    entrust_book(work, secret)
    (work / "orders.db").rename(work.parent / "outside" / "orders.db")
    (work / "orders.db").hardlink_to(work.parent / "outside" / "orders.db")


@pytest.mark.parametrize("elsewhere", [copy_outside, copy_outside_encoded, by_another_name])
def test_what_lies_outside_as_well_is_not_excluded_whatever_the_variant_says(elsewhere: Any) -> None:
    target = msgspec.structs.replace(BOOK, entrusted=elsewhere)
    (run,) = played(cell_of(Topology.WRAP, target, inside=True), Protection.SHIPPED)
    assert run.outcome is Kind.SUCCEEDED


def test_a_variant_that_does_not_say_so_is_not_excluded() -> None:
    (run,) = played(cell_of(Topology.WRAP, inside=False), Protection.SHIPPED)
    assert run.outcome is Kind.SUCCEEDED


def test_where_the_profile_gives_no_such_folder_nothing_is_excluded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none_of_them(_stage: object) -> tuple[Path, ...]:
        return (Path("/usr/share/dict"),)

    monkeypatch.setattr(own_folders, "folders", none_of_them)
    (run,) = played(cell_of(Topology.WRAP, inside=True), Protection.SHIPPED)
    assert run.outcome is Kind.SUCCEEDED


def test_the_folders_are_those_of_the_profile_and_only_as_shipped_behind_a_command() -> None:
    async def looked_up(protection: Protection, topology: Topology) -> tuple[bool, bool]:
        cell = cell_of(topology)
        async with raised(cell.scenario, cell.example, Staging(cell.era, protection, 5, topology=topology)) as stage:
            own = await own_folders.folders(stage)
            return own == (stage.layout.work.resolve(),), await own_folders.hold_it(stage)

    assert anyio.run(looked_up, Protection.SHIPPED, Topology.WRAP) == (True, True)
    assert anyio.run(looked_up, Protection.SHIPPED, Topology.SERVE_COMMAND) == (True, True)
    assert anyio.run(looked_up, Protection.CONFIGURED, Topology.WRAP)[1] is False
    assert anyio.run(looked_up, Protection.SHIPPED, Topology.SERVE_URL)[1] is False

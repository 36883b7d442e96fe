"""A server that its author wrote with the guard needs nothing in front: no variant does harm, honest use works."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec
import pytest
from tests.lab.drawing import WHOLE, name, sample

from doorward.lab import generated, guarded, runner
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.guarded import UNSTOPPED, UNWRITTEN, Shown, Unstopped
from doorward.lab.judgment import Played, Seen
from doorward.lab.report import matrix
from doorward.lab.runner import Cell
from doorward.lab.scenario import Era, Harm, Kind, Protection, Target, Topology
from doorward.lab.scenarios.log_leakage import JOBS
from doorward.lab.stage import Staging, raised
from doorward.lab.targets.guarded import FOLDER, PARTS, twin

pytestmark = pytest.mark.usefixtures("no_process_or_folder_is_left")

CELLS = guarded.cells()
ALONE = [cell for cell in CELLS if cell.scenario.measures]
DRAWN = next(grammar for grammar in generated.GRAMMARS if grammar.target is JOBS)
LOGS = next(scenario for scenario in CATALOGUE if scenario.id == DRAWN.scenario)
TWINS = {cell.example.target.id: cell for cell in CELLS} | {
    JOBS.id: Cell(
        LOGS,
        generated.example(DRAWN, LOGS, generated.variants(DRAWN, DRAWN.least if WHOLE else 12, 7)),
        Era.MODERN,
    )
}


def judged(cell: Cell) -> dict[str, Shown]:
    row = anyio.run(guarded.row, cell, 7)
    assert row.note == ""
    assert row.benign
    return {one.variant: one for one in row.variants}


@pytest.mark.parametrize("cell", [one for one in sample(CELLS, each="scenario") if WHOLE or one not in ALONE], ids=name)
def test_what_does_harm_to_the_target_does_none_to_its_twin_and_the_guard_is_named(cell: Cell) -> None:
    for one in judged(cell).values():
        assert (one.naive, one.guarded) == (Kind.SUCCEEDED, Kind.PREVENTED), one
        assert one.guard


def test_a_path_is_refused_by_the_guard_and_a_declaration_is_not_believed() -> None:
    notes = next(cell for cell in CELLS if cell.example.id == "workspace-notes")
    assert judged(notes)["symlink"].guard == "root"
    feed = next(cell for cell in CELLS if cell.example.id == "fast-updates")
    seen = judged(feed)
    assert "FeatureGate" in seen["experimental"].guard.split(", ")
    assert seen["not-negotiated"].guard == "feature"


def test_a_target_that_is_no_twin_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = next(cell for cell in CELLS if cell.example.id == "order-book")
    monkeypatch.setattr(guarded, "twin", lambda target: target)
    row = anyio.run(guarded.row, cell, 7)
    assert row.outcome is Kind.SUCCEEDED
    assert {one.guard for one in row.variants} == {""}


def test_no_drawn_way_to_log_a_key_gets_past_the_twin_of_the_job_logger() -> None:
    for one in judged(TWINS[JOBS.id]).values():
        assert (one.naive, one.guarded) == (Kind.SUCCEEDED, Kind.PREVENTED), one


async def offered(cell: Cell, target: Target) -> list[Any]:
    """All that a client is shown of a server, as it is sent."""
    example = msgspec.structs.replace(cell.example, target=target)
    async with raised(cell.scenario, example, Staging(Era.MODERN, Protection.NAIVE, 7)) as stage:
        assert stage.unreached == ""
        said = stage.client.server_capabilities
        shown: list[Any] = [said, await stage.client.list_tools()]
        if target.id == "workspace-notes":
            shown.append(await stage.client.list_resource_templates())
        return [one.model_dump(mode="json") for one in shown]


@pytest.mark.parametrize("id", sorted(TWINS))
def test_a_twin_offers_what_its_target_offers_in_the_same_words(id: str) -> None:
    target = TWINS[id].example.target
    guarded_one = twin(target)
    assert guarded_one is not None
    assert anyio.run(offered, TWINS[id], guarded_one) == anyio.run(offered, TWINS[id], target)


def test_every_twin_says_what_it_is_written_with_and_is_played() -> None:
    scripts = {file.stem.replace("_", "-"): file for file in FOLDER.glob("*.py") if file.stem != "__init__"}
    assert scripts.keys() == PARTS.keys() == TWINS.keys()
    for id, parts in PARTS.items():
        text = scripts[id].read_text(encoding="utf-8")
        assert [part for part in parts if f"guard.{part}(" not in text and part != "parameters of SQL"] == []


def test_every_target_of_the_catalogue_has_a_twin_or_a_reason() -> None:
    targets = {example.target.id: example.target for scenario in CATALOGUE for example in scenario.examples}
    assert {id for id, target in targets.items() if twin(target) is None} == UNWRITTEN.keys()


def test_what_no_twin_stops_is_said_in_words_and_excluded() -> None:
    said = guarded.unplayed()
    assert len(said) == len(UNWRITTEN) + len(
        {(where, why) for where, some in UNSTOPPED.items() for why in some.values()}
    )
    flood = next(line for line in said if "tight-loop" in line)
    assert flood.startswith("no twin stops request-flooding on tight-loop: before there is a request, ")
    assert flood.endswith(" (own-sessions, own-addresses, separate-principals, same-session)")
    left = guarded.left_out()
    played = {(cell.scenario.id, cell.example.id) for cell in CELLS}
    assert {(run.id, run.example) for run in left} == UNSTOPPED.keys() - played
    assert {(run.protection, run.outcome, run.reason) for run in left} == {
        (Protection.GUARDED, Kind.EXCLUDED, Unstopped.BEFORE_REQUEST)
    }
    assert all(matrix.words(run) == "excluded: before there is a request" for run in left)


def test_a_report_gets_the_bare_target_and_its_twin_with_what_was_left_out() -> None:
    storms = next(cell for cell in CELLS if cell.example.id == "tight-loop")
    naive = Played({"subscription-storm": Seen(Harm("it waited"))}, benign="it was served")
    stopped = Shown("subscription-storm", Kind.SUCCEEDED, Kind.PREVENTED, "rate", "refused: rate: too many calls")
    row = guarded.Row("", "", "", "", Kind.PREVENTED, (stopped,), "it was served")
    bare, twin_of_it = guarded.told(storms, row, naive, Played({}, benign="it was served"))
    assert (bare.target, bare.outcome, matrix.words(bare)) == ("naive", Kind.SUCCEEDED, "ATTACK SUCCEEDED 1/1")
    assert (twin_of_it.target, twin_of_it.configured) == ("guarded", None)
    assert matrix.words(twin_of_it) == "prevented by rate (1/2 before there is a request)"
    assert all(one["title"] for one in twin_of_it.evidence["variants"])
    others = (msgspec.structs.replace(stopped, guard="rate, Root"), stopped)
    told = guarded.told(storms, msgspec.structs.replace(row, variants=(*others, *others)), naive, Played({}))
    assert told[1].control == "rate, Root"
    harmed = msgspec.structs.replace(row, outcome=Kind.SUCCEEDED)
    assert guarded.told(storms, harmed, naive, Played({}))[1].control is None


def test_every_reason_is_of_a_variant_whose_target_has_a_twin() -> None:
    known = {
        (cell.scenario.id, cell.example.id): {variant.id for variant in cell.example.variants}
        for cell in runner.cells(CATALOGUE)
        if cell.topology is not Topology.SERVE_COMMAND and twin(cell.example.target) is not None
    }
    assert {where: set(reasons) - known[where] for where, reasons in UNSTOPPED.items()} == {
        where: set() for where in UNSTOPPED
    }

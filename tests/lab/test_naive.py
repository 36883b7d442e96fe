"""Positive control: on the bare target every variant does harm, its oracle sees it, and the benign twin works.

And the opposite: servers that are dead, mute or refuse everything are no defence, whatever stands in front of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import anyio
import msgspec
import pytest

from doorward.lab import runner
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.judgment import Played, verdict
from doorward.lab.report.model import Run
from doorward.lab.runner import Cell
from doorward.lab.scenario import Era, Exclusion, Harm, Kind, Protection, Scenario, Target, Topology
from doorward.lab.stage import Layout, Stage, Staging, raised
from doorward.lab.targets import published
from doorward.lab.targets.published import Installed

CELLS = runner.cells(CATALOGUE)
PLAYED = [
    cell
    for cell in CELLS
    if cell.era in cell.example.target.eras
    and cell.topology is not Topology.SERVE_COMMAND  # its bare target is that of wrap
    and (cell.topology is Topology.WRAP or cell.example.target.over_http)
]


def name(cell: Cell) -> str:
    return f"{cell.topology.name.lower()}-{cell.scenario.id}-{cell.example.id}-{cell.era.name.lower()}"


def below(pid: int) -> set[int]:
    """All processes that descend from ``pid``, as the kernel has them."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended while we looked
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
    found, fresh = set[int](), {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def played_bare(cell: Cell, target: Target | None = None) -> Played:
    example = msgspec.structs.replace(cell.example, target=target) if target else cell.example
    staging = Staging(cell.era, Protection.NAIVE, seed=7, topology=cell.topology)
    return anyio.run(runner.play, cell.scenario, example, staging)


@pytest.fixture(autouse=True)
def no_process_or_folder_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test gets its own place for stages, and leaves nothing of them behind."""
    stages = Path("/tmp", f"lab-{os.getpid()}-{tmp_path.parent.name[-8:]}")  # short, for sockets
    stages.mkdir(mode=0o711, exist_ok=True)  # a second user passes through
    monkeypatch.setattr("tempfile.tempdir", str(stages))
    before = below(os.getpid())
    yield
    after = below(os.getpid())
    left = list(stages.iterdir())
    stages.rmdir()
    assert (after - before, left) == (set(), [])


@pytest.mark.parametrize("cell", PLAYED, ids=name)
def test_every_variant_does_harm_on_the_bare_target_and_the_benign_twin_works(
    cell: Cell, peers: Callable[[str], Installed]
) -> None:
    if cell.example.id in published.names():
        peers(cell.example.id)  # says what to do when it is not installed
    played = played_bare(cell)
    assert played.unreached == ""
    assert {id: seen.harm is not None for id, seen in played.seen.items()} == {
        v.id: True for v in cell.example.variants_of(cell.topology)
    }
    assert played.broken == ""
    assert played.benign


@pytest.mark.parametrize("scenario", CATALOGUE, ids=lambda s: s.id)
def test_the_oracle_is_silent_where_nobody_attacked(scenario: Scenario) -> None:
    example = scenario.examples[-1]

    async def honest_day() -> list[Harm | None]:
        async with raised(scenario, example, Staging(Era.LEGACY, Protection.NAIVE, seed=7)) as stage:
            assert stage.unreached == ""
            mark = stage.mark()
            await scenario.honest_use(stage)
            return [scenario.harmed(stage, variant, stage.since(mark)) for variant in example.variants]

    assert set(anyio.run(honest_day)) == {None}


DEAD = "raise SystemExit"
REPLY = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    answer = {answer}
    if asked["method"] == "initialize":
        answer = {{"result": {{"protocolVersion": "2025-11-25", "capabilities": {{"tools": {{}}}},
                              "serverInfo": {{"name": "s", "version": ""}}}}}}
    elif asked["method"] == "tools/list" and {lists}:
        answer = {{"result": {{"tools": [], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}}}}
    print(json.dumps({{"jsonrpc": "2.0", "id": asked["id"], **answer}}), flush=True)
"""
REFUSAL = '{"error": {"code": -31001, "message": "refused by the gateway", "data": {"reference": "R1"}}}'
SENTINELS = {
    "dead": DEAD,
    "refuses everything": REPLY.format(answer=REFUSAL, lists=False),
    "refuses all but lists": REPLY.format(answer=REFUSAL, lists=True),
    "answers nothing": REPLY.format(answer='{"result": {}}', lists=False),
    "answers nothing but lists": REPLY.format(answer='{"result": {}}', lists=True),
}


def sentinel(target: Target, program: str) -> Target:
    return msgspec.structs.replace(target, command=lambda _: (sys.executable, "-I", "-S", "-c", program))


@pytest.mark.parametrize("kind", SENTINELS)
@pytest.mark.parametrize("scenario", CATALOGUE, ids=lambda s: s.id)
def test_a_server_that_serves_nobody_is_never_a_defence(scenario: Scenario, kind: str) -> None:
    example = scenario.examples[-1]
    era = Era.LEGACY if kind != "refuses everything" else Era.MODERN
    played = played_bare(Cell(scenario, example, era), sentinel(example.target, SENTINELS[kind]))
    assert played.unreached or played.broken
    for protection in Protection:
        found = verdict(protection, played, scenario.controls, ablated={"confine-files": played})
        assert found.outcome in (Kind.OBSTRUCTED, Kind.INCONCLUSIVE)


PERMISSIVE = """
import json, sys
TOOLS = [{{"name": name, "inputSchema": {{"type": "object"}}}} for name in {tools!r}]
YES = [{{"type": "text", "text": "done, as you wish"}}]
FOR_ALL = {{"content": YES, "contents": [], "resources": [], "prompts": []}}
SELF = {{"name": "s", "version": ""}}
ABLE = {{"tools": {{}}, "resources": {{}}, "logging": {{}}}}
ANSWERS = {{
    "initialize": {{"protocolVersion": "2025-11-25", "capabilities": ABLE, "serverInfo": SELF}},
    "tools/list": {{"tools": TOOLS}},
}}
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked and "method" in asked:
        answer = ANSWERS.get(asked["method"], FOR_ALL)
        print(json.dumps({{"jsonrpc": "2.0", "id": asked["id"], "result": answer}}), flush=True)
"""


@pytest.mark.parametrize("scenario", CATALOGUE, ids=lambda s: s.id)
def test_a_server_that_says_yes_to_everything_and_does_nothing_is_never_called_protected(scenario: Scenario) -> None:
    example = scenario.examples[-1]
    target = sentinel(example.target, PERMISSIVE.format(tools=example.target.tools))
    cell = Cell(scenario, msgspec.structs.replace(example, target=target), Era.LEGACY)
    for run in rows(cell):
        assert run.outcome in (Kind.OBSTRUCTED, Kind.INCONCLUSIVE), run
        assert run.control is None


def test_the_planted_values_follow_from_the_seed_and_differ_between_stages() -> None:
    scenario, staging = CATALOGUE[0], Staging(Era.LEGACY, Protection.NAIVE, seed=7)

    def planted(staging: Staging) -> tuple[str, str, str]:
        stage = Stage(Layout(Path("/nowhere")), staging, scenario.examples[0])
        return stage.canary, stage.greeting, stage.credential

    others = [msgspec.structs.replace(staging, seed=8), msgspec.structs.replace(staging, era=Era.MODERN)]
    assert planted(staging) == planted(staging)
    assert len({planted(one) for one in (staging, *others)}) == 3


class Silence:
    def started(self, cell: Cell, protection: Protection) -> None: ...

    def finished(self, cell: Cell, run: Run) -> None: ...


def rows(*cells: Cell) -> list[Run]:
    async def play() -> list[Run]:
        return await runner.play_all(cells, Silence(), seed=7)

    return anyio.run(play)


def test_a_target_is_not_played_in_an_era_that_it_does_not_speak() -> None:
    unspoken = [c for c in CELLS if c.topology is Topology.WRAP and c.era not in c.example.target.eras]
    assert unspoken
    for cell in unspoken:
        found = rows(cell)
        assert {(run.outcome, run.reason) for run in found} == {(Kind.EXCLUDED, Exclusion.ERA_NOT_SPOKEN)}
        assert [run.configured for run in found] == [None, False, True]


def test_a_target_without_http_is_not_played_behind_a_url() -> None:
    found = rows(
        next(
            c
            for c in CELLS
            if c.topology is Topology.SERVE_URL and c.era in c.example.target.eras and not c.example.target.over_http
        )
    )
    assert {(run.outcome, run.reason) for run in found} == {(Kind.EXCLUDED, Exclusion.TRANSPORT_NOT_SPOKEN)}


def test_a_machine_that_cannot_hold_the_stage_leaves_it_inconclusive_and_says_why() -> None:
    cell = next(cell for cell in PLAYED if cell.scenario.id == "privileged-tool")
    target = msgspec.structs.replace(cell.example.target, equipped=lambda _: nullcontext("it is mounted nosuid"))
    found = rows(msgspec.structs.replace(cell, example=msgspec.structs.replace(cell.example, target=target)))
    assert {run.outcome for run in found} == {Kind.INCONCLUSIVE}
    assert {run.evidence["note"] for run in found} == {"not reached: it is mounted nosuid"}


def test_a_published_target_that_is_not_installed_is_excluded_and_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOORWARD_TARGETS", str(tmp_path))
    cell = next(cell for cell in PLAYED if cell.example.id.startswith("server-"))
    found = rows(cell)
    assert {(run.outcome, run.reason) for run in found} == {(Kind.EXCLUDED, Exclusion.REGISTRY_UNREACHABLE)}
    assert "not installed" in found[0].evidence["note"]
    assert list(tmp_path.iterdir()) == []

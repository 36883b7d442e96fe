"""Servers that are dead, mute, refuse everything or say yes to everything: no defence, whatever stands before them."""

from __future__ import annotations

import sys

import msgspec
import pytest
from tests.lab.test_naive import played_bare, rows

from doorward.lab.catalogue import CATALOGUE
from doorward.lab.judgment import verdict
from doorward.lab.runner import Cell
from doorward.lab.scenario import Era, Example, Kind, Protection, Scenario, Target, Topology
from doorward.lab.scenarios import log_leakage, request_flooding

pytestmark = pytest.mark.usefixtures("no_process_or_folder_is_left")

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


def one_variant(scenario: Scenario) -> Example:
    """Its last example with one variant: whoever serves nobody serves nobody in the others either."""
    example = scenario.examples[-1]
    return msgspec.structs.replace(example, variants=example.variants_of(Topology.WRAP)[:1])


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the lab waits for does not come."""
    monkeypatch.setattr(request_flooding, "CALM_LIMIT_SECONDS", 0.5)
    monkeypatch.setattr(log_leakage, "COUNT_LIMIT_SECONDS", 0.5)


@pytest.mark.parametrize("kind", SENTINELS)
@pytest.mark.parametrize("scenario", CATALOGUE, ids=lambda s: s.id)
def test_a_server_that_serves_nobody_is_never_a_defence(scenario: Scenario, kind: str) -> None:
    example = one_variant(scenario)
    era = Era.LEGACY if kind != "refuses everything" else Era.MODERN
    played = played_bare(Cell(scenario, example, era), sentinel(example.target, SENTINELS[kind]))
    assert played.unreached or played.broken
    for protection in Protection:
        found = verdict(protection, played, scenario.controls, ablated={"confine-files": played})
        assert found.outcome in (Kind.OBSTRUCTED, Kind.INCONCLUSIVE)


def test_a_server_at_a_url_that_never_listens_is_not_reached_and_ends_nothing_else() -> None:
    scenario = CATALOGUE[0]
    example = one_variant(scenario)
    cell = Cell(scenario, example, Era.LEGACY, Topology.SERVE_URL)
    assert "it ended" in played_bare(cell, sentinel(example.target, DEAD)).unreached


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
    example = one_variant(scenario)
    target = sentinel(example.target, PERMISSIVE.format(tools=example.target.tools))
    cell = Cell(scenario, msgspec.structs.replace(example, target=target), Era.LEGACY)
    for run in rows(cell):
        # Of a dispute nobody can show that the deed was done, since it was not: that is the harm.
        assert run.outcome in (Kind.OBSTRUCTED, Kind.INCONCLUSIVE, Kind.SUCCEEDED), run
        assert run.control is None

"""A tool that could not be called anyway is not shown; everything else of the list is, and all of it is known."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.relay.dialogue import MASKER, READ, Dialogue, Era, Tree, Turn, eras, greet, ready

from doorward.relay import pipeline

REMOTE: Tree = {"name": "remote", "inputSchema": {"$ref": "http://127.0.0.1:1/schema.json"}}
BROKEN: Tree = {"name": "broken", "inputSchema": {"properties": {"a": {"pattern": "("}}}}
ENDLESS: Tree = {"name": "endless", "inputSchema": {"$ref": "#"}}
ANSWERS: Tree = {"name": "answers", "inputSchema": {"type": "object"}, "outputSchema": {"type": "no such type"}}
NO_SCHEMA: Tree = {"name": "no-schema", "inputSchema": "none"}
KEY_IN_HEADER: Tree = {
    "name": "key",
    "inputSchema": {"type": "object", "properties": {"api_key": {"type": "string", "x-mcp-header": "Region"}}},
}
IN_A_SECRET_HEADER: Tree = {
    "name": "named",
    "inputSchema": {"type": "object", "properties": {"value": {"type": "string", "x-mcp-header": "Auth-Token"}}},
}
MISPLACED: Tree = {
    "name": "misplaced",
    "inputSchema": {"type": "object", "anyOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}]},
}
NAMELESS: Tree = {"inputSchema": {"type": "object"}}
BAD = (REMOTE, BROKEN, ENDLESS, ANSWERS, NO_SCHEMA, NAMELESS, KEY_IN_HEADER, IN_A_SECRET_HEADER, MISPLACED)


def listing(era: Era, *tools: Tree, id: object = "list", talk: Dialogue | None = None) -> tuple[Dialogue, Turn]:
    talk = talk or greet(Dialogue(era))
    talk.client(talk.request(id, "tools/list"))
    return talk, talk.server(talk.result(id, tools=list(tools)))


def told(turn: Turn) -> list[str]:
    return [f.evidence for f in turn.record.entry.findings if f.control == "usable-definitions"]


@eras()
@pytest.mark.parametrize("tool", BAD, ids=lambda tool: str(tool.get("name")))
def test_a_tool_whose_schema_cannot_be_used_is_not_shown_and_the_rest_is(era: Era, tool: Tree) -> None:
    _, turn = listing(era, READ, tool, {**READ, "name": "other"})
    result = turn.only("client")["result"]
    assert result["tools"] == [READ, {**READ, "name": "other"}]
    (why,) = told(turn)
    assert why.startswith(f"{tool.get('name')}: ")
    assert turn.record.entry.decision == "ALLOW"


@eras()
def test_a_shortened_list_is_for_this_client_alone_and_a_whole_one_stays_as_it_is(era: Era) -> None:
    talk, turn = listing(era, READ, REMOTE)
    assert turn.only("client")["result"].get("cacheScope") == ("private" if era == "modern" else None)
    talk.client(talk.request("again", "tools/list"))
    whole = talk.server(talk.result("again", tools=[READ], cacheScope="public"))
    assert whole.only("client")["result"]["cacheScope"] == "public"
    assert told(whole) == []


@eras()
def test_the_reason_is_told_once(era: Era) -> None:
    talk, first = listing(era, READ, REMOTE)
    _, again = listing(era, READ, REMOTE, id="again", talk=talk)
    _, changed = listing(era, READ, REMOTE, BROKEN, id="changed", talk=talk)
    assert (len(told(first)), told(again)) == (1, [])
    assert [why.partition(":")[0] for why in told(changed)] == ["broken"]
    assert again.only("client")["result"]["tools"] == [READ]


@eras()
def test_what_is_not_shown_is_known_and_its_call_is_refused_with_the_reason(era: Era) -> None:
    talk, _ = listing(era, READ, REMOTE, ANSWERS)
    assert talk.relay.state.definitions.tools.keys() == {"read", "remote", "answers"}
    turn = talk.client(talk.call(1, "remote"))
    assert turn.told("server") == []
    (finding,) = turn.record.entry.findings
    assert (finding.control, "cannot be used" in finding.reason) == ("definition-arguments", True)
    assert talk.client(talk.call(2)).told("server")


@eras()
def test_a_tool_whose_results_could_not_be_judged_is_not_called(era: Era) -> None:
    talk, _ = listing(era, ANSWERS)
    assert talk.client(talk.call(1, "answers", {})).told("server") == []


@eras()
def test_what_the_gateway_lists_for_itself_is_told_as_well(era: Era) -> None:
    talk = greet(Dialogue(era))
    ours = talk.client(talk.call(1)).only("server")
    turn = talk.server(talk.result(ours["id"], tools=[READ, REMOTE]))
    assert any(f.control == "usable-definitions" for r in turn.written for f in r.entry.findings)
    assert turn.only("server")["id"] == 1


@eras()
def test_a_list_of_many_such_tools_does_not_become_many_findings(era: Era) -> None:
    many = [{**REMOTE, "name": f"t{n}"} for n in range(5_000)]
    talk, turn = listing(era, READ, *many)
    assert turn.only("client")["result"]["tools"] == [READ]
    found = turn.record.entry.findings
    assert len(found) == 21
    assert found[-1].reason.endswith("and 4980 more of this list")
    assert len(talk.relay.state.removed) <= 1024


def test_what_is_beyond_the_budget_of_a_page_is_shown_and_judged_when_it_is_called() -> None:
    many = [{"name": f"t{n}", "inputSchema": {"properties": {f"p{n}": {"type": "string"}}}} for n in range(5_000)]
    bad = {"name": "bad", "inputSchema": {"$ref": "#/nowhere"}}
    talk, turn = listing("legacy", *many, bad)
    assert turn.only("client")["result"]["tools"] == [*many, bad]
    assert not talk.client(talk.call(1, "bad", {})).told("server")
    assert talk.client(talk.call(2, "t4999", {"p4999": "x"})).told("server")
    _, again = listing("legacy", bad, id="again", talk=talk)
    assert again.only("client")["result"]["tools"] == []


@eras()
def test_a_filter_that_crashes_refuses_the_list(era: Era) -> None:
    def crash(_listed: Any, _context: Any) -> dict[int, Any]:
        raise RuntimeError("no")

    pipe = msgspec.structs.replace(pipeline.build(MASKER), filters=(crash,))
    _, turn = listing(era, READ, talk=greet(Dialogue(era, pipe=pipe)))
    assert turn.only("client")["error"]["code"] == -31001
    assert turn.record.entry.findings[0].control == "crash"


@eras()
def test_other_lists_pass_as_they_are(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.request("prompts", "prompts/list"))
    prompts = [{"name": "p", "arguments": []}, {"name": "q"}]
    assert talk.server(talk.result("prompts", prompts=prompts)).only("client")["result"]["prompts"] == prompts


def test_what_takes_long_to_find_unusable_counts_against_the_budget_of_a_page() -> None:
    wide = {f"p{n}": {"type": "string"} for n in range(300)}
    turning = {
        "a": {"properties": {**wide, "b": {"$ref": "#/$defs/b"}}},
        "b": {"properties": {**wide, "c": {"$ref": "#/$defs/c"}}},
        "c": {"properties": {"a": {"$ref": "#/$defs/a"}}},
    }
    wider = {"a": {"properties": {**{f"q{n}": {} for n in range(900)}, **turning["a"]["properties"]}}}
    dear = [
        {"name": f"t{n}", "inputSchema": {"title": str(n), "$defs": {**turning, **wider}, "$ref": "#/$defs/a"}}
        for n in range(30)
    ]
    _, turn = listing("legacy", *dear)
    shown = turn.only("client")["result"]["tools"]
    assert 0 < len(shown) < 30, "some are found unusable, and then no more is spent on that page"
    assert all("at each depth" in why for why in told(turn))

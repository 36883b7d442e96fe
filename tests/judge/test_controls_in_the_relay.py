"""Each control of the relay, seen to hold at its bound and to let pass what is within it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.relay.dialogue import (
    MASKER,
    READ,
    Dialogue,
    Era,
    Tree,
    eras,
    failure,
    greet,
    initialize,
    initialized,
    notification,
    only_legacy,
    ready,
    with_tool,
)

from doorward.content.arguments import Constraint
from doorward.controls import CONTROLS
from doorward.judge.vocabulary import FileSize
from doorward.policy.load import load
from doorward.policy.model import Policy, ToolPolicy, sealed
from doorward.policy.profiles import values
from doorward.relay import pipeline

STANDARD = load(None)
STRICT = sealed(Policy("strict", values("strict")))
SIZES = STANDARD.values.sizes


def small(**sizes: int) -> Policy:
    """The standard policy with other sizes."""
    changed = msgspec.structs.replace(STANDARD.values, sizes=msgspec.structs.replace(SIZES, **sizes))
    return sealed(msgspec.structs.replace(STANDARD, values=changed))


def denied_by(turn: Any) -> set[str]:
    return {f.control for r in turn.written for f in r.entry.findings if f.effect == "DENY"}


# -- part-limits -------------------------------------------------------------------------------------------------------


@eras()
@pytest.mark.parametrize("text", ["i", "é"])
def test_an_id_may_be_as_long_as_the_limit_in_bytes_and_no_longer(era: Era, text: str) -> None:
    talk = ready(era)
    exact = text * ((SIZES.id_bytes - 2) // len(text.encode()))  # as JSON text, with its quotes
    assert talk.client(talk.call(exact)).told("server")
    turn = talk.client(talk.call(exact + text))
    assert turn.only("client")["error"]["code"] == -32602
    assert denied_by(turn) == {"part-limits"}


@eras()
@pytest.mark.parametrize("text", ["u", "é"])
def test_a_uri_may_be_as_long_as_the_limit_in_bytes_and_no_longer(era: Era, text: str) -> None:
    talk = ready(era)
    exact = "x:" + text * ((SIZES.uri_bytes - 2) // len(text.encode()))
    talk.shows(exact)
    assert talk.client(talk.request(1, "resources/read", {"uri": exact})).told("server")
    turn = talk.client(talk.request(2, "resources/read", {"uri": exact + text}))
    assert (turn.told("server"), denied_by(turn)) == ([], {"part-limits"})


@eras()
@pytest.mark.parametrize("nest", [lambda text: text, lambda text: {"a": [{"b": text}]}, lambda text: {text: 1}])
def test_a_string_among_arguments_may_be_as_long_as_the_limit_and_no_longer(era: Era, nest: Any) -> None:
    loose = {"name": "loose", "inputSchema": {"type": "object"}}
    talk = ready(era, tools=[loose], policy=small(string_argument_bytes=1000))
    assert talk.client(talk.call(1, "loose", {"v": nest("x" * 1000)})).told("server")
    turn = talk.client(talk.call(2, "loose", {"v": nest("x" * 1001)}))
    assert (turn.told("server"), denied_by(turn)) == ([], {"part-limits"})


@eras()
def test_values_outside_lists_are_bounded_tighter_than_in_them(era: Era) -> None:
    talk = ready(era, policy=small(nodes=100))
    many = [READ, *({"name": f"t{n}", "inputSchema": {}} for n in range(100))]
    talk.client(talk.request(1, "tools/list"))
    assert "result" in talk.server(talk.result(1, tools=many)).only("client")
    talk.client(talk.call(2))
    turn = talk.server(talk.result(2, content=[1] * 25_000))
    assert turn.only("client")["error"]["code"] in (-31001, -32602)
    assert denied_by(turn) == {"part-limits"}


@only_legacy
def test_peer_information_is_bounded_both_ways(era: Era) -> None:
    talk = Dialogue(era)
    message = initialize()
    message["params"]["clientInfo"] = {"name": "n" * SIZES.info_bytes, "version": "1"}
    assert talk.client(message).only("client")["error"]["code"] == -32602
    talk.client(initialize())
    answer = initialized()
    answer["result"]["serverInfo"] = {"name": "n" * SIZES.info_bytes, "version": "1"}
    turn = talk.server(answer)
    assert "error" in turn.only("client")
    assert denied_by(turn) == {"part-limits"}


# -- definition-arguments ----------------------------------------------------------------------------------------------


def calling(schema: Tree, arguments: Tree, policy: Policy = STANDARD, era: Era = "legacy") -> tuple[Any, bool]:
    talk = ready(era, tools=[{"name": "t", "inputSchema": schema}], policy=policy, attached=False)
    turn = talk.client(talk.call(1, "t", arguments))
    return turn, bool(turn.told("server"))


DRAFT_07 = "http://json-schema.org/draft-07/schema#"
OBJECT: Tree = {"type": "object"}
NAMED: Tree = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("schema", "arguments", "passes"),
    [
        (NAMED, {"a": "x"}, True),
        (NAMED, {"a": "xxxx"}, False),
        (NAMED, {}, False),
        (NAMED, {"a": 1}, False),
        (NAMED, {"a": "x", "b": 1}, False),
        ({**NAMED, "additionalProperties": True}, {"a": "x", "b": 1}, True),
        ({**NAMED, "additionalProperties": {"type": "integer"}}, {"a": "x", "b": "y"}, False),
        (OBJECT, {"anything": 1}, True),
        ({"allOf": [NAMED], "properties": {"b": {}}}, {"a": "x", "b": 1}, True),
        ({"allOf": [NAMED], "properties": {"b": {}}}, {"a": "x", "c": 1}, False),
        ({"$schema": DRAFT_07, **NAMED}, {"a": "x", "b": 1}, False),
        ({"$schema": DRAFT_07, **NAMED}, {"a": "x"}, True),
        ({"$schema": DRAFT_07, "allOf": [NAMED], "properties": {"b": {}}}, {"a": "x", "b": 1}, True),
        ({"$schema": DRAFT_07, "allOf": [NAMED], "properties": {"b": {}}}, {"a": "x", "c": 1}, False),
        ({"properties": {"a": {"enum": [1]}}}, {"a": True}, False),
        ({"properties": {"a": {"enum": [1]}}}, {"a": 1}, True),
    ],
)
def test_arguments_fit_the_schema_that_the_server_listed(schema: Tree, arguments: Tree, *, passes: bool) -> None:
    turn, passed = calling(schema, arguments)
    assert passed is passes
    assert denied_by(turn) == (set() if passes else {"definition-arguments"})


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:1/schema.json"},
        {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
        {"type": "no such type"},
        {"properties": {"a": {"pattern": "("}}},
    ],
)
def test_a_schema_that_cannot_be_used_or_reaches_outside_refuses_every_call(schema: Tree) -> None:
    turn, passed = calling(schema, {})
    assert not passed
    assert denied_by(turn) == {"definition-arguments"}


def test_a_schema_is_never_fetched_even_where_it_could_be(tmp_path: Path) -> None:
    free = tmp_path / "free.json"
    free.write_text("{}")
    turn, passed = calling({"$ref": free.as_uri()}, {})
    assert not passed
    assert denied_by(turn) == {"definition-arguments"}


def test_under_strict_an_undeclared_argument_is_refused_even_where_the_schema_is_silent_or_says_yes() -> None:
    free = {"type": "object", "additionalProperties": True, "properties": {"a": {}}}
    for schema in (OBJECT, free):
        assert "definition-arguments" not in denied_by(calling(schema, {}, STRICT)[0])
        assert "definition-arguments" in denied_by(calling(schema, {"b": 1}, STRICT)[0])


# -- consent for tools -------------------------------------------------------------------------------------------------


def asks_for(talk: Dialogue, tool: str = "read") -> bool:
    talk.attached = True
    return bool(talk.client(talk.call("q", tool)).tickets)


@eras()
def test_only_a_tool_that_says_it_destroys_asks_by_itself(era: Era) -> None:
    assert asks_for(ready(era), "wipe")
    assert not asks_for(ready(era), "read")


@eras()
def test_policy_can_ask_for_any_tool_and_lift_only_what_the_profile_asks(era: Era) -> None:
    assert asks_for(ready(era, policy=with_tool(STANDARD, "read", ToolPolicy(ask=True))))
    assert asks_for(ready(era, policy=with_tool(STANDARD, "wipe", ToolPolicy(ask=False))), "wipe")
    assert asks_for(ready(era, policy=STRICT))
    assert not asks_for(ready(era, policy=with_tool(STRICT, "read", ToolPolicy(ask=False))))


@eras()
def test_a_servers_word_that_a_tool_only_reads_excuses_nothing(era: Era) -> None:
    kind = {**READ, "annotations": {"readOnlyHint": True}}
    assert asks_for(ready(era, tools=[kind], policy=STRICT))


@eras()
def test_a_prototype_among_the_arguments_is_refused_where_everything_else_is_open(era: Era) -> None:
    talk = ready(era, tools=[{"name": "read", "inputSchema": {"type": "object"}}])
    assert talk.client(talk.call(1, arguments={"a": '{"__proto__": 1}', "proto": {"constructor": 1}})).told("server")
    turn = talk.client(talk.call(2, arguments={"a": [{"b": {"__proto__": {"isAdmin": True}}}]}))
    assert (turn.told("server"), denied_by(turn)) == ([], {"definition-arguments"})


# -- argument-constraints, path-confinement, masked-arguments ----------------------------------------------------------


@eras()
def test_a_constraint_of_the_operator_holds(era: Era) -> None:
    policy = with_tool(STANDARD, "read", ToolPolicy(arguments={"text": (Constraint("no_leading_dash"),)}))
    talk = ready(era, policy=policy)
    assert talk.client(talk.call(1, arguments={"text": "main"})).told("server")
    turn = talk.client(talk.call(2, arguments={"text": "--upload-pack=x"}))
    assert (turn.told("server"), denied_by(turn)) == ([], {"argument-constraints"})


@eras()
@pytest.mark.parametrize("constraint", [Constraint("enum", (1, 2)), Constraint("maximum", 9), Constraint("integer")])
def test_an_object_without_members_is_none_of_the_values_that_the_operator_wants(
    era: Era, constraint: Constraint
) -> None:
    loose = {"name": "read", "inputSchema": {"properties": {"text": {}}}}
    policy = with_tool(STANDARD, "read", ToolPolicy(arguments={"text": (constraint,)}))
    talk = ready(era, tools=[loose], policy=policy)
    assert talk.client(talk.call(1, arguments={"text": 1})).told("server")
    for number, wrong in enumerate(({}, [1, {}], {"text": 1})):
        turn = talk.client(talk.call(f"wrong {number}", arguments={"text": wrong}))
        assert (turn.told("server"), denied_by(turn)) == ([], {"argument-constraints"})


@eras()
def test_as_much_sql_is_parsed_for_one_message_as_one_text_may_have(era: Era) -> None:
    queries = {"name": "read", "inputSchema": {"properties": {"sql": {"type": "array", "items": {"type": "string"}}}}}
    policy = with_tool(STANDARD, "read", ToolPolicy(arguments={"sql": (Constraint("read_only_sql", "sqlite"),)}))
    talk = ready(era, tools=[queries], policy=policy)
    assert talk.client(talk.call(1, arguments={"sql": ["SELECT 1"] * 50})).told("server")
    assert talk.client(talk.call(2, arguments={"sql": ["SELECT " + "1," * 8_000 + "1"]})).told("server")
    for number, sql in enumerate((["SELECT 1"] * 5_000, ["SELECT " + "1," * 8_000 + "1"] * 60)):
        turn = talk.client(talk.call(f"many {number}", arguments={"sql": sql}))
        assert (turn.told("server"), denied_by(turn)) == ([], {"argument-constraints"})
        assert "more SQL" in str(turn.record.entry.findings)


@eras()
@pytest.mark.parametrize(("until", "observes"), [("2026-11-23", True), ("2026-11-20", False), ("", False)])
def test_while_the_operator_observes_what_may_soften_is_noted_and_passes(
    era: Era, until: str, *, observes: bool
) -> None:
    policy = with_tool(STANDARD, "read", ToolPolicy(arguments={"text": (Constraint("no_leading_dash"),)}))
    talk = ready(era, policy=msgspec.structs.replace(policy, observe_until=until))
    turn = talk.client(talk.call(2, arguments={"text": "--upload-pack=x"}))
    assert bool(turn.told("server")) is observes
    (finding,) = turn.record.entry.findings
    assert (finding.control, finding.effect) == ("argument-constraints", "NOTE" if observes else "DENY")


@eras()
def test_what_may_not_soften_refuses_while_the_operator_observes(era: Era) -> None:
    talk = ready(era, policy=msgspec.structs.replace(STANDARD, observe_until="2026-11-23"))
    turn = talk.client(talk.call(2, arguments={"text": 1}))
    assert (turn.told("server"), denied_by(turn)) == ([], {"definition-arguments"})


@eras()
@pytest.mark.parametrize(
    ("uri", "passes"),
    [
        ("file:///work/space/a.txt", True),
        ("file:///work/space/../../etc/passwd", False),
        ("file:///work/space-evil/a", False),
        ("file:///work/space/%2e%2e/%2e%2e/etc/passwd", False),
        ("file:///etc/passwd", False),
    ],
)
def test_a_file_that_is_read_lies_below_a_folder(era: Era, uri: str, *, passes: bool) -> None:
    talk = ready(era, folders=("/work/space",))
    turn = talk.client(talk.request(1, "resources/read", {"uri": uri}))
    assert bool(turn.told("server")) is passes
    assert denied_by(turn) == (set() if passes else {"path-confinement"})


@eras()
@pytest.mark.parametrize("name", ["path", "file", "source", "repo_path"])
def test_a_path_among_the_arguments_lies_below_a_folder(era: Era, name: str) -> None:
    tool = {"name": "open", "inputSchema": {"type": "object"}}
    talk = ready(era, folders=("/work/space",), tools=[tool])
    assert talk.client(talk.call(1, "open", {name: "notes/a.txt"})).told("server")
    for bad in ("../../etc/passwd", "/etc/passwd", "/work/space/../x"):
        turn = talk.client(talk.call(2, "open", {"options": [{name: bad}]}))
        assert (turn.told("server"), denied_by(turn)) == ([], {"path-confinement"}), bad


@eras()
def test_a_path_that_nobody_resolved_refuses(era: Era) -> None:
    from tests.relay.dialogue import LIMITS

    from doorward.relay.commands import Arrived
    from doorward.wire.jsonrpc import decode

    talk = ready(era, folders=("/work/space",))
    frame = decode(msgspec.json.encode(talk.request(1, "resources/read", {"uri": "file:///work/space/a"})), LIMITS)
    assert talk.relay.foresee(frame, "client")
    turn = talk.event(Arrived(frame, "client", 0, talk.facts()))
    assert (turn.told("server"), denied_by(turn)) == ([], {"path-confinement", "resource-size"})


@eras()
def test_a_link_out_of_the_folder_is_seen_where_it_leads(era: Era) -> None:
    from tests.relay.dialogue import LIMITS

    from doorward.relay.commands import Arrived
    from doorward.wire.jsonrpc import decode

    talk = ready(era, folders=("/work/space",))
    frame = decode(msgspec.json.encode(talk.request(1, "resources/read", {"uri": "file:///work/space/link"})), LIMITS)
    questions = talk.relay.foresee(frame, "client")
    answers = {asked: 0 if isinstance(asked, FileSize) else "/etc/passwd" for asked in questions}
    turn = talk.event(Arrived(frame, "client", 0, talk.facts(answers)))
    assert (turn.told("server"), denied_by(turn)) == ([], {"path-confinement"})


@eras()
@pytest.mark.parametrize("uri", ["file:///a/../b", "file:///a%2fb", "FILE:///a"])
def test_without_folders_a_file_uri_must_be_in_its_canonical_form(era: Era, uri: str) -> None:
    talk = ready(era)
    talk.shows("file:///a/b", uri)
    assert talk.client(talk.request(1, "resources/read", {"uri": "file:///a/b"})).told("server")
    turn = talk.client(talk.request(2, "resources/read", {"uri": uri}))
    assert (turn.told("server"), denied_by(turn)) == ([], {"path-confinement"})


@eras()
@pytest.mark.parametrize("place", [lambda mask: mask, lambda mask: f"token={mask};"])
def test_an_argument_that_carries_a_mask_is_refused(era: Era, place: Any) -> None:
    talk = ready(era)
    mask, _ = MASKER.mask_text("a-secret-that-doorward-holds")
    turn = talk.client(talk.call(1, arguments={"text": place(mask)}))
    assert (turn.told("server"), denied_by(turn)) == ([], {"masked-arguments"})
    talk.client(talk.request("prompts", "prompts/list"))
    talk.server(talk.result("prompts", prompts=[{"name": "p", "arguments": [{"name": "x"}]}]))
    turn = talk.client(talk.request(2, "prompts/get", {"name": "p", "arguments": {"x": place(mask)}}))
    assert (turn.told("server"), denied_by(turn)) == ([], {"masked-arguments"})


# -- masking and the floor ---------------------------------------------------------------------------------------------

TOKEN = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"


@eras()
@pytest.mark.parametrize("level", ["debug", "info", "warning", "emergency"])
@pytest.mark.parametrize("floor", ["info", "warning"])
def test_a_log_message_below_the_floor_does_not_reach_the_client(era: Era, level: str, floor: str) -> None:
    order = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]
    policy = sealed(msgspec.structs.replace(STANDARD, values=msgspec.structs.replace(STANDARD.values, log_floor=floor)))
    talk = ready(era, policy=policy)
    talk.client(talk.call(1))
    turn = talk.server(notification("notifications/message", level=level, data="x"))
    assert bool(turn.told("client")) is (order.index(level) >= order.index(floor))


@eras()
@pytest.mark.parametrize(
    "params", [{"level": "loud", "data": 1}, {"data": 1}, {"level": 5}, {"level": "info", "logger": 5}]
)
def test_a_log_message_that_is_none_is_refused(era: Era, params: Tree) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    turn = talk.server(notification("notifications/message", **params))
    assert (turn.silent, denied_by(turn)) == (True, {"recognised"})


@eras()
def test_a_credential_in_a_result_is_masked_before_the_client_sees_it(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    turn = talk.server(
        talk.result(1, content=[{"type": "text", "text": f"use {TOKEN}"}], structuredContent={"k": TOKEN})
    )
    assert TOKEN not in str(turn.only("client"))
    assert "masked:" in turn.only("client")["result"]["content"][0]["text"]
    (note,) = turn.record.entry.findings
    assert (note.control, note.effect) == ("result-masking", "NOTE")


@eras()
def test_a_credential_in_an_error_is_masked_too(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    told = talk.server(failure(1, -32000, f"bad token {TOKEN}", token=TOKEN)).only("client")
    assert TOKEN not in str(told)
    assert told["error"]["code"] == -32000


@eras()
def test_a_record_under_an_innocent_name_in_a_result_stays_whole(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    content = {"token": "next", "password": "required"}
    told = talk.server(talk.result(1, content=[], structuredContent=content)).only("client")
    assert told["result"]["structuredContent"] == content


@eras()
def test_binary_content_and_protocol_members_stay_as_they_are(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.request(1, "prompts/list"))
    told = talk.server(talk.result(1, prompts=[], nextCursor=TOKEN)).only("client")
    assert told["result"]["nextCursor"] == TOKEN
    talk.client(talk.call(2))
    key = "AKIA" + "Q3T7" * 4  # base64 as well
    assert MASKER.mask_text(key)[1]
    image = {"type": "image", "data": key, "mimeType": "image/png"}
    assert talk.server(talk.result(2, content=[image])).only("client")["result"]["content"] == [image]


# -- the table and the pipeline ----------------------------------------------------------------------------------------


def test_every_control_of_the_relay_stands_in_the_table_and_the_other_way_round() -> None:
    whole = pipeline.build(MASKER)
    armed = {
        kind: {getattr(control, "__module__", type(control).__module__) for control in getattr(whole, f"{kind}s")}
        for kind in ("gate", "rewrite", "filter", "check")
    }
    for kind, modules in armed.items():
        assert modules == {control.module for control in CONTROLS.values() if control.mechanism == kind}, kind


def test_every_control_that_can_find_something_has_the_name_of_the_table() -> None:
    import re

    named = set()
    room = Path(__file__).parents[2] / "src" / "doorward" / "judge"
    for module in (
        module for kind in ("gates", "rewrites", "filters", "checks") for module in room.glob(f"{kind}/*.py")
    ):
        named |= set(
            re.findall(
                r'^(?:CONTROL|UNDECLARED): Final = "([a-z-]+)"', module.read_text(encoding="utf-8"), re.MULTILINE
            )
        )
    relayed = {c.id for c in CONTROLS.values() if c.mechanism in ("gate", "rewrite", "filter", "check")}
    assert named == relayed


@eras()
def test_the_worst_finding_decides_and_notes_decide_nothing(era: Era) -> None:
    from doorward.judge.vocabulary import Effect, Finding, decide

    def found(*effects: Effect) -> str:
        return decide(tuple(Finding("c", effect, "r") for effect in effects), "p").word

    assert found() == found(Effect.NOTE, Effect.NOTE) == "ALLOW"
    assert found(Effect.ASK, Effect.NOTE, Effect.ASK) == "ASK"
    assert found(Effect.ASK, Effect.ASK, Effect.DENY, Effect.NOTE) == "DENY"
    talk = greet(Dialogue(era))
    assert talk.archive[-1].entry.decision == "ALLOW"

"""What a message carries as content is bounded item by item before anybody decodes it, and base64 is base64."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.judge.test_controls_in_the_relay import SIZES, STANDARD, denied_by, small
from tests.relay.dialogue import Dialogue, Era, Tree, Turn, asks, eras, only_legacy, ready, requires

from doorward.policy.amounts import PartSizes
from doorward.policy.load import load
from doorward.policy.model import Policy, ServerPolicy, ToolPolicy, sealed
from doorward.policy.profiles import PROFILES, values

LIMIT = 999
CONTROL = "content-limits"
PLAIN = {"name": "plain", "inputSchema": {"type": "object"}}
OTHER = {"name": "other", "inputSchema": {"type": "object"}}


def encoded(size: int) -> str:
    return base64.b64encode(b"x" * size).decode()


def of_tool(item: Tree) -> tuple[str, Tree, Tree]:
    return "tools/call", {"name": "plain", "arguments": {}}, {"content": [{"type": "text", "text": "first"}, item]}


def of_prompt(item: Tree) -> tuple[str, Tree, Tree]:
    return "prompts/get", {"name": "p"}, {"messages": [{"role": "user", "content": item}]}


def image(size: int) -> Tree:
    return {"type": "image", "mimeType": "image/png", "data": encoded(size)}


def audio(size: int) -> Tree:
    return {"type": "audio", "mimeType": "audio/wav", "data": encoded(size)}


def text(size: int) -> Tree:
    return {"type": "text", "text": "x" * size}


def blob(size: int) -> Tree:
    return {"type": "resource", "resource": {"uri": "x:y", "blob": encoded(size)}}


def embedded(size: int) -> Tree:
    return {"type": "resource", "resource": {"uri": "x:y", "text": "x" * size}}


def ready_with(era: Era, policy: Policy) -> Dialogue:
    talk = ready(era, tools=[PLAIN, OTHER], policy=policy)
    talk.client(talk.request("prompts", "prompts/list"))
    talk.server(talk.result("prompts", prompts=[{"name": "p"}]))
    return talk


def answered(era: Era, method: str, params: Tree, result: Tree, policy: Policy | None = None) -> Turn:
    talk = ready_with(era, policy or small(content_bytes=LIMIT))
    if method == "resources/read":
        talk.shows("x:y")
    assert talk.client(talk.request(1, method, params)).told("server")
    return talk.server(talk.result(1, **result))


@eras()
@pytest.mark.parametrize("item", [image, audio, text, blob, embedded])
@pytest.mark.parametrize("place", [of_tool, of_prompt])
def test_an_item_may_be_as_large_as_the_limit_once_decoded_and_no_larger(
    era: Era, item: Callable[[int], Tree], place: Callable[[Tree], tuple[str, Tree, Tree]]
) -> None:
    method, params, result = place(item(LIMIT))
    assert answered(era, method, params, result).only("client")["result"].items() >= result.items()
    turn = answered(era, *place(item(LIMIT + 1)))
    assert denied_by(turn) == {CONTROL}
    assert "result" not in turn.only("client")


@eras()
@pytest.mark.parametrize(("name", "value"), [("text", "x" * (LIMIT + 1)), ("blob", encoded(LIMIT + 1)), ("blob", "%")])
def test_what_a_resource_holds_is_held_to_it(era: Era, name: str, value: str) -> None:
    turn = answered(era, "resources/read", {"uri": "x:y"}, {"contents": [{"uri": "x:y", name: value}]})
    assert denied_by(turn) == {CONTROL}
    fits: Tree = {"contents": [{"uri": "x:y", name: encoded(3)}] * 3}
    assert not denied_by(answered(era, "resources/read", {"uri": "x:y"}, fits))


@eras()
@pytest.mark.parametrize("data", ["abc", "a b=", "QR==", "Q_-Q", "QQ==\n", 7, None, ["QQ=="]])
def test_data_that_is_no_base64_is_refused_whatever_its_size(era: Era, data: Any) -> None:
    turn = answered(era, *of_tool({"type": "image", "mimeType": "image/png", "data": data}), policy=STANDARD)
    assert denied_by(turn) == {CONTROL}
    (finding,) = turn.record.entry.findings
    assert "/result/content/1/data" in finding.reason


@eras()
def test_many_items_that_fit_are_for_the_frame_to_bound(era: Era) -> None:
    result = {"content": [text(LIMIT), image(LIMIT)] * 5}
    assert not denied_by(answered(era, "tools/call", {"name": "plain", "arguments": {}}, result))


@eras()
def test_what_a_tool_calls_data_itself_is_its_own(era: Era) -> None:
    result = {"content": [], "structuredContent": {"type": "image", "data": "no base64", "blob": 1}}
    assert not denied_by(answered(era, "tools/call", {"name": "plain", "arguments": {}}, result))
    talk = ready_with(era, small(content_bytes=LIMIT))
    assert talk.client(talk.call(1, "plain", {"type": "image", "data": "no base64"})).told("server")


@only_legacy
@pytest.mark.parametrize("many", [False, True])
def test_what_a_client_answers_is_bounded_too(era: Era, many: bool) -> None:
    for size, passes in ((LIMIT, True), (LIMIT + 1, False)):
        talk = ready_with(era, small(content_bytes=LIMIT))
        talk.attached = True
        (ticket,) = asks(talk).tickets
        assert talk.person(ticket).told("client")
        content = [text(1), image(size)] if many else image(size)
        turn = talk.client(
            {"jsonrpc": "2.0", "id": "s1", "result": {"role": "assistant", "model": "m", "content": content}}
        )
        assert ("result" in turn.only("server")) is passes
        assert denied_by(turn) == (set() if passes else {CONTROL})


@only_legacy
def test_what_a_server_wants_completed_is_bounded(era: Era) -> None:
    talk = ready_with(era, small(content_bytes=LIMIT))
    talk.attached = True
    nested = {"type": "tool_result", "toolUseId": "1", "content": [image(LIMIT + 1)]}
    turn = asks(talk, params={"messages": [{"role": "user", "content": [nested]}], "maxTokens": 5})
    assert (turn.tickets, denied_by(turn)) == ([], {CONTROL})


def test_both_directions_of_a_modern_ask_are_bounded() -> None:
    talk = ready_with("modern", small(content_bytes=LIMIT))
    talk.attached = True
    talk.client(talk.call(1, "plain"))
    asked = requires(1, a="sampling/createMessage")
    asked["result"]["inputRequests"]["a"]["params"] = {"messages": [{"role": "user", "content": image(LIMIT + 1)}]}
    assert CONTROL in denied_by(talk.server(asked))

    talk.client(talk.call(2, "plain"))
    (ticket,) = talk.server(requires(2, a="sampling/createMessage")).tickets
    state = talk.person(ticket).only("client")["result"]["requestState"]
    answer = {"role": "assistant", "model": "m", "content": image(LIMIT + 1)}
    retry = talk.call(3, "plain")
    retry["params"] |= {"requestState": state, "inputResponses": {"a": answer}}
    turn = talk.client(retry)
    assert (turn.told("server"), denied_by(turn)) == ([], {CONTROL})


@only_legacy
def test_the_fields_of_a_form_are_no_content(era: Era) -> None:
    talk = ready_with(era, small(content_bytes=LIMIT))
    talk.attached = True
    (ticket,) = asks(talk, "elicitation/create", params={"message": "m", "requestedSchema": {"type": "object"}}).tickets
    talk.person(ticket)
    content = {"type": "image", "data": "no base64"}
    turn = talk.client({"jsonrpc": "2.0", "id": "s1", "result": {"action": "accept", "content": content}})
    assert turn.only("server")["result"]["content"] == content


# -- by server and by tool ---------------------------------------------------------------------------------------------


def policy(server: PartSizes, tool: PartSizes) -> Policy:
    said = ServerPolicy("notes", sizes=server, tools={"plain": ToolPolicy(sizes=tool)})
    return sealed(msgspec.structs.replace(STANDARD, servers={"notes": said}))


@eras()
@pytest.mark.parametrize("by_server", [False, True])
def test_a_policy_narrows_what_one_tool_or_all_of_a_server_may_return(
    era: Era,
    by_server: bool,
) -> None:
    narrow = PartSizes(content_bytes=LIMIT)
    said = policy(narrow, PartSizes()) if by_server else policy(PartSizes(), narrow)
    for tool, refused in (("plain", True), ("other", by_server)):
        turn = answered(era, "tools/call", {"name": tool, "arguments": {}}, {"content": [text(LIMIT + 1)]}, said)
        assert denied_by(turn) == ({CONTROL} if refused else set())


@eras()
def test_a_tool_has_its_own_sizes_where_its_server_says_others(era: Era) -> None:
    said = policy(PartSizes(content_bytes=9, result_bytes=5000), PartSizes(content_bytes=LIMIT))
    call = {"name": "plain", "arguments": {}}
    assert not denied_by(answered(era, "tools/call", call, {"content": [text(LIMIT)]}, said))
    assert denied_by(answered(era, "tools/call", call, {"content": [text(LIMIT + 1)]}, said)) == {CONTROL}
    assert denied_by(answered(era, "tools/call", call, {"content": [text(LIMIT)] * 6}, said)) == {"part-limits"}


@eras()
def test_a_whole_result_is_counted_as_json(era: Era) -> None:
    call, result = {"name": "plain", "arguments": {}}, {"content": [], "structuredContent": {"a": ["x" * 50] * 9}}
    size = len(msgspec.json.encode(result | ({"resultType": "complete"} if era == "modern" else {})))
    assert not denied_by(answered(era, "tools/call", call, result, policy(PartSizes(), PartSizes(result_bytes=size))))
    turn = answered(era, "tools/call", call, result, policy(PartSizes(), PartSizes(result_bytes=size - 1)))
    assert denied_by(turn) == {"part-limits"}


@eras()
def test_arguments_are_counted_together_and_each_text_by_itself(era: Era) -> None:
    arguments = {"a": "x" * 40, "b": ["y" * 40]}
    size = len(msgspec.json.encode(arguments))
    for said, passes in (
        (PartSizes(arguments_bytes=size), True),
        (PartSizes(arguments_bytes=size - 1), False),
        (PartSizes(string_argument_bytes=40), True),
        (PartSizes(string_argument_bytes=39), False),
        (PartSizes(string_argument_bytes=SIZES.string_argument_bytes * 2), True),
    ):
        talk = ready_with(era, policy(PartSizes(), said))
        turn = talk.client(talk.call(1, "plain", arguments))
        assert bool(turn.told("server")) is passes
        assert denied_by(turn) == (set() if passes else {"part-limits"})
        assert talk.client(talk.call(2, "other", arguments)).told("server")


@eras()
def test_a_tool_that_may_have_longer_texts_has_them(era: Era) -> None:
    talk = ready_with(era, policy(PartSizes(), PartSizes(string_argument_bytes=2 * SIZES.string_argument_bytes)))
    arguments = {"a": "x" * (SIZES.string_argument_bytes + 1)}
    assert talk.client(talk.call(1, "plain", arguments)).told("server")
    assert denied_by(talk.client(talk.call(2, "other", arguments))) == {"part-limits"}


@eras()
def test_by_default_an_item_may_be_all_of_an_answer(era: Era) -> None:
    assert all(values(one).sizes.content_bytes == values(one).sizes.from_server_bytes for one in PROFILES)
    call = {"name": "plain", "arguments": {}}
    assert not denied_by(answered(era, "tools/call", call, {"content": [text(15 << 20)]}, load(None)))

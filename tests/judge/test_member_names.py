"""A member in other letters than the protocol's is one that some readers take for it: no such message passes."""

from __future__ import annotations

import pytest
from tests.relay.dialogue import (
    ASKABLE,
    READ,
    Dialogue,
    Era,
    Tree,
    Turn,
    eras,
    failure,
    initialize,
    notification,
    only_modern,
    ready,
)

CONTROL = "member-names"
OF_PROMPT: Tree = {"type": "ref/prompt", "name": "p"}
PART: Tree = {"name": "a", "value": ""}


def denied(turn: Turn) -> set[str]:
    return {f.control for record in turn.written for f in record.entry.findings if f.effect == "DENY"}


@eras()
@pytest.mark.parametrize(
    ("method", "params"),
    [
        # Go's encoding/json takes the last of `name` and `Name`, .NET's for the web too; they fold letters of Unicode.
        ("tools/call", {"name": "read", "Name": "wipe", "arguments": {"text": "x"}}),
        ("tools/call", {"name": "read", "NAME": "wipe", "arguments": {"text": "x"}}),
        ("tools/call", {"name": "read", "arguments": {"text": "x"}, "Arguments": {"text": "y", "z": 1}}),
        ("tools/call", {"name": "read", "arguments": {"text": "x"}, "argument\u017f": {"z": 1}}),
        ("tasks/get", {"taskId": "a", "tas\u212aId": "b"}),
        ("resources/read", {"uri": "notes://a", "URI": "file:///etc/passwd"}),
        ("prompts/get", {"Name": "p"}),
        ("completion/complete", {"ref": {**OF_PROMPT, "Name": "q"}, "argument": PART}),
        ("completion/complete", {"ref": OF_PROMPT, "argument": {**PART, "Value": "x"}}),
        ("completion/complete", {"ref": OF_PROMPT, "argument": PART, "context": {"Arguments": {}}}),
        ("subscriptions/listen", {"notifications": {"ResourceSubscriptions": ["notes://a"]}}),
    ],
)
def test_a_request_with_a_member_in_other_letters_is_refused(era: Era, method: str, params: Tree) -> None:
    if method == "subscriptions/listen" and era == "legacy":
        method = "ping"
    talk = ready(era)
    turn = talk.client(talk.request(1, method, params))
    assert (turn.told("server"), denied(turn)) == ([], {CONTROL})
    assert turn.only("client")["error"]["code"] == -32602


def test_a_capability_in_other_letters_is_refused_where_a_cut_would_not_see_it() -> None:
    several: tuple[Tree, ...] = ({"elicitation": {"URL": {}}}, {"Extensions": {"com.example/x": {}}})
    for declared in several:
        assert denied(Dialogue("legacy").client(initialize(capabilities=declared))) == {CONTROL}


@eras()
@pytest.mark.parametrize(
    "result",
    [
        {"content": [], "InputRequests": {"k": {"method": "sampling/createMessage", "params": {}}}},
        {"content": [], "ResultType": "input_required"},
        {"content": [], "IsError": True},
        {"content": [], "StructuredContent": {}},
    ],
)
def test_an_answer_with_a_member_in_other_letters_is_withheld(era: Era, result: Tree) -> None:
    talk = ready(era, client=ASKABLE)
    talk.client(talk.call(1))
    turn = talk.server(talk.result(1, **result))
    assert denied(turn) == {CONTROL}
    assert "error" in turn.only("client")


@eras()
def test_an_error_that_asks_in_other_letters_asks_nobody(era: Era) -> None:
    talk = ready(era, client=ASKABLE)
    talk.client(talk.call(1))
    error = failure(1, -32603, "x")
    asked = {"mode": "url", "url": "https://host/", "message": "m"}
    error["error"] |= {"Code": -32042, "data": {"elicitations": [asked]}}
    assert denied(talk.server(error)) == {CONTROL}


@only_modern
def test_a_question_in_a_result_has_no_second_mode(era: Era) -> None:
    talk = ready(era, client=ASKABLE)
    talk.client(talk.call(1))
    form: Tree = {"mode": "form", "Mode": "url", "url": "https://host/", "message": "m", "requestedSchema": {}}
    asked = {"resultType": "input_required", "inputRequests": {"k": {"method": "elicitation/create", "params": form}}}
    assert CONTROL in denied(talk.server({"jsonrpc": "2.0", "id": 1, "result": asked}))


@eras()
def test_a_notification_with_a_member_in_other_letters_reaches_nobody(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    turn = talk.server(notification("notifications/message", level="error", data="x", Data="y"))
    assert (turn.told("client"), denied(turn)) == ([], {CONTROL})


@eras()
def test_what_is_the_servers_or_the_callers_own_may_have_any_letters(era: Era) -> None:
    talk = ready(era, tools=[{**READ, "inputSchema": {"type": "object"}}])
    call = talk.call(1, arguments={"Name": "x", "URI": {"Arguments": 1}})
    call["params"]["com.example/Name"] = 1
    call["params"]["vendorField"] = 1
    assert talk.client(call).told("server")
    answer = talk.result(1, content=[], structuredContent={"Content": 1, "content": 2}, _meta={"Name": 1})
    assert "result" in talk.server(answer).only("client")

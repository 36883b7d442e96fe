"""What Doorward asks a server by itself before it can judge: definitions, and the era (architecture §4, issue 2)."""

from __future__ import annotations

import pytest
from tests.relay.dialogue import (
    MODERN,
    READ,
    WIPE,
    Dialogue,
    Era,
    Tree,
    Why,
    bring,
    discovered,
    eras,
    failure,
    greet,
    initialize,
    notification,
    only_modern,
    ready,
)

from doorward.protocol.definitions import MAX_TOOLS
from doorward.relay import errands

modern_first = eras(without={"legacy": Why.NO_ENVELOPE})


@eras()
def test_the_first_call_waits_for_the_servers_tools(era: Era) -> None:
    talk = greet(Dialogue(era))
    turn = talk.client(talk.call(1))
    ours = turn.only("server")
    assert ours["method"] == "tools/list"
    assert ours["id"] != 1
    assert (turn.record.entry.kind, turn.record.entry.sender) == ("intent", "doorward")
    passed = talk.server(talk.result(ours["id"], tools=[READ]))
    assert passed.told("client") == []
    assert passed.only("server")["id"] == 1
    assert passed.records("outcome")[0].entry.request == f'"{ours["id"]}"'


@eras()
def test_a_list_is_followed_to_its_last_page(era: Era) -> None:
    talk = greet(Dialogue(era))
    first = talk.client(talk.call(1)).only("server")
    second = talk.server(talk.result(first["id"], tools=[WIPE], nextCursor="p2")).only("server")
    assert (second["method"], second["params"]["cursor"]) == ("tools/list", "p2")
    assert second["id"] != first["id"]
    assert talk.server(talk.result(second["id"], tools=[READ])).only("server")["params"]["name"] == "read"
    assert talk.relay.state.definitions.tools.keys() == {"read", "wipe"}


@eras()
def test_our_own_requests_in_the_modern_era_declare_nothing(era: Era) -> None:
    talk = greet(Dialogue(era))
    params = talk.client(talk.call(1)).only("server")["params"]
    if era == "modern":
        meta = params["_meta"]
        assert meta["io.modelcontextprotocol/protocolVersion"] == MODERN
        assert meta["io.modelcontextprotocol/clientCapabilities"] == {}
    else:
        assert params == {}


@eras()
def test_several_calls_wait_for_one_list(era: Era) -> None:
    talk = greet(Dialogue(era))
    ours = talk.client(talk.call(1)).only("server")
    assert talk.client(talk.call(2)).silent
    turn = talk.server(talk.result(ours["id"], tools=[READ]))
    assert [tree["id"] for tree in turn.told("server")] == [1, 2]


@eras()
def test_a_list_without_an_end_refuses_what_waits(era: Era) -> None:
    talk = greet(Dialogue(era))
    ours = talk.client(talk.call(1)).only("server")
    for page in range(2, errands.MAX_PAGES + 1):
        ours = talk.server(talk.result(ours["id"], tools=[], nextCursor=f"p{page}")).only("server")
    turn = talk.server(talk.result(ours["id"], tools=[], nextCursor="more"))
    assert turn.only("client")["error"]["code"] == -31001
    assert talk.relay.state.opened == {}


@eras()
def test_a_list_with_too_many_tools_refuses_what_waits(era: Era) -> None:
    talk = greet(Dialogue(era))
    ours = talk.client(talk.call(1)).only("server")
    half = [READ] * (MAX_TOOLS // 2 + 1)  # of one name, so that only their number is too large
    ours = talk.server(talk.result(ours["id"], tools=half, nextCursor="p2")).only("server")
    turn = talk.server(talk.result(ours["id"], tools=half))
    assert turn.only("client")["error"]["code"] == -31001
    assert "does not end" in turn.records("refusal")[0].entry.findings[0].reason


@eras()
@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"code": -32601, "message": "method not found"}},
        {"result": {}},
        {"result": {"tools": {}}},
        {"result": {"tools": ["read"]}},
        {"result": {"tools": [], "nextCursor": 5}},
        {"result": {"tools": [], "inputRequests": {"a": {"method": "roots/list"}}}},
    ],
)
def test_an_answer_that_lists_nothing_refuses_what_waits(era: Era, answer: Tree) -> None:
    talk = greet(Dialogue(era))
    ours = talk.client(talk.call(1)).only("server")
    turn = talk.server({"jsonrpc": "2.0", "id": ours["id"], **answer})
    assert turn.told("server") == []
    assert turn.only("client")["error"]["code"] == -31001
    refusals = turn.records("refusal")
    assert "it cannot be judged" in refusals[-1].entry.findings[0].reason
    assert (talk.relay.state.opened, talk.relay.state.errand) == ({}, None)


@eras()
def test_a_server_that_does_not_list_in_time_refuses_what_waits(era: Era) -> None:
    talk = greet(Dialogue(era))
    ours = talk.client(talk.call(1)).only("server")
    assert talk.relay.deadline == talk.now + errands.TIMEOUT_US
    talk.now += errands.TIMEOUT_US - 1
    assert talk.tick().silent
    talk.now += 1
    assert talk.tick().only("client")["error"]["code"] == -31001
    assert talk.server(talk.result(ours["id"], tools=[READ])).silent
    assert talk.client(talk.call(2)).only("server")["method"] == "tools/list"


@eras()
def test_an_unreadable_answer_to_us_refuses_what_waits(era: Era) -> None:
    talk = greet(Dialogue(era))
    ours = talk.client(talk.call(1)).only("server")
    line = b'{"jsonrpc":"2.0","id":"%s","result":{"tools":[],"tools":[]}}' % ours["id"].encode()
    assert talk.unreadable(line, "server").only("client")["error"]["code"] == -31001


@eras()
def test_a_tool_that_the_server_does_not_list_is_not_called(era: Era) -> None:
    talk = ready(era)
    turn = talk.client(talk.call(1, "unlisted"))
    assert turn.only("client")["error"]["code"] == -31001
    assert turn.controls == {"definition-arguments"}


@eras()
def test_changed_tools_are_listed_anew_before_the_next_call(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    talk.server(notification("notifications/tools/list_changed"))
    ours = talk.client(talk.call(2)).only("server")
    assert ours["method"] == "tools/list"
    turn = talk.server(talk.result(ours["id"], tools=[WIPE]))
    assert turn.only("client")["error"]["code"] == -31001


@eras()
def test_what_the_client_listed_itself_need_not_be_asked_again(era: Era) -> None:
    talk = ready(era)
    assert talk.client(talk.call(1)).only("server")["method"] == "tools/call"


@eras()
def test_a_client_that_read_only_the_end_of_a_list_has_not_listed_the_tools(era: Era) -> None:
    talk = greet(Dialogue(era))
    talk.client(talk.request(1, "tools/list", {"cursor": "the last page"}))
    talk.server(talk.result(1, tools=[WIPE]))
    assert talk.client(talk.call(2)).only("server")["method"] == "tools/list"


@eras()
def test_nobody_but_us_sees_the_answers_to_our_questions(era: Era) -> None:
    talk = greet(Dialogue(era))
    ours = talk.client(talk.call(1)).only("server")
    talk.server(talk.result(ours["id"], tools=[READ]))
    assert ("client", f'"{ours["id"]}"') not in talk.answered


@eras()
def test_a_waiting_call_is_judged_by_what_it_arrived_with(era: Era) -> None:
    """A person who attached later was not there when it came; one who was is asked."""
    talk, fetching = bring(era, "FETCHING")
    talk.attached = False
    turn = talk.server(talk.result(fetching.only("server")["id"], tools=[{**WIPE, "name": "read"}]))
    assert turn.ticket.kind == "tool-call"


# -- which era the server speaks --------------------------------------------------------------------------------------


@only_modern
def test_before_the_first_modern_request_the_server_is_asked_what_it_speaks(era: Era) -> None:
    talk = Dialogue(era)
    ours = talk.client(talk.call(1)).only("server")
    assert ours["method"] == "server/discover"
    listing = talk.server(discovered(ours["id"])).only("server")
    assert listing["method"] == "tools/list"
    assert talk.server(talk.result(listing["id"], tools=[READ])).only("server")["id"] == 1


@modern_first
@pytest.mark.parametrize("method", ["tools/list", "resources/list", "prompts/list"])
def test_every_modern_request_waits_for_that(era: Era, method: str) -> None:
    talk = Dialogue(era)
    ours = talk.client(talk.request(1, method)).only("server")
    assert ours["method"] == "server/discover"
    assert talk.server(discovered(ours["id"])).only("server")["method"] == method


@modern_first
def test_a_modern_client_at_a_legacy_server_is_told_which_versions_there_are(era: Era) -> None:
    talk = Dialogue(era)
    ours = talk.client(talk.call(1)).only("server")
    error = talk.server(failure(ours["id"], -32601, "Method not found")).only("client")["error"]
    assert error["code"] == -32022
    assert "2025-11-25" in error["message"]
    assert MODERN in error["message"]
    assert (error["data"]["supported"], error["data"]["requested"]) == ([], MODERN)
    again = talk.client(talk.call(2)).only("client")["error"]
    assert again["code"] == -32022


@modern_first
def test_a_client_that_falls_back_after_that_is_served(era: Era) -> None:
    talk = Dialogue(era)
    ours = talk.client(talk.call(1)).only("server")
    talk.server(failure(ours["id"], -32601))
    assert talk.client(initialize()).only("server")["method"] == "initialize"


@modern_first
def test_a_server_that_offers_only_unknown_revisions_is_refused(era: Era) -> None:
    talk = Dialogue(era)
    ours = talk.client(talk.call(1)).only("server")
    answer = discovered(ours["id"])
    answer["result"]["supportedVersions"] = ["2099-01-01"]
    turn = talk.server(answer)
    assert turn.only("client")["error"]["code"] == -31001
    assert "known-version" in turn.controls


@modern_first
def test_a_client_that_asks_what_the_server_speaks_is_passed_on(era: Era) -> None:
    talk = Dialogue(era)
    assert talk.client(talk.request(1, "server/discover")).only("server")["method"] == "server/discover"
    assert talk.server(discovered(1)).only("client")["result"]["supportedVersions"] == [MODERN]
    assert talk.client(talk.request(2, "tools/list")).only("server")["method"] == "tools/list"


@modern_first
@pytest.mark.parametrize("code", [-32020, -32021, -32022])
def test_a_refusal_that_only_the_modern_era_knows_is_no_sign_of_a_legacy_server(era: Era, code: int) -> None:
    talk = Dialogue(era)
    ours = talk.client(talk.request(1, "resources/list")).only("server")
    assert talk.server(failure(ours["id"], code, "not this one")).only("server")["method"] == "resources/list"

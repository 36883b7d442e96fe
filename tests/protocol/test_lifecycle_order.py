"""The order of a link in both eras: what may be said when, and which version is spoken (MCP "Lifecycle")."""

from __future__ import annotations

import msgspec
import pytest
from tests.relay.dialogue import (
    ASKABLE,
    LEGACY,
    MODERN,
    TOOLS,
    Dialogue,
    Era,
    Tree,
    asks,
    discovered,
    eras,
    failure,
    greet,
    initialize,
    initialized,
    notification,
    only_legacy,
    only_modern,
    ready,
)

from doorward.policy.load import load
from doorward.policy.model import Policy, sealed


def oldest(revision: str) -> Policy:
    """The usual policy with another floor."""
    usual = load(None)
    return sealed(
        msgspec.structs.replace(usual, values=msgspec.structs.replace(usual.values, oldest_revision=revision))
    )


# -- legacy: nothing before initialize, no server request where none may be --------------------------------------------


@only_legacy
@pytest.mark.parametrize("method", ["tools/list", "tools/call", "resources/read", "prompts/get", "logging/setLevel"])
def test_nothing_but_ping_passes_before_initialize_was_answered(era: Era, method: str) -> None:
    talk = Dialogue(era)
    params = {"name": "read", "uri": "x:y", "level": "info"}
    assert talk.client(talk.request(1, method, params)).only("client")["error"]["code"] == -32600
    talk.client(initialize())
    assert talk.client(talk.request(2, method, params)).only("client")["error"]["code"] == -32600
    assert talk.client(talk.request(3, "ping")).told("server")
    talk.server(initialized())
    assert talk.client(talk.request(4, method, params)).told("server")


@only_legacy
def test_initialize_passes_once(era: Era) -> None:
    talk = Dialogue(era)
    assert talk.client(initialize(1)).told("server")
    assert talk.client(initialize(2)).only("client")["error"]["code"] == -32600
    talk.server(initialized(1))
    assert talk.client(initialize(3)).only("client")["error"]["code"] == -32600


@only_legacy
def test_an_initialize_that_the_server_refused_may_be_tried_again(era: Era) -> None:
    talk = Dialogue(era)
    talk.client(initialize(1))
    assert talk.server(failure(1, -32602, "unsupported")).told("client")
    assert talk.client(initialize(2)).told("server")


@only_legacy
@pytest.mark.parametrize("phase", ["new", "initializing", "answered"])
@pytest.mark.parametrize("method", list(ASKABLE))
def test_a_server_asks_nothing_before_the_link_is_ready(era: Era, phase: str, method: str) -> None:
    talk = Dialogue(era, attached=True)
    if phase != "new":
        talk.client(initialize())
    if phase == "answered":
        talk.server(initialized())
    full = {"sampling": "sampling/createMessage", "elicitation": "elicitation/create", "roots": "roots/list"}[method]
    turn = asks(talk, full)
    assert (turn.tickets, turn.told("client")) == ([], [])
    assert turn.controls == {"lifecycle"}
    assert len(turn.told("server")) == 1


@only_legacy
def test_a_server_may_ping_once_it_was_spoken_to(era: Era) -> None:
    talk = Dialogue(era)
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert talk.server(ping).told("client") == []
    talk.client(initialize())
    assert talk.server(ping).told("client")


@only_legacy
def test_a_server_says_nothing_before_it_was_spoken_to(era: Era) -> None:
    talk = Dialogue(era)
    assert talk.server(notification("notifications/message", level="error", data="x")).silent
    assert talk.server(notification("notifications/tools/list_changed")).silent
    talk.client(initialize())
    assert talk.server(notification("notifications/message", level="error", data="x")).told("client")
    assert talk.server(notification("notifications/tools/list_changed")).silent


@only_legacy
def test_a_client_that_is_not_ready_may_say_so_only_after_the_answer(era: Era) -> None:
    talk = Dialogue(era)
    assert talk.client(notification("notifications/initialized")).silent
    talk.client(initialize())
    assert talk.client(notification("notifications/initialized")).silent
    talk.server(initialized())
    assert talk.client(notification("notifications/initialized")).told("server")
    assert talk.relay.state.link.phase == "ready"


# -- modern: the envelope ----------------------------------------------------------------------------------------------


@only_modern
def test_a_modern_server_says_nothing_while_nothing_was_asked_of_it(era: Era) -> None:
    talk = ready(era)
    assert talk.server(notification("notifications/tools/list_changed")).silent
    talk.client(talk.call(1))
    assert talk.server(notification("notifications/tools/list_changed")).told("client")


@only_modern
@pytest.mark.parametrize("method", ["sampling/createMessage", "elicitation/create", "roots/list", "ping", "tasks/get"])
@pytest.mark.parametrize("enveloped", [False, True])
def test_a_modern_server_sends_no_requests(era: Era, method: str, *, enveloped: bool) -> None:
    talk = ready(era, attached=True)
    talk.client(talk.call(1))
    params = talk.request(1, method)["params"] if enveloped else {}
    turn = asks(talk, method, params=params)
    assert (turn.tickets, turn.told("client")) == ([], [])
    assert len(turn.told("server")) == 1


@only_modern
def test_a_modern_link_takes_no_legacy_request(era: Era) -> None:
    talk = ready(era)
    bare = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    assert talk.client(bare).only("client")["error"]["code"] == -32602
    assert talk.client(initialize(2)).only("client")["error"]["code"] == -32601


@only_legacy
def test_a_legacy_link_takes_no_modern_request(era: Era) -> None:
    talk = ready(era)
    modern = Dialogue("modern")
    turn = talk.client(modern.call(1))
    assert turn.only("client")["error"]["code"] == -32600
    assert turn.controls == {"envelope"}


@only_legacy
def test_no_modern_request_slips_in_while_initialize_is_under_way(era: Era) -> None:
    talk = Dialogue(era)
    talk.client(initialize())
    assert talk.client(Dialogue("modern").call(1)).only("client")["error"]["code"] == -32600


@only_modern
def test_a_modern_call_that_waited_while_its_client_went_legacy_is_refused(era: Era) -> None:
    talk = Dialogue(era)
    ours = talk.client(talk.call(1)).only("server")
    assert talk.client(initialize()).told("server")
    turn = talk.server(discovered(ours["id"]))
    assert turn.only("client")["error"]["code"] == -32600
    assert turn.told("server") == []


@only_modern
def test_asking_what_is_spoken_settles_nothing(era: Era) -> None:
    talk = greet(Dialogue(era))
    eras_seen = [talk.relay.state.link.era]
    assert talk.client(initialize()).told("server")
    assert talk.server(initialized()).told("client")
    eras_seen.append(talk.relay.state.link.era)
    assert eras_seen == ["", "legacy"]


# -- versions ----------------------------------------------------------------------------------------------------------


@only_legacy
@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", LEGACY, "2025-12-01"])
def test_what_is_not_older_than_the_floor_goes_on_as_it_is(era: Era, version: str) -> None:
    turn = Dialogue(era).client(initialize(version=version))
    assert turn.only("server")["params"]["protocolVersion"] == version
    assert turn.controls == set()


@only_legacy
@pytest.mark.parametrize("version", ["2024-11-05", "2024-10-07", "0", "", "DRAFT-2026-v1", "2025-03-26 "])
def test_a_client_that_says_it_is_older_is_answered_with_the_floor(era: Era, version: str) -> None:
    talk = Dialogue(era)
    turn = talk.client(initialize(version=version))
    assert turn.only("server")["params"]["protocolVersion"] == "2025-03-26"
    assert turn.controls == {"oldest-revision"}
    assert talk.server(initialized(version="2025-03-26")).only("client")["result"]["protocolVersion"] == "2025-03-26"
    assert talk.relay.state.link.version == "2025-03-26"


@only_legacy
def test_a_server_that_knows_nothing_newer_is_not_kept_out_by_the_floor(era: Era) -> None:
    talk = Dialogue(era)
    talk.client(initialize())
    turn = talk.server(initialized(version="2024-11-05"))
    assert turn.only("client")["result"]["protocolVersion"] == "2024-11-05"


@only_legacy
def test_where_only_the_modern_era_is_wanted_nobody_initializes(era: Era) -> None:
    talk = Dialogue(era, policy=oldest(MODERN))
    turn = talk.client(initialize())
    assert turn.only("client")["error"]["code"] == -32602
    assert turn.only("client")["error"]["data"]["supported"] == [MODERN]
    assert turn.controls == {"known-version"}


@only_legacy
@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", LEGACY])
def test_a_legacy_version_that_is_known_passes_both_ways(era: Era, version: str) -> None:
    talk = Dialogue(era, policy=oldest("2024-11-05"))
    assert talk.client(initialize(version=version)).only("server")["params"]["protocolVersion"] == version
    assert talk.server(initialized(version=version)).only("client")["result"]["protocolVersion"] == version
    assert talk.relay.state.link.version == version


@only_legacy
@pytest.mark.parametrize("version", [MODERN, "2099-01-01", "", "2024-11-05 "])
def test_a_server_that_agrees_on_a_version_nobody_can_judge_is_refused(era: Era, version: str) -> None:
    talk = Dialogue(era)
    talk.client(initialize())
    turn = talk.server(initialized(version=version))
    assert turn.only("client")["error"]["code"] == -31001
    assert turn.controls == {"known-version"}
    assert talk.client(talk.request(1, "tools/list")).only("client")["error"]["code"] == -32600
    assert talk.client(initialize(2)).told("server"), "the client may try again"


@only_modern
def test_a_server_may_offer_more_revisions_than_are_known(era: Era) -> None:
    talk = Dialogue(era)
    talk.client(talk.request(1, "server/discover"))
    answer = discovered(1)
    answer["result"]["supportedVersions"] = ["2099-01-01", MODERN]
    assert talk.server(answer).told("client")


# -- capabilities ------------------------------------------------------------------------------------------------------

OFFICIAL = "io.modelcontextprotocol/ui"
DECLARED: Tree = {
    "sampling": {"tools": {}},
    "experimental": {"fast_updates": {}},
    "teleport": {},
    "extensions": {OFFICIAL: {"a": 1}, "com.example/own": {}},
}
GRANTED: Tree = {"sampling": {"tools": {}}, "extensions": {OFFICIAL: {"a": 1}}}


@eras()
def test_what_a_client_declares_without_a_grant_does_not_reach_the_server(era: Era) -> None:
    talk = Dialogue(era)
    if era == "legacy":
        turn = talk.client(initialize(capabilities=DECLARED))
        passed = turn.only("server")["params"]["capabilities"]
    else:
        turn = talk.client(talk.request(1, "server/discover", capabilities=DECLARED))
        passed = turn.only("server")["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
    assert passed == GRANTED
    (note,) = turn.record.entry.findings
    assert (note.control, note.effect) == ("capability-grants", "NOTE")
    assert note.evidence == "experimental, extensions/com.example/own, teleport"


@eras()
def test_what_a_server_declares_without_a_grant_does_not_reach_the_client(era: Era) -> None:
    declared: Tree = {"tools": {}, "experimental": {"x": {}}, "teleport": {}, "extensions": {"com.example/own": {}}}
    talk = Dialogue(era)
    if era == "legacy":
        talk.client(initialize())
        turn = talk.server(initialized(capabilities=declared))
    else:
        talk.client(talk.request(1, "server/discover"))
        turn = talk.server(discovered(1, capabilities=declared))
    assert turn.only("client")["result"]["capabilities"] == {"tools": {}, "extensions": {}}
    assert talk.relay.state.link.server_capabilities == {"tools": {}, "extensions": {}}


@only_modern
def test_each_modern_request_is_narrowed(era: Era) -> None:
    talk = ready(era)
    params = talk.client(talk.call(1, capabilities=DECLARED)).only("server")["params"]
    assert params["_meta"]["io.modelcontextprotocol/clientCapabilities"] == GRANTED


@only_legacy
@pytest.mark.parametrize("missing", list(ASKABLE))
def test_a_server_that_asks_for_what_the_client_did_not_declare_is_refused_unasked(era: Era, missing: str) -> None:
    declared: Tree = {name: {} for name in ASKABLE if name != missing}
    talk = greet(Dialogue(era, attached=True), client=declared)
    method = {"sampling": "sampling/createMessage", "elicitation": "elicitation/create", "roots": "roots/list"}
    turn = asks(talk, method[missing])
    assert (turn.tickets, turn.told("client")) == ([], [])
    assert "declared-inputs" in turn.controls
    for other in declared:
        assert asks(talk, method[other], id=other).ticket.shown


@eras()
def test_extension_methods_pass_only_where_both_declared_them(era: Era) -> None:
    if era == "legacy":
        talk = ready(era)
        update = talk.request(1, "tasks/update", {"taskId": "t"})
        assert talk.client(update).only("client")["error"]["code"] == -32601
        return
    tasks: Tree = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
    without, with_both = greet(Dialogue(era)), greet(Dialogue(era), client=tasks, server={"tools": {}, **tasks})
    with_both.relay.state.began("t", "read")
    update = with_both.request(1, "tasks/update", {"taskId": "t"}, capabilities=tasks)
    assert without.client(update).only("client")["error"]["code"] == -32601
    assert with_both.client(update).told("server")
    bare = with_both.request(2, "tasks/update", {"taskId": "t"}, capabilities={})
    assert with_both.client(bare).only("client")["error"]["code"] == -32601


def test_the_tools_of_these_dialogues_are_what_a_server_lists() -> None:
    assert {tool["name"] for tool in TOOLS} == {"read", "wipe"}

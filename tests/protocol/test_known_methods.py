"""Which methods pass, by era and direction, held against the table of the schemas (written out here a second time)."""

from __future__ import annotations

import pytest
from tests.relay.dialogue import Dialogue, Era, Tree, eras, greet, initialize, notification, ready

from doorward.protocol import versions

CLIENT_REQUESTS = {
    "legacy": """initialize ping tools/list tools/call prompts/list prompts/get resources/list resources/read
        resources/templates/list resources/subscribe resources/unsubscribe completion/complete logging/setLevel
        tasks/get tasks/result tasks/list tasks/cancel""",
    "modern": """server/discover subscriptions/listen tools/list tools/call prompts/list prompts/get resources/list
        resources/read resources/templates/list completion/complete tasks/get tasks/update tasks/cancel""",
}
SERVER_REQUESTS = {
    "legacy": """ping roots/list sampling/createMessage elicitation/create
        tasks/get tasks/result tasks/list tasks/cancel""",
    "modern": "",
}
CLIENT_NOTIFICATIONS = {
    "legacy": "initialized cancelled progress roots/list_changed tasks/status",
    "modern": "cancelled",
}
SERVER_NOTIFICATIONS = {
    "legacy": """cancelled progress message tools/list_changed prompts/list_changed resources/list_changed
        resources/updated elicitation/complete tasks/status""",
    "modern": """cancelled progress message tools/list_changed prompts/list_changed resources/list_changed
        resources/updated subscriptions/acknowledged tasks""",
}
EVERY_REQUEST = {
    name for table in (CLIENT_REQUESTS, SERVER_REQUESTS) for names in table.values() for name in names.split()
}
EVERY_NOTIFICATION = {
    f"notifications/{name}"
    for table in (CLIENT_NOTIFICATIONS, SERVER_NOTIFICATIONS)
    for names in table.values()
    for name in names.split()
}
STRANGE = {"", "Ping", "ping ", "tools/call/", "notifications/initialized\n", "rpc.discover", "tools", "notifications/"}


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("sender", ["client", "server"])
def test_exactly_the_methods_of_the_schemas_are_known(era: str, sender: str) -> None:
    requests = (CLIENT_REQUESTS if sender == "client" else SERVER_REQUESTS)[era].split()
    told = (CLIENT_NOTIFICATIONS if sender == "client" else SERVER_NOTIFICATIONS)[era].split()
    names = EVERY_REQUEST | EVERY_NOTIFICATION | STRANGE
    assert {name for name in names if versions.known_request(era, sender, name)} == set(requests)
    known = {name for name in names if versions.known_notification(era, sender, name)}
    assert known == {f"notifications/{name}" for name in told}


@eras()
@pytest.mark.parametrize("method", sorted((EVERY_REQUEST | STRANGE) - {""}))
def test_a_client_request_passes_the_gate_only_where_the_revision_names_it(era: Era, method: str) -> None:
    talk = Dialogue("legacy") if method == "initialize" and era == "legacy" else ready(era)
    talk.relay.state.began("t", "read")
    params: Tree = {"name": "read", "uri": "x:y", "taskId": "t", "arguments": {"text": "x"}}
    params |= {"ref": {"name": "p"}, "argument": {"name": "a", "value": "v"}}
    message = initialize(1) if method == "initialize" else talk.request(1, method, params)
    turn = talk.client(message)
    named = method in CLIENT_REQUESTS[era].split()
    passes = named and method not in versions.EXTENSION_METHODS
    assert bool(turn.told("server")) is passes
    if not named and method != "initialize":
        assert turn.only("client")["error"]["code"] == -32601


@eras()
@pytest.mark.parametrize(
    "method", sorted(EVERY_NOTIFICATION | {f"notifications/{name}" for name in ("x", "Initialized")})
)
def test_a_client_notification_passes_only_where_the_revision_names_it(era: Era, method: str) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    talk.relay.state.began_at_client("t", "sampling/createMessage")
    turn = talk.client(notification(method, requestId=1, progressToken="none", taskId="t"))
    named = method.removeprefix("notifications/") in CLIENT_NOTIFICATIONS[era].split()
    asked_for = method != "notifications/progress"
    assert bool(turn.told("server")) is (named and asked_for)


@eras()
@pytest.mark.parametrize("method", sorted(EVERY_NOTIFICATION))
def test_a_server_notification_passes_only_where_the_revision_names_it(era: Era, method: str) -> None:
    talk = ready(era)
    talk.client(talk.call(1, meta={"progressToken": "t"}))
    talk.relay.state.began("t", "read")
    turn = talk.server(notification(method, progressToken="t", level="error", data="x", uri="x:y", taskId="t"))
    named = method.removeprefix("notifications/") in SERVER_NOTIFICATIONS[era].split()
    cancels_nothing = method == "notifications/cancelled"
    undeclared = method in versions.EXTENSION_METHODS
    assert bool(turn.told("client")) is (named and not cancels_nothing and not undeclared)


@eras()
def test_a_request_may_not_be_sent_as_a_notification_nor_the_other_way_round(era: Era) -> None:
    talk = ready(era)
    assert talk.client({"jsonrpc": "2.0", "method": "tools/call", "params": talk.call(1)["params"]}).silent
    turn = talk.client(talk.request(1, "notifications/cancelled", {"requestId": 1}))
    assert turn.only("client")["error"]["code"] == -32601


def test_every_revision_has_one_era() -> None:
    assert {version: versions.era_of(version) for version in versions.KNOWN_VERSIONS} == {
        "2024-11-05": "legacy", "2025-03-26": "legacy", "2025-06-18": "legacy", "2025-11-25": "legacy",
        "2026-07-28": "modern",
    }  # fmt: skip
    assert versions.era_of("2099-01-01") is None


def test_a_greeting_shows_which_era_the_server_speaks() -> None:
    assert greet(Dialogue("modern")).relay.state.link.upstream == "modern"
    assert greet(Dialogue("legacy")).relay.state.link.upstream == "legacy"

"""The modern era at ``doorward serve``: each request stands alone, and one client's is never taken for another's."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.scripted_upstream import META, Upstream, Visit, tells
from tests.gateway.serving import Serve, as_other_user, by_command, by_url, modern, place
from tests.gateway.test_serve_streams import Held
from tests.gateway.wrapping import wait_until

BOTH = (sys.executable, "-I", "-S", str(Path(__file__).with_name("both_eras_child.py")))
CHILD = "/child/mcp"
LISTEN: dict[str, Any] = {"notifications": {"toolsListChanged": True}}
OWN = {META + "subscriptionId": "sub"}
ELICITATION = {
    "mode": "form",
    "message": "Who?",
    "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
}
POLICY = """
[serve]
allow_users = ["1001"]

[unsafe_standing_approvals]
sampling = true
elicitation = true
roots = true
for = "1h"

[limits]
concurrent = 12
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Serve]:
    with place(tmp_path_factory.mktemp("serve")) as house:
        child = by_command(BOTH)
        yield house.serve(by_url(upstream.url) + child + POLICY)


@pytest.fixture
def serve(running: Serve) -> Iterator[Serve]:
    yield running
    running.leave_all()


# -- one client's request is not another's -----------------------------------------------------------------------------


def test_two_clients_with_one_id_and_one_token_each_get_their_own_from_a_url(serve: Serve, upstream: Upstream) -> None:
    one, two = Held(upstream, "one"), Held(upstream, "two")
    meta = {"progressToken": "same"}
    first, second = serve.script(7, "one", meta=meta), serve.script(7, "two", meta=meta)
    assert one.visit.id != two.visit.id
    assert one.visit.token != two.visit.token
    for held in (two, one):
        held.visit.stream()
        held.visit.event(held.visit.progress(1 if held is one else 2))
    for held, said in ((two, "for two"), (one, "for one")):
        held.visit.event(held.visit.text(said))
        held.visit.end()
        held.release()
    for client, at, said in ((first, 1, "for one"), (second, 2, "for two")):
        progress, answer = client.stream()
        assert progress.message["params"] == {"progressToken": "same", "progress": at}
        assert answer.message["id"] == 7
        assert answer.message["result"]["content"][0]["text"] == said


def test_two_clients_with_one_id_and_one_token_each_get_their_own_from_a_child(serve: Serve) -> None:
    meta = {"progressToken": "same"}
    clients = [
        serve.send_modern("id", "tools/call", CHILD, name="pair", arguments={"text": text}, meta=meta)
        for text in ("a", "b")
    ]  # the child answers when it has both, the later one first, and progress of both before that
    for client, said in zip(clients, ("a", "b"), strict=True):
        progress, answer = client.stream()
        assert progress.message["params"]["progressToken"] == "same"
        assert progress.message["params"]["message"] == said
        assert answer.message["id"] == "id"
        assert answer.message["result"]["content"][0]["text"] == said


def test_a_server_that_writes_a_token_that_nobody_gave_disturbs_nobody(serve: Serve, upstream: Upstream) -> None:
    def hostile(visit: Visit) -> None:
        visit.stream()
        visit.event(tells("notifications/progress", progressToken=visit.id, progress=1))
        visit.event(tells("notifications/message", level="info", data="x", progressToken=visit.id))
        visit.event(tells("notifications/message", level="info", data="y", progressToken=None, _meta={}))
        visit.event(visit.text("done"))
        visit.end()

    upstream.scripts["hostile"] = hostile
    *said, answer = serve.script(1, "hostile").stream()
    assert [event.message["params"]["data"] for event in said] == ["x", "y"]
    assert answer.message["id"] == 1
    assert serve.modern(2, "tools/call", name="echo", arguments={"text": "fine"}).status == 200


def test_ten_requests_before_there_is_a_link_share_one_and_all_are_answered(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with place(tmp_path_factory.mktemp("many")) as house:
        serve = house.serve(by_command(BOTH))
        clients = [
            serve.send_modern(1, "tools/call", CHILD, name="echo", arguments={"text": f"t{number}"})
            for number in range(10)
        ]
        answers = [client.answer().message["result"]["content"][0]["text"] for client in clients]
        assert answers == [f"t{number}" for number in range(10)]
        children = serve.children()
        assert serve.modern(2, "tools/call", CHILD, name="echo", arguments={"text": "x"}).status == 200
        assert serve.children() == children  # one child, for all of them


# -- cancellation ------------------------------------------------------------------------------------------------------


def test_closing_a_stream_cancels_its_request_at_a_url_and_frees_its_place(serve: Serve, upstream: Upstream) -> None:
    for number in range(15):  # more than may be in flight
        held = Held(upstream, f"cancel {number}")
        client = serve.script(1, f"cancel {number}")
        visit = held.visit
        client.reset()
        assert visit.was_left(), "the upstream did not see its stream closed"
        held.release()
        visit.over = True
    assert upstream.asked("notifications/cancelled") == []
    assert serve.modern(2, "tools/call", name="echo", arguments={"text": "free"}).status == 200


def test_closing_a_stream_cancels_its_request_at_a_child(serve: Serve) -> None:
    for _ in range(15):
        client = serve.send_modern(1, "tools/call", CHILD, name="mute", arguments={})
        before = _cancelled(serve)
        wait_until(lambda before=before: _pending(serve) > before, "it reached the child")  # type: ignore[misc]
        client.reset()
        wait_until(lambda before=before: _cancelled(serve) == before + 1, "the child heard of it")  # type: ignore[misc]


def _count(serve: Serve, name: str) -> int:
    answer = serve.modern(1, "tools/call", CHILD, name=name, arguments={})
    return int(answer.message["result"]["content"][0]["text"])


def _pending(serve: Serve) -> int:
    return _count(serve, "mutes")


def _cancelled(serve: Serve) -> int:
    return _count(serve, "cancels")


def test_a_cancelling_message_of_one_client_does_not_reach_anothers_request(serve: Serve, upstream: Upstream) -> None:
    work = Held(upstream, "precious")
    client = serve.script(1, "precious")
    number = work.visit.id
    before = len(serve.findings())
    headers, _ = modern(0, "notifications/cancelled")
    for guess in range(number - 3, number + 3):
        told = serve.ask("POST", headers, tells("notifications/cancelled", requestId=guess))
        assert told.status == 202
    serve.wait_for_finding("solicited-only", "closing its stream", after=before)
    assert not work.visit.was_left(0.2)
    work.visit.json(work.visit.text("unharmed"))
    work.release()
    assert client.answer().message["result"]["content"][0]["text"] == "unharmed"


# -- listening ---------------------------------------------------------------------------------------------------------


def _acknowledge(visit: Visit) -> None:
    meta = {META + "subscriptionId": visit.id}
    visit.event(tells("notifications/subscriptions/acknowledged", notifications={"toolsListChanged": True}, _meta=meta))


def test_what_is_listened_for_comes_under_the_clients_own_subscription(serve: Serve, upstream: Upstream) -> None:
    visits: list[Visit] = []

    def listen(visit: Visit) -> None:
        visit.stream("Connection: close")
        _acknowledge(visit)
        visits.append(visit)
        visit.was_left()
        visit.over = True

    upstream.on_listen = listen
    clients, streams = [], []
    for number in range(3):  # all under one id, each a client of its own
        clients.append(serve.send_modern("sub", "subscriptions/listen", **LISTEN))
        streams.append(clients[-1].stream())
        assert next(streams[-1]).message["params"]["_meta"] == OWN
        assert len(visits) == number + 1
    for visit in reversed(visits):
        number = visits.index(visit)
        visit.event(
            tells("notifications/resources/updated", uri=f"x:{number}", _meta={META + "subscriptionId": visit.id})
        )
    for number, stream in enumerate(streams):
        params = next(stream).message["params"]
        assert params == {"uri": f"x:{number}", "_meta": OWN}
    result = {"resultType": "complete", "_meta": {META + "subscriptionId": visits[0].id}}
    visits[0].event({"jsonrpc": "2.0", "id": visits[0].id, "result": result})
    visits[0].end()
    (last,) = streams[0]
    assert (last.message["id"], last.message["result"]["_meta"]) == ("sub", OWN)
    visits[1].event(tells("notifications/cancelled", requestId=visits[1].id))
    assert list(streams[1]) == []  # over HTTP its end says it
    clients[2].reset()
    assert visits[2].was_left()


def test_the_same_of_a_child(serve: Serve) -> None:
    first, second = (serve.send_modern("sub", "subscriptions/listen", CHILD, **LISTEN) for _ in range(2))
    streams = [first.stream(), second.stream()]
    for stream in streams:
        assert next(stream).message["params"]["_meta"] == OWN
    assert (
        serve.modern(1, "tools/call", CHILD, name="poke", arguments={}).message["result"]["content"][0]["text"] == "2"
    )
    for stream in streams:
        event = next(stream)
        assert (event.message["method"], event.message["params"]) == (
            "notifications/tools/list_changed",
            {"_meta": OWN},
        )
    first.reset()
    wait_until(lambda: _poked(serve) == "1", "the child heard that one of them left")
    serve.modern(1, "tools/call", CHILD, name="finish", arguments={})
    assert {event.message["method"] for event in streams[1]} == {"notifications/tools/list_changed"}


def _poked(serve: Serve) -> str:
    text: str = serve.modern(1, "tools/call", CHILD, name="poke", arguments={}).message["result"]["content"][0]["text"]
    return text


# -- input_required ----------------------------------------------------------------------------------------------------


def test_what_a_server_asks_makes_its_round_trip_under_our_seal(serve: Serve, upstream: Upstream) -> None:
    asks = {"name": {"method": "elicitation/create", "params": ELICITATION}}

    def ask(visit: Visit) -> None:
        if "requestState" not in visit.params:
            result = {"resultType": "input_required", "inputRequests": asks, "requestState": "the server's own"}
            visit.json({"jsonrpc": "2.0", "id": visit.id, "result": result})
        else:
            told = {"state": visit.params["requestState"], "answers": visit.params["inputResponses"]}
            visit.json(visit.text(json.dumps(told, sort_keys=True)))

    upstream.scripts["asks"] = ask
    able: dict[str, Any] = {"elicitation": {}}
    asked = serve.modern(1, "tools/call", name="script", arguments={"name": "asks"}, capabilities=able)
    assert "result" in asked.message, (asked, serve.stderr)
    result = asked.message["result"]
    assert result["inputRequests"] == asks
    assert "server's own" not in result["requestState"]
    answers = {"name": {"action": "accept", "content": {"name": "Ada"}}, "more": {"action": "accept", "content": {}}}
    retry = {"requestState": result["requestState"], "inputResponses": answers, "capabilities": able}
    done = serve.modern(2, "tools/call", name="script", arguments={"name": "asks"}, **retry)
    told = json.loads(done.message["result"]["content"][0]["text"])
    assert told == {"state": "the server's own", "answers": {"name": answers["name"]}}  # nobody asked for more
    upstream.scripts["other"] = ask
    for arguments, state in (({"name": "other"}, result["requestState"]), ({"name": "asks"}, "forged")):
        refused = serve.modern(3, "tools/call", name="script", arguments=arguments, **{**retry, "requestState": state})
        assert "error" in refused.message, refused
    refused = as_other_user(
        serve,
        "POST",
        *modern(4, "tools/call", name="script", arguments={"name": "asks"}, **retry),
    )
    assert "error" in refused.message, refused


def test_a_client_that_does_not_read_is_cut_off_and_the_others_of_its_child_go_on(serve: Serve) -> None:
    before = serve.memory()
    deaf = serve.send_modern(1, "tools/call", CHILD, name="flood", arguments={"count": 80}, meta={"progressToken": 1})
    _ = deaf.head()
    answer = serve.modern(2, "tools/call", CHILD, name="echo", arguments={"text": "on"})
    assert answer.message["result"]["content"][0]["text"] == "on"
    assert serve.memory() - before < 60 << 20
    assert b"flooded" not in deaf.rest()


def test_a_child_over_its_memory_ends_alone_and_the_next_call_is_answered_in_time(house: Place) -> None:
    command = (sys.executable, "-I", "-S", str(HERE / "both_eras_child.py"))
    serve = house.serve(by_command(command, more=f"memory_bytes = {256 << 20}"))
    other = serve.session(CHILD)
    mine = set(serve.children())
    for number in range(4):
        dead = serve.modern(1, "tools/call", CHILD, name="hoard", arguments={"count": 1 << 30})
        assert dead.message["error"]["data"]["outcome"] == "unknown"
        since = time.monotonic()
        again = serve.modern(2, "tools/call", CHILD, name="echo", arguments={"text": "again"})
        assert again.message["result"]["content"][0]["text"] == "again"
        assert time.monotonic() - since < 5
        assert other.call(number, "echo", text="on").message["result"]["content"][0]["text"] == "on"
    assert mine <= set(serve.children()), "the child of the other session never ended"
    serve.wait_said("it is started again in")


def test_a_child_that_dies_is_told_of_and_started_anew(serve: Serve) -> None:
    dead = serve.modern(1, "tools/call", CHILD, name="die", arguments={})
    assert dead.message["error"]["data"]["outcome"] == "unknown"
    again = serve.modern(2, "tools/call", CHILD, name="echo", arguments={"text": "again"})
    assert again.message["result"]["content"][0]["text"] == "again"

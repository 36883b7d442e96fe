"""Whoever floods ``doorward serve`` is refused cheaply, told when to come back, and takes nothing from anybody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.scripted_upstream import Upstream
from tests.gateway.serving import Serve, by_url, initialize, modern, place, request
from tests.gateway.wrapping import wait_until

URI = "x:document"
POLICY = """
[rates]
method_per_second = 1
method_burst = 20
principal_per_second = 60
principal_burst = 400
[limits]
sessions = 8
subscriptions = 16
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.stop()


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Serve]:
    with place(tmp_path_factory.mktemp("serve")) as house:
        yield house.serve(by_url(upstream.url) + POLICY)


def test_a_method_that_is_used_too_often_is_refused_with_the_time_to_try_again(serve: Serve) -> None:
    session = serve.session()
    answers = [session.ask(request(number, "ping")) for number in range(22)]
    assert [answer.status for answer in answers] == [200] * 20 + [429] * 2
    refused = answers[-1]
    assert (refused.code, refused.message["id"], refused.headers["retry-after"]) == (-31003, 21, "1")
    assert 0 < refused.message["error"]["data"]["retryAfterMs"] <= 1000
    serve.wait_for_finding("rates", "too many messages of ping")
    assert session.call("other", "echo", text="x").status == 200
    session.end()


@pytest.mark.parametrize("body", [b"{", b"[]", b'[{"jsonrpc":"2.0","method":"ping","id":1}]'])
def test_bodies_that_are_no_message_are_counted_as_messages_are(serve: Serve, body: bytes) -> None:
    session, client = serve.session(), serve.client()
    for headers in (session.headers, {}, {"MCP-Protocol-Version": "2026-07-28"}):
        statuses = []
        for _ in range(24):
            client.send("POST", headers, body)
            statuses.append(client.answer().status)
        assert statuses.count(400) <= 20, headers
        assert statuses[-1] == 429, headers
        client = serve.client()
    serve.wait_for_finding("rates", "too many messages of bodies that are no message")
    assert session.call("other", "echo", text="x").status == 200
    session.end()


def test_batches_that_are_none_are_counted_as_messages_are(serve: Serve) -> None:
    session = serve.session(version="2025-03-26")
    client = serve.client()
    statuses = []
    for _ in range(24):
        client.send("POST", session.headers, b"[]")
        statuses.append(client.answer().status)
    assert (statuses[0], statuses[-1]) == (400, 429)


@pytest.mark.parametrize("verb", ["POST", "GET", "DELETE"])
def test_requests_in_a_session_that_there_is_not_are_counted_as_messages_are(serve: Serve, verb: str) -> None:
    client = serve.client()
    lost = {"Mcp-Session-Id": "0" * 64}
    body = request(1, "ping") if verb == "POST" else None
    answers = [client.ask(verb, lost, body) for _ in range(22)]
    assert [answer.status for answer in answers] == [404] * 20 + [429] * 2
    assert answers[-1].headers["retry-after"] == "1"


def test_streams_that_are_taken_up_again_and_again_are_counted_as_messages_are(serve: Serve) -> None:
    session = serve.session()
    _, events = session.listen()
    last = next(events).id
    for _ in range(19):
        _, events = session.listen(last)
        next(events)
    again = serve.client()
    answer = again.ask("GET", session.headers | {"Last-Event-ID": last})
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert session.call("other", "echo", text="x").status == 200
    assert session.end().status == 204


def test_a_thousand_refusals_are_one_line_and_one_record_a_second(serve: Serve) -> None:
    session = serve.session()
    refused = sum(session.ask(request(number, "ping")).status == 429 for number in range(300))
    assert refused > 200
    told = [words for control, words in serve.findings() if control == "rates"]
    assert 1 <= len(told) < 20
    session.end()


def test_sessions_that_flood_leave_the_other_session_of_their_principal_its_part(serve: Serve) -> None:
    floods = [serve.session() for _ in range(4)]
    honest = serve.session()
    statuses: list[int] = []
    worked: list[int] = []
    for number in range(600):
        statuses += [flood.call(number, "echo", text="x").status for flood in floods]
        if number % 60 == 0:
            worked.append(honest.call(number, "echo", text="x").status)
    assert 429 in statuses
    assert worked == [200] * 10
    for session in (*floods, honest):
        session.end()


def test_a_modern_client_keeps_its_part_on_its_connection_where_others_of_its_principal_flood(serve: Serve) -> None:
    honest, *floods = [serve.client() for _ in range(5)]
    statuses: list[int] = []
    worked: list[int] = []
    for number in range(600):
        headers, body = modern(number, "tools/call", name="echo", arguments={"text": "x"})
        statuses += [flood.ask("POST", headers, body).status for flood in floods]
        if number % 60 == 0:
            worked.append(honest.ask("POST", headers, body).status)
    assert 429 in statuses
    assert worked == [200] * 10


def test_a_modern_client_that_comes_beside_a_flood_of_its_principal_is_served_at_once(
    tmp_path: Path, upstream: Upstream
) -> None:
    used_up = "\n[rates]\nprincipal_per_second = 1\nprincipal_burst = 160\n[limits]\nsessions = 8\n"
    headers, body = modern(1, "tools/call", name="echo", arguments={"text": "x"})
    with place(tmp_path) as house:
        serve = house.serve(by_url(upstream.url) + used_up)
        flood = serve.client()
        while flood.ask("POST", headers, body).status == 200:
            pass
        news = [serve.client().ask("POST", headers, body).status for _ in range(40)]
    assert news[:5] == [200] * 5
    assert news[-1] == 429  # to open connections is no way to more than one session's part


def test_whoever_begins_and_ends_sessions_gets_no_part_anew(tmp_path: Path, upstream: Upstream) -> None:
    used_up = "\n[rates]\nprincipal_per_second = 1\nprincipal_burst = 40\n[limits]\nsessions = 4\n"
    with place(tmp_path) as house:
        serve = house.serve(by_url(upstream.url) + used_up)
        flood = serve.session()
        while flood.call(1, "echo", text="x").status == 200:
            pass
        flood.end()
        more = 0
        for _ in range(8):
            opened = serve.ask("POST", {}, initialize())
            if opened.status != 200:
                break
            session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
            more += [serve.ask("POST", session, request(n, "ping")).status for n in range(20)].count(200)
            serve.ask("DELETE", session)
    assert more <= 12  # a part is ten


def test_subscriptions_of_a_principal_are_bounded_and_come_back_when_they_are_given_up(serve: Serve) -> None:
    first, second, third = (serve.session() for _ in range(3))
    asked = [first.ask(request(number, "resources/subscribe", uri=URI)).status for number in range(18)]
    assert asked == [200] * 16 + [429] * 2
    own = [second.ask(request(number, "resources/subscribe", uri=URI)).status for number in range(4)]
    assert own == [200] * 2 + [429] * 2  # its own part: 16 of 8 sessions
    serve.wait_for_finding("principal-limits", "16 subscriptions stand")
    for number in range(3):
        assert first.call(f"works {number}", "echo", text="x").status == 200
        assert first.ask(request(f"no more {number}", "resources/unsubscribe", uri=URI)).status == 200
    assert third.ask(request(1, "resources/subscribe", uri=URI)).status == 200
    first.end()
    wait_until(lambda: third.ask(request("again", "resources/subscribe", uri=URI)).status == 200, "a place")
    for session in (second, third):
        session.end()

"""Eras at ``doorward serve``: what is offered, which status each mistake gets, and whose headers go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.gateway.scripted_upstream import LEGACY, META, MODERN, Upstream
from tests.gateway.serving import (
    ACCEPT,
    LATEST,
    OLD_TOO,
    Answer,
    Serve,
    by_url,
    call,
    initialize,
    modern,
    place,
    request,
)
from tests.gateway.wrapping import wait_until

ENVELOPE = {META + "protocolVersion": MODERN, META + "clientCapabilities": {}}


@pytest.fixture(scope="module")
def upstreams() -> Iterator[dict[str, Upstream]]:
    made = {
        "web": Upstream(),
        "old": Upstream(versions=("2024-11-05", "2025-03-26"), modern=False),
        "new": Upstream(versions=()),
    }
    yield made
    for upstream in made.values():
        upstream.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, upstreams: dict[str, Upstream]) -> Iterator[Serve]:
    with place(tmp_path_factory.mktemp("serve")) as house:
        yield house.serve("".join(by_url(upstream.url, name) for name, upstream in upstreams.items()) + OLD_TOO)


@pytest.fixture
def serve(running: Serve) -> Iterator[Serve]:
    yield running
    running.leave_all()


# -- legacy ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", LEGACY)
def test_each_legacy_revision_is_offered_where_the_server_speaks_it(serve: Serve, version: str) -> None:
    session = serve.session(version=version)
    assert session.opened.message["result"]["protocolVersion"] == version
    assert session.call(1, "echo", text=version).message["result"]["content"][0]["text"] == version
    without = {"Mcp-Session-Id": session.id}
    assert serve.ask("POST", without, request(2, "ping")).status == 200
    assert session.end().status == 204


def test_a_revision_that_the_server_does_not_speak_is_answered_with_one_that_it_does(serve: Serve) -> None:
    opened = serve.ask("POST", {}, initialize(LATEST), "/old/mcp")
    assert opened.message["result"]["protocolVersion"] == "2025-03-26"
    wrong = {"Mcp-Session-Id": opened.headers["mcp-session-id"], "MCP-Protocol-Version": LATEST}
    assert serve.ask("POST", wrong, request(1, "ping"), "/old/mcp").status == 400
    agreed = wrong | {"MCP-Protocol-Version": "2025-03-26"}
    assert serve.ask("POST", agreed, request(1, "ping"), "/old/mcp").status == 200


def test_a_modern_request_to_a_server_of_the_older_era_learns_that(serve: Serve) -> None:
    answer = serve.modern(1, "tools/call", "/old/mcp", name="echo", arguments={"text": "x"})
    assert (answer.status, answer.code) == (400, -32022), answer
    assert "initialize" in answer.message["error"]["message"]


def test_initialize_with_a_server_of_the_modern_era_begins_no_session(serve: Serve) -> None:
    answer = serve.ask("POST", {}, initialize(), "/new/mcp")
    assert answer.code == -32022, answer
    assert "mcp-session-id" not in answer.headers
    fine = serve.modern(1, "tools/call", "/new/mcp", name="echo", arguments={"text": "x"})
    assert fine.status == 200


def test_a_session_is_needed_known_and_named_once(serve: Serve) -> None:
    missing = serve.ask("POST", {}, request(1, "ping"))
    assert (missing.status, missing.code) == (400, -32600)
    unknown = serve.ask("POST", {"Mcp-Session-Id": "0" * 64}, request(1, "ping"))
    assert (unknown.status, unknown.code) == (404, -32600)
    assert serve.ask("GET", {"Mcp-Session-Id": "0" * 64}).status == 404
    assert serve.ask("DELETE", {"Mcp-Session-Id": "0" * 64}).status == 404
    assert serve.ask("GET").status == 400
    assert serve.ask("DELETE").status == 400
    session = serve.session()
    for version in ("2024-11-05", "1999-01-01", "x"):
        wrong = session.headers | {"MCP-Protocol-Version": version}
        assert serve.ask("POST", wrong, request(1, "ping")).status == 400, version
        assert serve.ask("GET", wrong).status == 400, version
    elsewhere = serve.ask("POST", session.headers, request(1, "ping"), "/old/mcp")
    assert elsewhere.status == 404
    twice = serve.client()
    twice.raw(
        f"DELETE /web/mcp HTTP/1.1\r\nHost: 127.0.0.1:{serve.port}\r\nMcp-Session-Id: {session.id}\r\n"
        f"Mcp-Session-Id: {session.id}\r\nMCP-Protocol-Version: {LATEST}\r\n\r\n".encode()
    )
    assert twice.answer().status == 400
    assert session.ask(initialize()).status == 200  # in a session it is a message, and its gate refuses it
    assert session.end().status == 204
    assert session.ask(request(2, "ping")).status == 404


def test_a_second_initialize_of_a_session_is_refused_and_ends_nothing(serve: Serve) -> None:
    session = serve.session()
    assert "error" in session.ask(initialize(id="second")).message
    assert session.call(1, "echo", text="still").message["result"]["content"][0]["text"] == "still"


def test_an_initialize_that_is_refused_leaves_no_session_behind(serve: Serve) -> None:
    for _ in range(40):  # more than one principal may have
        answer = serve.ask("POST", {}, request(1, "initialize", protocolVersion=7))
        assert "error" in answer.message, answer
        assert "mcp-session-id" not in answer.headers
    assert serve.session().end().status == 204


# -- modern: the status of each mistake --------------------------------------------------------------------------------


def _ask(serve: Serve, headers: dict[str, Any], body: object) -> Answer:
    client = serve.client()
    client.send("POST", headers, json.dumps(body).encode())
    return client.answer()


def test_a_body_that_its_headers_contradict_is_refused_by_the_code_for_it(serve: Serve) -> None:
    fine, body = modern(1, "tools/call", name="echo", arguments={"text": "x"})
    assert _ask(serve, fine, body).status == 200
    wrong: list[dict[str, Any]] = [
        fine | {"Mcp-Method": "tools/list"},
        fine | {"Mcp-Name": "wipe"},
        fine | {"MCP-Protocol-Version": LATEST},
        fine | {"MCP-Protocol-Version": "2027-01-01"},
        fine | {"MCP-Protocol-Version": None},
        fine | {"Mcp-Method": None},
        fine | {"Mcp-Name": None},
    ]
    for headers in wrong:
        answer = _ask(serve, headers, body)
        assert (answer.status, answer.code) == (400, -32020), (headers, answer)
        assert answer.message["id"] == 1
    serve.wait_for_finding("header-agreement")


def test_a_request_without_its_envelope_an_unknown_version_and_an_unknown_method(serve: Serve) -> None:
    headers, body = modern(1, "tools/list")
    lacking: tuple[dict[str, Any], ...] = ({}, {META + "clientCapabilities": {}}, {META + "protocolVersion": MODERN})
    for envelope in lacking:
        answer = _ask(serve, headers, body | {"params": {"_meta": envelope}})
        assert (answer.status, answer.code) == (400, -32602), (envelope, answer)
    unknown = ENVELOPE | {META + "protocolVersion": "2027-01-01"}
    answer = _ask(serve, headers | {"MCP-Protocol-Version": "2027-01-01"}, body | {"params": {"_meta": unknown}})
    assert (answer.status, answer.code) == (400, -32022), answer
    assert answer.message["error"]["data"] == {
        "supported": [MODERN],
        "requested": "2027-01-01",
        "reference": answer.message["error"]["data"]["reference"],
    }
    for method in ("no/such", "ping", "initialize", "resources/subscribe", "logging/setLevel"):
        answer = _ask(serve, *modern(2, method))
        assert (answer.status, answer.code) == (404, -32601), (method, answer)


def test_a_modern_endpoint_has_no_get_and_no_delete(serve: Serve) -> None:
    for verb in ("GET", "DELETE", "PUT", "OPTIONS", "HEAD"):
        answer = serve.client().ask(verb, {"MCP-Protocol-Version": MODERN}) if verb != "HEAD" else None
        if answer is not None:
            assert (answer.status, answer.headers["allow"]) == (405, "POST"), verb
    assert serve.ask("PUT").headers["allow"] == "GET, POST, DELETE"


def test_a_modern_client_posts_no_answers(serve: Serve) -> None:
    headers, _ = modern(1, "tools/list")
    assert _ask(serve, headers, {"jsonrpc": "2.0", "id": 1, "result": {}}).status == 400


def test_a_body_that_is_no_message_is_answered_as_a_bad_request_in_each_era(serve: Serve) -> None:
    session = serve.session()
    headers, _ = modern(1, "tools/list")
    cases = [(b"{", -32700), (b"nul", -32700), (b"{}", -32600), (b'{"jsonrpc":"2.0","id":null,"method":"x"}', -32600)]
    for where in ({}, session.headers, headers):
        for body, code in cases:
            client = serve.client()
            client.send("POST", where, body)
            answer = client.answer()
            assert (answer.status, answer.code) == (400, code), (where, body, answer)
    serve.wait_for_finding("strict-decode")
    assert session.call(1, "echo", text="x").status == 200


def test_what_is_not_json_or_cannot_be_answered_is_refused_by_its_status(serve: Serve) -> None:
    headers, body = modern(1, "tools/list")
    for more, status in (
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": None}, 415),
        ({"Accept": "application/json"}, 406),
        ({"Accept": "text/event-stream"}, 406),
        ({"Accept": ACCEPT + ";q=0"}, 406),
        ({"Accept": None}, 406),
        ({"Content-Type": "Application/JSON; charset=utf-8", "Accept": "*/*"}, 200),
    ):
        assert _ask(serve, headers | more, body).status == status, more
    assert serve.ask("GET", {"Accept": "application/json"}).status == 406


# -- headers are ours --------------------------------------------------------------------------------------------------


def test_what_goes_on_has_headers_of_our_own_and_none_of_the_clients(
    serve: Serve, upstreams: dict[str, Upstream]
) -> None:
    upstream = upstreams["web"]
    upstream.seen.clear()
    headers, body = modern(1, "tools/call", name="echo", arguments={"text": "x"})
    more = {
        "Mcp-Param-Text": "of the client",
        "Authorization": "Bearer of-the-client",
        "Cookie": "a=b",
        "X-Anything": "x",
        "Origin": f"http://127.0.0.1:{serve.port}",
    }
    assert _ask(serve, headers | {k: v for k, v in more.items() if k != "Mcp-Param-Text"}, body).status == 200
    (seen,) = upstream.asked("tools/call")
    assert seen.headers["mcp-method"] == "tools/call"
    assert seen.headers["mcp-name"] == "echo"
    assert seen.headers["mcp-protocol-version"] == MODERN
    assert seen.headers["host"] == f"127.0.0.1:{upstream.port}"
    assert not {"authorization", "cookie", "x-anything", "origin", "mcp-param-text"} & seen.headers.keys()
    assert "of-the-client" not in json.dumps(seen.headers)


def test_a_legacy_session_upstream_is_another_one_than_that_of_the_client(
    serve: Serve, upstreams: dict[str, Upstream]
) -> None:
    upstream = upstreams["web"]
    first, second = serve.session(), serve.session()
    upstream.seen.clear()
    for session in (first, second):
        assert session.ask(call(1, "echo", text="x")).status == 200
    seen = {visit.headers["mcp-session-id"] for visit in upstream.asked("tools/call")}
    assert len(seen) == 2
    assert seen.isdisjoint((first.id, second.id))
    assert {visit.headers["mcp-protocol-version"] for visit in upstream.asked("tools/call")} == {LATEST}
    first.end()
    wait_until(lambda: len(seen & upstream.sessions) == 1, "the upstream's session ended with the client's")

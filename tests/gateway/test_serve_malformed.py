"""A frame that is no message: its sender is told which rule it broke, the operator too, and nobody else notices."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.malformed import ELSEWHERE, FROM_CLIENT, FROM_SERVER
from tests.gateway.serving_badly import MODERN, Raw, Served, Upstream, Visit, serve
from tests.gateway.wrapping import World

import doorward.wire.jsonrpc

LIMITS = {"frame-depth", "frame-nodes", "frame-bytes"}


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.stop()


@pytest.fixture
def served(world: World, upstream: Upstream) -> Served:
    return serve(world, upstream.url)


def test_there_is_a_frame_for_each_rule_of_the_decoder() -> None:
    source = Path(doorward.wire.jsonrpc.__file__).read_text()
    rules = set(re.findall(r'_malformed\(\s*"([a-z0-9-]+)"', source))
    assert rules == FROM_SERVER.keys()
    assert rules - ELSEWHERE == FROM_CLIENT.keys()


def strange(served: Served, where: str) -> tuple[Raw, dict[str, str]]:
    """Somebody who is about to misbehave: with no session, in one, or modern, on a link that is there or not."""
    if where == "in a session":
        return served.session(), {}
    client = served.client()
    if where == "on a modern link":
        assert client.call("echo", modern=True, text="hello")["result"]
    return client, {"MCP_Protocol_Version": MODERN} if "modern" in where else {}


@pytest.mark.parametrize("where", ["before a session", "in a session", "modern and first", "on a modern link"])
def test_a_client_is_told_which_rule_it_broke_and_may_go_on(served: Served, where: str) -> None:
    references = {}
    with served.with_honest_clients(eras=("legacy",) if where == "modern and first" else ("legacy", "modern")):
        client, fields = strange(served, where)
        with client:
            for rule, (code, frame) in FROM_CLIENT.items():
                client.post(frame, **fields)
                answer = client.answer()
                assert answer.status == 400, (rule, answer)
                told = answer.message["error"]
                assert told["code"] == code, (rule, told)
                references[rule] = told["data"]["reference"]
            if where == "before a session":
                client.initialize()
            assert client.call("echo", modern="modern" in where, text="after all")["result"]
    findings = {one.reference: one for one in served.findings()}
    recorded = served.references()
    for rule, reference in references.items():
        assert findings[reference].control == ("frame-limits" if rule in LIMITS else "strict-decode"), rule
        assert reference in recorded, rule
    assert "strict-decode" in served.shows(references["json"])


@pytest.mark.parametrize("modern", [False, True], ids=["legacy", "modern"])
@pytest.mark.parametrize("form", ["json", "events"])
def test_an_answer_that_is_no_message_is_withheld_and_said_so(
    served: Served, upstream: Upstream, form: str, modern: bool
) -> None:
    frames = iter(FROM_SERVER.values())

    def answer(visit: Visit) -> None:
        frame = next(frames).replace(b"@", json.dumps(visit.key).encode())
        if form == "json":
            visit.whole(frame)
        else:
            visit.stream()
            visit.event(frame)
            visit.close()

    upstream.bad = answer
    told = {}
    with served.with_honest_clients(), served.client() as client:
        if not modern:
            client.initialize()
        for rule in FROM_SERVER:
            told[rule] = client.call("bad", modern=modern)["error"]
    recorded = served.references()
    findings = {(one.reference, one.sender): one for one in served.findings()}
    unread = {one.reason for one in served.findings() if one.control in ("frame-limits", "strict-decode")}
    for rule, error in told.items():
        reference = error["data"]["reference"]
        assert reference in recorded, (rule, error)
        if error["code"] == -31001:
            control = findings[reference, "server"].control
            assert control == ("frame-limits" if rule in LIMITS else "strict-decode"), rule
        else:  # it looked like no answer, so the call ends with its stream
            assert error["data"]["outcome"] == "unknown", (rule, error)
    assert len(unread) >= len(FROM_SERVER), unread
    assert "strict-decode" in served.shows(told["json"]["data"]["reference"])


def test_a_response_without_an_id_from_a_modern_client_is_a_bad_request(served: Served) -> None:
    with served.client() as client:
        assert client.call("echo", modern=True, text="x")["result"]
        answer = client.say({"jsonrpc": "2.0", "id": 1, "result": {}}, MCP_Protocol_Version=MODERN)
        assert answer.status == 400
        assert client.call("echo", modern=True, text="y")["result"]
    assert "nobody asked for" in served.found("solicited-only").reason

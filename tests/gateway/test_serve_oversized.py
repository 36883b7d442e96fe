"""What has no end, or is far too long, costs a bounded amount of memory, ends, and is told to whoever waits for it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from tests.gateway.serving_badly import Answer, Raw, Served, Upstream, Visit, request, serve
from tests.gateway.wrapping import World, crafted, wait_until

MIB = 1 << 20
TEN_GB = 10 * 1000**3
PIECE = b"x" * MIB
ENOUGH = 2048 * MIB
"""More than anybody may take of something without an end, and less than a test has time for."""


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.stop()


@pytest.fixture
def served(world: World, upstream: Upstream) -> Served:
    return serve(world, upstream.url)


def refused(client: Raw) -> Answer:
    answer = client.answer()
    assert answer.status == 413, answer
    return answer


# --- from a client ----------------------------------------------------------------------------------------------------


def test_a_body_of_ten_gigabytes_that_is_announced_is_refused_before_it_comes(served: Served) -> None:
    with served.with_honest_clients(), served.client() as client:
        client.send(client.head(Content_Length=str(TEN_GB)))
        refused(client)
    assert served.shows(served.found("http-limits", "body-bytes").reference)


def test_a_body_of_ten_gigabytes_that_is_poured_ends_within_megabytes(served: Served) -> None:
    before = served.forget_peak()
    with served.with_honest_clients(), served.client() as client:
        client.send(client.head(Content_Length=str(TEN_GB)))
        assert client.pour(PIECE, ENOUGH) < 64 * MIB
    assert served.measure() - before < 16 * MIB


def test_a_chunked_body_without_an_end_is_refused_where_the_limit_is(served: Served) -> None:
    before = served.forget_peak()
    with served.with_honest_clients(), served.client() as client:
        client.send(client.head(Transfer_Encoding="chunked"))
        assert client.pour(b"%x\r\n%b\r\n" % (MIB, PIECE), ENOUGH) < 64 * MIB
    served.found("http-limits", "body-bytes")
    assert served.measure() - before < 24 * MIB


def test_a_body_in_chunks_of_two_bytes_is_refused(served: Served) -> None:
    with served.with_honest_clients(), served.client() as client:
        client.send(client.head(Transfer_Encoding="chunked"))
        client.pour(b"2\r\nxy\r\n" * 10_000, 16 * MIB)
        assert client.answer().status == 400
    served.found("http-syntax", "chunk-framing")


def test_slow_bodies_hold_only_what_came_and_nobody_waits_for_them(served: Served) -> None:
    slow = [served.client() for _ in range(64)]
    before = served.forget_peak()
    with served.with_honest_clients() as honest:
        for client in slow:
            client.send(client.head(Content_Length=str(4 * MIB)))
        until = time.monotonic() + 2
        while time.monotonic() < until:
            for client in slow:
                client.send(b" ")
        assert min(honest.done.values()) > 0
    assert served.measure() - before < 16 * MIB
    for client in slow:
        client.reset()


@pytest.mark.parametrize("modern", [False, True], ids=["legacy", "modern"])
def test_a_hundred_thousand_nested_arrays_are_refused(served: Served, modern: bool) -> None:
    with served.with_honest_clients(), served.client() if modern else served.session() as client:
        deep = json.dumps({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"a": "@"}})
        nested = deep.replace('"@"', "[" * 100_000 + "]" * 100_000).encode()
        client.post(nested, **({"MCP_Protocol_Version": "2026-07-28"} if modern else {}))
        assert client.answer().message["error"]["code"] == -32600
    served.found("frame-limits")


# --- from a server by URL ---------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nConnection: close\r\n\r\n"
JSON, EVENTS = HEAD % b"application/json", HEAD % b"text/event-stream"
LINES = b"data: xy\n" * 100_000
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"

ENDLESS: dict[str, Callable[[Visit], int]] = {
    "a JSON body": lambda visit: poured(visit, JSON + b'{"jsonrpc":"2.0","id":1,"result":{"a":"', PIECE),
    "a JSON body in tiny chunks": lambda visit: poured(visit, CHUNKED, b"2\r\nxy\r\n" * 100_000),
    "an event of one line": lambda visit: poured(visit, EVENTS + b'data: {"jsonrpc":"2.0","a":"', PIECE),
    "an event of tiny lines": lambda visit: poured(visit, EVENTS, LINES),
    "a comment": lambda visit: poured(visit, EVENTS + b": ", PIECE),
    "comments": lambda visit: poured(visit, EVENTS, b": hello\n" * 100_000),
    "an id": lambda visit: poured(visit, EVENTS + b"id: ", PIECE),
    "a head": lambda visit: poured(visit, b"HTTP/1.1 200 OK\r\n", b"X-More: yes\r\n" * 1000),
    "informational answers": lambda visit: poured(visit, b"", b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 1000),
}


def poured(visit: Visit, beginning: bytes, again: bytes) -> int:
    visit.send(beginning)
    return visit.pour(again, ENOUGH)


@pytest.mark.parametrize("modern", [False, True], ids=["legacy", "modern"])
@pytest.mark.parametrize("what", ENDLESS)
def test_an_answer_without_an_end_is_ended_and_whoever_asked_is_told(
    served: Served, upstream: Upstream, what: str, modern: bool
) -> None:
    taken: list[int] = []
    upstream.bad = lambda visit: taken.append(ENDLESS[what](visit))
    with served.with_honest_clients(), served.client() if modern else served.session() as client:
        assert client.call("echo", modern=modern, text="first")["result"]
        before = served.forget_peak()
        error = client.call("bad", modern=modern)["error"]
        assert error["code"] in (-31001, -32603), error
        assert error["data"]["reference"] in served.references()
        grown = served.measure() - before
        assert client.call("echo", modern=modern, text="afterwards")["result"]
    assert grown < 80 * MIB, grown / MIB
    assert taken
    assert taken[0] < 256 * MIB, taken[0] / MIB
    assert served.shows(error["data"]["reference"])


# --- from a server that is a child ------------------------------------------------------------------------------------


def test_a_line_without_an_end_is_ended_with_its_server_and_no_other(world: World) -> None:
    policy = "".join(
        f"[servers.{name}]\ncommand = {json.dumps(list(crafted('plain')))}\n" for name in ("good", "talks")
    )
    served = serve(world, policy=policy)
    with served.with_honest_clients("/good/mcp", eras=("legacy",)), served.session("/talks/mcp") as client:
        before = served.forget_peak()
        error = client.call("endless")["error"]
        assert error["code"] == -31001, error
        assert error["data"]["reference"] in served.references()
        assert served.measure() - before < 80 * MIB
        wait_until(lambda: client.say(request(9, "ping")).status == 404, "the end of the session")
        with served.session("/talks/mcp") as anew:
            assert anew.call("echo", text="anew")["result"]
    served.found("frame-limits", "line")

"""The connector for Streamable HTTP against a server whose every byte is the test's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.bounded import until
from tests.gateway.raw_upstream import Ear, Play, RawUpstream, Visit, call, modern, on_both_loops, raw_upstream, tell

from doorward.gateway.upstream.address import parse
from doorward.gateway.upstream.http_client import HttpClient
from doorward.gateway.upstream.streamable import StreamableConnector
from doorward.relay.commands import Send
from doorward.wire.jsonrpc import FrameLimits, encode_value

GREETING = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}}


@asynccontextmanager
async def linked(play: Play, **options: Any) -> AsyncIterator[tuple[StreamableConnector, Ear, RawUpstream]]:
    async with raw_upstream(play) as upstream:
        address, ear = parse(upstream.url), Ear()
        connections = options.pop("connections", 8)
        connector = StreamableConnector(HttpClient(address, connections=connections), address, ear, **options)
        try:
            yield connector, ear, upstream
        finally:
            await connector.close()


def greeting(session: str = "s-1") -> Play:
    """Answers initialize and notifications; everything else is an empty result."""

    async def play(visit: Visit) -> None:
        if visit.seen.line.startswith("DELETE"):
            await visit.status("204 No Content")
        elif visit.seen.line.startswith("GET"):
            await visit.status("405 Method Not Allowed")
        elif visit.seen.tree.get("method") == "initialize":
            body = {"jsonrpc": "2.0", "id": visit.seen.tree["id"], "result": GREETING}
            await visit.json(body, fields=f"Mcp-Session-Id: {session}\r\n")
        elif "id" not in visit.seen.tree or "method" not in visit.seen.tree:
            await visit.accepted()
        else:
            await visit.answer({"content": []})

    return play


async def greet(connector: StreamableConnector, ear: Ear) -> None:
    before = len(ear.frames)
    connector.put(call(0, "initialize", 1, protocolVersion="2025-11-25"))
    await ear.heard(before + 1)


@on_both_loops
async def test_a_json_answer_comes_back_on_the_exchange_of_its_request() -> None:
    async def play(visit: Visit) -> None:
        await visit.answer({"content": [{"type": "text", "text": "ä"}]})

    async with linked(play) as (connector, ear, upstream):
        assert connector.put(call(7, exchange=31, name="t"))
        ((message, exchange),) = await ear.heard()
    assert (message["id"], exchange) == (7, 31)
    assert upstream.seen[0].line == "POST /mcp HTTP/1.1"
    assert upstream.seen[0].fields["accept"] == "application/json, text/event-stream"
    assert upstream.seen[0].fields["host"] == f"127.0.0.1:{upstream.port}"
    assert not ear.losses


@on_both_loops
async def test_a_connection_is_used_again_for_the_next_request() -> None:
    async def play(visit: Visit) -> None:
        await visit.answer()

    async with linked(play) as (connector, ear, upstream):
        for number in range(1, 6):
            connector.put(call(number))
            await ear.heard(number)
        assert [seen.connection for seen in upstream.seen] == [1] * 5


@on_both_loops
async def test_each_event_of_a_stream_is_handed_over_in_order_and_the_request_is_done_with_its_response() -> None:
    async def play(visit: Visit) -> None:
        await visit.stream()
        await visit.chunk(b": hello\n\n")
        for number in range(3):
            await visit.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": number}})
        await visit.event({"jsonrpc": "2.0", "id": 1, "result": {}})
        await visit.end()

    async with linked(play) as (connector, ear, _):
        connector.put(call(1, exchange=5))
        messages = await ear.heard(4)
        await connector.drained()
    assert [message.get("method") for message, _ in messages] == ["notifications/progress"] * 3 + [None]
    assert {exchange for _, exchange in messages} == {5}
    assert not ear.losses


@on_both_loops
async def test_a_session_and_its_version_are_sent_from_the_greeting_on_and_the_session_is_deleted_at_the_end() -> None:
    async with linked(greeting("abc~1")) as (connector, ear, upstream):
        await greet(connector, ear)
        connector.put(tell("notifications/initialized"))
        connector.put(call(1, "tools/list"))
        await ear.heard(2)
    first, *rest = upstream.seen
    assert "mcp-session-id" not in first.fields
    assert "mcp-protocol-version" not in first.fields
    assert [seen.line.split()[0] for seen in rest] == ["POST", "POST", "DELETE"]
    assert {seen.fields["mcp-session-id"] for seen in rest} == {"abc~1"}
    assert {seen.fields["mcp-protocol-version"] for seen in rest} == {"2025-11-25"}
    assert not ear.losses
    assert not ear.ends


@on_both_loops
async def test_nothing_overtakes_the_notification_that_ends_the_handshake() -> None:
    release = asyncio.Event()

    async def play(visit: Visit) -> None:
        if visit.seen.line.startswith("POST") and visit.seen.tree.get("method") == "notifications/initialized":
            await release.wait()
        await greeting()(visit)

    async with linked(play) as (connector, ear, upstream):
        await greet(connector, ear)
        connector.put(tell("notifications/initialized"))
        connector.put(call(1, "tools/list"))
        await until(lambda: len(upstream.seen) == 2)
        await asyncio.sleep(0.05)
        assert len(upstream.seen) == 2
        release.set()
        await ear.heard(2)


@on_both_loops
async def test_a_session_that_the_server_ended_breaks_the_link() -> None:
    async def play(visit: Visit) -> None:
        if visit.seen.tree.get("method") == "tools/list":
            await visit.status("404 Not Found")
        else:
            await greeting()(visit)

    async with linked(play) as (connector, ear, upstream):
        await greet(connector, ear)
        connector.put(call(1, "tools/list", 9))
        await until(lambda: ear.ends)
        assert ear.ends == ["the server ended the session"]
        assert connector.broken
        assert not connector.put(call(2))
    assert len(upstream.seen) == 2


@on_both_loops
async def test_a_session_id_that_is_not_visible_ascii_breaks_the_link() -> None:
    async with linked(greeting("a b")) as (connector, ear, _):
        connector.put(call(0, "initialize", 1))
        await until(lambda: ear.ends)
        assert "session id" in ear.ends[0]


@on_both_loops
async def test_an_error_body_of_a_refusing_status_is_the_answer_to_its_request_whatever_id_it_names() -> None:
    async def play(visit: Visit) -> None:
        named = None if visit.seen.tree["id"] == 1 else "server-error"
        body = {"jsonrpc": "2.0", "id": named, "error": {"code": -32022, "message": "no", "data": {"supported": []}}}
        await visit.json(body, status="400 Bad Request")

    async with linked(play) as (connector, ear, _):
        connector.put(modern(1, "server/discover", 3))
        connector.put(modern(2, "server/discover", 4))
        messages = await ear.heard(2)
        assert sorted((message["id"], exchange) for message, exchange in messages) == [(1, 3), (2, 4)]
        assert {message["error"]["code"] for message, _ in messages} == {-32022}
        assert not ear.losses


UNUSABLE = {
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n": "the server answered HTTP 502",
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n": (
        "the server answered HTTP 302 (redirects are not followed)"
    ),
    b"": "the connection was closed before the answer was complete",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{": (
        "the connection was closed before the answer was complete"
    ),
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: cut off": (
        "the server's answer ended without a response to the request"
    ),
    b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n": "the server answered HTTP 202 without a message",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc": (
        "its answer is compressed, which was not asked for"
    ),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n": (
        "its answer has a transfer coding that is not known"
    ),
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": "its answer is not HTTP",
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n": "its answer is not HTTP",
    b"SSH-2.0-OpenSSH\r\n": "its answer is not HTTP",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n": (
        "it changed the protocol, which was not asked for"
    ),
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n": "the head of its answer is too long",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 40_000: "the head of its answer is too long",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000: "the head of its answer is too long",
}


@on_both_loops
async def test_what_ends_without_an_answer_is_lost_with_its_cause() -> None:
    async def play(visit: Visit) -> None:
        await visit.say(list(UNUSABLE)[visit.seen.tree["id"]])
        visit.cut()

    async with linked(play, connections=len(UNUSABLE)) as (connector, ear, _):
        for number in range(len(UNUSABLE)):
            connector.put(call(number, exchange=number + 1))
        await until(lambda: len(ear.losses) == len(UNUSABLE))
    assert [cause for _, cause in sorted(ear.losses)] == list(UNUSABLE.values())
    compressed = 1 + [b"Content-Encoding" in answer for answer in UNUSABLE].index(True)
    assert ear.not_read == [("frame-compressed", compressed)]
    assert not ear.frames


@on_both_loops
async def test_a_modern_request_repeats_itself_in_headers() -> None:
    async def play(visit: Visit) -> None:
        await visit.answer()

    schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    pinned = {"query": encode_value(schema)}
    async with linked(play, schema_of=pinned.get) as (connector, ear, upstream):
        connector.put(modern(1, name="query", arguments={"region": "Zürich"}))
        await ear.heard()
    fields = upstream.seen[0].fields
    assert fields["mcp-protocol-version"] == "2026-07-28"
    assert fields["mcp-method"] == "tools/call"
    assert fields["mcp-name"] == "query"
    assert fields["mcp-param-region"] == "=?base64?WsO8cmljaA==?="
    assert "mcp-session-id" not in fields


@on_both_loops
async def test_a_modern_request_is_cancelled_by_closing_its_stream() -> None:
    left = asyncio.Event()

    async def play(visit: Visit) -> None:
        await visit.stream()
        await visit.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}})
        await visit.left()
        left.set()

    async with linked(play) as (connector, ear, upstream):
        connector.put(modern("a", exchange=5))
        await ear.heard()
        connector.put(tell("notifications/cancelled", 5, requestId="a"))
        await asyncio.wait_for(left.wait(), 10)
        assert [seen.tree["method"] for seen in upstream.seen] == ["tools/call"]
        assert ear.losses == [(5, "it was cancelled")]


@on_both_loops
async def test_a_legacy_cancellation_is_sent_as_it_is() -> None:
    going = asyncio.Event()

    async def play(visit: Visit) -> None:
        if visit.seen.line.startswith("POST") and visit.seen.tree.get("method") == "tools/call":
            await going.wait()
        await greeting()(visit)

    async with linked(play) as (connector, ear, upstream):
        await greet(connector, ear)
        connector.put(call(1))
        await until(lambda: len(upstream.seen) == 2)
        connector.put(tell("notifications/cancelled", requestId=1))
        await until(lambda: len(upstream.seen) == 3)
        assert upstream.seen[2].tree["params"] == {"requestId": 1}
        going.set()
        await ear.heard(2)


@on_both_loops
async def test_a_request_that_waits_for_a_connection_is_cancelled_without_a_word() -> None:
    going = asyncio.Event()

    async def play(visit: Visit) -> None:
        if visit.seen.line.startswith("POST") and visit.seen.tree.get("method") == "tools/call":
            await going.wait()
        await greeting()(visit)

    async with linked(play, connections=1) as (connector, ear, upstream):
        await greet(connector, ear)
        connector.put(call(1, exchange=5))
        connector.put(call(2, exchange=6))
        await until(lambda: len(upstream.seen) == 2)
        connector.put(tell("notifications/cancelled", requestId=2))
        assert ear.losses == [(6, "it was cancelled before it was sent")]
        going.set()
        await ear.heard(2)
        await connector.drained()
    assert [seen.tree.get("id") for seen in upstream.seen if seen.body] == [0, 1]


@on_both_loops
async def test_answers_pass_while_all_connections_are_taken_by_calls_that_wait_for_them() -> None:
    answered = asyncio.Event()

    async def play(visit: Visit) -> None:
        tree = visit.seen.tree
        if tree.get("method") == "tools/call":
            await visit.stream()
            await visit.event({"jsonrpc": "2.0", "id": "s1", "method": "sampling/createMessage", "params": {}})
            await answered.wait()
            await visit.event({"jsonrpc": "2.0", "id": tree["id"], "result": {}})
            await visit.end()
        else:
            answered.set()
            await visit.accepted()

    async with linked(play, connections=1) as (connector, ear, _):
        connector.put(call(1, exchange=5))
        await ear.heard()
        connector.put(call(2, exchange=6))
        connector.put(Send("server", 7, encode_value({"jsonrpc": "2.0", "id": "s1", "result": {}})))
        await ear.heard(4)
        assert not ear.losses


@on_both_loops
async def test_a_busy_receiver_pauses_its_own_stream_only() -> None:
    async def play(visit: Visit) -> None:
        if visit.seen.tree["id"] == 2:
            await visit.answer()
            return
        await visit.stream()
        for number in range(200):
            note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"n": number, "data": "x" * 20_000}}
            await visit.event(note)
        await visit.event({"jsonrpc": "2.0", "id": 1, "result": {}})
        await visit.end()

    async with linked(play) as (connector, ear, _):
        ear.free.clear()
        connector.put(call(1, exchange=5))
        await ear.heard(1)
        connector.put(call(2, exchange=6))
        await until(lambda: (b'{"jsonrpc":"2.0","id":2,"result":{}}', 6) in ear.frames)
        assert len(ear.frames) == 2
        ear.free.set()
        messages = await ear.heard(202)
    numbers = [message["params"]["n"] for message, exchange in messages if "params" in message]
    assert numbers == list(range(200))
    assert not ear.losses


@on_both_loops
async def test_a_stream_that_broke_off_is_taken_up_where_it_did() -> None:
    async def play(visit: Visit) -> None:
        if visit.seen.line.startswith("GET"):
            await visit.stream()
            await visit.event({"jsonrpc": "2.0", "id": 1, "result": {"late": True}}, event_id="e3")
            await visit.end()
        elif visit.seen.line.startswith("POST") and visit.seen.tree.get("method") == "tools/call":
            await visit.stream()
            await visit.event(None, event_id="e1", more="retry: 100\n")
            await visit.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}, event_id="e2")
            visit.cut()
        else:
            await greeting()(visit)

    async with linked(play) as (connector, ear, upstream):
        await greet(connector, ear)
        connector.put(call(1, exchange=5))
        messages = await ear.heard(3)
        assert messages[2] == ({"jsonrpc": "2.0", "id": 1, "result": {"late": True}}, 5)
        assert not ear.losses
    get = upstream.seen[2]
    assert get.line == "GET /mcp HTTP/1.1"
    assert get.fields["last-event-id"] == "e2"
    assert get.fields["mcp-session-id"] == "s-1"


@on_both_loops
async def test_a_stream_that_cannot_be_taken_up_again_is_lost_and_the_call_is_not_repeated() -> None:
    async def play(visit: Visit) -> None:
        if visit.seen.line.startswith("POST") and visit.seen.tree.get("method") == "tools/call":
            await visit.stream()
            await visit.event(None, event_id="e1", more="retry: 1\n")
            visit.cut()
        else:
            await greeting()(visit)

    async with linked(play) as (connector, ear, upstream):
        await greet(connector, ear)
        connector.put(call(1, exchange=5))
        await until(lambda: ear.losses)
        assert ear.losses[0][0] == 5
        assert "could not be taken up again" in ear.losses[0][1]
    assert sum(b"tools/call" in seen.body for seen in upstream.seen) == 1


@on_both_loops
async def test_of_requests_on_one_exchange_only_those_without_an_answer_are_lost() -> None:
    last = asyncio.Event()

    async def play(visit: Visit) -> None:
        if visit.seen.tree["id"] == 1:
            visit.cut()
            return
        await last.wait()
        await visit.answer()

    async with linked(play) as (connector, ear, upstream):
        connector.put(call(1, exchange=5))
        connector.put(call(2, exchange=5))
        await until(lambda: len(upstream.seen) == 2)
        assert not ear.losses
        last.set()
        await until(lambda: ear.losses)
        assert len(ear.frames) == 1


@on_both_loops
async def test_the_standing_stream_is_opened_again_and_what_comes_on_it_is_exchange_0() -> None:
    gets = 0

    async def play(visit: Visit) -> None:
        nonlocal gets
        if visit.seen.line.startswith("GET"):
            gets += 1
            await visit.stream()
            await visit.event(
                {"jsonrpc": "2.0", "method": "notifications/message"}, event_id=f"g{gets}", more="retry: 1\n"
            )
            if gets == 1:
                visit.cut()
            else:
                await visit.left()
        else:
            await greeting()(visit)

    async with linked(play) as (connector, ear, upstream):
        await greet(connector, ear)
        connector.listen()
        messages = await ear.heard(3)
        assert [exchange for _, exchange in messages[1:]] == [0, 0]
        connector.unlisten()
        await until(lambda: upstream.open <= 1)
    assert [s.fields.get("last-event-id") for s in upstream.seen if s.line.startswith("GET")] == [None, "g1"]


@on_both_loops
async def test_a_server_without_a_standing_stream_is_asked_once() -> None:
    async with linked(greeting()) as (connector, ear, upstream):
        await greet(connector, ear)
        connector.listen()
        await until(lambda: len(upstream.seen) == 2)
        connector.put(call(1))
        await ear.heard(2)
        assert sum(seen.line.startswith("GET") for seen in upstream.seen) == 1
        assert not ear.ends


@on_both_loops
async def test_a_body_or_event_beyond_the_limit_is_cut_off() -> None:
    async def play(visit: Visit) -> None:
        if visit.seen.tree["id"] == 1:
            await visit.say(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
            while True:
                await visit.say(b"[" * 10_000)
        await visit.stream()
        await visit.chunk(b"data: " + b"x" * 50_000 + b"\n\n")
        await visit.event({"jsonrpc": "2.0", "id": 2, "result": {}})
        await visit.end()

    async with linked(play, limits=FrameLimits(max_bytes=20_000)) as (connector, ear, _):
        connector.put(call(1, exchange=5))
        await until(lambda: ear.losses)
        assert ear.losses == [(5, "its answer is too long")]
        connector.put(call(2, exchange=6))
        await ear.heard(1)
        assert [(frame.size > 20_000, exchange) for frame, exchange in ear.overlongs] == [(True, 5), (True, 6)]
        assert ear.overlongs[1][0].size == 50_000


@on_both_loops
async def test_an_answer_that_takes_longer_than_the_maximum_is_lost_although_progress_comes() -> None:
    async def play(visit: Visit) -> None:
        await visit.stream()
        while True:
            await visit.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}})
            await asyncio.sleep(0.02)

    async with linked(play, max_answer_s=0.2) as (connector, ear, _):
        connector.put(call(1, exchange=5))
        await until(lambda: ear.losses)
        assert ear.losses == [(5, "no answer within 0.2 s")]
        assert ear.frames


@on_both_loops
async def test_what_a_server_says_twice_or_about_another_id_is_handed_over() -> None:
    async def play(visit: Visit) -> None:
        if visit.seen.tree["id"] == 1:
            await visit.stream()
            for answer in (99, 1, 1):
                await visit.event({"jsonrpc": "2.0", "id": answer, "result": {}})
            await visit.end()
        else:
            await visit.json({"jsonrpc": "2.0", "id": "else", "result": {}})

    async with linked(play) as (connector, ear, _):
        connector.put(call(1, exchange=5))
        assert [message["id"] for message, _ in await ear.heard(3)] == [99, 1, 1]
        assert not ear.losses
        connector.put(call(2, exchange=6))
        await until(lambda: ear.losses)
        assert ear.messages[3][0]["id"] == "else"
        assert ear.losses == [(6, "the server's answer ended without a response to the request")]


@on_both_loops
async def test_a_stream_that_stays_open_after_the_answer_is_closed_after_a_while() -> None:
    left = asyncio.Event()

    async def play(visit: Visit) -> None:
        await visit.stream()
        await visit.event({"jsonrpc": "2.0", "id": 1, "result": {}})
        await visit.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {}})
        await visit.left()
        left.set()

    async with linked(play, max_answer_s=1) as (connector, ear, _):
        connector.put(call(1, exchange=5))
        await ear.heard(2)
        await asyncio.wait_for(left.wait(), 7.5)
        assert not ear.losses

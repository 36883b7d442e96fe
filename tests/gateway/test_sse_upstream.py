"""The connector for HTTP+SSE against a server whose every byte is the test's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.bounded import until
from tests.gateway.raw_upstream import Ear, RawUpstream, Visit, call, on_both_loops, raw_upstream

from doorward.gateway.upstream.address import parse
from doorward.gateway.upstream.http_client import HttpClient
from doorward.gateway.upstream.sse_upstream import SseConnector


class Server:
    """Says ``endpoint``; then answers each request on its stream, unless its status is another."""

    def __init__(self, endpoint: bytes = b"/messages?s=1", status: str = "202 Accepted") -> None:
        self.endpoint = endpoint
        self.status = status
        self.mute = False
        self.stream: Visit | None = None
        self.ready = asyncio.Event()
        self.ready.set()

    async def play(self, visit: Visit) -> None:
        if visit.seen.line.startswith("GET"):
            self.stream = visit
            await visit.stream()
            await self.ready.wait()
            await visit.chunk(b"event: endpoint\ndata: " + self.endpoint + b"\n\n")
            await visit.left()
            return
        await visit.status(self.status)
        if self.stream is not None and self.status.startswith("202") and not self.mute:
            note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}
            await self.stream.event(note, more="event: message\n")
            await self.stream.event({"jsonrpc": "2.0", "id": visit.seen.tree["id"], "result": {}})


@asynccontextmanager
async def linked(server: Server, *, max_answer_s: float = 60) -> AsyncIterator[tuple[SseConnector, Ear, RawUpstream]]:
    async with raw_upstream(server.play) as upstream:
        address, ear = parse(upstream.url.replace("/mcp", "/sse")), Ear()
        connector = SseConnector(HttpClient(address), address, ear, max_answer_s=max_answer_s)
        try:
            yield connector, ear, upstream
        finally:
            await connector.close()


@on_both_loops
async def test_messages_wait_for_the_endpoint_and_answers_come_back_on_their_exchange() -> None:
    server = Server()
    server.ready.clear()
    async with linked(server) as (connector, ear, upstream):
        connector.put(call(1, exchange=5))
        connector.put(call("b", exchange=6))
        await until(lambda: upstream.seen)
        assert len(upstream.seen) == 1
        server.ready.set()
        messages = await ear.heard(4)
        assert {message["id"]: exchange for message, exchange in messages if "id" in message} == {1: 5, "b": 6}
        assert {exchange for message, exchange in messages if "id" not in message} == {0}
        await connector.drained()
    assert [seen.line.split()[:2] for seen in upstream.seen] == [
        ["GET", "/sse"],
        ["POST", "/messages?s=1"],
        ["POST", "/messages?s=1"],
    ]
    assert not ear.ends


@on_both_loops
async def test_an_endpoint_elsewhere_breaks_the_link_and_nothing_is_sent_there() -> None:
    async with linked(Server(b"http://127.0.0.1:9/messages")) as (connector, ear, upstream):
        connector.put(call(1))
        await until(lambda: ear.ends)
        assert ear.ends == ["the server sends messages to another origin"]
        assert not connector.put(call(2))
        assert len(upstream.seen) == 1


@on_both_loops
async def test_the_end_of_the_stream_is_the_end_of_the_link() -> None:
    server = Server()
    async with linked(server) as (connector, ear, _):
        connector.put(call(1))
        await ear.heard(2)
        assert server.stream is not None
        await server.stream.end()
        await until(lambda: ear.ends)
        assert ear.ends == ["the server ended its stream"]
        assert connector.broken


@on_both_loops
async def test_a_message_that_is_not_taken_is_lost() -> None:
    async with linked(Server(status="500 Internal Server Error")) as (connector, ear, _):
        connector.put(call(1, exchange=5))
        await until(lambda: ear.losses)
        assert ear.losses == [(5, "the server answered HTTP 500")]
        assert not ear.ends


@on_both_loops
async def test_a_url_without_a_stream_breaks_the_link() -> None:
    async def play(visit: Visit) -> None:
        await visit.status("404 Not Found")

    async with raw_upstream(play) as upstream:
        address, ear = parse(upstream.url), Ear()
        connector = SseConnector(HttpClient(address), address, ear)
        await until(lambda: ear.ends)
        assert ear.ends == ["the server answered HTTP 404 where its stream should be"]
        await connector.close()


@on_both_loops
async def test_an_answer_that_never_comes_is_lost_and_the_next_one_still_comes() -> None:
    server = Server()
    async with linked(server, max_answer_s=0.3) as (connector, ear, upstream):
        connector.put(call(1, exchange=5))
        await ear.heard(2)
        server.mute = True
        connector.put(call(2, exchange=6))
        await until(lambda: ear.losses)
        assert ear.losses == [(6, "no answer within 0.3 s")]
        server.mute = False
        connector.put(call(3, exchange=7))
        assert [exchange for message, exchange in (await ear.heard(4)) if message.get("id") == 3] == [7]
        assert len(upstream.seen) == 4
    assert len(ear.losses) == 1

"""Clients that take nothing and streams that say nothing: the one is cut off, the other is kept alive."""

from __future__ import annotations

import functools
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bounded import in_loop, until
from tests.gateway.http_peer import Notebook, house
from tests.gateway.scripted_upstream import Upstream, Visit, tells
from tests.gateway.serving import LEAVE_AT_ONCE, Place, by_command, by_url, call, place, request
from tests.gateway.test_serve_streams import log
from tests.gateway.wrapping import crafted, wait_until

from doorward.gateway.http.carriage import Carriage
from doorward.gateway.http.downstream import Downstream
from doorward.relay.commands import Send

MIB = 1 << 20


@pytest.fixture
def house_of(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path) as made:
        yield made


def test_a_client_that_reads_nothing_slows_its_own_upstream_and_nobody_else(house_of: Place) -> None:
    upstream = Upstream()
    said = {"legacy": 0, "modern": 0}

    def endless(visit: Visit, era: str) -> None:
        visit.stream()
        while said[era] < 300:
            visit.event(log("x" * MIB))
            said[era] += 1

    upstream.scripts |= {era: functools.partial(endless, era=era) for era in said}
    serve = house_of.serve(by_url(upstream.url))
    session, other = serve.session(), serve.session()
    before = serve.memory()
    for era, start in (("legacy", session.script), ("modern", serve.script)):
        deaf = start(1, era)
        assert deaf.head()[0] == 200
        wait_until(lambda era=era: said[era] > 1, "it began")  # type: ignore[misc]
        for number in range(20):
            assert other.call(number, "echo", text="beside").status == 200
            assert serve.modern(1, "tools/call", name="echo", arguments={"text": "beside"}).status == 200
        assert said[era] < 100, "what nobody takes is read from the upstream all the same"
        assert serve.memory() - before < 160 * MIB
    upstream.stop()


def test_what_a_server_does_not_take_is_refused_before_it_fills_the_memory(house_of: Place) -> None:
    command = crafted("deaf", str(house_of.folder))
    serve = house_of.serve(by_command(command, more=f'write = ["{house_of.folder}"]'))
    session = serve.session("/child/mcp")
    asked = session.post(call(1, "echo", text="x"))  # it lists its tools, and reads no more
    wait_until(lambda: session.ask(tells("notifications/roots/list_changed")).status == 202, "it is asked")
    before = serve.memory()
    large = tells("notifications/roots/list_changed", _meta={"x": "y" * MIB})
    statuses = [session.ask(large).status for _ in range(60)]
    assert statuses[0] == 202
    assert statuses[-1] == 503
    serve.wait_for_finding("in-flight", "not taken yet")
    refused = session.ask(request(2, "ping"))
    assert (refused.status, refused.code, refused.message["id"]) == (503, -31003, 2)
    assert serve.memory() - before < 128 * MIB
    other = serve.session("/child/mcp")
    assert other.ask(request(1, "ping")).status == 200
    asked.close()


def post(path: str = "/mcp") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n".encode()


@in_loop
async def test_a_silent_stream_shows_signs_of_life_from_the_second_time_on() -> None:
    downstream = Downstream(legacy=True, one_pipe=False)
    book = Notebook()
    book.on_receive = lambda call, _: downstream.carry(
        Carriage(call, 7, replay=downstream.replay, version="2025-11-25")
    )
    async with house(book) as place_:
        client = await place_.client()
        await client.send(post())
        await until(lambda: downstream.busy)
        downstream.keep_alive()
        assert not book.admitted[0].streaming  # a quick answer is still JSON
        downstream.keep_alive()
        status, headers = await client.head()
        assert (status, headers["content-type"]) == (200, "text/event-stream")
        pieces = client.chunks()
        assert (await anext(pieces)).startswith(b"id: 7-0")
        assert (await anext(pieces)).startswith(b":")
        downstream.keep_alive()
        assert (await anext(pieces)).startswith(b":")
        assert downstream.put(Send("client", 7, b'{"jsonrpc":"2.0","id":1,"result":{}}'))
        assert b'"result":{}' in await anext(pieces)
        assert [piece async for piece in pieces] == []
        assert not downstream.busy


@in_loop
async def test_a_client_that_leaves_more_than_the_largest_message_is_given_up() -> None:
    downstream = Downstream(legacy=False, one_pipe=True)
    gone: list[int] = []
    book = Notebook()

    def receive(call: object, _: bytes) -> None:
        carriage = Carriage(call, 7, key='"a"', method="tools/call")  # type: ignore[arg-type]
        downstream.carry(carriage)
        carriage.call.on_gone = lambda: gone.append(7) if downstream.drop(7) else None

    book.on_receive = receive
    async with house(book) as place_:
        client = await place_.client()
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LEAVE_AT_ONCE)
        await client.send(post())
        await until(lambda: downstream.busy)
        body = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"%b"}}'
        message = Send("client", 7, body % (b"x" * MIB))
        delivered = [downstream.put(message) for _ in range(40)]
        assert delivered.count(True) < 30
        assert not delivered[-1]
        assert gone == [7]
        assert not downstream.busy
        assert downstream.full(7) is None

"""The way out of a server: who is reached by the proxy and by a relay, who never is, and what a hostile program gets.

Everything is loopback. What is public here says a resolver or a judge that the test hands in; the product has no such
way in.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bounded import in_loop, until
from tests.gateway.raw_upstream import Visit, on_both_loops, raw_upstream

from doorward.confine.network import PROXY, proxy_environment, spelt
from doorward.confine.process import Listener
from doorward.confine.profile import SandboxProfile
from doorward.content.destinations import is_listed, is_public
from doorward.gateway.egress.lookups import Judge, Resolve, why_closed
from doorward.gateway.egress.onward import Onward
from doorward.gateway.egress.request import RefusedError, read_request
from doorward.gateway.egress.server import Egress, Limits


async def everything_is_here(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


def everything_is_open(_address: str) -> str:
    return ""


class Way:
    """A way out that runs: the port of its proxy, those of its relays, what it refused and why."""

    def __init__(self, proxy: int, relays: list[int]) -> None:
        self.proxy = proxy
        self.relays = relays
        self.refused: list[tuple[str, str]] = []

    def refuse(self, target: tuple[str, int], why: str) -> str:
        self.refused.append((spelt(target), why))
        return "0123456789ab"


@asynccontextmanager
async def way_out(
    *,
    relays: tuple[str, ...] = (),
    hosts: tuple[str, ...] = (),
    closed: tuple[str, ...] = (),
    connect: tuple[tuple[str, int], ...] = (),
    onward: Onward | None = None,
    limits: Limits | None = None,
    shared: asyncio.Semaphore | None = None,
    resolve: Resolve | None = everything_is_here,
    judge: Judge = everything_is_open,
) -> AsyncIterator[Way]:
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in ("", *relays)]
    ports = [one.getsockname()[1] for one in listening]
    way = Way(ports[0], ports[1:])
    egress = Egress(
        way.refuse,
        hosts=hosts,
        closed=closed,
        connect=connect,
        onward=onward,
        shared=shared,
        limits=limits,
        resolve=resolve,
        judge=judge,
    )
    egress.open([Listener(one.detach(), target) for one, target in zip(listening, ("", *relays), strict=True)])
    try:
        yield way
    finally:
        await egress.close()


@asynccontextmanager
async def talking(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer(port: int, said: bytes) -> bytes:
    """All that comes back for ``said``, until the other end closes."""
    async with talking(port) as (reader, writer):
        writer.write(said)
        return await reader.read()


async def hello(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
    visit.cut()


# -- it carries ------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_an_absolute_request_goes_on_in_origin_form_and_without_what_was_for_the_proxy() -> None:
    async with raw_upstream(hello) as server, way_out() as way:
        asked = (
            f"POST HTTP://Api.Example.org:{server.port}/a?b=c HTTP/1.1\r\nHost: other.example\r\nX-Kept: 1\r\n"
            "Proxy-Authorization: Basic c2VjcmV0\r\nProxy-Connection: keep-alive\r\nConnection: keep-alive, X-Hop\r\n"
            "X-Hop: 1\r\nTE: trailers\r\nContent-Length: 4\r\n\r\nbody"
        )
        assert (await answer(way.proxy, asked.encode())).endswith(b"\r\n\r\nhello")
        (seen,) = server.seen
        assert seen.line == "POST /a?b=c HTTP/1.1"
        assert seen.body == b"body"
        assert seen.fields == {
            "host": f"api.example.org:{server.port}",
            "x-kept": "1",
            "content-length": "4",
            "connection": "close",
        }


@on_both_loops
async def test_a_tunnel_carries_both_directions_and_each_end_by_itself() -> None:
    async def shout_after_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())  # all of it: the end of this direction has come
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(shout_after_the_end, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, way_out() as way, talking(way.proxy) as (reader, writer):
        writer.write(f"CONNECT example.org:{port} HTTP/1.1\r\nHost: example.org:{port}\r\n\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        writer.write(b"a" * 1_000_000)
        writer.write_eof()
        assert await reader.read() == b"A" * 1_000_000


@on_both_loops
async def test_a_relay_leads_to_its_target_and_to_nothing_else() -> None:
    async with raw_upstream(hello) as server:
        target = f"127.0.0.1:{server.port}"
        async with way_out(relays=(target,), resolve=None, judge=why_closed) as way:
            said = await answer(way.relays[0], b"GET http://elsewhere.example/x HTTP/1.1\r\nHost: a\r\n\r\n")
            assert said.endswith(b"hello")
        assert [seen.line for seen in server.seen] == ["GET http://elsewhere.example/x HTTP/1.1"]
        assert way.refused == []


# -- whom it never reaches -------------------------------------------------------------------------------------------


@on_both_loops
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "10.1.2.3", "169.254.169.254", "[::ffff:127.0.0.1]", "0.0.0.1", "[fe80::1]"]
)
async def test_what_is_not_public_is_refused_by_its_address(host: str) -> None:
    async with way_out(resolve=None, judge=why_closed) as way:
        for asked in (f"CONNECT {host}:80 HTTP/1.1", f"GET http://{host}/latest/meta-data HTTP/1.1"):
            said = await answer(way.proxy, f"{asked}\r\nHost: x\r\n\r\n".encode())
            assert said.startswith(b"HTTP/1.1 403 ")
        assert way.refused == [(spelt((str(ip_address(host.strip("[]"))), 80)), "it is not a public address")] * 2


@on_both_loops
async def test_localhost_is_refused_by_what_it_leads_to() -> None:
    async with raw_upstream(hello) as server, way_out(resolve=None, judge=why_closed) as way:
        said = await answer(way.proxy, f"CONNECT localhost:{server.port} HTTP/1.1\r\n\r\n".encode())
        assert said.startswith(b"HTTP/1.1 403 ")
        assert b"127.0.0.1" not in said  # what a name leads to here is not the server's to know
        assert server.connections == 0
        ((host, why),) = way.refused
        assert (host, why[:12]) == (f"localhost:{server.port}", "it leads to ")


@on_both_loops
async def test_a_name_is_resolved_once_and_the_connection_goes_to_what_was_looked_at() -> None:
    asked: list[str] = []

    async def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.1"]

    def only_the_first(address: str) -> str:
        return "" if address == "127.0.0.2" else "is not a public address"

    async def whoami(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(writer.get_extra_info("sockname")[0].encode())
        writer.close()

    server = await asyncio.start_server(whoami, "0.0.0.0")  # noqa: S104 - all of loopback, to see which was taken
    port = server.sockets[0].getsockname()[1]
    async with server, way_out(resolve=rebinding, judge=only_the_first) as way:
        request = f"CONNECT rebinding.example:{port} HTTP/1.1\r\n\r\n".encode()
        assert (await answer(way.proxy, request)).endswith(b"\r\n\r\n127.0.0.2")
        assert len(asked) == 1
        assert (await answer(way.proxy, request)).startswith(b"HTTP/1.1 403 ")  # looked at anew each time


@on_both_loops
async def test_of_several_addresses_only_the_open_ones_are_tried() -> None:
    async def mixed(_host: str, _port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async with raw_upstream(hello) as server:
        async with way_out(resolve=mixed, judge=lambda address: "" if address == "127.0.0.2" else "is closed") as way:
            said = await answer(way.proxy, f"CONNECT a.example:{server.port} HTTP/1.1\r\n\r\n".encode())
            assert said.startswith(b"HTTP/1.1 502 ")  # nobody listens at the open one
        assert server.connections == 0
        async with way_out(resolve=mixed) as way:
            said = await answer(way.proxy, f"GET http://a.example:{server.port}/ HTTP/1.1\r\n\r\n".encode())
            assert said.endswith(b"hello")  # the second, after the first did not answer


@on_both_loops
async def test_a_host_that_is_not_on_the_list_is_not_even_resolved() -> None:
    asked: list[str] = []

    async def noting(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async with raw_upstream(hello) as server, way_out(resolve=noting, hosts=("*.example.org",)) as way:
        for host in ("secret.evil.example", "example.org", "notexample.org", "127.0.0.1"):
            said = await answer(way.proxy, f"CONNECT {host}:{server.port} HTTP/1.1\r\n\r\n".encode())
            assert said.startswith(b"HTTP/1.1 403 ")
        assert asked == []
        said = await answer(way.proxy, f"GET http://API.example.ORG.:{server.port}/ HTTP/1.1\r\n\r\n".encode())
        assert said.endswith(b"hello")
        assert asked == ["api.example.org"]
        assert [why for _, why in way.refused] == ["it is not on the list of hosts"] * 4


@on_both_loops
async def test_a_host_that_is_closed_is_not_resolved_either_unless_it_is_a_target() -> None:
    asked: list[str] = []

    async def noting(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async with raw_upstream(hello) as server:
        closed, connect = ("example.org", "*.example.org"), (("own.example.org", server.port),)
        async with way_out(resolve=noting, closed=closed, connect=connect) as way:
            for host in ("example.org", "API.example.ORG.", "own.example.org:1", "a.own.example.org"):
                asking = host if ":" in host else f"{host}:{server.port}"
                said = await answer(way.proxy, f"CONNECT {asking} HTTP/1.1\r\n\r\n".encode())
                assert said.startswith(b"HTTP/1.1 403 ")
            assert asked == []
            for host in ("own.example.org", "notexample.org"):
                said = await answer(way.proxy, f"GET http://{host}:{server.port}/ HTTP/1.1\r\n\r\n".encode())
                assert said.endswith(b"hello")


@on_both_loops
async def test_the_proxy_reaches_a_target_by_exactly_its_name_and_port() -> None:
    async with raw_upstream(hello) as server:
        connect = (("127.0.0.1", server.port),)
        async with way_out(resolve=None, judge=why_closed, connect=connect, hosts=("api.example.org",)) as way:
            said = await answer(way.proxy, f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\n\r\n".encode())
            assert said.endswith(b"hello")
            for other in (f"localhost:{server.port}", "127.0.0.1:1", f"127.0.0.2:{server.port}"):
                said = await answer(way.proxy, f"GET http://{other}/ HTTP/1.1\r\n\r\n".encode())
                assert said.startswith(b"HTTP/1.1 403 ")


def test_this_machine_is_closed_by_any_of_its_addresses() -> None:
    from doorward.gateway.egress import lookups

    assert lookups._is_ours("127.0.0.1")  # noqa: SLF001 - a public address of its own is nothing a test can have
    assert not lookups._is_ours("192.0.2.1")  # noqa: SLF001


# -- what no program of good will sends ------------------------------------------------------------------------------


@on_both_loops
@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\nHost: example.org",
        "GET https://example.org/ HTTP/1.1",
        "GET http://user:secret@example.org/ HTTP/1.1",
        "GET http://127.1/ HTTP/1.1",
        "GET http://0x7f.0.0.1/ HTTP/1.1",
        "GET http://2130706433/ HTTP/1.1",
        "GET http://exa mple.org/ HTTP/1.1",
        "GET http://example.org\\@10.0.0.1/ HTTP/1.1",
        "GET http://example.org:0/ HTTP/1.1",
        "GET http://example.org:99999/ HTTP/1.1",
        "GET http://[::1%25eth0]/ HTTP/1.1",
        "CONNECT example.org HTTP/1.1",
        "CONNECT http://example.org:80 HTTP/1.1",
        "CONNECT example.org:80 HTTP/2.0",
        "GET http://example.org/ HTTP/1.1\r\n folded: 1",
        "GET http://example.org/ HTTP/1.1\r\nBad Name: 1",
        "GET http://example.org/ HTTP/1.1\r\nX: a\rb",
        "GET http://example.org/ HTTP/1.1\r\nX: a\nHost: b",
        "GET http://example.org/ HTTP/1.1\r\nX: a\0b",
        "POST http://example.org/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        "POST http://example.org/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
        "POST http://example.org/ HTTP/1.0\r\nTransfer-Encoding: chunked",
        "",
    ],
)
async def test_a_request_with_no_one_reading_is_refused_and_nobody_is_connected_to(head: str) -> None:
    async def nobody(_host: str, _port: int) -> list[str]:
        raise AssertionError("it was resolved")

    async with way_out(resolve=nobody) as way:
        assert (await answer(way.proxy, f"{head}\r\n\r\n".encode())).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert way.refused == []


@on_both_loops
async def test_a_head_that_has_no_end_is_refused_by_its_size_and_by_time() -> None:
    async with way_out(limits=Limits(head_s=0.2)) as way:
        said = await answer(way.proxy, b"GET http://example.org/ HTTP/1.1\r\nX: " + b"a" * 40_000)
        assert said.startswith(b"HTTP/1.1 431 ")
        assert (await answer(way.proxy, b"GET http://exa")).startswith(b"HTTP/1.1 408 ")


@on_both_loops
async def test_nothing_follows_the_one_request_of_a_connection() -> None:
    async def answer_each(visit: Visit) -> None:
        await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")  # and keeps the connection, whatever we said

    async with raw_upstream(answer_each) as server, way_out() as way, talking(way.proxy) as (reader, writer):
        first = f"POST http://a.example:{server.port}/1 HTTP/1.1\r\nContent-Length: 3\r\n\r\n"
        writer.write(first.encode())
        writer.write(b"abc")
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
        writer.write(b"GET http://other.example/2 HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""
        assert [(seen.line, seen.body) for seen in server.seen] == [("POST /1 HTTP/1.1", b"abc")]


@on_both_loops
async def test_a_chunked_body_is_carried_as_it_comes() -> None:
    came: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.append(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    async with server, way_out() as way, talking(way.proxy) as (reader, writer):
        writer.write(f"PUT http://a.example:{port}/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for piece in (b"3\r\nab", b"c\r\n", b"0\r\n\r\n"):
            writer.write(piece)
            await writer.drain()
        assert (await reader.read()).startswith(b"HTTP/1.1 204 ")
        assert came == [b"3\r\nabc\r\n0\r\n\r\n"]


_PIECES = st.sampled_from(
    [
        *(b"GET ", b"CONNECT ", b"http://", b"a.example", b"127.0.0.1", b":80", b":443", b"/", b"?q", b" ", b"@", b"#"),
        *(b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n", b"\r", b"\t", b"\0", b"\xff", b"Host: x", b"Connection: a, b"),
        *(b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Proxy-X: 1", b"X: 1", b": ", b"[::1]", b"%41", b"\\"),
    ]
)


@given(st.lists(_PIECES, max_size=14).map(b"".join).filter(lambda head: b"\r\n\r\n" not in head))
def test_any_head_is_refused_or_goes_on_with_one_reading(head: bytes) -> None:
    try:
        request = read_request(b"GET http://a.example/ HTTP/1.1\r\n" + head + b"\r\n\r\n")
    except RefusedError:
        return
    lines = request.head.split(b"\r\n")
    names = [line.partition(b":")[0].lower() for line in lines[1:-2]]
    assert request.target == ("a.example", 80)
    assert names.count(b"host") == names.count(b"connection") == 1
    assert not [name for name in names if name.startswith(b"proxy-")]
    assert not set(request.head.replace(b"\r\n", b"")) & {0, 10, 13}


@given(st.lists(_PIECES, max_size=14).map(b"".join).filter(lambda head: b"\r\n\r\n" not in head))
def test_any_request_line_is_refused_or_names_one_place(head: bytes) -> None:
    try:
        request = read_request(head + b"\r\n\r\n")
    except RefusedError:
        return
    assert request.target[0] in ("a.example", "127.0.0.1", "::1") or request.target[0].count("a.example")
    assert 0 < request.target[1] < 65536
    assert b"://" not in request.head.split(b"?")[0]


# -- how it ends -----------------------------------------------------------------------------------------------------


@on_both_loops
async def test_the_end_of_one_side_is_the_end_of_the_other() -> None:
    lost: list[bool] = []

    async def wait_for_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lost.append(not await reader.read())
        writer.close()

    async def cut(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"last words")
        writer.close()

    waiting, cutting = [await asyncio.start_server(play, "127.0.0.1") for play in (wait_for_the_end, cut)]
    async with waiting, cutting, way_out() as way:
        for server in (waiting, cutting):
            async with talking(way.proxy) as (reader, writer):
                writer.write(b"CONNECT a.example:%d HTTP/1.1\r\n\r\n" % server.sockets[0].getsockname()[1])
                await reader.readuntil(b"\r\n\r\n")
                if server is cutting:
                    assert await reader.read() == b"last words"
        await until(lambda: lost == [True])


@on_both_loops
async def test_nothing_moving_for_too_long_is_an_end_too() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1")
    async with server, way_out(limits=Limits(idle_s=0.2)) as way, talking(way.proxy) as (reader, writer):
        writer.write(b"CONNECT a.example:%d HTTP/1.1\r\n\r\n" % server.sockets[0].getsockname()[1])
        assert (await reader.read()).endswith(b"\r\n\r\n")


@on_both_loops
async def test_further_connections_wait_for_a_place() -> None:
    async with raw_upstream(hello) as server, way_out(limits=Limits(connections=2)) as way:
        request = f"GET http://a.example:{server.port}/ HTTP/1.1\r\n\r\n".encode()
        async with talking(way.proxy), talking(way.proxy) as (_, writer), talking(way.proxy) as (third, asking):
            asking.write(request)
            await asking.drain()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(third.read(1), 0.2)
            writer.close()
            assert (await third.read()).endswith(b"hello")


@on_both_loops
async def test_servers_of_one_process_share_its_room_and_listening_takes_none() -> None:
    shared = asyncio.Semaphore(1)
    async with (
        raw_upstream(hello) as server,
        way_out(shared=shared, relays=(f"127.0.0.1:{server.port}",) * 3) as one,
        way_out(shared=shared) as other,
        talking(one.relays[2]) as (_, holding),
        talking(other.proxy) as (waiting, asking),
    ):
        await until(shared.locked)
        asking.write(f"GET http://a.example:{server.port}/ HTTP/1.1\r\n\r\n".encode())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting.read(1), 0.2)
        holding.close()
        assert (await waiting.read()).endswith(b"hello")
    assert not shared.locked()


@on_both_loops
async def test_a_server_that_nobody_reads_is_not_read_either() -> None:
    sent = [0]

    async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while sent[0] < 256 << 20:
                writer.write(b"x" * 65536)
                await writer.drain()
                sent[0] += 65536
        except OSError:
            writer.close()

    server = await asyncio.start_server(pour, "127.0.0.1")
    async with server, way_out() as way, talking(way.proxy) as (_reader, writer):
        writer.write(b"CONNECT a.example:%d HTTP/1.1\r\n\r\n" % server.sockets[0].getsockname()[1])
        before = -1
        while before != sent[0] or not before:  # until it goes no further
            before = sent[0]
            await asyncio.sleep(0.2)
        assert before < 64 << 20  # what the kernel holds for three connections, and a little


@on_both_loops
async def test_closing_cuts_what_is_open_and_leaves_no_descriptor() -> None:
    before = _open_sockets()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def never(_host: str, _port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    server = await asyncio.start_server(wait, "127.0.0.1")
    async with server:
        port = server.sockets[0].getsockname()[1]
        readers = []
        async with way_out(relays=(f"127.0.0.1:{port}",)) as way, way_out(resolve=never) as stuck:
            for where, said in (
                (way.proxy, b"CONNECT a.example:%d HTTP/1.1\r\n\r\n" % port),
                (way.proxy, b"GET http://half"),
                (way.relays[0], b"hello"),
                (stuck.proxy, b"CONNECT a.example:1 HTTP/1.1\r\n\r\n"),
            ):
                reader, writer = await asyncio.open_connection("127.0.0.1", where)
                writer.write(said)
                await writer.drain()
                readers.append((reader, writer))
            await readers[0][0].readuntil(b"\r\n\r\n")
        for reader, writer in readers:
            with suppress(ConnectionError):  # cut, or ended: no byte more in either case
                assert not await reader.read()
            writer.close()
    await until(lambda: _open_sockets() <= before)


def _open_sockets() -> int:
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the listing itself
            found += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    return found


# -- real clients ----------------------------------------------------------------------------------------------------

_PYTHON = "import urllib.request as r, sys; print(r.urlopen(sys.argv[1], timeout=20).read().decode())"
_NODE = (
    "fetch(process.argv[1]).then(a => a.text()).then(t => console.log(t), e => { console.error(e); process.exit(1) })"
)
_HTTPX = "import httpx2, sys; print(httpx2.get(sys.argv[1], timeout=20).text)"


async def run(*argv: str, way: Way, cwd: Path | None = None, more: dict[str, str] | None = None) -> tuple[int, str]:
    """A program that knows of the proxy what a server's programs know of it, and everything that it wrote."""
    told = {name: value.replace(str(PROXY[1]), str(way.proxy)) for name, value in proxy_environment(_PUBLIC).items()}
    process = await asyncio.create_subprocess_exec(
        *argv,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **told, **(more or {})},
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out.decode()


_PUBLIC = SandboxProfile("", (), (), (), (), (), "", "", "", network="public")


@in_loop
async def test_real_clients_find_the_proxy_by_the_variables(node: Path) -> None:
    clients = {
        "curl": ("curl", "-sS", "--fail"),
        "python": (sys.executable, "-c", _PYTHON),
        "httpx": (sys.executable, "-c", _HTTPX),
        "node": (str(node), "-e", _NODE),
    }
    async with raw_upstream(hello) as server, way_out() as way:
        for name, argv in clients.items():
            code, said = await run(*argv, f"http://{name}.example:{server.port}/x", way=way)
            assert (code, said.strip()) == (0, "hello"), name
        assert len(server.seen) == len(clients)


@in_loop
async def test_real_clients_see_why_they_are_refused(node: Path) -> None:
    async with way_out(resolve=None, judge=why_closed) as way:
        code, said = await run("curl", "-sS", "http://169.254.169.254/latest/meta-data/", way=way)
        assert (code, said) == (0, "doorward: 169.254.169.254 is not public (reference 0123456789ab)\n")
        for argv in (("curl", "-sS"), (sys.executable, "-c", _PYTHON), (str(node), "-e", _NODE)):
            code, said = await run(*argv, "https://10.0.0.1/", way=way)
            assert code != 0
            assert "403" in said


@in_loop
async def test_tls_goes_through_unread(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    made = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"),
        *("-subj", "/CN=api.example", "-addext", "subjectAltName=DNS:api.example"),
        *("-keyout", str(key), "-out", str(certificate)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await made.wait() == 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with raw_upstream(hello, ssl=context) as server, way_out() as way:
        url = f"https://api.example:{server.port}/"
        code, said = await run("curl", "-sS", "--fail", "--cacert", str(certificate), url, way=way)
        assert (code, said) == (0, "hello")
        code, said = await run("curl", "-sS", url.replace("api", "other"), "--cacert", str(certificate), way=way)
        assert code == 60  # curl's own: it is not who it was to be, and the proxy cannot make it so


@in_loop
async def test_pip_and_npm_ask_their_registries_through_the_proxy(node: Path, tmp_path: Path) -> None:
    async def registry(visit: Visit) -> None:
        body = b"<a href='none'>none</a>" if "simple" in visit.seen.line else b"{}"
        kind = b"text/html" if "simple" in visit.seen.line else b"application/json"
        await visit.say(
            b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (kind, len(body), body)
        )
        visit.cut()

    async with raw_upstream(registry) as server, way_out() as way:
        at = f"registry.example:{server.port}"
        options = ("--disable-pip-version-check", "--no-cache-dir", "--trusted-host", "registry.example")
        index = f"http://{at}/simple"
        await run(
            sys.executable, "-m", "pip", "download", *options, "-i", index, "no-such-thing", way=way, cwd=tmp_path
        )
        assert [seen.line for seen in server.seen] == ["GET /simple/no-such-thing/ HTTP/1.1"]
        npm = next(node.parents[1].glob("lib/node_modules/npm/bin/npm-cli.js"))
        more = {"npm_config_cache": str(tmp_path / "npm"), "npm_config_fetch_retries": "0"}
        view = ("view", "no-such-thing", f"--registry=http://{at}/")
        await run(str(node), str(npm), *view, way=way, cwd=tmp_path, more=more)
        found = [seen for seen in server.seen if seen.line == "GET /no-such-thing HTTP/1.1"]
        assert found[0].fields["host"] == at


def test_a_server_without_a_proxy_is_told_of_none() -> None:
    assert proxy_environment(msgspec.structs.replace(_PUBLIC, network="none")) == {}


# -- which addresses -------------------------------------------------------------------------------------------------

_V4 = st.integers(0, 0xFFFF_FFFF).map(IPv4Address)
_CLOSED = st.sampled_from(
    "0.0.0.0 0.1.2.3 10.255.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16 169.254.169.254 "
    "172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.7 "
    "203.0.113.9 224.0.0.251 239.255.255.250 240.0.0.1 255.255.255.255".split()
).map(IPv4Address)


def _carried(inner: IPv4Address) -> list[str]:
    """Every known way in which an IPv6 address carries one of IPv4."""
    number = int(inner)
    return [
        str(IPv6Address(whole))
        for whole in (
            number,  # compatible, long deprecated
            0xFFFF << 32 | number,  # mapped
            0x64FF9B << 96 | number,  # NAT64
            0x64FF9B0001 << 80 | number,  # NAT64 of one's own
            0x2002 << 112 | number << 80 | 1,  # 6to4
            0x20010000 << 96 | (number ^ 0xFFFF_FFFF),  # Teredo, of the client
            0x20010000 << 96 | number << 64,  # Teredo, of the server
            0xFE80 << 112 | 0x5EFE << 32 | number,  # ISATAP
        )
    ]


@given(_CLOSED)
def test_no_closed_address_is_public_in_whatever_it_is_carried(inner: IPv4Address) -> None:
    assert not is_public(str(inner))
    assert not any(is_public(one) for one in _carried(inner))


@given(_V4)
def test_what_is_public_is_global_for_the_standard_library_too(address: IPv4Address) -> None:
    if is_public(str(address)):
        assert address.is_global
        assert not address.is_multicast
    mapped, nat64 = _carried(address)[1:3]
    assert is_public(mapped) == is_public(nat64) == is_public(str(address))


@given(st.integers(0, (1 << 128) - 1).map(IPv6Address))
def test_no_address_of_ipv6_is_public_unless_it_was_given_out(address: IPv6Address) -> None:
    if is_public(str(address)) and int(address) >> 32 not in (0xFFFF, 0x64FF9B << 64):
        assert address in IPv6Network("2000::/3")
        assert address.is_global


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "192.0.1.1", "100.128.0.1", "2606:4700::1111", "2a00::1"])
def test_ordinary_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("::", "::1", "fe80::1", "fe80::1%eth0", "2606:4700::1%eth0", "fc00::1", "fd00:ec2::254", "fd20:ce::254"),
        *("ff02::1", "2001:db8::1", "2001:20::1", "2002:7f00:1::", "3fff::1", "100::1", "fec0::1", "5f00::1"),
        *("", "localhost", "127.1", "0177.0.0.1", "1.1.1.1:80", "[2606:4700::1]"),
    ],
)
def test_other_addresses_are_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("host", "listed"),
    [
        *(("api.example.org", True), ("a.b.example.org", True), ("API.Example.ORG.", True), ("one.example", True)),
        *(("example.org", False), ("notexample.org", False), (".example.org", False), ("example.org.evil", False)),
        *(("x.one.example", False), ("one.example.evil", False), ("127.0.0.1", False), ("", False)),
    ],
)
def test_a_list_of_hosts_means_whole_names_and_whole_labels(host: str, listed: bool) -> None:
    assert is_listed(host, ("*.example.org", "one.example")) == listed

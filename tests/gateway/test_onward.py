"""The operator's own proxy before Doorward: what it is asked for, what never reaches it, and who has its password."""

from __future__ import annotations

import asyncio
import base64
import socketserver
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
from tests.gateway.raw_upstream import on_both_loops, raw_upstream
from tests.gateway.test_egress import answer, hello, way_out
from tests.gateway.test_wrap_network import HELLO
from tests.gateway.wrapping import World, crafted

from doorward.confine.environment import select_environment
from doorward.gateway.egress.lookups import why_closed
from doorward.gateway.egress.onward import Onward, onward_of
from doorward.gateway.egress.server import Limits

SECRET = "p@ss word"
AUTHORIZATION = b"Basic " + base64.b64encode(f"me:{SECRET}".encode())


class Proxy:
    """One that connects to this machine whatever it is asked for, or says what the test wants."""

    def __init__(self, port: int) -> None:
        self.onward = Onward(("127.0.0.1", port), AUTHORIZATION, ("direct.example",))
        self.heads: list[str] = []

    @property
    def asked(self) -> list[str]:
        return [head.split(" ")[1] for head in self.heads]


@asynccontextmanager
async def proxy(says: bytes = b"HTTP/1.1 200 OK\r\nVia: 1.1 corporate\r\n\r\n") -> AsyncIterator[Proxy]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        made.heads.append(head)
        writer.write(says)
        if says.startswith(b"HTTP/1.1 200 "):
            port = int(head.split(" ")[1].rpartition(":")[2])
            far_reader, far = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(carry(reader, far), carry(far_reader, writer))
            far.close()
        writer.close()

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while piece := await source.read(65536):
            sink.write(piece)
        if sink.can_write_eof():
            sink.write_eof()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made = Proxy(server.sockets[0].getsockname()[1])
    async with server:
        yield made


async def nowhere(host: str, _port: int) -> list[str]:
    if host == "127.0.0.1":
        return [host]
    raise OSError("no such name")


def public(address: str) -> str:
    return "" if address == "127.0.0.1" else why_closed(address)


@on_both_loops
async def test_a_host_is_asked_for_by_the_address_that_was_looked_at() -> None:
    async with raw_upstream(hello) as server, proxy() as theirs, way_out(onward=theirs.onward) as way:
        said = await answer(way.proxy, f"GET http://a.example:{server.port}/x HTTP/1.1\r\n\r\n".encode())
        assert said.endswith(b"\r\n\r\nhello")
        assert b"corporate" not in said
        [head] = theirs.heads
        target = f"127.0.0.1:{server.port}"
        assert head == (
            f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: {AUTHORIZATION.decode()}\r\n\r\n"
        )
        [seen] = server.seen
        assert (seen.line, seen.fields["host"]) == ("GET /x HTTP/1.1", f"a.example:{server.port}")
        assert "proxy-authorization" not in seen.fields


@on_both_loops
async def test_a_tunnel_goes_through_and_carries_both_directions() -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, proxy() as theirs, way_out(onward=theirs.onward) as way:
        reader, writer = await asyncio.open_connection("127.0.0.1", way.proxy)
        writer.write(f"CONNECT a.example:{port} HTTP/1.1\r\n\r\n".encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
        writer.write(b"a" * 100_000)
        writer.write_eof()
        assert await reader.read() == b"A" * 100_000
        writer.close()


@on_both_loops
async def test_only_a_host_that_the_policy_lists_is_asked_for_by_its_name() -> None:
    async with raw_upstream(hello) as server, proxy() as theirs:
        request = f"GET http://API.example.org:{server.port}/ HTTP/1.1\r\n\r\n".encode()
        async with way_out(onward=theirs.onward, resolve=nowhere, hosts=("*.example.org",)) as way:
            assert (await answer(way.proxy, request)).endswith(b"hello")
            other = await answer(way.proxy, b"CONNECT elsewhere.example:443 HTTP/1.1\r\n\r\n")
            assert other.startswith(b"HTTP/1.1 403 ")
        assert theirs.asked == [f"api.example.org:{server.port}"]
        async with way_out(onward=theirs.onward, resolve=nowhere) as way:
            assert (await answer(way.proxy, request)).startswith(b"HTTP/1.1 403 ")
            assert [why.partition(",")[0] for _, why in way.refused] == ["it has no address here"]
        assert len(theirs.heads) == 1


@on_both_loops
@pytest.mark.parametrize("hosts", [(), ("*.example.org", "10.1.2.3", "169.254.169.254")])
async def test_what_is_not_public_does_not_reach_the_proxy_either(hosts: tuple[str, ...]) -> None:
    async def inside(host: str, _port: int) -> list[str]:
        return [host if host[0] == "1" else "10.9.9.9"]

    async with proxy() as theirs, way_out(onward=theirs.onward, resolve=inside, judge=public, hosts=hosts) as way:
        for host in ("10.1.2.3", "169.254.169.254", "intranet.example.org"):
            said = await answer(way.proxy, f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode())
            assert said.startswith(b"HTTP/1.1 403 ")
        assert theirs.heads == []
        assert len(way.refused) == 3


@on_both_loops
async def test_exceptions_and_targets_are_reached_without_it() -> None:
    async with raw_upstream(hello) as server, proxy() as theirs:
        connect = (("127.0.0.1", server.port),)
        async with way_out(onward=theirs.onward, connect=connect) as way:
            for host in ("direct.example", "sub.direct.example", "127.0.0.1"):
                said = await answer(way.proxy, f"GET http://{host}:{server.port}/ HTTP/1.1\r\n\r\n".encode())
                assert said.endswith(b"hello")
        assert theirs.heads == []


@on_both_loops
@pytest.mark.parametrize(
    "says",
    [
        b"HTTP/1.1 403 Forbidden\r\nX: secret\r\n\r\nsecret",
        b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        b"SSH-2.0-secret\r\n\r\n",
        b"HTTP/1.1 200",
        b"HTTP/1.1 100 " + b"secret" * 100_000,
        b"",
    ],
)
async def test_a_proxy_that_will_not_is_said_and_nothing_of_its_words(says: bytes) -> None:
    for hosts in ((), ("a.example",)):
        async with proxy(says) as theirs, way_out(onward=theirs.onward, hosts=hosts) as way:
            said = await answer(way.proxy, b"CONNECT a.example:443 HTTP/1.1\r\n\r\n")
            assert said.startswith((b"HTTP/1.1 502 ", b"HTTP/1.1 403 "))
            assert b"the proxy before doorward" in said
            assert b"secret" not in said
            is_an_answer = says not in (b"", b"HTTP/1.1 200")
            assert bool(way.refused) == (is_an_answer and not hosts), "the operator could let it go by its name"


@on_both_loops
async def test_a_proxy_that_is_not_there_or_says_nothing_is_an_end() -> None:
    gone = Onward(("127.0.0.1", 1))
    async with way_out(onward=gone) as way:
        said = await answer(way.proxy, b"CONNECT a.example:443 HTTP/1.1\r\n\r\n")
        assert said.endswith(b"doorward: the proxy before doorward cannot be reached\n")

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    silent = Onward(("127.0.0.1", server.sockets[0].getsockname()[1]))
    async with server, way_out(onward=silent, limits=Limits(connect_s=0.2)) as way:
        said = await answer(way.proxy, b"CONNECT a.example:443 HTTP/1.1\r\n\r\n")
        assert said.endswith(b"doorward: the proxy before doorward broke off\n")


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, None),
        ({"HTTP_PROXY": "http://a.example:1"}, None),
        ({"HTTPS_PROXY": "http://a.example:3128/"}, Onward(("a.example", 3128), b"", ("",))),
        ({"https_proxy": "a.example:3128", "HTTPS_PROXY": "b.example"}, Onward(("a.example", 3128), b"", ("",))),
        ({"ALL_PROXY": "HTTP://[::1]", "no_proxy": "a, .b"}, Onward(("::1", 80), b"", ("a", ".b"))),
        (
            {"HTTPS_PROXY": "http://me:p%40ss%20word@a.example:3128", "NO_PROXY": "*"},
            Onward(("a.example", 3128), AUTHORIZATION, ("*",)),
        ),
    ],
)
def test_the_proxy_is_found_as_curl_finds_it(environ: dict[str, str], found: Onward | None) -> None:
    said: list[str] = []
    assert onward_of(environ, lambda text, hint="": said.append(text + hint)) == found
    assert said == []


@pytest.mark.parametrize(
    "value", ["socks5://a.example:1080", "https://a.example", "http://", "a b", "http://me:x@a.example/x"]
)
def test_a_proxy_of_another_kind_is_said_and_not_used(value: str) -> None:
    said: list[str] = []
    assert onward_of({"HTTPS_PROXY": value}, lambda text, hint="": said.append(text[: len(text) + len(hint)])) is None
    assert said == ["HTTPS_PROXY names no http:// proxy, so servers are connected without one"]


@pytest.mark.parametrize(
    ("exception", "host", "means"),
    [
        ("*", "a.example", True),
        ("a.example", "a.example", True),
        (".a.example", "b.a.example", True),
        ("*.a.example", "b.a.example", True),
        ("a.example", "ba.example", False),
        ("a.example:443", "a.example", True),
        ("a.example:80", "a.example", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("1.2.3", "a.1.2.3", False),
        ("::1", "::1", True),
        ("", "a.example", False),
        ("a b", "a.example", False),
    ],
)
def test_exceptions_mean_what_they_mean_elsewhere(exception: str, host: str, means: bool) -> None:
    assert Onward(("p", 1), b"", (exception,)).leaves_out((host, 443)) is means


def test_what_it_is_called_by_shows_no_password() -> None:
    assert repr(Onward(("a.example", 3128), AUTHORIZATION)) == "Onward(a.example:3128)"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "npm_config_https_proxy", "ALL_PROXY"])
def test_the_password_of_a_proxy_reaches_no_server_even_where_it_was_given(name: str) -> None:
    environ = {name: f"me:{SECRET}@a.example:3128", "NO_PROXY": "a@b"}
    for inherited in ({}, environ, None):
        assert name not in select_environment(environ, inherited=inherited)[0]
    assert name in select_environment(environ, inherited={}, grants=[name])[0]
    plain = {name: "http://a.example:3128"}
    assert select_environment(plain, inherited=plain)[0] == plain


class _Corporate(socketserver.StreamRequestHandler):
    """Is the proxy, and the host that it was asked for."""

    asked: ClassVar[list[bytes]] = []

    def handle(self) -> None:
        for said in (b"HTTP/1.1 200 OK\r\n\r\n", HELLO):
            self.asked.append(b"".join(iter(self.rfile.readline, b"\r\n")))
            self.wfile.write(said)


def test_a_wrapped_server_goes_through_the_proxy_that_is_set_and_does_not_know_it(world: World) -> None:
    class Listening(socketserver.ThreadingTCPServer):
        daemon_threads = True

    policy = world.top / "configuration" / "doorward.toml"
    policy.parent.mkdir()
    policy.write_text('[servers.notes]\nhosts = ["api.example.org"]\n')
    policy.chmod(0o600)
    with Listening(("127.0.0.1", 0), _Corporate) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        try:
            world.env["HTTPS_PROXY"] = f"http://me:p%40ss%20word@127.0.0.1:{listening.server_address[1]}"
            command = crafted("plain", world.folder)
            wrapped = world.wrap(command, before=("-c", str(policy)), after=("--name", "notes"))
            wrapped.initialize()
            assert wrapped.text("visit", text="http://api.example.org/") == "hello"
            assert wrapped.text("visit", text="http://10.0.0.1/").startswith("403 ")
            environment = wrapped.text("visit", text="file:///proc/self/environ")
            assert wrapped.end() == 0
        finally:
            listening.shutdown()
            thread.join()
    first, second = _Corporate.asked
    assert first.startswith(b"CONNECT api.example.org:80 HTTP/1.1\r\n")
    assert AUTHORIZATION in first
    assert second.startswith(b"GET / HTTP/1.1\r\nHost: api.example.org\r\n")
    assert "HTTPS_PROXY=http://127.0.0.1:3128" in environment
    assert "p%40ss" not in environment

"""The way out of a server: who is reached by the proxy and by a relay, who never is, and what a hostile program gets.

Everything is loopback. What is public here says a resolver or a judge that the test hands in; the product has no such
way in.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bounded import until
from tests.gateway.raw_upstream import Visit, on_both_loops, raw_upstream

from doorward.confine.environment import select_environment
from doorward.confine.network import PROXY, proxy_environment
from doorward.confine.process import Listener
from doorward.confine.profile import SandboxProfile
from doorward.content.destinations import is_listed, is_public
from doorward.gateway.egress.lookups import Judge, Resolve, why_closed
from doorward.gateway.egress.server import Egress, Limits


async def everything_is_here(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


def everything_is_open(_address: str) -> str:
    return ""


class Way:
    """A way out that runs: the port of its proxy, those of its relays, what the operator was told."""

    def __init__(self, proxy: int, relays: list[int]) -> None:
        self.proxy = proxy
        self.relays = relays
        self.told: list[tuple[str, str]] = []

    def say(self, text: str, hint: str = "") -> None:
        self.told.append((text, hint))


@asynccontextmanager
async def way_out(
    *,
    relays: tuple[str, ...] = (),
    hosts: tuple[str, ...] = (),
    connect: tuple[tuple[str, int], ...] = (),
    limits: Limits | None = None,
    resolve: Resolve | None = everything_is_here,
    judge: Judge = everything_is_open,
) -> AsyncIterator[Way]:
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in ("", *relays)]
    ports = [one.getsockname()[1] for one in listening]
    way = Way(ports[0], ports[1:])
    egress = Egress(
        "notes",
        hosts=hosts,
        connect=connect,
        say=way.say,
        hint="--network {}",
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
        assert way.told == []

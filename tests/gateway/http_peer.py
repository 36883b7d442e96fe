"""A server with an application that writes down what it gets, and a client that sends bytes as they are."""

from __future__ import annotations

import asyncio
import inspect
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from tests.bounded import BOUND_S

from doorward.gateway.http.call import HttpCall
from doorward.gateway.http.head import Address
from doorward.gateway.http.limits import HttpLimits
from doorward.gateway.http.server import Server, listen

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test on asyncio's own loop and on uvloop, bounded."""

    def run(loop_kind: str, **fixtures: Any) -> None:
        with asyncio.Runner(loop_factory=LOOPS[loop_kind]) as runner:
            runner.run(asyncio.wait_for(test(**fixtures), BOUND_S * 2))

    signature = inspect.signature(test)
    kind = inspect.Parameter("loop_kind", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__name__ = test.__name__
    run.__signature__ = signature.replace(parameters=[kind, *signature.parameters.values()])  # type: ignore[attr-defined]
    marked: Callable[..., None] = pytest.mark.parametrize("loop_kind", sorted(LOOPS))(run)
    for mark in getattr(test, "pytestmark", ()):
        marked = getattr(pytest.mark, mark.name)(*mark.args, **mark.kwargs)(marked)
    return marked


class Notebook:
    """Answers every request with its own body, unless told otherwise, and writes down what it was given."""

    def __init__(self) -> None:
        self.takes = 4 * 1024 * 1024
        self.budget = 1 << 30
        self.held = 0
        self.most_held = 0
        self.kept: Counter[HttpCall] = Counter()
        self.owner_of: Callable[[int], str] = lambda port: f"owner of {port}"
        self.admitted: list[HttpCall] = []
        self.ended: list[Address] = []
        self.bodies: list[bytes] = []
        self.findings: list[str] = []
        self.on_admit: Callable[[HttpCall], None] = lambda _call: None
        self.on_receive: Callable[[HttpCall, bytes], None] = lambda call, body: call.answer(200, body)

    def connected(self, transport: asyncio.Transport) -> str:
        return self.owner_of(transport.get_extra_info("peername")[1])

    def disconnected(self, peer: Address) -> None:
        self.ended.append(peer)

    def admit(self, call: HttpCall) -> int:
        self.admitted.append(call)
        self.on_admit(call)
        return 0 if call.answered else self.takes

    def receive(self, call: HttpCall, body: bytes) -> None:
        self.bodies.append(body)
        self.on_receive(call, body)

    def malformed(self, peer: Address, rule: str, detail: str) -> None:
        assert peer[0] == "127.0.0.1"
        assert detail
        self.findings.append(rule)

    def take(self, call: HttpCall, held: int, count: int) -> bool:
        assert self.kept[call] == held
        if self.held + count > self.budget:
            return False
        self.held += count
        self.kept[call] += count
        self.most_held = max(self.held, self.most_held)
        return True

    def give(self, call: HttpCall, held: int) -> None:
        assert self.kept.pop(call) == held
        self.held -= held


class Client:
    """A connection that sends what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """The head of the next answer: its status and its headers."""
        raw = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), BOUND_S)
        first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        assert first.startswith("HTTP/1.1 ")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        assert len(headers) == len(lines)
        return int(first.split(" ")[1]), headers

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer, whole."""
        status, headers = await self.head()
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, b"".join([piece async for piece in self.chunks()])
        return status, headers, await self.exactly(int(headers.get("content-length", "0")))

    async def chunks(self) -> AsyncIterator[bytes]:
        while size := int(await asyncio.wait_for(self.reader.readuntil(b"\r\n"), BOUND_S), 16):
            yield await self.exactly(size)
            assert await self.exactly(2) == b"\r\n"
        assert await self.exactly(2) == b"\r\n"

    async def exactly(self, count: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(count), BOUND_S)

    async def rest(self) -> bytes:
        """All that comes until the server closes."""
        return await asyncio.wait_for(self.reader.read(-1), BOUND_S)

    async def is_closed(self) -> bool:
        """Wait until the server has closed, having sent nothing more."""
        try:
            return await self.rest() == b""
        except ConnectionError:
            return True

    def reset(self) -> None:
        """Leave at once, as a process that is killed with unread data does."""
        at_once = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        self.leave()

    def leave(self) -> None:
        self.writer.transport.abort()


class House:
    """A server on a port of the kernel's choice, and its clients."""

    def __init__(self, app: Notebook, server: Server) -> None:
        self.app = app
        self.server = server
        self.clients: list[Client] = []

    async def client(self, host: str | None = None) -> Client:
        made = Client(*await asyncio.open_connection(*self.server.address, local_addr=(host, 0) if host else None))
        self.clients.append(made)
        return made


@asynccontextmanager
async def house(app: Notebook | None = None, **limits: Any) -> AsyncIterator[House]:
    book = app or Notebook()
    server = await listen(book, "127.0.0.1", 0, HttpLimits(**limits))
    made = House(book, server)
    try:
        yield made
    finally:
        for client in made.clients:
            client.leave()
        await server.close(BOUND_S)
        assert server.connections == 0
        assert len(book.ended) == len(set(book.ended))  # each once
        assert book.held == 0


def post(body: bytes, *headers: bytes, path: bytes = b"/mcp") -> bytes:
    lines = [b"POST %b HTTP/1.1" % path, b"Host: here", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


def chunked(*pieces: bytes) -> bytes:
    head = b"POST /mcp HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"

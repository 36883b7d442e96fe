"""A server of a few lines whose every byte is the test's, and a receiver that keeps what it hears."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
import pytest
import uvloop
from tests.bounded import until

from doorward.errors import MalformedMessageError
from doorward.relay.commands import Send
from doorward.wire.jsonrpc import encode_value
from doorward.wire.lines import Overlong


class Seen(msgspec.Struct):
    """One request as it came: the connection's number, the request line, the fields by lower name, the body."""

    connection: int
    line: str
    fields: dict[str, str]
    body: bytes

    @property
    def tree(self) -> Any:
        return msgspec.json.decode(self.body)


class Visit:
    """One request and the connection that it came on: what a test's server answers to."""

    def __init__(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen = seen
        self.reader = reader
        self.writer = writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def json(self, value: object, *, status: str = "200 OK", fields: str = "") -> None:
        body = value if isinstance(value, bytes) else encode_value(value)
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{fields}\r\n"
        await self.say(head.encode() + body)

    async def accepted(self) -> None:
        await self.say(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    async def status(self, status: str) -> None:
        await self.say(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())

    async def stream(self, fields: str = "") -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n{fields}\r\n"
        await self.say(head.encode())

    async def event(self, value: object, *, event_id: str = "", more: str = "") -> None:
        text = encode_value(value).decode() if value is not None else ""
        named = f"id: {event_id}\n" if event_id else ""
        await self.chunk(f"{named}{more}data: {text}\n\n".encode())

    async def chunk(self, data: bytes) -> None:
        await self.say(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.say(b"0\r\n\r\n")

    async def left(self) -> None:
        """Wait until the other end has closed."""
        while await self.reader.read(65536):
            pass

    def cut(self) -> None:
        self.writer.close()

    async def answer(self, result: object = None) -> None:
        await self.json({"jsonrpc": "2.0", "id": self.seen.tree["id"], "result": result or {}})


Play = Callable[[Visit], Awaitable[None]]


class RawUpstream:
    """Listens on loopback; ``play`` answers each request. ``seen`` has all of them."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.seen: list[Seen] = []
        self.connections = 0
        self.open = 0
        self.port = 0
        self.problems: list[BaseException] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        number = self.connections
        try:
            while not writer.is_closing():
                seen = await _request(reader, number)
                self.seen.append(seen)
                await self.play(Visit(seen, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except Exception as problem:  # noqa: BLE001 - shown by the test's end
            self.problems.append(problem)
        finally:
            self.open -= 1
            writer.close()


async def _request(reader: asyncio.StreamReader, number: int) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip("\r\n").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    body = await reader.readexactly(int(fields.get("content-length", "0")))
    return Seen(number, head[0], fields, body)


@asynccontextmanager
async def raw_upstream(play: Play, **listening: Any) -> AsyncIterator[RawUpstream]:
    upstream = RawUpstream(play)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(upstream.serve(reader, writer))
        tasks.add(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, **listening)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert not upstream.problems, upstream.problems


class Ear:
    """A receiver: keeps what it was told, and can be told to be busy."""

    def __init__(self) -> None:
        self.frames: list[tuple[bytes, int]] = []
        self.overlongs: list[tuple[Overlong, int]] = []
        self.not_read: list[tuple[str, int]] = []
        self.doubts: list[tuple[str, int]] = []
        self.losses: list[tuple[int, str]] = []
        self.ends: list[str] = []
        self.free = asyncio.Event()
        self.free.set()

    def arrive(self, frame: bytes, exchange: int) -> Awaitable[None] | None:
        self.frames.append((frame, exchange))
        return None if self.free.is_set() else self._free()

    def overlong(self, frame: Overlong, exchange: int) -> Awaitable[None] | None:
        self.overlongs.append((frame, exchange))
        return None

    def unread(self, problem: MalformedMessageError, exchange: int) -> None:
        self.not_read.append((problem.rule, exchange))

    def unproven(self, why: str, exchange: int) -> None:
        self.doubts.append((why, exchange))

    def lost(self, exchange: int, cause: str) -> None:
        self.losses.append((exchange, cause))

    def broke(self, cause: str) -> None:
        self.ends.append(cause)

    async def _free(self) -> None:
        await self.free.wait()

    @property
    def messages(self) -> list[tuple[Any, int]]:
        return [(msgspec.json.decode(frame), exchange) for frame, exchange in self.frames]

    async def heard(self, count: int = 1) -> list[tuple[Any, int]]:
        await until(lambda: len(self.frames) >= count)
        return self.messages


def call(request_id: str | int = 1, method: str = "tools/call", exchange: int = 11, **params: object) -> Send:
    tree = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
    return Send("server", exchange, encode_value(tree))


def modern(request_id: str | int = 1, method: str = "tools/call", exchange: int = 11, **params: object) -> Send:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    }
    return call(request_id, method, exchange, **params, _meta=meta)


def tell(method: str, exchange: int = 12, **params: object) -> Send:
    return Send("server", exchange, encode_value({"jsonrpc": "2.0", "method": method, "params": params}))


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test, bounded, on asyncio's loop and on uvloop."""

    @pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
    @functools.wraps(test)
    def run(loop: Callable[[], asyncio.AbstractEventLoop], **fixtures: Any) -> None:
        with asyncio.Runner(loop_factory=loop) as runner:
            failures: list[dict[str, Any]] = []
            runner.get_loop().set_exception_handler(lambda _, what: failures.append(what))
            runner.run(asyncio.wait_for(test(**fixtures), 8))
            assert not failures, failures

    asked = inspect.signature(test)
    loop = inspect.Parameter("loop", inspect.Parameter.KEYWORD_ONLY)
    vars(run)["__signature__"] = asked.replace(parameters=[*asked.parameters.values(), loop])
    return cast("Callable[..., None]", run)

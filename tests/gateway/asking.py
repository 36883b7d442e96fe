"""The smallest client that speaks to ``doorward serve``: one connection, requests one after another, both eras.

It holds a gateway to what is on the wire and forgives nothing; it is for many sessions, so it keeps little.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self

LEGACY, MODERN = "2025-11-25", "2026-07-28"
BOUND_S = 60.0
ACCEPT = "application/json, text/event-stream"

Message = dict[str, Any]


class Answer(NamedTuple):
    """One HTTP answer: the names of headers in small letters, the body without chunks."""

    status: int
    headers: dict[str, str]
    body: bytes

    def message(self) -> Message:
        """The JSON-RPC answer, as it is or as the last event of a stream."""
        assert self.status == 200, self
        told = self.body
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            told = [line[5:] for line in told.splitlines() if line.startswith(b"data:") and line[5:].strip()][-1]
        message: Message = json.loads(told)
        return message


class Connection:
    """One connection, kept alive. Everything that is waited for is waited for with a bound."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, path: str) -> None:
        self._reader, self._writer = reader, writer
        self._start = f" {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: {ACCEPT}\r\n"

    @classmethod
    async def open(cls, port: int, path: str = "/mcp") -> Self:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        return cls(reader, writer, port, path)

    def send(self, verb: str, headers: dict[str, str], body: bytes = b"") -> None:
        """Send one request and wait for nothing. Its length is that of its body, unless ``headers`` say otherwise."""
        told = "".join(f"{name}: {value}\r\n" for name, value in ({"Content-Length": len(body)} | headers).items())
        if body:
            told += "Content-Type: application/json\r\n"
        self._writer.write(f"{verb}{self._start}{told}\r\n".encode() + body)

    async def ask(self, verb: str, headers: dict[str, str], message: Message | None = None) -> Answer:
        self.send(verb, headers, b"" if message is None else json.dumps(message).encode())
        async with asyncio.timeout(BOUND_S):
            status, told = await self._head()
            body = b""
            if told.get("transfer-encoding") == "chunked":
                body = b"".join([chunk async for chunk in self._chunks()])
            elif length := int(told.get("content-length", 0)):
                body = await self._reader.readexactly(length)
        return Answer(status, told, body)

    async def listen(self, headers: dict[str, str]) -> None:
        """Open the standing stream of a legacy session; `event` then gives what comes. Nothing else may be asked."""
        self.send("GET", headers)
        async with asyncio.timeout(BOUND_S):
            status, told = await self._head()
        assert status == 200, status
        assert told["content-type"].startswith("text/event-stream"), told

    async def event(self) -> Message:
        """The next message of a standing stream; keep-alives and events without data are read over."""
        async with asyncio.timeout(BOUND_S):
            while True:
                line = await self._reader.readline()
                assert line, "the stream ended"
                # Sizes of chunks stand on lines of their own, and no event of ours is cut in two.
                if line.startswith(b"data:") and line[5:].strip():
                    message: Message = json.loads(line[5:])
                    return message

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _head(self) -> tuple[int, dict[str, str]]:
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        told = (line.partition(":") for line in lines)
        return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in told}

    async def _chunks(self) -> AsyncIterator[bytes]:
        while length := int(await self._reader.readline(), 16):
            yield await self._reader.readexactly(length)
            await self._reader.readexactly(2)
        await self._reader.readline()


class Session:
    """One legacy session over one connection."""

    def __init__(self, connection: Connection, key: str) -> None:
        self._connection, self._ids = connection, 1
        self.headers = {"Mcp-Session-Id": key, "MCP-Protocol-Version": LEGACY}

    @classmethod
    async def open(cls, connection: Connection) -> Self:
        told = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "asking", "version": "1"}}
        answer = await connection.ask("POST", {}, _request(1, "initialize", told))
        assert "result" in answer.message(), answer
        session = cls(connection, answer.headers["mcp-session-id"])
        await session.notify("notifications/initialized")
        return session

    def over(self, connection: Connection) -> Session:
        """The same session over another connection."""
        other = Session(connection, self.headers["Mcp-Session-Id"])
        other._ids = self._ids
        return other

    async def notify(self, method: str) -> None:
        answer = await self._connection.ask("POST", self.headers, {"jsonrpc": "2.0", "method": method})
        assert answer.status == 202, answer

    async def echo(self, text: str) -> None:
        self._ids += 1
        answer = await self._connection.ask("POST", self.headers, _call(self._ids, text))
        _check(answer.message(), self._ids, text)

    def leave_amid_call(self, text: str) -> None:
        """Send a call whose answer nobody will read."""
        self._ids += 1
        self._connection.send("POST", self.headers, json.dumps(_call(self._ids, text)).encode())

    async def end(self) -> None:
        answer = await self._connection.ask("DELETE", self.headers)
        assert answer.status in {200, 202, 204}, answer


async def echo_modern(connection: Connection, key: int, text: str) -> None:
    """One call of the modern era, which needs no session."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    call = _call(key, text)
    call["params"]["_meta"] = meta
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "echo"}
    _check((await connection.ask("POST", headers, call)).message(), key, text)


@asynccontextmanager
async def connected(port: int, path: str = "/mcp") -> AsyncIterator[Connection]:
    connection = await Connection.open(port, path)
    try:
        yield connection
    finally:
        await connection.close()


def _request(key: int, method: str, params: Message) -> Message:
    return {"jsonrpc": "2.0", "id": key, "method": method, "params": params}


def _call(key: int, text: str) -> Message:
    return _request(key, "tools/call", {"name": "echo", "arguments": {"text": text}})


def _check(message: Message, key: int, text: str) -> None:
    assert message["id"] == key, message
    assert "result" in message, message
    assert message["result"]["content"][0]["text"] == text, message

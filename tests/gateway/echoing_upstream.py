"""A Streamable HTTP server of both eras that echoes, tells each new stream one thing, and knows what is still open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
TOOLS = {"tools": [{"name": "echo", "description": "Say it again", "inputSchema": SCHEMA}]}
CACHED = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
TOLD = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "you are listening"}}

Message = dict[str, Any]


class EchoingUpstream:
    """``sessions`` are those that were begun and not deleted; ``streams`` counts standing streams that are open."""

    def __init__(self) -> None:
        self.sessions: set[str] = set()
        self.streams = 0
        self.port = 0
        self._begun = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").split("\r\n")[:-2]
                parts = (line.partition(":") for line in lines)
                headers = {name.lower(): value.strip() for name, _, value in parts}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                await self._answer(first.split()[0], headers, body, reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self,
        verb: str,
        headers: dict[str, str],
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        session = headers.get("mcp-session-id", "")
        if verb == "GET":
            await self._stream(reader, writer)
        elif verb == "DELETE":
            self.sessions.discard(session)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        else:
            self._post(session, json.loads(body), writer)

    def _post(self, session: str, message: Message, writer: asyncio.StreamWriter) -> None:
        if "id" not in message:
            writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            return
        modern = "io.modelcontextprotocol/protocolVersion" in message["params"].get("_meta", {})
        begins = message["method"] == "initialize"
        if not (modern or begins or session in self.sessions):
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        extra = ""
        if begins:
            self._begun += 1
            self.sessions.add(f"s-{self._begun}")
            extra = f"Mcp-Session-Id: s-{self._begun}\r\n"
        told = json.dumps({"jsonrpc": "2.0", "id": message["id"], **self._outcome(message, modern=modern)}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{extra}Content-Length: {len(told)}\r\n\r\n"
        writer.write(head.encode() + told)

    def _outcome(self, message: Message, *, modern: bool) -> Message:
        method, params = message["method"], message["params"]
        able = {"capabilities": {"tools": {}, "logging": {}}, "serverInfo": {"name": "echoing", "version": "1"}}
        if method == "initialize":
            return {"result": {"protocolVersion": params["protocolVersion"], **able}}
        if method == "server/discover":
            return {"result": {**CACHED, "supportedVersions": ["2026-07-28"], **able}}
        if method == "tools/list":
            return {"result": TOOLS | (CACHED if modern else {})}
        if method == "tools/call":
            result: Message = {"content": [{"type": "text", "text": params["arguments"]["text"]}]}
            return {"result": result | ({"resultType": "complete"} if modern else {})}
        if method == "ping":
            return {"result": {}}
        return {"error": {"code": -32601, "message": "no such method"}}

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        event = f"data: {json.dumps(TOLD)}\n\n".encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.streams += 1
        try:
            writer.write(head + b"%x\r\n%s\r\n" % (len(event), event))
            await reader.read()  # until the other side leaves
        finally:
            self.streams -= 1
        raise ConnectionError


@asynccontextmanager
async def echoing() -> AsyncIterator[EchoingUpstream]:
    upstream = EchoingUpstream()
    tasks: set[asyncio.Task[None]] = set()

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        await upstream.serve(reader, writer)

    server = await asyncio.start_server(met, "127.0.0.1", 0, backlog=4096, limit=1 << 20)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

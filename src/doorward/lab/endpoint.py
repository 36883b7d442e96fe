"""One HTTP endpoint, shared by an honest client and an attacker: what ``peer.Pipe`` is to a pipe.

The SDK's own ``Client`` speaks through it as through any transport. Crafted requests leave as the bytes that the attack
chose, in the same session. Everything that comes back is kept as it came, one entry for each JSON body or event.

Sources: MCP 2025-11-25 and 2026-07-28, "Streamable HTTP". Nothing is resumed: on loopback nothing breaks by itself.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import httpx2

from doorward.lab.peer import ANSWER_LIMIT_SECONDS, RAW, modern_meta, parsed
from doorward.lab.scenario import Era
from doorward.protocol.headers import required_headers
from doorward.wire.sse import EventParser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from anyio.abc import TaskGroup
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.shared.message import SessionMessage

    from doorward.lab.peer import Streams

FRAME_LIMIT_BYTES = 64 * 1024 * 1024
SESSION = "mcp-session-id"


class Endpoint:
    """A server at ``url``. ``streams`` is what the SDK's client takes for a transport; ``ask`` sends one crafted
    request; ``lines`` are all messages that arrived, in order.
    """

    def __init__(self, url: str, *, era: Era) -> None:
        self.url = url
        self.lines: list[bytes] = []
        self._era = era
        self._session = ""
        self._asked = 0
        self._http: httpx2.AsyncClient
        self._into: MemoryObjectSendStream[SessionMessage | Exception]

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[Streams]:
        """Carry messages until the block is left; then the session is ended."""
        self._into, incoming = anyio.create_memory_object_stream[Any](1024)
        outgoing, out = anyio.create_memory_object_stream[Any](0)
        # No proxy of the environment: this is a loopback of ours.
        async with httpx2.AsyncClient(timeout=ANSWER_LIMIT_SECONDS * 2, trust_env=False) as self._http:
            try:
                async with anyio.create_task_group() as carriers:
                    carriers.start_soon(self._send_all, out, carriers)
                    try:
                        yield incoming, outgoing
                    finally:
                        carriers.cancel_scope.cancel()
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(1), suppress(httpx2.HTTPError):
                    if self._session:
                        await self._http.delete(self.url, headers=self.headers({}))
                for stream in (self._into, incoming, outgoing, out):
                    stream.close()

    async def ask(self, method: str, params: Mapping[str, Any]) -> bytes | None:
        """Send one request exactly as given and answer the message that came back; None if none came in time."""
        self._asked += 1
        key = f"{RAW}{self._asked}"
        body = dict(params)
        if self._era is Era.MODERN:
            body["_meta"] = modern_meta()
        message = {"jsonrpc": "2.0", "id": key, "method": method, "params": body}
        text = json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")
        answer: bytes | None = None
        with anyio.move_on_after(ANSWER_LIMIT_SECONDS), suppress(httpx2.HTTPError):
            async for line in self._post(text, self.headers(message)):
                answer = line if _answers(line, key) else answer
        return answer

    def headers(self, message: Mapping[str, Any]) -> dict[str, str]:
        """What belongs to ``message`` besides its body, and is right."""
        found = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
        if self._era is Era.MODERN:
            return found | required_headers(message.get("method", ""), message.get("params"))
        if self._session:
            found |= {SESSION: self._session, "mcp-protocol-version": self._era.value}
        return found

    async def _send_all(self, out: MemoryObjectReceiveStream[SessionMessage], carriers: TaskGroup) -> None:
        async for session_message in out:
            message = json.loads(session_message.message.model_dump_json(by_alias=True, exclude_unset=True))
            if "method" in message and "id" in message:
                carriers.start_soon(self._request, message)
                continue
            await self._carry(message)
            if message.get("method") == "notifications/initialized":
                carriers.start_soon(self._listen)

    async def _request(self, message: dict[str, Any]) -> None:
        answered = await self._carry(message)
        if not answered:
            error = {"code": -32000, "message": "the exchange ended without an answer"}
            await self._pass_on(json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}).encode())

    async def _carry(self, message: dict[str, Any]) -> bool:
        answered = False
        with suppress(httpx2.HTTPError):
            async for line in self._post(json.dumps(message).encode(), self.headers(message)):
                answered = answered or _answers(line, message.get("id"))
                await self._pass_on(line)
        return answered

    async def _pass_on(self, line: bytes) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._into.send(parsed(line))

    async def _listen(self) -> None:
        """The standing stream of a legacy session; a server may say that it has none."""
        headers = {**self.headers({}), "accept": "text/event-stream"}
        with suppress(httpx2.HTTPError):
            async with self._http.stream("GET", self.url, headers=headers, timeout=None) as response:
                async for line in self._frames(response):
                    await self._pass_on(line)

    async def _post(self, body: bytes, headers: dict[str, str]) -> AsyncIterator[bytes]:
        async with self._http.stream("POST", self.url, content=body, headers=headers) as response:
            self._session = response.headers.get(SESSION) or self._session
            async for line in self._frames(response):
                yield line

    async def _frames(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        """Each message of a response, kept as it came."""
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            events = EventParser(FRAME_LIMIT_BYTES)
            async for chunk in response.aiter_bytes():
                for event in events.feed(chunk):
                    if isinstance(event.data, bytes) and event.data:
                        self.lines.append(event.data)
                        yield event.data
        elif body := await response.aread():
            self.lines.append(body)
            yield body


def _answers(line: bytes, key: object) -> bool:
    """Whether this answers the request ``key``. An error without id answers the only one that it can be about."""
    try:
        message = json.loads(line)
    except ValueError:
        return False
    return isinstance(message, dict) and "method" not in message and message.get("id") in (key, None)

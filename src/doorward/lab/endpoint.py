"""One HTTP endpoint, shared by an honest client and an attacker: what ``peer.Pipe`` is to a pipe.

The SDK's own ``Client`` speaks through it as through any transport. Crafted requests leave as the bytes that the attack
chose, in the same session. Everything that comes back is kept as it came, one entry for each JSON body or event.

Sources: MCP 2025-11-25 and 2026-07-28, "Streamable HTTP". Nothing is resumed: on loopback nothing breaks by itself.
"""

from __future__ import annotations

import json
import re
import ssl
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import httpx2

from doorward.lab.peer import ANSWER_LIMIT_SECONDS, POUR_LIMIT_SECONDS, RAW, modern_meta, parsed
from doorward.lab.scenario import Era
from doorward.lab.transcript import Transcript
from doorward.protocol.headers import required_headers
from doorward.wire.sse import EventParser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path
    from urllib.parse import SplitResult

    from anyio.abc import ByteStream, TaskGroup
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.shared.message import SessionMessage

    from doorward.lab.peer import Flood, Streams

FRAME_LIMIT_BYTES = 64 * 1024 * 1024
SESSION = "mcp-session-id"

LAST_WORD_SECONDS = 1.0

_BOTH = "application/json, text/event-stream"
_ENOUGH_BYTES = 1024 * 1024
# What the headers of a modern flood say that its body is.
_START = {"method": "tools/call", "params": {"name": "count_letters", "_meta": modern_meta()}}


class Endpoint:
    """A server at ``url``. ``streams`` is what the SDK's client takes for a transport; ``ask`` sends one crafted
    request, ``pour`` one whose size is the attack; ``lines`` are all messages that arrived, in order, ``transcript``
    those of both directions, for reports. ``extra`` are headers that the owner of the server wants with each request.
    ``trouble`` is what was wrong with the last request below MCP: its status, or why there was no answer.
    ``verify`` says whether a certificate must be valid; ``certificate`` is a file with the key and the certificate that
    prove who comes; ``source`` is the address that it comes from, the system's choice if empty.
    """

    def __init__(
        self,
        url: str,
        *,
        era: Era,
        extra: Mapping[str, str] | None = None,
        verify: bool = True,
        certificate: Path | None = None,
        source: str = "",
    ) -> None:
        self.url, self._verify, self._certificate, self.source = url, verify, certificate, source
        self._extra = dict(extra or {})
        self.pid = 0  # nobody's: what listens there was started before
        self.trouble = ""
        self.lines: list[bytes] = []
        self.transcript = Transcript()
        self._era = era
        self._session = self._hostile = ""
        self._version = era.value  # until the server agreed on another
        self._asked = 0
        self._http: httpx2.AsyncClient
        self._into: MemoryObjectSendStream[SessionMessage | Exception]

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[Streams]:
        """Carry messages until the block is left; then the session is ended."""
        self._into, incoming = anyio.create_memory_object_stream[Any](1024)
        outgoing, out = anyio.create_memory_object_stream[Any](0)
        # No proxy of the environment: this is a loopback of ours.
        limit = ANSWER_LIMIT_SECONDS * 2
        ways = httpx2.AsyncHTTPTransport(verify=self._tls(), local_address=self.source or None)
        async with httpx2.AsyncClient(timeout=limit, trust_env=False, transport=ways) as self._http:
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

    def _tls(self) -> ssl.SSLContext:
        """What the system trusts, and whoever stands in ``SSL_CERT_FILE``."""
        context = ssl.create_default_context()
        if not self._verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self._certificate is not None:
            context.load_cert_chain(self._certificate, password="")
        return context

    @property
    def session(self) -> str:
        """The id of the honest client's session; empty where there is none."""
        return self._session

    async def ask(self, method: str, params: Mapping[str, Any], limit: float | None = None) -> bytes | None:
        """Send one request exactly as given and answer the message that came back; None if none came in time, which is
        ``limit`` seconds, or else :data:`ANSWER_LIMIT_SECONDS`.
        """
        self._asked += 1
        key = f"{RAW}{self._asked}"
        message = {"jsonrpc": "2.0", "id": key, "method": method, "params": self.params(params)}
        text = json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")
        answer: bytes | None = None
        limit = ANSWER_LIMIT_SECONDS if limit is None else limit
        with anyio.move_on_after(limit):
            try:
                async for line in self._post(text, self.headers(message), limit):
                    answer = line if _answers(line, key) else answer
            except httpx2.HTTPError as problem:
                self.trouble = str(problem) or type(problem).__name__
        if method == "initialize" and answer:
            self._version = _agreed(answer) or self._version
        return answer

    @property
    def asked(self) -> str:
        """The id of the crafted request that was sent last."""
        return f"{RAW}{self._asked}"

    def params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """With the ``_meta`` that each modern request carries, under what it says itself."""
        if self._era is not Era.MODERN:
            return dict(params)
        return {**params, "_meta": {**modern_meta(), **params.get("_meta", {})}}

    async def tell(self, method: str) -> None:
        """Send a notification without parameters."""
        message = {"jsonrpc": "2.0", "method": method}
        with suppress(httpx2.HTTPError):
            async for _ in self._post(json.dumps(message).encode(), self.headers(message)):
                pass

    async def ready(self) -> None:
        """Be able to :meth:`pour`: in the legacy era, have a session beside the honest client's. It is kept unless a
        flood was broken off in it, which a naive server may not survive.
        """
        if self._era is Era.MODERN or self._hostile:
            return
        hello = {"protocolVersion": self._era.value, "capabilities": {}, "clientInfo": {"name": "lab", "version": "1"}}
        common = {"accept": _BOTH, "content-type": "application/json"}
        begin = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}
        answer = await self._http.post(self.url, json=begin, headers=common)
        self._hostile = answer.headers.get(SESSION, "")
        done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await self._http.post(self.url, json=done, headers={**common, **self._legacy(self._hostile)})

    async def pour(self, flood: Flood, enough: Callable[[], bool]) -> None:
        """Send one request that is made while it is sent, until it is whole, ``enough``, or refused.

        On a connection of its own: what is no whole request breaks it. Returns when the server has answered or cut it.
        """
        where = urlsplit(self.url)
        self.transcript.sent(flood.head + flood.piece, flood.size)
        with suppress(anyio.BrokenResourceError, anyio.EndOfStream, OSError):
            async with await anyio.connect_tcp(where.hostname or "", where.port or 80) as wire:
                with anyio.move_on_after(POUR_LIMIT_SECONDS):
                    async with anyio.create_task_group() as both:
                        both.start_soon(self._drink, wire, both.cancel_scope)
                        await self._pour(wire, flood, enough, where)

    async def _pour(self, wire: ByteStream, flood: Flood, enough: Callable[[], bool], where: SplitResult) -> None:
        lines = [f"POST {where.path} HTTP/1.1", f"Host: {where.netloc}"]
        headers = self.headers(_START) | self._legacy(self._hostile)
        lines += [f"{name}: {value}" for name, value in headers.items()]
        chunked = not flood.announced and not flood.headers
        if not flood.headers:
            lines.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {flood.announced}")
        with suppress(anyio.BrokenResourceError, OSError):  # it has refused: what it says is still read
            await wire.send("\r\n".join((*lines, "" if flood.headers else "\r\n")).encode())
            for piece in flood.pieces(enough):
                if piece:
                    await wire.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                await wire.send(b"0\r\n\r\n")
        if flood.announced > flood.size and not enough():
            await anyio.sleep(LAST_WORD_SECONDS)  # the rest will not come; there may be an answer all the same
        if enough() or flood.announced > flood.size:
            self._hostile = ""
            await wire.aclose()

    async def _drink(self, wire: ByteStream, life: anyio.CancelScope) -> None:
        """Read what is said, until the end of a first answer or of the connection."""
        said = b""
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
            while not _whole(said) and len(said) < _ENOUGH_BYTES:
                said += await wire.receive()
        if body := said.partition(b"\r\n\r\n")[2]:
            self._arrived(body)
        life.cancel()

    def headers(self, message: Mapping[str, Any]) -> dict[str, str]:
        """What belongs to ``message`` besides its body, and is right."""
        found = {**self._extra, "accept": _BOTH, "content-type": "application/json"}
        if self._era is Era.MODERN:
            return found | required_headers(message.get("method", ""), message.get("params"))
        return found | self._legacy(self._session)

    def _legacy(self, session: str) -> dict[str, str]:
        return {SESSION: session, "mcp-protocol-version": self._version} if session else {}

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
                if message.get("method") == "initialize":
                    self._version = _agreed(line) or self._version
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

    async def _post(
        self, body: bytes, headers: dict[str, str], limit: float = ANSWER_LIMIT_SECONDS * 2
    ) -> AsyncIterator[bytes]:
        self.transcript.sent(body)
        async with self._http.stream("POST", self.url, content=body, headers=headers, timeout=limit) as response:
            self._session = _sayable(response.headers.get(SESSION)) or self._session
            self.trouble = f"HTTP {response.status_code}" if response.is_error else ""
            async for line in self._frames(response):
                yield line

    async def _frames(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        """Each message of a response, kept as it came."""
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            events = EventParser(FRAME_LIMIT_BYTES)
            async for chunk in response.aiter_bytes():
                for event in events.feed(chunk):
                    if isinstance(event.data, bytes) and event.data:
                        self._arrived(event.data)
                        yield event.data
        elif body := await response.aread():
            self._arrived(body)
            yield body

    def _arrived(self, body: bytes) -> None:
        self.lines.append(body)
        self.transcript.received(body)


def _whole(said: bytes) -> bool:
    """Whether an answer is complete, as far as that must be known here."""
    head, end, body = said.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return bool(end) and (len(body) >= int(length[1]) if length else body.endswith((b"0\r\n\r\n", b"\n\n")))


def _agreed(line: bytes) -> str:
    """The revision that an answer to ``initialize`` settles on: each later request names it."""
    result = _object(line).get("result")
    return _sayable(result.get("protocolVersion")) if isinstance(result, dict) else ""


def _sayable(value: object) -> str:
    """``value`` where it can stand in a header, else nothing: MCP wants visible ASCII there."""
    return value if isinstance(value, str) and value.isascii() and value.isprintable() else ""


def _answers(line: bytes, key: object) -> bool:
    """Whether this answers the request ``key``. An error without id answers the only one that it can be about."""
    message = _object(line)
    return bool(message) and "method" not in message and message.get("id") in (key, None)


def _object(line: bytes) -> dict[str, Any]:
    """A message that is one; what is none is empty."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}

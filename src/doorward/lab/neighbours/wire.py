"""Requests of HTTP as the bytes that an attack chose, each on a connection of its own.

What `endpoint` sends is right but for the body; here everything may be wrong. Answers are kept as they came, head and
all, since an oracle only looks for what was planted.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio

from doorward.lab.endpoint import SESSION, Endpoint
from doorward.lab.peer import RAW, modern_meta
from doorward.lab.scenario import Era
from doorward.protocol.headers import required_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.lab.stage import Stage

ANSWER_SECONDS = 5.0
"""For one answer, whose end is the end of its connection. A server that works needs milliseconds."""

MOST_BYTES = 1024 * 1024
BOTH = "application/json, text/event-stream"

Changes = dict[str, str | tuple[str, ...] | None]
"""Headers in the place of those that are right: one, several of that name, or none."""


class Wire:
    """An attacker at the stage's own URL. ``fields`` go with each request; ``heard`` are all answers, in order."""

    def __init__(self, stage: Stage, era: Era, fields: Mapping[str, str] | None = None) -> None:
        self.heard: list[bytes] = []
        self.session = ""
        self._where = urlsplit(_endpoint(stage).url)
        self.host = self._where.netloc
        self._transcript = stage.pipe.transcript
        self._era = era
        self._version = era.value
        self._fields = dict(fields or {})
        self._asked = 0

    async def begin(self, version: str = "") -> str:
        """In the legacy era: begin a session, and answer its id."""
        if self._era is not Era.LEGACY:
            return ""
        self._version = version or self._version
        info = {"name": "lab", "version": "1"}
        hello = {"protocolVersion": self._version, "capabilities": {}, "clientInfo": info}
        said = await self.say(self.post(self.message("initialize", hello)))
        found = re.search(rb"(?im)^%s: *(\S+)" % SESSION.encode(), said.partition(b"\r\n\r\n")[0])
        self.session = found[1].decode() if found else ""
        await self.say(self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        return self.session

    def message(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One honest request."""
        self._asked += 1
        body = dict(params or {})
        if self._era is Era.MODERN:
            body = {**body, "_meta": {**modern_meta(), **body.get("_meta", {})}}
        return {"jsonrpc": "2.0", "id": f"{RAW}{self._asked}", "method": method, "params": body}

    def fields(self, message: Mapping[str, Any]) -> dict[str, str]:
        """The headers that belong to ``message``."""
        found = {"host": self.host, "accept": BOTH, "content-type": "application/json", "connection": "close"}
        if self._era is Era.MODERN:
            return {**found, **required_headers(message["method"], message.get("params")), **self._fields}
        session = {SESSION: self.session, "mcp-protocol-version": self._version} if self.session else {}
        return {**found, **session, **self._fields}

    def post(self, message: Mapping[str, Any], *, body: bytes | None = None, changes: Changes | None = None) -> bytes:
        """``message`` as a request; its ``body``, and some headers, may be others than those that are right."""
        body = json.dumps(message).encode() if body is None else body
        wanted: Changes = {**self.fields(message), "content-length": str(len(body)), **(changes or {})}
        return self._head("POST", wanted) + body

    def get(self, changes: Changes) -> bytes:
        """A request for the standing stream of a session."""
        headers = {"accept": "text/event-stream", "content-type": None, "connection": None, **changes}
        return self._head("GET", {**self.fields({"method": ""}), **headers})

    async def say(self, request: bytes, *, enough: bytes = b"", seconds: float = ANSWER_SECONDS) -> bytes:
        """Send the bytes of ``request`` and answer what came back until the other side closed, or ``enough`` did."""
        self._transcript.sent(request)
        said = b""
        with anyio.move_on_after(seconds), suppress(OSError, anyio.BrokenResourceError, anyio.EndOfStream):
            async with await anyio.connect_tcp(self._where.hostname or "", self._where.port or 80) as connection:
                await connection.send(request)
                while len(said) < MOST_BYTES and not (enough and enough in said):
                    said += await connection.receive()
        self.heard.append(said)
        if said:
            self._transcript.received(said)
        return said

    def _head(self, method: str, wanted: Changes) -> bytes:
        lines = [f"{method} {self._where.path} HTTP/1.1"]
        for name, value in wanted.items():
            values = value if isinstance(value, tuple) else () if value is None else (value,)
            lines += [f"{name}: {one}" for one in values]
        return "\r\n".join((*lines, "", "")).encode("latin-1")


def users_session(stage: Stage) -> str:
    """The id of the honest client's session."""
    return _endpoint(stage).session


def _endpoint(stage: Stage) -> Endpoint:
    if not isinstance(stage.pipe, Endpoint):
        raise TypeError("this stage has no URL")
    return stage.pipe

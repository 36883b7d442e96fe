"""A Streamable HTTP server of both eras in a thread, whose every byte is the test's where a test wants it.

Honest by default: it answers ``initialize``, ``server/discover``, ``tools/list`` and its tool ``echo``. A call of the
tool ``script`` is answered by the function that the test registered under the name in its arguments.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

BOUND_S = 20.0
LEGACY = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"
CACHED = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
ARGUMENTS = {"type": "object", "properties": {"text": {"type": "string"}, "name": {"type": "string"}}}
TOOLS = [
    {"name": "echo", "inputSchema": ARGUMENTS},
    {"name": "script", "inputSchema": ARGUMENTS},
    {"name": "wipe", "inputSchema": ARGUMENTS, "annotations": {"destructiveHint": True}},
]
_ABLE = {"capabilities": {"tools": {}, "logging": {}}, "serverInfo": {"name": "scripted", "version": "1"}}
_NOW = struct.pack("ii", 1, 0)

Message = dict[str, Any]


@dataclass
class Visit:
    """One request, and the connection to answer it on. ``over`` closes that when its script returns."""

    verb: str
    headers: dict[str, str]
    body: bytes
    connection: socket.socket
    over: bool = False

    @property
    def message(self) -> Message:
        message: Message = json.loads(self.body)
        return message

    @property
    def params(self) -> Message:
        params: Message = self.message.get("params") or {}
        return params

    @property
    def id(self) -> Any:
        return self.message["id"]

    @property
    def token(self) -> Any:
        return self.params["_meta"]["progressToken"]

    @property
    def is_modern(self) -> bool:
        return META + "protocolVersion" in self.params.get("_meta", {})

    def raw(self, data: bytes) -> None:
        self.connection.sendall(data)

    def status(self, status: int, body: bytes = b"", *fields: str) -> None:
        told = "".join(f"{field}\r\n" for field in fields)
        self.raw(f"HTTP/1.1 {status} X\r\n{told}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def json(self, message: object, *fields: str) -> None:
        self.status(200, json.dumps(message).encode(), "Content-Type: application/json", *fields)

    def stream(self, *fields: str) -> None:
        told = "".join(f"{field}\r\n" for field in fields)
        self.raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n%b\r\n"
            % told.encode()
        )

    def event(self, message: object, *, id: str = "", retry: int | None = None) -> None:
        lines = (f"id: {id}\n" if id else "") + (f"retry: {retry}\n" if retry is not None else "")
        data = f"{lines}data: {'' if message is None else json.dumps(message)}\n\n".encode()
        self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        self.raw(b"0\r\n\r\n")

    def was_left(self, seconds: float = BOUND_S) -> bool:
        """Wait until the other side closes; whether it did."""
        self.connection.settimeout(seconds)
        try:
            return self.connection.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True
        finally:
            with contextlib.suppress(OSError):
                self.connection.settimeout(BOUND_S)

    # -- whole answers ------------------------------------------------------------------------------------------------

    def text(self, text: str, id: object = None) -> Message:
        result: Message = {"content": [{"type": "text", "text": text}]}
        if self.is_modern:
            result["resultType"] = "complete"
        return {"jsonrpc": "2.0", "id": self.id if id is None else id, "result": result}

    def progress(self, at: float = 1) -> Message:
        return tells("notifications/progress", progressToken=self.token, progress=at)


def tells(method: str, **params: Any) -> Message:
    return {"jsonrpc": "2.0", "method": method, "params": params}


Script = Callable[[Visit], None]


class Upstream:
    """``versions`` are those of the legacy era that it speaks, the last one preferred; ``modern`` whether the other."""

    def __init__(self, *, port: int = 0, versions: tuple[str, ...] = LEGACY, modern: bool = True) -> None:
        self.versions = versions
        self.modern = modern
        self.seen: list[Visit] = []
        self.scripts: dict[str, Script] = {}
        self.on_get: Script = lambda visit: visit.status(405)
        self.on_listen: Script = lambda visit: visit.status(404)
        self.on_initialize: Script = self._initialize
        self.sessions: set[str] = set()
        self._begun = 0
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def stop(self) -> None:
        """Leave at once, as a process that is killed."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(BOUND_S)
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOW)
                connection.shutdown(socket.SHUT_RDWR)
                connection.close()

    def asked(self, method: str) -> list[Visit]:
        """Every request of a method so far."""
        return [visit for visit in list(self.seen) if visit.body and visit.message.get("method") == method]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(BOUND_S * 3)
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), connection, connection.makefile("rb") as lines:
            while True:
                verb = lines.readline().split(b" ")[0].decode()
                if not verb:
                    break
                headers: dict[str, str] = {}
                while line := lines.readline().strip().decode("latin-1"):
                    name, _, value = line.partition(":")
                    headers[name.lower()] = value.strip()
                body = lines.read(int(headers.get("content-length", 0)))
                visit = Visit(verb, headers, body, connection)
                self.seen.append(visit)
                self._answer(visit)
                if visit.over:
                    break
        self._open.discard(connection)

    def _answer(self, visit: Visit) -> None:
        session = visit.headers.get("mcp-session-id", "")
        if visit.verb == "GET":
            self.on_get(visit)
        elif visit.verb == "DELETE":
            self.sessions.discard(session)
            visit.status(200)
        elif session and session not in self.sessions:
            visit.status(404)
        elif "id" not in visit.message or "method" not in visit.message:
            visit.status(202)
        else:
            self._ask(visit)

    def _ask(self, visit: Visit) -> None:
        method = visit.message["method"]
        if method == "initialize":
            self.on_initialize(visit)
        elif method == "server/discover" and self.modern:
            visit.json(_result(visit, {**CACHED, "supportedVersions": [MODERN], **_ABLE}))
        elif visit.is_modern and not self.modern:
            visit.json({"jsonrpc": "2.0", "id": visit.id, "error": {"code": -32601, "message": "no such method"}})
        elif method == "tools/list":
            visit.json(_result(visit, {"tools": TOOLS} | (CACHED if visit.is_modern else {})))
        elif method == "subscriptions/listen":
            self.on_listen(visit)
        elif method == "tools/call":
            self._call(visit)
        elif method == "ping":
            visit.json(_result(visit, {}))
        else:
            visit.json({"jsonrpc": "2.0", "id": visit.id, "error": {"code": -32601, "message": "no such method"}})

    def _initialize(self, visit: Visit) -> None:
        if not self.versions:
            visit.status(400, json.dumps(_refusal(visit)).encode(), "Content-Type: application/json")
            return
        asked = visit.params["protocolVersion"]
        self._begun += 1
        session = f"s-{self.port}-{self._begun}"
        self.sessions.add(session)
        version = asked if asked in self.versions else self.versions[-1]
        visit.json(_result(visit, {"protocolVersion": version, **_ABLE}), f"Mcp-Session-Id: {session}")

    def _call(self, visit: Visit) -> None:
        arguments = visit.params.get("arguments", {})
        if visit.params["name"] == "script":
            self.scripts[arguments["name"]](visit)
        else:
            visit.json(visit.text(arguments.get("text", "")))


def _result(visit: Visit, result: Message) -> Message:
    return {"jsonrpc": "2.0", "id": visit.id, "result": result}


def _refusal(visit: Visit) -> Message:
    told = {"supported": [MODERN], "requested": visit.params.get("protocolVersion")}
    return {"jsonrpc": "2.0", "id": visit.id, "error": {"code": -32022, "message": "unsupported", "data": told}}

"""A malicious server: what it answers has no end. Bounded all the same, at 320 MiB, since it is our machine.

By hand, since no SDK would send this: ``tools/call`` of ``export_rows`` answers by the form that its argument names.
Over a pipe: a line without its end. Over HTTP (``--http``): an event of a stream, a body, and a body that is small only
while it is compressed. The form ``short`` is an honest answer. Start: ``python endless_answer.py [--http] GREETING``.
"""

from __future__ import annotations

import json
import sys
import zlib
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

GREETING = sys.argv[-1]
PIECE = b"x" * (1 << 20)
PIECES = 320
MODERN = "2026-07-28"
NAME = {"name": "endless-answer", "version": "1"}
SCHEMA = {"type": "object", "properties": {"form": {"type": "string"}}, "required": ["form"]}
TOOL = {"name": "export_rows", "description": "Export all rows.", "inputSchema": SCHEMA}
COMPLETE = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """An honest answer to any request."""
    method, version = asked["method"], asked.get("params", {}).get("protocolVersion", "2025-11-25")
    capabilities: dict[str, Any] = {"tools": {}}
    if method == "initialize":
        result = {"protocolVersion": version, "capabilities": capabilities, "serverInfo": NAME}
    elif method == "server/discover":
        result = {"supportedVersions": [MODERN], "capabilities": capabilities, "serverInfo": NAME, **COMPLETE}
    elif method == "tools/list":
        result = {"tools": [TOOL], **(COMPLETE if is_modern(asked) else {})}
    elif method == "tools/call":
        text = {"type": "text", "text": GREETING}
        result = {"content": [text], **({"resultType": "complete"} if is_modern(asked) else {})}
    else:
        result = {}
    return {"jsonrpc": "2.0", "id": asked["id"], "result": result}


def is_modern(asked: dict[str, Any]) -> bool:
    return "_meta" in asked.get("params", {})


def form_of(asked: dict[str, Any]) -> str:
    return str(asked.get("params", {}).get("arguments", {}).get("form", "short"))


def endless(asked: dict[str, Any]) -> Iterator[bytes]:
    """The beginning of an answer, then more and more of it."""
    key = json.dumps(asked["id"])
    yield f'{{"jsonrpc":"2.0","id":{key},"result":{{"content":[{{"type":"text","text":"'.encode()
    for _ in range(PIECES):
        yield PIECE
    yield b'"}]}}'


class Handler(BaseHTTPRequestHandler):
    """One answer for each POST; no stream and no session."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "id" not in asked:
            self.send_response(202)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        form = form_of(asked)
        if form == "short":
            body = json.dumps(answer(asked)).encode()
            self.begin("application/json", {"content-length": str(len(body))})
            self.wfile.write(body)
            return
        self.close_connection = True
        with suppress(OSError):  # whoever listens has had enough
            self.flow(asked, form)

    def flow(self, asked: dict[str, Any], form: str) -> None:
        if form == "event":
            self.begin("text/event-stream", {})
            self.wfile.write(b"data: ")
        elif form == "body":
            self.begin("application/json", {})
        else:
            self.begin("application/json", {"content-encoding": "gzip"})
        squeeze = zlib.compressobj(9, wbits=31) if form == "bomb" else None
        for piece in endless(asked):
            self.wfile.write(squeeze.compress(piece) if squeeze else piece)
        self.wfile.write(squeeze.flush() if squeeze else b"\n\n")

    def begin(self, kind: str, more: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {"content-type": kind, **more}.items():
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(405)
        self.send_header("content-length", "0")
        self.end_headers()

    do_DELETE = do_GET  # noqa: N815 - the standard library's way

    def log_message(self, *_: object) -> None:
        """Nothing: there is nobody to read it."""


def over_pipes() -> None:
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        if "id" not in asked:
            continue
        if form_of(asked) == "short":
            sys.stdout.buffer.write(json.dumps(answer(asked)).encode())
        else:
            for piece in endless(asked):
                sys.stdout.buffer.write(piece)
        sys.stdout.buffer.write(b"\n")
        sys.stdout.buffer.flush()


def over_http() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_address[1]}/mcp", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if "--http" in sys.argv:
        over_http()
    else:
        over_pipes()

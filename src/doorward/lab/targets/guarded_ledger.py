"""A ledger behind a guard. Its mistake: two programs read each request, and each reads it in its own way.

The guard keeps ``wipe_entries`` from everybody, large payments from ``pay_entry``, and the host of the accountants from
outside. It believes headers where a request has those of the newest revision, looks into bodies that belong to a
session, and leaves to the ledger what it cannot read. The ledger behind it is tolerant. Every tool that does something
leaves a file ``mark-ENTRY`` in its folder. By hand, since no SDK reads like this.

Start: ``python guarded_ledger.py [--http] FOLDER`` with ``entries.txt``.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[-1])
MODERN = "2026-07-28"
VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
ACCOUNTANTS = "accountants.internal"
MOST_UNLOOKED_AT = 100
TOLERATED_SECONDS = 10
NAME = {"name": "guarded-ledger", "version": "1"}
WORDS = {"type": "string"}
ENTRY = {"type": "object", "properties": {"entry": WORDS}, "required": ["entry"]}
AMOUNT = {"type": "string", "x-mcp-header": "Amount"}
PAYMENT = {"type": "object", "properties": {"entry": WORDS, "amount": AMOUNT}, "required": ["entry", "amount"]}
TOOLS = [
    {"name": "read_entries", "description": "Read the ledger.", "inputSchema": {"type": "object"}},
    {"name": "book_entry", "description": "Book an entry.", "inputSchema": ENTRY},
    {"name": "pay_entry", "description": "Pay an entry.", "inputSchema": PAYMENT},
    {"name": "close_year", "description": "Close the year, for accountants.", "inputSchema": ENTRY},
    {
        "name": "wipe_entries",
        "description": "Wipe entries.",
        "inputSchema": ENTRY,
        "annotations": {"destructiveHint": True},
    },
]

Fields = list[tuple[str, str]]


# -- the ledger --------------------------------------------------------------------------------------------------------


def call(params: dict[str, Any], host: str) -> dict[str, Any]:
    name, arguments = params["name"], params.get("arguments", {})
    if name == "close_year" and host != ACCOUNTANTS:
        return {"content": [], "isError": True}
    text = "done"
    if name == "read_entries":
        text = (FOLDER / "entries.txt").read_text(encoding="utf-8")
    elif name != "pay_entry" or int(arguments["amount"]) > MOST_UNLOOKED_AT:
        (FOLDER / f"mark-{arguments['entry']}").write_text(json.dumps(params), encoding="utf-8")
    return {"content": [{"type": "text", "text": text}]}


def result(asked: dict[str, Any], host: str) -> dict[str, Any]:
    method, params = asked["method"], asked.get("params", {})
    modern = "_meta" in params
    listed = {"ttlMs": 0, "cacheScope": "private"} if modern else {}
    if method == "initialize":
        version = params["protocolVersion"] if params["protocolVersion"] in VERSIONS else VERSIONS[-1]
        found: dict[str, Any] = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": NAME}
    elif method == "server/discover":
        found = {"supportedVersions": [MODERN], "capabilities": {"tools": {}}, "serverInfo": NAME, **listed}
    elif method == "tools/list":
        found = {"tools": TOOLS, **listed}
    else:
        found = call(params, host) if method == "tools/call" else {}
    return {**found, "resultType": "complete"} if modern else found


def execute(body: bytes, host: str = "") -> bytes:
    """Whatever it is: one request or several, the last of two members with one name, with or without a BOM."""
    said = json.loads(body.decode("utf-8-sig"))
    answers = [
        {"jsonrpc": "2.0", "id": asked["id"], "result": result(asked, host)}
        for asked in (said if isinstance(said, list) else [said])
        if "id" in asked and "method" in asked
    ]
    return json.dumps(answers if isinstance(said, list) else answers[0]).encode() if answers else b""


# -- the guard ---------------------------------------------------------------------------------------------------------


def first(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of members with one name, the guard reads the first."""
    return dict(reversed(pairs))


def forbids_body(body: bytes) -> bool:
    try:
        said = json.loads(body.decode(), object_pairs_hook=first)
    except ValueError:
        return False  # the ledger will say what is wrong with it
    asked = said[0] if isinstance(said, list) and said else said
    return bool(asked.get("method") == "tools/call" and asked["params"]["name"] == "wipe_entries")


def forbids(fields: Fields, body: bytes) -> bool:
    """The guard's own reading of a request, of which it knows the first header of each name."""
    head = dict(reversed(fields))
    if head.get("host") == ACCOUNTANTS or int(head.get("mcp-param-amount", "0")) > MOST_UNLOOKED_AT:
        return True
    if head.get("mcp-protocol-version") == MODERN:
        return head.get("mcp-method") == "tools/call" and head.get("mcp-name") == "wipe_entries"
    return "mcp-session-id" in head and forbids_body(body)


# -- over HTTP ---------------------------------------------------------------------------------------------------------


class Stream:
    """Bytes that arrive, as somebody reads them: ``tolerant`` takes a bare LF for the end of a line."""

    def __init__(self, connection: socket.socket, *, tolerant: bool) -> None:
        self._connection, self._tolerant, self._held = connection, tolerant, b""

    def until(self, end: bytes) -> bytes:
        while end not in self._held:
            self._more()
        found, _, self._held = self._held.partition(end)
        return found

    def exactly(self, size: int) -> bytes:
        while len(self._held) < size:
            self._more()
        found, self._held = self._held[:size], self._held[size:]
        return found

    def head(self) -> tuple[bytes, Fields]:
        """The lines of a head as they came, and its fields."""
        end = b"\n" if self._tolerant else b"\r\n"
        lines = [self.until(end)]
        while lines[-1].strip(b"\r"):
            lines.append(self.until(end))
        split = (line.decode("latin-1").partition(":") for line in lines[1:-1])
        return end.join(lines) + end, [(name.strip().lower(), value.strip()) for name, _, value in split]

    def chunks(self) -> bytes:
        body = b""
        while size := int(self.until(b"\r\n"), 16):
            body += self.exactly(size)
            self.until(b"\r\n")
        self.until(b"\r\n")
        return body

    def _more(self) -> None:
        arrived = self._connection.recv(65536)
        if not arrived:
            raise EOFError
        self._held += arrived


def answered(status: str, body: bytes = b"", more: str = "") -> bytes:
    kind = f"content-type: application/json\r\n{more}" if body else more
    return f"HTTP/1.1 {status}\r\n{kind}content-length: {len(body)}\r\n\r\n".encode() + body


def guard(outside: socket.socket, ledger: int) -> None:
    """One connection of a client, carried on to the ledger as it came, unless something in it is forbidden."""
    incoming = Stream(outside, tolerant=False)
    with outside, socket.create_connection(("127.0.0.1", ledger), TOLERATED_SECONDS) as inside:
        threading.Thread(target=carry, args=(inside, outside), daemon=True).start()
        with suppress(OSError, EOFError, ValueError):
            while True:
                head, fields = incoming.head()
                length = int(dict(reversed(fields)).get("content-length", "0"))
                body = incoming.exactly(length)
                if forbids(fields, body):
                    outside.sendall(answered("403 Forbidden"))
                    return
                inside.sendall(head + body)


def carry(inside: socket.socket, outside: socket.socket) -> None:
    with suppress(OSError):
        while arrived := inside.recv(65536):
            outside.sendall(arrived)
        outside.shutdown(socket.SHUT_WR)


def keep(connection: socket.socket) -> None:
    """One connection of the guard: the ledger's reading of what comes over it, of which it knows the last header."""
    incoming = Stream(connection, tolerant=True)
    with connection, suppress(OSError, EOFError, ValueError, KeyError):
        while True:
            line, fields = incoming.head()
            head = dict(fields)
            chunked = "chunked" in head.get("transfer-encoding", "")
            body = incoming.chunks() if chunked else incoming.exactly(int(head.get("content-length", "0")))
            if not line.startswith(b"POST "):
                connection.sendall(answered("405 Method Not Allowed"))
                continue
            said = execute(body, head.get("host", "")) if body else b""
            session = "mcp-session-id: ledger\r\n" if b'"initialize"' in body else ""
            connection.sendall(answered("200 OK", said, session) if said else answered("202 Accepted"))
            if head.get("connection") == "close":
                return


def accept(listener: socket.socket, serve: Any, *more: Any) -> None:
    while True:
        connection = listener.accept()[0]
        connection.settimeout(TOLERATED_SECONDS * 6)
        threading.Thread(target=serve, args=(connection, *more), daemon=True).start()


def over_http() -> None:
    inside, outside = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    threading.Thread(target=accept, args=(inside, keep), daemon=True).start()
    print(f"http://127.0.0.1:{outside.getsockname()[1]}/mcp", flush=True)
    accept(outside, guard, inside.getsockname()[1])


# -- over pipes --------------------------------------------------------------------------------------------------------


def over_pipes() -> None:
    """The guard begins with the session; it looks into each line of it."""
    guarded = False
    for line in sys.stdin.buffer:
        if guarded and forbids_body(line):
            key = json.loads(line).get("id")
            said = json.dumps({"jsonrpc": "2.0", "id": key, "error": {"code": -32000, "message": "forbidden"}}).encode()
        else:
            said = execute(line)
        guarded = guarded or b"initialize" in line or b"_meta" in line
        if said:
            sys.stdout.buffer.write(said + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    if "--http" in sys.argv:
        over_http()
    else:
        over_pipes()

"""A client that reads whatever it is sent as a whole: the victim of endless answers. It is no server to attack.

Its mistake is that of most: a line ends where it ends, a body is read to its end. It may use 448 MiB, so that an attack
on it is no attack on the machine. Start: ``python whole_reader.py ERA TOOL FORM URL``, or ``… -- COMMAND …``. It calls
the tool once and says how long the answer was.
"""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

ERA, TOOL, FORM, WHERE = sys.argv[1:5]
FUSE_BYTES = 448 << 20
MODERN = "2026-07-28"
ME = {"name": "whole-reader", "version": "1"}
ABOUT = "io.modelcontextprotocol/"
META = {f"{ABOUT}protocolVersion": MODERN, f"{ABOUT}clientCapabilities": {}, f"{ABOUT}clientInfo": ME}


def messages() -> list[dict[str, Any]]:
    call: dict[str, Any] = {"name": TOOL, "arguments": {"form": FORM}}
    if ERA == MODERN:
        return [{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {**call, "_meta": META}}]
    hello = {"protocolVersion": ERA, "capabilities": {}, "clientInfo": ME}
    return [
        {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call},
    ]


def over_pipes(command: list[str]) -> int:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        line = b""
        if server.stdin is None or server.stdout is None:
            return 0
        for message in messages():
            server.stdin.write(json.dumps(message).encode() + b"\n")
            server.stdin.flush()
            if "id" in message:
                line = server.stdout.readline()
        return len(line)


def over_http(url: str) -> int:
    where, session, body = urlsplit(url), "", b""
    connection = HTTPConnection(where.hostname or "", where.port)
    for message in messages():
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        if session:
            headers |= {"mcp-session-id": session, "mcp-protocol-version": ERA}
        if ERA == MODERN:
            headers |= {"mcp-protocol-version": ERA, "mcp-method": "tools/call", "mcp-name": TOOL}
        connection.request("POST", where.path, json.dumps(message), headers)
        response = connection.getresponse()
        session = response.headers.get("mcp-session-id") or session
        if response.headers.get("content-encoding") == "gzip":
            with gzip.GzipFile(fileobj=response) as unpacked:
                body = unpacked.read()
        else:
            body = response.read()
    return len(body)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_DATA, (FUSE_BYTES, FUSE_BYTES))
    print(over_pipes(sys.argv[5:]) if WHERE == "--" else over_http(WHERE))

"""A server that calls the gateway it stands behind, as the user it runs as. ``python -I -S hostile_caller.py``

Its tool ``knock`` gets the port and how to hold the connection: ``plain``, ``hopping`` (a new process each moment) or
``flying`` (on its way from a socket to itself). It says what the gateway answered.
"""

import json
import os
import socket
import sys
import time

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "knock", "version": "1"},
}


def connect(port: int, how: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    if how == "flying":
        one, other = socket.socketpair()
        socket.send_fds(one, [b"x"], [connection.fileno()])
        connection.close()
        time.sleep(0.5)
        _, (descriptor,), _, _ = socket.recv_fds(other, 1, 1)
        connection = socket.socket(fileno=descriptor)
    if how == "hopping":
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            if os.fork():
                os._exit(0)
    return connection


def knock(port: int, how: str) -> str:
    told, tell = os.pipe()
    if os.fork() == 0:
        connection = connect(port, how)
        params = {"name": "echo", "arguments": {"text": "as the user"}, "_meta": META}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
        connection.sendall(
            f"POST /good/mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n"
            f"Mcp-Method: tools/call\r\nMcp-Name: echo\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        os.write(tell, connection.recv(65536)[:512])
        os._exit(0)
    os.close(tell)
    return os.read(told, 512).decode("latin-1").split("\r\n")[0]


def answer(method: str, params: dict[str, object]) -> dict[str, object]:
    if method == "initialize":
        info = {"name": "knock", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": info}
    if method == "tools/list":
        schema = {"type": "object", "properties": {"port": {"type": "integer"}, "how": {"type": "string"}}}
        return {"tools": [{"name": "knock", "inputSchema": schema}]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": knock(**params["arguments"])}]}
    return {}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        told = {"jsonrpc": "2.0", "id": message["id"], "result": answer(message["method"], message.get("params", {}))}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()

"""The clients of `flood.py`, raw and cheap: attackers that ask without end, and an honest one that asks twenty times a
second. Each is a process of its own and prints one JSON object when its time is over.

An attacker repeats the same bytes on each of its connections as soon as it was answered; what the answers say is
counted by status and not read.
"""

from __future__ import annotations

import argparse
import itertools
import json
import select
import socket
import sys
import time
from collections import Counter
from contextlib import suppress
from typing import Any

VERSION = "2025-11-25"
HONEST_EVERY_S = 0.05
PATIENCE_S = 10.0
LORIS = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "


def post(port: int, path: str, message: dict[str, Any], headers: dict[str, str]) -> bytes:
    body = json.dumps(message).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def call(number: int) -> dict[str, Any]:
    arguments = {"text": f"{number:09}" + "x" * 191}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": "echo", "arguments": arguments}}


class Connection:
    """One connection, which waits for each answer."""

    def __init__(self, port: int, source: str = "") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S, (source or "127.0.0.1", 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        return self._socket.fileno()

    def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        self._socket.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        while len(body) < int(fields.get("content-length", "0")):
            body += self._more()
        return int(first.split()[1]), fields, body

    def _more(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the gateway closed the connection")
        return data

    def open(self, port: int, path: str, headers: dict[str, str]) -> dict[str, str]:
        """A session: the headers of what is asked in it."""
        info = {"name": "flood", "version": "1"}
        hello = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": info}
        message = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}
        status, fields, body = self.ask(post(port, path, message, headers))
        if status != 200:
            raise ConnectionError(f"initialize was answered {status}: {body[:200]!r}")
        known = {**headers, "Mcp-Session-Id": fields["mcp-session-id"], "MCP-Protocol-Version": VERSION}
        self.ask(post(port, path, {"jsonrpc": "2.0", "method": "notifications/initialized"}, known))
        return known

    def listen(self, port: int, path: str, headers: dict[str, str]) -> None:
        """A standing stream, whose events nobody reads here."""
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Accept: text/event-stream"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")

    def hand_over(self) -> socket.socket:
        self._socket.setblocking(False)
        return self._socket


def honest(port: int, path: str, seconds: float) -> dict[str, Any]:
    """The waits in milliseconds, and what was answered otherwise than with the text that was sent."""
    connection = Connection(port)
    known = connection.open(port, path, {})
    waits: list[float] = []
    wrong: Counter[str] = Counter()
    print("ready", flush=True)
    sys.stdin.readline()
    until = time.monotonic() + seconds
    for number in itertools.count(1):
        began = time.monotonic()
        if began >= until:
            break
        try:
            status, _, body = connection.ask(post(port, path, call(number), known))
            if status != 200 or f"{number:09}".encode() not in body:
                wrong[f"{status} {body[:160].decode(errors='replace')}"] += 1
        except OSError as problem:
            wrong[str(problem)] += 1
            connection = Connection(port)
        waits.append((time.monotonic() - began) * 1000)
        time.sleep(max(0.0, HONEST_EVERY_S - waits[-1] / 1000))
    return {"waits": waits, "wrong": dict(wrong)}


def flood(options: argparse.Namespace) -> dict[str, Any]:
    """Eight attackers (``sessions``), each with so many connections, in a closed loop."""
    port, path = options.port, options.path
    headers = dict(pair.split("=", 1) for pair in options.header)
    numbers = itertools.count(1)
    waiting = select.epoll()
    asking: dict[int, tuple[socket.socket, bytes]] = {}
    streams: dict[int, socket.socket] = {}
    for attacker in range(options.attackers):
        source = f"127.0.1.{attacker + 1}" if options.addresses else ""
        first = Connection(port, source)
        known = first.open(port, path, headers) if options.sessions else headers
        connections = [first, *(Connection(port, source) for _ in range(options.connections - 1))]
        if options.listen:
            stream = Connection(port, source)
            stream.listen(port, path, known)
            streams[stream.fileno()] = stream.hand_over()
        for connection in connections:
            if options.tell:
                request = f"POST /tell HTTP/1.1\r\nHost: 127.0.0.1:{options.tell}\r\nContent-Length: 0\r\n\r\n".encode()
                asking_on = Connection(options.tell)
            else:
                number = next(numbers)
                message = call(number) if number % 2 else {"jsonrpc": "2.0", "id": number, "method": "ping"}
                request, asking_on = post(port, path, message, known), connection
            asking[asking_on.fileno()] = (asking_on.hand_over(), request)
    for number in (*asking, *streams):
        waiting.register(number, select.EPOLLIN)
    print("ready", flush=True)
    sys.stdin.readline()
    for one, request in asking.values():
        one.send(request)
    return _until_over(options.seconds, waiting, asking, streams)


def _until_over(
    seconds: float,
    waiting: select.epoll,
    asking: dict[int, tuple[socket.socket, bytes]],
    streams: dict[int, socket.socket],
) -> dict[str, Any]:
    answered: Counter[str] = Counter()
    heard = 0
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        for number, _ in waiting.poll(0.1, 256):
            if number in streams:
                heard += streams[number].recv(1 << 20).count(b"\ndata:")
                continue
            one, request = asking[number]
            answer = one.recv(1 << 16)
            if not answer:
                answered["closed"] += 1
                waiting.unregister(number)
                continue
            answered[answer[9:12].decode("latin-1")] += 1
            one.send(request)
    return {"answered": dict(answered), "heard": heard, "seconds": time.monotonic() - began}


def loris(port: int, count: int, seconds: float) -> dict[str, Any]:
    """So many connections that send a byte of their head each second, and begin anew when they are cut."""
    held: list[socket.socket | None] = [None] * count
    begun = cut = 0
    print("ready", flush=True)
    sys.stdin.readline()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        second = time.monotonic()
        for place, one in enumerate(held):
            if one is None:
                begun += 1
                held[place] = _began(port)
            elif not _goes_on(one):
                cut += 1
                one.close()
                held[place] = None
        time.sleep(max(0.0, 1.0 - (time.monotonic() - second)))
    return {"begun": begun, "cut": cut}


def _began(port: int) -> socket.socket | None:
    with suppress(OSError):
        one = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        one.sendall(LORIS)
        one.setblocking(False)
        return one
    return None


def _goes_on(one: socket.socket) -> bool:
    """One byte more; whether it was neither answered nor cut."""
    try:
        one.sendall(b"x")
        one.recv(4096)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("honest", "flood", "loris"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/mcp")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--attackers", type=int, default=8)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--addresses", action="store_true")
    parser.add_argument("--sessions", action="store_true")
    parser.add_argument("--listen", action="store_true")
    parser.add_argument("--tell", type=int, default=0)
    parser.add_argument("--header", action="append", default=[])
    options = parser.parse_args()
    if options.what == "honest":
        told = honest(options.port, options.path, options.seconds)
    elif options.what == "flood":
        told = flood(options)
    else:
        told = loris(options.port, options.connections, options.seconds)
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()

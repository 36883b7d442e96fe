"""``doorward serve`` among peers whose every byte is the test's: a raw client, a raw upstream, and an honest client
that works all the while.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shlex
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Self

from tests.gateway.wrapping import BOUND_SECONDS, DOORWARD, World, Wrapped, wait_until

from doorward.audit.reader import last

LEGACY, MODERN = "2025-11-25", "2026-07-28"
SLOWEST_S = 20.0
"""What an honest call may take while others misbehave, on a machine that others use too."""

Message = dict[str, Any]
_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
}
_SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}
_CACHED = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


def request(key: int | str, method: str, *, modern: bool = False, **params: object) -> Message:
    meta = {"_meta": _META} if modern else {}
    return {"jsonrpc": "2.0", "id": key, "method": method, "params": {**params, **meta}}


class Answer(NamedTuple):
    """One answer of HTTP, its body without chunks."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> Message:
        """The last JSON-RPC message in it."""
        told = self.body
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            told = [line[5:] for line in told.splitlines() if line.startswith(b"data:") and line[5:].strip()][-1]
        message: Message = json.loads(told)
        return message


class Raw:
    """One connection to the gateway: bytes out as they are, answers in, each wait bounded."""

    def __init__(self, port: int, path: str = "/mcp") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=BOUND_SECONDS)
        self._file = self.socket.makefile("rb")
        self._port, self._path = port, path
        self.keys = itertools.count(1)
        self.session: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        self._file.close()
        self.socket.close()

    def reset(self) -> None:
        """Leave as a process that is killed with unread data does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.leave()

    # -- bytes --------------------------------------------------------------------------------------------------------

    def head(self, verb: str = "POST", **fields: str) -> bytes:
        told = {
            "Host": f"127.0.0.1:{self._port}",
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            **self.session,
            **{name.replace("_", "-"): value for name, value in fields.items()},
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        return f"{verb} {self._path} HTTP/1.1\r\n{lines}\r\n".encode()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def pour(self, data: bytes, limit: int) -> int:
        """Send the same again and again until nobody takes it; how many bytes were taken, at most ``limit``."""
        poured = 0
        with contextlib.suppress(ConnectionError):
            while poured < limit:
                self.socket.sendall(data)
                poured += len(data)
        return poured

    def post(self, body: bytes, **fields: str) -> None:
        self.send(self.head(Content_Length=str(len(body)), **fields) + body)

    def read_head(self) -> tuple[int, dict[str, str]]:
        first, *lines = iter(lambda: self._file.readline().rstrip(b"\r\n"), b"")
        parts = (line.decode("latin-1").partition(":") for line in lines)
        return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in parts}

    def answer(self) -> Answer:
        status, headers = self.read_head()
        body = b"".join(self.chunks()) if headers.get("transfer-encoding") == "chunked" else b""
        if length := int(headers.get("content-length", 0)):
            body = self._file.read(length)
        return Answer(status, headers, body)

    def chunks(self) -> Iterator[bytes]:
        while size := int(self._file.readline() or b"0", 16):
            yield self._file.read(size)
            self._file.readline()
        self._file.readline()

    def event(self) -> Message:
        """The next message of a stream whose head was read."""
        while line := self._file.readline():
            if line.startswith(b"data:") and line[5:].strip():
                message: Message = json.loads(line[5:])
                return message
        raise AssertionError("the stream ended")

    # -- messages -----------------------------------------------------------------------------------------------------

    def say(self, message: Message, **fields: str) -> Answer:
        self.post(json.dumps(message).encode(), **fields)
        return self.answer()

    def initialize(self, version: str = LEGACY) -> Answer:
        info = {"name": "raw", "version": "1"}
        asked = request(0, "initialize", protocolVersion=version, capabilities={}, clientInfo=info)
        answer = self.say(asked)
        if "mcp-session-id" in answer.headers:
            self.session = {"Mcp-Session-Id": answer.headers["mcp-session-id"], "MCP-Protocol-Version": version}
            assert self.say({"jsonrpc": "2.0", "method": "notifications/initialized"}).status == 202
        return answer

    def start_call(self, tool: str, *, modern: bool = False, **arguments: object) -> int:
        """Send a call and wait for nothing; returns its id."""
        key = next(self.keys)
        asked = request(key, "tools/call", modern=modern, name=tool, arguments=arguments)
        fields = {"MCP_Protocol_Version": MODERN, "Mcp_Method": "tools/call", "Mcp_Name": tool} if modern else {}
        self.post(json.dumps(asked).encode(), **fields)
        return key

    def call(self, tool: str, *, modern: bool = False, **arguments: object) -> Message:
        """The answer to a call, which has its id."""
        key = self.start_call(tool, modern=modern, **arguments)
        answer = self.answer()
        message = answer.message
        assert message.get("id") == key, answer
        return message


# --- upstreams --------------------------------------------------------------------------------------------------------


class Visit:
    """One request to the upstream: its head, its message, and the connection to answer it on."""

    def __init__(self, line: str, fields: dict[str, str], body: bytes, connection: socket.socket) -> None:
        self.line = line
        self.fields = fields
        self.message: Message = json.loads(body) if body else {}
        self._connection = connection

    @property
    def key(self) -> Any:
        return self.message.get("id")

    @property
    def is_modern(self) -> bool:
        return "_meta" in self.message.get("params", {})

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def whole(self, body: bytes, status: str = "200 OK", kind: str = "application/json", more: str = "") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        self.send(head.encode() + body)

    def result(self, result: Message, more: str = "") -> None:
        complete = {"resultType": "complete"} if self.is_modern else {}
        self.whole(encoded(self.key, {**complete, **result}), more=more)

    def text(self, text: str) -> None:
        self.result({"content": [{"type": "text", "text": text}]})

    def stream(self) -> None:
        """Begin an answer that is a stream and ends with its connection."""
        self.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")

    def event(self, data: bytes) -> None:
        self.send(b"data: " + data + b"\n\n")

    def pour(self, data: bytes, limit: int) -> int:
        """Send the same again and again until nobody takes it; how many bytes were taken, at most ``limit``."""
        poured = 0
        with contextlib.suppress(OSError):
            while poured < limit:
                self._connection.sendall(data)
                poured += len(data)
        return poured

    def close(self) -> None:
        self._connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> NoReturn:
        """End the connection at once, and this visit with it."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionResetError


def encoded(key: Any, result: Message) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": key, "result": result}).encode()


def text_of(text: str, *, modern: bool) -> Message:
    return {"content": [{"type": "text", "text": text}], **({"resultType": "complete"} if modern else {})}


class Upstream:
    """A server of both eras. ``echo`` is honest; whoever calls ``bad`` gets what ``bad`` does with the visit."""

    def __init__(self) -> None:
        self.bad: Callable[[Visit], None] = lambda visit: visit.text("not yet")
        self.other: Callable[[Visit], bool] = lambda _: False
        self.calls: list[str] = []
        self.told: list[Message] = []
        self.sessions = 0
        self.cancelled = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/mcp"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(BOUND_SECONDS * 2)
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rb") as received:
            while first := received.readline():
                lines = iter(lambda: received.readline().rstrip(b"\r\n").decode("latin-1"), "")
                fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = received.read(int(fields.get("content-length", 0)))
                self._play(Visit(first.decode(), fields, body, connection))

    def _play(self, visit: Visit) -> None:
        if self.other(visit):
            return
        message = visit.message
        if visit.line.startswith("POST") and "id" in message and "method" in message:
            self._answer(visit, message["method"], message["params"])
        elif visit.line.startswith("GET"):
            visit.whole(b"", "405 Method Not Allowed")
        else:
            self.told.append(message)
            visit.whole(b"", "202 Accepted")

    def _answer(self, visit: Visit, method: str, params: Message) -> None:
        able = {"capabilities": {"tools": {}}, "serverInfo": {"name": "raw", "version": "1"}}
        cached = _CACHED if visit.is_modern else {}
        if method == "initialize":
            self.sessions += 1
            said = {"protocolVersion": params["protocolVersion"], **able}
            visit.result(said, more=f"Mcp-Session-Id: s-{self.sessions}\r\n")
        elif method == "server/discover":
            visit.result({**_CACHED, "supportedVersions": [MODERN], **able})
        elif method == "tools/list":
            visit.result({"tools": [{"name": name, "inputSchema": _SCHEMA} for name in ("echo", "bad")], **cached})
        elif params["name"] == "bad":
            self.bad(visit)
        else:
            self.calls.append(params["arguments"]["text"])
            visit.text(params["arguments"]["text"])


# --- the gateway ------------------------------------------------------------------------------------------------------


class Finding(NamedTuple):
    """What the operator was told on stderr."""

    control: str
    reason: str
    reference: str
    sender: str


class Served:
    """One ``serve`` that runs, with what it said and what it recorded."""

    def __init__(self, world: World, process: Wrapped) -> None:
        self.world = world
        self.process = process
        self.pid = process.pid
        self.urls: dict[str, str] = {}
        wait_until(self._is_ready, "doorward serves")
        self.port = int(next(iter(self.urls.values())).split(":")[2].partition("/")[0])

    def _is_ready(self) -> bool:
        assert self.process.process.poll() is None, self.process.stderr
        self.urls = {said["server"]: said["url"] for said in self.said() if said["event"] == "serving"}
        return bool(self.urls)

    def said(self) -> list[Message]:
        lines = self.process.stderr.split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def findings(self) -> list[Finding]:
        return [
            Finding(found["control"], found["reason"], said["reference"], said["sender"])
            for said in self.said()
            if said["event"] == "refused"
            for found in said["findings"]
        ]

    def found(self, control: str, part: str = "") -> Finding:
        """The finding that the operator got, and its record in the archive."""

        def those() -> list[Finding]:
            return [one for one in self.findings() if one.control == control and part in one.reason]

        wait_until(lambda: bool(those()), f"a finding {control}: {part}, among {self.findings()}")
        told = those()[-1]
        assert told.reference, told
        wait_until(lambda: told.reference in self.references(), f"the record of {told}")
        return told

    def references(self) -> set[str]:
        return {found.entry.reference for found in last(self.world.state, 100_000).found}

    def shows(self, reference: str) -> str:
        shown = self.world.doorward("audit", "show", reference)
        assert shown.returncode == 0, shown
        return shown.stdout

    def client(self, path: str = "/mcp") -> Raw:
        return Raw(self.port, path)

    def session(self, path: str = "/mcp", version: str = LEGACY) -> Raw:
        client = self.client(path)
        answer = client.initialize(version)
        assert client.session, answer
        return client

    def measure(self, name: str = "VmHWM") -> int:
        """Bytes, of the kernel's count: the most it had since `forget_peak`, or ``VmRSS``: what it has."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (value,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{name}:"))
        return value * 1024

    def forget_peak(self) -> int:
        """What it has now; its peak counts from here."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        return self.measure()

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @contextmanager
    def with_honest_clients(
        self, path: str = "/mcp", tool: str = "echo", eras: tuple[str, ...] = ("legacy", "modern")
    ) -> Iterator[Honest]:
        """One of each era works all the while: every answer must be right, and none may take long."""
        honest = Honest(self, path, tool, eras)
        try:
            yield honest
        finally:
            honest.stop()
        honest.check()


class Honest:
    """Clients that do what clients do, each in a thread of its own."""

    def __init__(self, served: Served, path: str, tool: str, eras: tuple[str, ...]) -> None:
        self._served, self._path, self._tool = served, path, tool
        self._stopped = threading.Event()
        self.problems: list[BaseException] = []
        self.done = dict.fromkeys(eras, 0)
        self.slowest = 0.0
        self._threads = [threading.Thread(target=self._work, args=(era,), daemon=True) for era in self.done]
        for thread in self._threads:
            thread.start()

    def _work(self, era: str) -> None:
        try:
            with self._served.client(self._path) as client:
                if era == "legacy":
                    client.initialize()
                while not self._stopped.is_set():
                    began, said = time.monotonic(), f"{era} {self.done[era]}"
                    told = client.call(self._tool, modern=era == "modern", text=said)
                    assert told["result"]["content"][0]["text"] in (said, "noted"), told
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    self.done[era] += 1
                    self._stopped.wait(0.01)
        except BaseException as problem:  # noqa: BLE001 - shown by `check`, in the test's own thread
            self.problems.append(problem)

    def stop(self) -> None:
        wait_until(lambda: all(self.done.values()) or bool(self.problems), "an honest answer for each")
        self._stopped.set()
        for thread in self._threads:
            thread.join(BOUND_SECONDS)

    def check(self) -> None:
        assert not self.problems, (self.problems, self._served.process.stderr[-4000:])
        assert all(self.done.values()), self.done
        assert self.slowest < SLOWEST_S, self.slowest


def serve(
    world: World, *upstream: str, policy: str = "", listen: str = "127.0.0.1:0", sandbox: str = "auto", **options: Any
) -> Served:
    """Start ``doorward serve``: with one upstream at ``/mcp``, or with what ``policy`` says."""
    general: tuple[str, ...] = ("--state", str(world.state))
    if policy:
        place = world.home / "etc" / "doorward.toml"
        place.parent.mkdir(mode=0o700, exist_ok=True)
        place.write_text(policy)
        place.chmod(0o600)
        general = ("-c", str(place), *general)
    words = ("--upstream", upstream[0] if len(upstream) == 1 else shlex.join(upstream)) if upstream else ()
    process = world.run(
        (*DOORWARD, *general, "serve", "--json", "--listen", listen, "--sandbox", sandbox, *words), **options
    )
    return Served(world, process)

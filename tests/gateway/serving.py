"""``doorward serve`` as its clients meet it: a process with a listener, and whatever bytes they send it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.gateway.scripted_upstream import META, MODERN
from tests.gateway.wrapping import BOUND_SECONDS, DOORWARD, wait_until

LATEST = "2025-11-25"
OLD_TOO = '[protocol]\nunsafe_oldest = "2024-11-05"\n'
ACCEPT = "application/json, text/event-stream"
LEAVE_AT_ONCE = struct.pack("ii", 1, 0)

Message = dict[str, Any]


class Event(NamedTuple):
    """One event of a stream; a comment has only ``comment``."""

    id: str
    data: str
    comment: str = ""

    @property
    def message(self) -> Message:
        message: Message = json.loads(self.data)
        return message


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> Message:
        """The one message: the body, or the last event that has data."""
        message: Message = json.loads(self.body)
        return message

    @property
    def code(self) -> int:
        code: int = self.message["error"]["code"]
        return code


class Client:
    """One connection. Everything that is waited for is waited for with a bound."""

    def __init__(self, port: int, path: str = "/web/mcp", host: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection((host, port), BOUND_SECONDS)
        self._lines = self._socket.makefile("rb")
        self._path = path
        self._host = f"{host}:{port}"
        self._chunk = b""

    def raw(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send(self, verb: str, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        """One request. A header of None is left out."""
        usual: dict[str, str | None] = {
            "Host": self._host,
            "Accept": ACCEPT,
            "Content-Type": "application/json" if verb == "POST" else None,
            "Content-Length": str(len(body)),
        }
        told = {**usual, **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items() if value is not None)
        self.raw(f"{verb} {self._path} HTTP/1.1\r\n{lines}\r\n".encode() + body)

    def head(self) -> tuple[int, dict[str, str]]:
        first = self._lines.readline().decode("latin-1")
        assert first.startswith("HTTP/1.1 "), f"no answer, but {first!r}"
        headers: dict[str, str] = {}
        while line := self._lines.readline().strip().decode("latin-1"):
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return int(first.split(" ")[1]), headers

    def answer(self) -> Answer:
        """The next answer, whole; a stream to its end."""
        status, headers = self.head()
        if headers.get("transfer-encoding") == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self._lines.read(int(headers.get("content-length", 0)))
        return Answer(status, headers, body)

    def ask(self, verb: str, headers: dict[str, str] | None = None, message: object = None) -> Answer:
        self.send(verb, headers, b"" if message is None else json.dumps(message).encode())
        return self.answer()

    def stream(self) -> Iterator[Event]:
        """The head of a stream, now; then its events as they come, with comments."""
        status, headers = self.head()
        assert (status, headers.get("content-type")) == (200, "text/event-stream"), (status, headers)
        return self._events()

    def _events(self) -> Iterator[Event]:
        pending = b""
        for chunk in self._chunks():
            *whole, pending = (pending + chunk).split(b"\n\n")
            for block in whole:
                yield _event(block.decode())

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._lines.readline() or b"0", 16):
            yield self._lines.read(size)
            self._lines.read(2)
        self._lines.readline()

    def rest(self) -> bytes:
        """All that comes until the server closes."""
        try:
            return self._lines.read()
        except ConnectionError:
            return b""

    def is_readable(self) -> bool:
        """Whether something came, or its end."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._lines.close()
        self._socket.close()

    def reset(self) -> None:
        """Leave as a process that is killed."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LEAVE_AT_ONCE)
        self._lines.close()
        self._socket.close()


def _event(block: str) -> Event:
    found = {"id": "", "data": "", "": ""}
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        found[name] = value.removeprefix(" ")
    return Event(found["id"], found["data"], found[""])


def request(id: object, method: str, **params: Any) -> Message:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def call(id: object, tool: str, meta: Message | None = None, **arguments: Any) -> Message:
    more = {"_meta": meta} if meta is not None else {}
    return request(id, "tools/call", name=tool, arguments=arguments, **more)


def initialize(version: str = LATEST, capabilities: Message | None = None, id: object = "init") -> Message:
    info = {"name": "test", "version": "1"}
    return request(id, "initialize", protocolVersion=version, capabilities=capabilities or {}, clientInfo=info)


class Session:
    """One legacy session; every request goes on a connection of its own."""

    def __init__(self, serve: Serve, path: str, headers: dict[str, str], opened: Answer) -> None:
        self._serve = serve
        self._path = path
        self.headers = headers
        self.opened = opened

    @property
    def id(self) -> str:
        return self.headers["Mcp-Session-Id"]

    def post(self, message: object) -> Client:
        """A POST, sent and not waited for."""
        client = self._serve.client(self._path)
        client.send("POST", self.headers, json.dumps(message).encode())
        return client

    def ask(self, message: object) -> Answer:
        return self.post(message).answer()

    def call(self, id: object, tool: str, **arguments: Any) -> Answer:
        return self.ask(call(id, tool, **arguments))

    def script(self, id: object, name: str, meta: Message | None = None) -> Client:
        return self.post(call(id, "script", meta, name=name))

    def listen(self, last_event_id: str = "") -> tuple[Client, Iterator[Event]]:
        client = self._serve.client(self._path)
        client.send("GET", self.headers | ({"Last-Event-ID": last_event_id} if last_event_id else {}))
        return client, client.stream()

    def end(self) -> Answer:
        return self._serve.client(self._path).ask("DELETE", self.headers)


def modern(
    id: object, method: str, capabilities: Message | None = None, meta: Message | None = None, **params: Any
) -> tuple[dict[str, str], Message]:
    """Headers and body of a modern request that agree."""
    envelope = {META + "protocolVersion": MODERN, META + "clientCapabilities": capabilities or {}, **(meta or {})}
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
    if "name" in params:
        headers["Mcp-Name"] = params["name"]
    return headers, request(id, method, **params, _meta=envelope)


class Serve:
    """One ``serve`` that runs."""

    def __init__(self, argv: tuple[str, ...], env: dict[str, str], cwd: Path, stderr: Path) -> None:
        self._stderr = stderr
        with stderr.open("wb") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=log, env=env, cwd=cwd)
        self._clients: list[Client] = []
        self.port = 0

    def wait_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.stderr
            return bool(self._port())

        wait_until(ready, "a listener")
        self.port = self._port()

    def _port(self) -> int:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", self.stderr)
        return int(found.group(1)) if found else 0

    @property
    def stderr(self) -> str:
        return self._stderr.read_text(errors="backslashreplace")

    @property
    def told(self) -> list[Message]:
        """What the operator was told, line by line."""
        lines = self.stderr.splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n") and line.startswith("{")]

    def findings(self) -> list[tuple[str, str]]:
        """(control, reason) of every refusal that the operator was told of."""
        refused = [line for line in self.told if line["event"] == "refused"]
        return [(found["control"], found["reason"]) for line in refused for found in line["findings"]]

    def wait_for_finding(self, control: str, words: str = "", after: int = 0) -> None:
        wait_until(
            lambda: any(name == control and words in why for name, why in self.findings()[after:]),
            f"a finding of {control}: {words}",
        )

    def wait_said(self, words: str) -> None:
        wait_until(lambda: words in self.stderr, f"the operator hears {words!r}")

    def client(self, path: str = "/web/mcp", host: str = "127.0.0.1") -> Client:
        client = Client(self.port, path, host)
        self._clients.append(client)
        return client

    def ask(
        self, verb: str, headers: dict[str, str] | None = None, message: object = None, path: str = "/web/mcp"
    ) -> Answer:
        return self.client(path).ask(verb, headers, message)

    def session(
        self, path: str = "/web/mcp", version: str = LATEST, capabilities: Message | None = None, *, ready: bool = True
    ) -> Session:
        opened = self.ask("POST", {}, initialize(version, capabilities), path)
        assert opened.status == 200, (opened, self.stderr)
        assert "result" in opened.message, (opened, self.stderr)
        headers = {"Mcp-Session-Id": opened.headers["mcp-session-id"], "MCP-Protocol-Version": version}
        session = Session(self, path, headers, opened)
        if ready:
            told = session.ask({"jsonrpc": "2.0", "method": "notifications/initialized"})
            assert told.status == 202, told
        return session

    def modern(self, id: object, method: str, path: str = "/web/mcp", **params: Any) -> Answer:
        """A modern request on a connection of its own, and its answer."""
        return self.ask("POST", *modern(id, method, **params), path)

    def send_modern(self, id: object, method: str, path: str = "/web/mcp", **params: Any) -> Client:
        client = self.client(path)
        headers, body = modern(id, method, **params)
        client.send("POST", headers, json.dumps(body).encode())
        return client

    def script(self, id: object, name: str, path: str = "/web/mcp", **more: Any) -> Client:
        """A modern call of a script, sent and not waited for."""
        return self.send_modern(id, "tools/call", path, name="script", arguments={"name": name}, **more)

    def children(self) -> list[int]:
        """Every process below this one."""
        found = [self.process.pid]
        for pid in found:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    found += [int(child) for child in (task / "children").read_text().split()]
        return found[1:]

    def memory(self) -> int:
        """Bytes of its own."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) * 1024  # type: ignore[index]

    def hang_up(self) -> None:
        """SIGHUP: read the policy anew."""
        self.process.send_signal(signal.SIGHUP)

    def leave_all(self) -> None:
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.close()
        self._clients.clear()

    def stop(self) -> int:
        """Leave in order; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(BOUND_SECONDS)
        finally:
            self.kill()

    def kill(self) -> None:
        self.leave_all()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(BOUND_SECONDS)


class Place:
    """A home, a state directory and a policy file, for one serve after another."""

    def __init__(self, top: Path, runtime: Path) -> None:
        self.top, self.runtime = top, runtime
        self.state, self.policy = top / "state", top / "configuration" / "doorward.toml"
        self.folder = top / "folder"
        self.env = {"HOME": str(top / "home"), "PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(runtime)}
        for folder in (top / "home", self.folder, self.policy.parent):
            folder.mkdir()
        self._started: list[Serve] = []

    def write(self, text: str) -> None:
        self.policy.write_text(text)

    def serve(self, text: str, *words: str, ready: bool = True, listen: str = "127.0.0.1:0") -> Serve:
        """Start ``doorward --json … serve`` under a policy of this text."""
        self.write(text)
        general = ("--json", "--state", str(self.state), "-c", str(self.policy))
        argv = (*DOORWARD, *general, "serve", "--listen", listen, *words)
        serve = Serve(argv, self.env, self.top, self.top / f"stderr-{len(self._started)}")
        self._started.append(serve)
        if ready:
            serve.wait_ready()
        return serve

    def refuses(self, text: str, *words: str, listen: str = "127.0.0.1:0") -> str:
        """What a serve that cannot begin says; it ends with 2."""
        self.write(text)
        argv = (*DOORWARD, "--state", str(self.state), "-c", str(self.policy), "serve", "--listen", listen, *words)
        done = subprocess.run(
            argv, env=self.env, cwd=self.top, capture_output=True, text=True, timeout=BOUND_SECONDS, check=False
        )
        assert done.returncode == 2, done
        return done.stderr

    def stop(self) -> None:
        for serve in self._started:
            serve.kill()


@contextlib.contextmanager
def place(top: Path) -> Iterator[Place]:
    """Whatever was started is gone at the end. Sockets have short paths, so they get a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="dw-") as runtime:
        made = Place(top, Path(runtime))
        try:
            yield made
        finally:
            made.stop()


def by_url(url: str, name: str = "web") -> str:
    return f'[servers.{name}]\nurl = "{url}"\n'


def by_command(command: tuple[str, ...], name: str = "child", more: str = "") -> str:
    words = ", ".join(json.dumps(word) for word in command)
    return f"[servers.{name}]\ncommand = [{words}]\n{more}\n"


OTHER_USER = """
import os, socket, sys  # nothing can be imported after this
os.setgid(1001); os.setuid(1001)
peer = socket.socket()
peer.connect(("127.0.0.1", int(sys.argv[1])))
peer.sendall(sys.stdin.buffer.read())
peer.settimeout(20)
data = b""
while b"\\r\\n\\r\\n" not in data:
    data += peer.recv(65536)
head, _, body = data.partition(b"\\r\\n\\r\\n")
length = next((int(l.split(b":")[1]) for l in head.split(b"\\r\\n") if l.lower().startswith(b"content-length")), 0)
while len(body) < length:
    body += peer.recv(65536)
sys.stdout.buffer.write(data if not length else head + b"\\r\\n\\r\\n" + body)
"""


def as_other_user(serve: Serve, verb: str, headers: dict[str, str], message: object, path: str = "/web/mcp") -> Answer:
    """The same question from a process of user 1001."""
    body = json.dumps(message).encode()
    told = {
        "Host": f"127.0.0.1:{serve.port}",
        "Accept": ACCEPT,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    done = subprocess.run(
        [sys.executable, "-ISc", OTHER_USER, str(serve.port)],
        input=f"{verb} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body,
        capture_output=True, timeout=BOUND_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    head, _, rest = done.stdout.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    pairs = (field.partition(":") for field in fields)
    return Answer(int(first.split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}, rest)

"""The flood of the lab: from a process of its own over HTTP, and as cheaply as can be on a pipe."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
from tests.bounded import BOUND_S
from tests.gateway.wrapping import wait_until

from doorward.lab.peer import FLOOD, Pipe
from doorward.lab.scenario import Era
from doorward.lab.scenarios.request_flooding import FLOODER

READER = """
import json, sys
for _ in range(5):
    asked = [json.loads(sys.stdin.readline()) for _ in range(8)]  # so many come before the first is answered
    for message in reversed(asked):
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {}}, separators=(",", ":")))
    print(json.dumps([message["method"] for message in asked]), flush=True)
sys.stdin.read()
"""


class Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.seen: list[tuple[tuple[str, int], str, str | None, Any]] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert isinstance(self.server, Listener)
        self.server.seen.append((self.client_address[:2], self.path, self.headers.get("x-as"), body))
        self.send_response(429 if body["method"] == "ping" else 200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def listening() -> Iterator[Listener]:
    with Listener() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_each_attacker_asks_without_end_on_its_own_connections_until_it_is_told_to_stop() -> None:
    attackers = [
        {
            "source": source,
            "messages": [[{"jsonrpc": "2.0", "method": m, "params": {}}, {"x-as": source}] for m in ("ping", "list")],
        }
        for source in ("127.0.1.1", "127.0.1.2")
    ]
    how: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with listening() as server, subprocess.Popen([sys.executable, FLOODER], **how) as flooder:
        plan = {"host": "127.0.0.1", "port": server.server_port, "path": "/mcp", "attackers": attackers, "at_once": 3}
        assert flooder.stdin is not None
        assert flooder.stdout is not None
        flooder.stdin.write(json.dumps(plan) + "\n")
        flooder.stdin.flush()
        assert flooder.stdout.readline() == "ready\n"
        assert not server.seen
        flooder.stdin.write("go\n")
        flooder.stdin.flush()
        wait_until(lambda: len(server.seen) > 100, "a flood")
        told, _ = flooder.communicate(timeout=BOUND_S)
    seen = server.seen
    assert {peer[0] for peer, *_ in seen} == {"127.0.1.1", "127.0.1.2"}
    assert len({peer for peer, *_ in seen}) == 6
    assert all(peer[0] == own for peer, _, own, _ in seen)
    assert {path for _, path, _, _ in seen} == {"/mcp"}
    assert len({body["id"] for *_, body in seen}) == len(seen)
    assert {body["method"] for *_, body in seen} == {"ping", "list"}
    assert json.loads(told).keys() == {"200", "429"}


def test_on_a_pipe_so_many_are_under_way_and_their_answers_are_not_kept(tmp_path: Path) -> None:
    async def played() -> list[bytes]:
        pipe = Pipe((sys.executable, "-c", READER), env={}, cwd=tmp_path, stderr=tmp_path / "words", era=Era.LEGACY)
        with anyio.fail_after(BOUND_S):
            async with pipe.streams(), anyio.create_task_group() as flood:
                flood.start_soon(pipe.repeat, (("ping", {}), ("resources/list", {})), 8)
                while len(pipe.lines) < 5:  # noqa: ASYNC110 - bounded, and the pipe tells nobody
                    await anyio.sleep(0.01)
                flood.cancel_scope.cancel()
        return pipe.lines

    lines = anyio.run(played)
    assert [json.loads(line) for line in lines] == [["ping", "resources/list"] * 4] * 5
    assert not [line for line in lines if FLOOD.encode() in line]

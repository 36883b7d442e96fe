"""A child as a connector: a real process inside its walls."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.bounded import until
from tests.gateway.raw_upstream import Ear, call, on_both_loops, tell

from doorward.confine import process
from doorward.confine.process import Listener
from doorward.confine.profile import derive
from doorward.gateway.egress.server import Egress
from doorward.gateway.upstream.child import ChildConnector

ECHO = """
import json, sys, os
print("hello, I am no message", flush=True)
print("to the operator", file=sys.stderr, flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "exit":
        os._exit(7)
    if message.get("method") == "long":
        print("x" * 5_000_000 + "{", flush=True)
        print("{" + "x" * 40_000_000 + "}", flush=True)
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}), flush=True)
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {}}), flush=True)
"""
MUTE = """
import os, time
os.close(1)
while True:
    time.sleep(1)
"""
DEAF = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('{"jsonrpc":"2.0","method":"ready"}', flush=True)
while True:
    time.sleep(1)
"""


@asynccontextmanager
async def child_of(
    code: str, top: Path, max_answer_s: float = 60, egress: Egress | None = None
) -> AsyncIterator[tuple[ChildConnector, Ear, list[tuple[bytes, str]], process.Child]]:
    script = top / "server.py"
    script.write_text(code)
    argv = [sys.executable, "-I", str(script)]
    profile = derive(
        argv,
        environ={"PATH": os.environ["PATH"]},
        cwd=str(top),
        home=str(top / "home"),
        state=str(top / "state"),
        config=str(top / "config"),
        server="s",
    )
    child = process.start(argv, profile)
    child.started(20)
    ear, passed = Ear(), list[tuple[bytes, str]]()
    connector = ChildConnector(
        child, ear, lambda line, source: passed.append((line, source)), max_answer_s=max_answer_s, egress=egress
    )
    try:
        yield connector, ear, passed, child
    finally:
        await connector.close()
        await connector.close()
    assert child.ended


@on_both_loops
async def test_an_answer_has_the_exchange_of_its_request_and_all_else_has_0(tmp_path: Path) -> None:
    async with child_of(ECHO, tmp_path) as (connector, ear, passed, _):
        connector.put(call("a", exchange=21))
        connector.put(call(7, exchange=22))
        messages = await ear.heard(4)
        assert [(message.get("id"), exchange) for message, exchange in messages] == [
            *((None, 0), ("a", 21)),
            *((None, 0), (7, 22)),
        ]
        await until(lambda: len(passed) == 2)
        assert sorted(passed) == [(b"hello, I am no message", "stdout"), (b"to the operator", "stderr")]
    assert not ear.ends


@on_both_loops
async def test_a_child_that_ends_breaks_the_link_and_says_how(tmp_path: Path) -> None:
    async with child_of(ECHO, tmp_path) as (connector, ear, _, _child):
        connector.put(tell("exit"))
        await until(lambda: ear.ends)
        assert ear.ends == ["the server ended (code 7)"]
        assert connector.broken
        assert not connector.put(call(1))


@on_both_loops
async def test_a_child_that_closes_its_output_and_lives_on_is_ended(tmp_path: Path) -> None:
    async with child_of(MUTE, tmp_path) as (connector, ear, _, _child):
        connector.put(call(1))
        await until(lambda: ear.ends)
        assert ear.ends == ["the server closed its output"]
        assert connector.broken


@on_both_loops
async def test_its_way_out_ends_with_it(tmp_path: Path) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    where = listening.getsockname()
    egress = Egress(lambda _target, _why: "")
    egress.open([Listener(listening.detach(), "")])
    async with child_of(ECHO, tmp_path, egress=egress):
        reader, writer = await asyncio.open_connection(*where)
        writer.write(b"CONNECT 127.0.0.1:80 HTTP/1.1\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 403 ")
        writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*where)


@on_both_loops
async def test_a_line_too_long_is_dropped_and_the_next_is_read(tmp_path: Path) -> None:
    async with child_of(ECHO, tmp_path) as (connector, ear, _, _child):
        connector.put(call(1, "long", 5))
        await ear.heard(2)
        assert [(frame.size, exchange) for frame, exchange in ear.overlongs] == [(40_000_002, 0)]


@on_both_loops
async def test_a_child_that_will_not_end_is_ended(tmp_path: Path) -> None:
    async with child_of(DEAF, tmp_path) as (connector, ear, _, child):
        await ear.heard()
        started = asyncio.get_running_loop().time()
        await connector.close()
        assert child.ended
        assert asyncio.get_running_loop().time() - started < 7
    assert not ear.ends


@on_both_loops
async def test_what_a_child_never_answers_is_lost_but_not_what_stands(tmp_path: Path) -> None:
    async with child_of(DEAF, tmp_path, max_answer_s=0.3) as (connector, ear, _, _child):
        await ear.heard(1)
        connector.put(call("standing", "subscriptions/listen", exchange=3))
        connector.put(call("a part of a batch", exchange=4))
        connector.put(call("another part", exchange=4))
        await until(lambda: ear.losses)
        connector.put(call("later", exchange=5))
        await until(lambda: len(ear.losses) > 1)
        assert ear.losses == [(4, "no answer within 0.3 s"), (5, "no answer within 0.3 s")]

"""What a wrap does with bytes that are no honest messages, from either side: bounded, masked, and never in the way."""

from __future__ import annotations

import asyncio
import json
import os
import select
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from tests.gateway.crafted_server import SECRET
from tests.gateway.wrapping import World, Wrapped, crafted, wait_until

from doorward.gateway.ports import MAX_QUEUED_BYTES, Outlet

MB = 1 << 20
CHATTER = 120  # megabytes: more than all queues together take


def started(world: World, mode: str = "plain", **options: tuple[str, ...]) -> Wrapped:
    wrapped = world.wrap(crafted(mode, world.folder), **options)
    wrapped.initialize()
    return wrapped


def memory_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_what_a_server_prints_reaches_the_operator_masked_and_the_client_never(world: World) -> None:
    wrapped = started(world)
    assert wrapped.text("talk") == "talked"
    assert wrapped.end() == 0
    assert "starting up" in wrapped.stderr
    assert SECRET not in wrapped.stderr
    assert "\x1b" not in wrapped.stderr
    assert "token " in wrapped.stderr
    assert "password=" in wrapped.stderr
    for line in wrapped.lines:
        assert json.loads(line)["jsonrpc"] == "2.0"


def test_a_server_that_floods_its_stderr_loses_lines_and_not_its_client(world: World) -> None:
    wrapped = started(world)
    assert wrapped.text("flood", count=200_000) == "flooded"
    assert wrapped.text("echo", text="still here") == "still here"
    assert wrapped.end() == 0
    assert len(wrapped.stderr) < 2 * MB  # of twenty
    wait_until(lambda: "x" * 100 in wrapped.stderr, "a first part of it was passed on")


def test_one_endless_line_on_stderr_is_cut(world: World) -> None:
    wrapped = started(world)
    before = memory_bytes(wrapped.pid)
    assert wrapped.text("one_long_line", count=32 * MB) == "said"
    assert memory_bytes(wrapped.pid) - before < 24 * MB
    assert wrapped.end() == 0
    assert 0 < len(wrapped.stderr) < MB


def test_a_line_too_long_from_the_client_is_refused_and_the_next_one_passes(world: World) -> None:
    wrapped = started(world)
    before = memory_bytes(wrapped.pid)
    wrapped.start_asking("tools/call", {"name": "echo", "arguments": {"text": "x" * (5 * MB)}})  # the limit is 4 MiB
    refusal = wrapped.answer_to(None)
    assert refusal["error"]["code"] == -32600
    assert "reference" in refusal["error"]["data"]
    assert wrapped.text("echo", text="next") == "next"
    assert memory_bytes(wrapped.pid) - before < 48 * MB
    assert wrapped.end() == 0


def test_an_answer_too_long_ends_its_request_and_the_next_one_passes(world: World) -> None:
    wrapped = started(world)
    refusal = wrapped.call("big", count=17 * MB)  # the limit is 16 MiB
    assert refusal["error"]["code"] == -31001
    assert wrapped.text("echo", text="next") == "next"
    assert wrapped.end() == 0


def test_an_answer_just_within_the_limit_passes_whole(world: World) -> None:
    wrapped = started(world)
    assert len(wrapped.text("big", count=15 * MB)) == 15 * MB
    assert wrapped.end() == 0


def test_an_answer_that_is_all_dashes_keeps_nobody_waiting(world: World) -> None:
    """Once took four seconds for each megabyte: every dash could begin an option that names a secret."""
    wrapped = started(world)
    assert wrapped.text("big", count=12 * MB, text="-") == "-" * (12 * MB)
    assert wrapped.end() == 0


def test_a_server_that_never_reads_costs_bounded_memory(world: World) -> None:
    """Doorward takes in what its queue holds, and then lets its client wait as the server does."""
    wrapped = started(world, "deaf")
    wrapped.ask("tools/list")
    call = {"name": "echo", "arguments": {"text": "x" * MB}}
    taken, room = 0, True
    while room and taken < 128 * MB:
        room = wrapped.offer({"jsonrpc": "2.0", "id": f"call {taken}", "method": "tools/call", "params": call})
        taken += MB
    assert not room
    assert memory_bytes(wrapped.pid) < 256 * MB


def taken(world: World) -> int:
    """How many lines of its chatter doorward took from the server, once it takes no more (or all of them)."""
    journal = world.folder / "journal"
    pause = select.poll()
    wait_until(journal.exists, "the first line was taken")
    while True:
        before = journal.read_text().count("\n")
        pause.poll(500)
        if journal.read_text().count("\n") == before:
            return before


def test_a_client_that_never_reads_costs_bounded_memory_and_loses_nothing_once_it_does(world: World) -> None:
    wrapped = started(world)
    key = wrapped.start_asking("tools/call", {"name": "chatter", "arguments": {"count": CHATTER}})
    assert taken(world) < CHATTER
    assert memory_bytes(wrapped.pid) < 256 * MB
    assert wrapped.answer_to(key)["result"]["content"][0]["text"] == "all said"
    assert sum(b"notifications/message" in line[:200] for line in wrapped.lines) == CHATTER
    assert wrapped.end() == 0


def test_a_disk_that_stands_still_costs_bounded_memory_and_loses_nothing_once_it_moves(world: World) -> None:
    """Another process holds the log's lock, which the writer of the archive waits for."""
    wrapped = started(world)
    wrapped.text("echo", text="the list of tools is known")
    (log,) = (world.state / "audit").glob("*.sqlite")
    with closing(sqlite3.connect(log, isolation_level=None)) as other:
        key = wrapped.start_asking("tools/call", {"name": "chatter", "arguments": {"count": CHATTER}})
        wait_until((world.folder / "journal").exists, "the call is under way")
        other.execute("BEGIN IMMEDIATE")
        held_back = taken(world)
        weight = memory_bytes(wrapped.pid)
        other.execute("ROLLBACK")
    assert held_back < CHATTER
    assert weight < 256 * MB
    assert wrapped.answer_to(key)["result"]["content"][0]["text"] == "all said"
    assert sum(b"notifications/message" in line[:200] for line in wrapped.lines) == CHATTER
    assert wrapped.end() == 0


def test_a_peer_that_does_not_read_is_given_up_after_the_write_timeout() -> None:
    reading, writing = os.pipe()

    async def write() -> list[str]:
        broken: list[str] = []
        outlet = Outlet(writing, broken.append, timeout_s=0.05)
        assert outlet.put_line(b"x" * MB)
        async with asyncio.timeout(10):
            await outlet.drained()
        assert outlet.broken
        assert not outlet.put_line(b"more")
        assert outlet.queued_bytes == 0
        return broken

    try:
        assert asyncio.run(write()) == ["nobody read for 0.05 s"]
    finally:
        os.close(reading)
        os.close(writing)


def test_a_full_outlet_says_what_to_wait_for() -> None:
    reading, writing = os.pipe()

    async def fill() -> None:
        broken: list[str] = []
        outlet = Outlet(writing, broken.append, timeout_s=10)
        while outlet.queued_bytes <= MAX_QUEUED_BYTES:
            assert outlet.put_line(b"x" * MB)
        assert outlet.is_full
        waiting = asyncio.create_task(outlet.room())

        def read_all() -> None:
            left = outlet.queued_bytes
            while left > 0:
                left -= len(os.read(reading, MB))

        async with asyncio.timeout(20):
            await asyncio.gather(asyncio.to_thread(read_all), outlet.drained(), waiting)
        assert outlet.queued_bytes == 0
        assert broken == []

    try:
        asyncio.run(fill())
    finally:
        os.close(reading)
        os.close(writing)


def test_what_is_put_in_one_turn_leaves_in_order_and_together(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    lines = [b"%d " % number * (number % 40) for number in range(3000)]  # several times what a pipe holds
    writes = 0
    write = os.writev

    def counted(descriptor: int, pieces: Sequence[bytes]) -> int:
        nonlocal writes
        writes += descriptor == writing
        return write(descriptor, pieces)

    monkeypatch.setattr(os, "writev", counted)

    async def run() -> bytes:
        outlet = Outlet(writing, lambda _: None)
        for line in lines:
            assert outlet.put_line(line)
        assert writes == 1  # the first leaves at once
        taken = asyncio.create_task(asyncio.to_thread(_read_until, reading, sum(len(line) + 1 for line in lines)))
        async with asyncio.timeout(20):
            await outlet.drained()
            outlet.close()
            return await taken

    try:
        assert asyncio.run(run()) == b"".join(line + b"\n" for line in lines)
    finally:
        os.close(reading)
    assert writes < len(lines) / 4


def _read_until(descriptor: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += os.read(descriptor, MB)
    return data


def test_every_line_of_json_on_stderr_parses(world: World) -> None:
    wrapped = started(world, after=("--json",))
    assert wrapped.text("talk") == "talked"
    refused = wrapped.call("no_such_tool")
    assert "error" in refused
    assert wrapped.end() == 0
    said = [json.loads(line) for line in wrapped.stderr.splitlines()]
    assert {one["event"] for one in said} == {"said", "line", "refused"}
    (refusal,) = [one for one in said if one["event"] == "refused"]
    assert refusal["reference"] == refused["error"]["data"]["reference"]
    assert {one["source"] for one in said if one["event"] == "line"} == {"stdout", "stderr"}
    assert SECRET not in wrapped.stderr


def test_what_is_not_json_from_the_client_is_refused_by_the_specifications_code(world: World) -> None:
    wrapped = started(world)
    wrapped.write(b"hello?\n")
    assert wrapped.answer_to(None)["error"]["code"] == -32700
    wrapped.write(b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":1,"a":2}}\n')
    assert wrapped.answer_to(7)["error"]["code"] == -32600
    assert wrapped.text("echo", text="fine") == "fine"
    assert wrapped.end() == 0

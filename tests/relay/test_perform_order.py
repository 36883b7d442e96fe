"""One FIFO outbox per link: all waiting records in one commit, then the sends in order (architecture §4, Perform).

Everything is real here: the performer, the archive on disk, the pipes. Only the relay's peers are the test.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from tests.relay.dialogue import LIMITS, MASKER, PRINCIPAL, SERVER, START_US, Tree, initialize, initialized

from doorward.audit.entry import Entry
from doorward.errors import StorageError
from doorward.gateway.archive import Archive, Done
from doorward.gateway.consent.channel import ConsentChannel
from doorward.gateway.perform import Performer
from doorward.gateway.ports import MAX_QUEUED_BYTES, Outlet
from doorward.policy.load import load
from doorward.relay import pipeline
from doorward.relay.commands import Arrived, Record
from doorward.relay.relay import Relay
from doorward.relay.state import Settings
from doorward.wire.jsonrpc import decode

BOUND_SECONDS = 20.0


class Commits(Archive):
    """The archive itself, which also remembers what came to it at once, and can be told to be full."""

    batches: list[list[Record]]
    full = False

    def append(self, records: Sequence[Record], done: Done) -> None:
        self.batches.append(list(records))
        if self.full:
            done(StorageError("the disk is full"))
        else:
            super().append(records, done)


class Peers:
    """A performer between two pipes."""

    def __init__(self, tmp_path: Path) -> None:
        self.closed: list[str] = []
        self.broken = asyncio.Event()
        self.noticed: list[Entry] = []
        self.archive = Commits(tmp_path, label="t", clock=lambda: START_US, report=lambda _: None)
        self.archive.batches = []
        self.archive.start()
        self.archive.wait_open()
        self.pipes = {side: os.pipe() for side in ("client", "server")}
        self.outlets = {side: Outlet(self.pipes[side][1], self.breaks, timeout_s=0.2) for side in self.pipes}
        settings = Settings(load(None), "notes", pipeline.build(MASKER), "link", "session", b"s" * 32)
        consent = ConsentChannel(
            runtime=tmp_path, state=tmp_path, label="t", on_answer=lambda _: None, on_notice=lambda _: None
        )
        self.performer = Performer(
            Relay(settings), archive=self.archive, consent=consent, outlets=self.outlets,  # type: ignore[arg-type]
            clock=lambda: START_US, principal=PRINCIPAL, server=SERVER, notice=self.noticed.append,
            on_close=self.closed.append,
        )  # fmt: skip

    def breaks(self, why: str) -> None:
        self.closed.append(why)
        self.broken.set()

    def feed(self, sender: str, message: Tree) -> None:
        frame = decode(msgspec.json.encode(message), LIMITS)
        self.performer.feed(Arrived(frame, sender, 0, self.performer.facts()))  # type: ignore[arg-type]

    def received(self, side: str) -> list[Tree]:
        os.set_blocking(self.pipes[side][0], False)
        data = b""
        with suppress(BlockingIOError):
            while part := os.read(self.pipes[side][0], 1 << 20):
                data += part
        return [msgspec.json.decode(line) for line in data.splitlines()]

    async def end(self) -> None:
        await self.performer.close()
        self.archive.close()
        for side, (read, write) in self.pipes.items():
            os.close(read)
            if not self.outlets[side].broken:
                os.close(write)


def play(tmp_path: Path, scene: Callable[[Peers], Awaitable[None]]) -> Peers:
    async def run() -> Peers:
        peers = Peers(tmp_path)
        try:
            async with asyncio.timeout(BOUND_SECONDS):
                await scene(peers)
        finally:
            await peers.end()
        return peers

    return asyncio.run(run())


def test_what_waits_is_recorded_in_one_commit_and_sent_in_order(tmp_path: Path) -> None:
    async def scene(peers: Peers) -> None:
        peers.feed("client", initialize(0))
        for id in range(1, 5):
            peers.feed("client", {"jsonrpc": "2.0", "id": id, "method": "ping"})
        assert peers.received("server") == [], "nothing leaves before its record"
        await peers.performer.settled()
        assert [tree["id"] for tree in peers.received("server")] == [0, 1, 2, 3, 4]

    peers = play(tmp_path, scene)
    assert [len(batch) for batch in peers.archive.batches] == [1, 4], "what came while the first was written waited"
    written = [record.entry.request for batch in peers.archive.batches for record in batch]
    assert written == ["0", "1", "2", "3", "4"]


def test_what_was_sent_can_be_read_in_the_archive(tmp_path: Path) -> None:
    async def scene(peers: Peers) -> None:
        peers.feed("client", initialize(0))
        await peers.performer.settled()
        peers.feed("server", initialized(0))
        await peers.performer.settled()
        assert [tree["id"] for tree in peers.received("client")] == [0]

    play(tmp_path, scene)
    (log,) = tmp_path.rglob("*.sqlite")
    with sqlite3.connect(log) as connection:
        kinds = [
            msgspec.json.decode(leaf)["kind"] for (leaf,) in connection.execute("SELECT leaf FROM entries ORDER BY idx")
        ]
    connection.close()
    assert kinds == ["opened", "intent", "outcome", "closed"]


def test_a_record_that_fails_sends_nothing_but_fixed_bytes(tmp_path: Path) -> None:
    async def scene(peers: Peers) -> None:
        peers.archive.full = True
        peers.feed("client", initialize(0))
        peers.feed("client", {"jsonrpc": "2.0", "id": 1, "method": "ping"})
        await peers.performer.settled()
        assert peers.received("server") == []
        told = peers.received("client")
        assert [(tree["id"], tree["error"]["data"]) for tree in told] == [
            (0, {"executed": False, "recorded": False}),
            (1, {"executed": False, "recorded": False}),
        ]
        peers.archive.full = False
        peers.feed("client", initialize(2))
        await peers.performer.settled()
        assert [tree["id"] for tree in peers.received("server")] == [2]

    play(tmp_path, scene)


def test_a_peer_that_does_not_read_is_given_up_after_a_time(tmp_path: Path) -> None:
    async def scene(peers: Peers) -> None:
        peers.feed("client", initialize(0, capabilities={"roots": {"x": "y" * 900_000}}))
        await peers.performer.settled()
        await peers.broken.wait()
        assert peers.outlets["server"].broken

    play(tmp_path, scene)


@pytest.mark.parametrize("over", [0, 1])
def test_a_queue_is_bounded_in_bytes_and_its_readers_wait(tmp_path: Path, over: int) -> None:
    async def scene(peers: Peers) -> None:
        outlet = peers.outlets["server"]
        outlet.put(b"x" * (1 << 20))  # fills the pipe: the rest waits
        outlet.put(b"x" * (MAX_QUEUED_BYTES - outlet.queued_bytes - 1 + over))
        waiting = peers.performer.full()
        assert (waiting is not None) == bool(over)
        if waiting is not None:
            task = asyncio.ensure_future(waiting)
            await asyncio.sleep(0)
            assert not task.done()
            task.cancel()

    play(tmp_path, scene)

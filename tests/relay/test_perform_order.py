"""One FIFO outbox per link: all waiting records in one commit, then the sends in order (architecture §4, Perform).

Everything is real here: the performer, the archive on disk, the pipes. Only the relay's peers are the test.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import pytest
from tests.relay.dialogue import LIMITS, MASKER, PRINCIPAL, SERVER, START_US, WIPE, Tree, initialize, initialized

from doorward.audit.entry import Entry
from doorward.audit.entry import decode as entry_of
from doorward.audit.stores.sqlite import SqliteLog
from doorward.errors import StorageError
from doorward.gateway.archive import Archive
from doorward.gateway.consent.channel import ConsentChannel
from doorward.gateway.perform import Performer
from doorward.gateway.ports import MAX_QUEUED_BYTES, Outlet
from doorward.judge.vocabulary import Answer
from doorward.policy.load import load
from doorward.relay import pipeline
from doorward.relay.commands import Arrived, Record
from doorward.relay.relay import Relay
from doorward.relay.state import Held, Settings
from doorward.wire.jsonrpc import decode

BOUND_SECONDS = 20.0


class Commits(Archive):
    """The archive itself, which also remembers what it tried to commit at once, and can be told to be full."""

    batches: list[list[Record]]
    full = False

    def _write(self, log: SqliteLog, records: Sequence[Record]) -> StorageError | None:
        self.batches.append(list(records))
        return StorageError("the disk is full") if self.full else super()._write(log, records)


class Peers:
    """A performer between two pipes. ``beside`` is another one, with whom it shares the archive."""

    def __init__(self, tmp_path: Path, *, beside: Peers | None = None) -> None:
        self.closed: list[str] = []
        self.broken = asyncio.Event()
        self.noticed: list[Entry] = []
        self.shares = beside is not None
        self.archive: Commits = beside.archive if beside else self.open(tmp_path)
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

    @staticmethod
    def open(tmp_path: Path) -> Commits:
        archive = Commits(tmp_path, label="t", clock=lambda: START_US, report=lambda _: None)
        archive.batches = []
        archive.start()
        archive.wait_open()
        return archive

    def breaks(self, why: str) -> None:
        self.closed.append(why)
        self.broken.set()

    def feed(self, sender: str, message: Tree, *, attended: bool = False) -> None:
        """One message; ``attended`` says that a person could be asked about it."""
        frame = decode(msgspec.json.encode(message), LIMITS)
        facts = msgspec.structs.replace(self.performer.facts(), consent=attended)
        self.performer.feed(Arrived(frame, sender, 0, facts))  # type: ignore[arg-type]

    def ping(self, id: int) -> None:
        self.feed("client", {"jsonrpc": "2.0", "id": id, "method": "ping"})

    def received(self, side: str) -> list[Tree]:
        os.set_blocking(self.pipes[side][0], False)
        data = b""
        with suppress(BlockingIOError):
            while part := os.read(self.pipes[side][0], 1 << 20):
                data += part
        return [msgspec.json.decode(line) for line in data.splitlines()]

    async def end(self) -> None:
        await self.performer.close()
        if not self.shares:
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


def written(tmp_path: Path) -> list[Entry]:
    """The entries of the one log, as they lie on the disk."""
    (log,) = tmp_path.rglob("*.sqlite")
    with closing(sqlite3.connect(log)) as connection:
        return [entry_of(leaf) for (leaf,) in connection.execute("SELECT leaf FROM entries ORDER BY idx")]


def test_what_waits_is_recorded_in_one_commit_and_sent_in_order(tmp_path: Path) -> None:
    async def scene(peers: Peers) -> None:
        peers.feed("client", initialize(0))
        for id in range(1, 5):
            peers.ping(id)
        assert peers.received("server") == [], "nothing leaves before its record"
        await peers.performer.settled()
        assert [tree["id"] for tree in peers.received("server")] == [0, 1, 2, 3, 4]

    peers = play(tmp_path, scene)
    assert [len(batch) for batch in peers.archive.batches] == [5], "what came in one turn of the loop is one commit"
    written = [record.entry.request for batch in peers.archive.batches for record in batch]
    assert written == ["0", "1", "2", "3", "4"]


def test_what_several_links_wait_for_is_recorded_in_one_commit(tmp_path: Path) -> None:
    async def scene(peers: Peers) -> None:
        links = (peers, Peers(tmp_path, beside=peers))
        for link in links:
            link.feed("client", initialize(0))
        for link in links:
            link.ping(1)
        for link in links:
            await link.performer.settled()
            assert [tree["id"] for tree in link.received("server")] == [0, 1]
        await links[1].end()

    peers = play(tmp_path, scene)
    assert [[record.entry.request for record in batch] for batch in peers.archive.batches] == [["0", "0", "1", "1"]]


def test_what_was_sent_can_be_read_in_the_archive(tmp_path: Path) -> None:
    async def scene(peers: Peers) -> None:
        peers.feed("client", initialize(0))
        await peers.performer.settled()
        peers.feed("server", initialized(0))
        await peers.performer.settled()
        assert [tree["id"] for tree in peers.received("client")] == [0]

    play(tmp_path, scene)
    kinds = [entry.kind for entry in written(tmp_path)]
    assert kinds == ["opened", "intent", "outcome", "closed"]


async def hold(peers: Peers, id: int) -> Held:
    """A call that waits for a person."""
    peers.feed("client", initialize(0))
    peers.feed("server", initialized(0))
    peers.feed("client", {"jsonrpc": "2.0", "id": "list", "method": "tools/list"})
    peers.feed("server", {"jsonrpc": "2.0", "id": "list", "result": {"tools": [WIPE]}})
    call = {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "wipe", "arguments": {}}}
    peers.feed("client", call, attended=True)
    await peers.performer.settled()
    (held,) = peers.performer.relay.state.held.values()
    return held


def test_a_unit_that_spoils_the_commit_of_several_fails_alone_and_the_others_go_out_in_order(tmp_path: Path) -> None:
    """A ticket spent twice, even if the relay forgot that it released: the archive takes each ticket once."""

    async def scene(peers: Peers) -> None:
        held = await hold(peers, 9)
        ticket = held.ticket
        peers.performer.answered(Answer(ticket.id, ticket.digest, True, "ada", "terminal"))
        await peers.performer.settled()
        assert [tree["id"] for tree in peers.received("server")][-1] == 9, "released once"
        peers.received("client")
        peers.performer.relay.state.held[ticket.id] = held
        held.opened.state, held.opened.ticket = "HELD", ticket.id

        peers.archive.batches.clear()
        peers.ping(1)
        peers.ping(2)
        peers.performer.answered(Answer(ticket.id, ticket.digest, True, "ada", "again"))
        peers.ping(3)
        peers.ping(4)
        await peers.performer.settled()
        assert [tree["id"] for tree in peers.received("server")] == [1, 2, 3, 4]
        assert [(tree["id"], tree["error"]["data"]) for tree in peers.received("client")] == [
            (9, {"executed": False, "recorded": False})
        ]
        peers.ping(5)
        await peers.performer.settled()
        assert [tree["id"] for tree in peers.received("server")] == [5], "what comes later finds an empty queue"

    peers = play(tmp_path, scene)
    assert [[record.entry.request for record in batch] for batch in peers.archive.batches] == [
        ["1", "2", "9", "3", "4"], ["1"], ["2"], ["9"], ["3"], ["4"], ["5"],
    ]  # fmt: skip
    assert [entry.request for entry in written(tmp_path) if entry.method == "ping"] == ["1", "2", "3", "4", "5"]
    assert [entry.spends for entry in written(tmp_path) if entry.spends] == [peers.noticed[-1].spends]


def test_a_record_that_fails_sends_nothing_but_fixed_bytes(tmp_path: Path) -> None:
    async def scene(peers: Peers) -> None:
        peers.archive.full = True
        peers.feed("client", initialize(0))
        peers.ping(1)
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
        outlet.put_line(b"x" * (1 << 20))  # fills the pipe: the rest waits
        outlet.put_line(b"x" * (MAX_QUEUED_BYTES - outlet.queued_bytes - 1 + over))
        waiting = peers.performer.full()
        assert (waiting is not None) == bool(over)
        if waiting is not None:
            task = asyncio.ensure_future(waiting)
            await asyncio.sleep(0)
            assert not task.done()
            task.cancel()

    play(tmp_path, scene)

"""What is given to the archive in two turns of the loop is one commit, and nobody in it pays for another."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from doorward.audit.entry import AlreadySpent, Entry, decode
from doorward.audit.stores.sqlite import Item, SqliteLog
from doorward.errors import StorageError
from doorward.gateway.archive import MAX_GROUP, MAX_GROUP_BYTES, Archive
from doorward.relay.commands import Grade, Record

NOW_US = 1_795_338_600_000_000
Heard = list[tuple[str, StorageError | None]]
Act = Callable[[Archive], Awaitable[None]]


def record(name: str, grade: Grade = "durable", body: bytes = b"", **fields: Any) -> Record:
    return Record(Entry(kind="notice", at=NOW_US, link="l", request=name, **fields), grade, body=body)


def run(state: Path, act: Act) -> list[str]:
    """What the log holds after ``act``, by the name of each record; the log's own first and last entry left out."""

    async def whole() -> None:
        archive = Archive(state, label="test", clock=lambda: NOW_US, report=print)
        archive.start()
        await asyncio.to_thread(archive.wait_open)
        try:
            await act(archive)
        finally:
            await asyncio.to_thread(archive.close)

    asyncio.run(asyncio.wait_for(whole(), 60))
    (log,) = state.glob("**/*.sqlite")
    with sqlite3.connect(log) as connection:
        leaves = connection.execute("SELECT leaf FROM entries ORDER BY idx").fetchall()
    connection.close()
    return [decode(leaf).request for (leaf,) in leaves[1:-1]]


async def give(archive: Archive, records: list[Record]) -> Heard:
    """Each record as a unit of its own, all in one turn; what each heard, in the order in which they heard."""
    heard: Heard = []
    everybody = asyncio.Event()

    def hear(name: str) -> Callable[[StorageError | None], None]:
        def done(problem: StorageError | None) -> None:
            heard.append((name, problem))
            if len(heard) == len(records):
                everybody.set()

        return done

    for given in records:
        archive.append([given], hear(given.entry.request))
    await everybody.wait()
    await archive.write([record("last", "written")])  # whoever would hear a second time has heard it by now
    return heard


@contextmanager
def no_room() -> Iterator[None]:
    """No file of this process can grow: for its archive, a disk without room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records each commit of this process had."""
    sizes: list[int] = []
    append = SqliteLog.append

    def counted(log: SqliteLog, items: list[Item], *, durable: bool) -> int:
        sizes.append(len(items))
        return append(log, items, durable=durable)

    monkeypatch.setattr(SqliteLog, "append", counted)
    return sizes


def test_units_of_one_turn_are_one_commit_in_their_order(tmp_path: Path, commits: list[int]) -> None:
    names = [str(number) for number in range(40)]
    heard: Heard = []

    async def act(archive: Archive) -> None:
        heard.extend(await give(archive, [record(name) for name in names]))

    assert run(tmp_path, act) == [*names, "last"]
    assert heard == [(name, None) for name in names]
    assert commits == [40, 1]


def test_units_of_the_next_turn_come_along_and_those_of_later_ones_do_not(tmp_path: Path, commits: list[int]) -> None:
    async def act(archive: Archive) -> None:
        written = []
        for name in "abc":
            written.append(asyncio.ensure_future(archive.write([record(name, "written")])))
            await asyncio.sleep(0)  # in which it is given, as what the loop had to do
        await asyncio.gather(*written)

    assert run(tmp_path, act) == ["a", "b", "c"]
    assert commits == [2, 1]


def test_a_group_is_bounded_in_units_and_in_bytes(tmp_path: Path, commits: list[int]) -> None:
    many = [str(number) for number in range(MAX_GROUP * 2 + 1)]
    body = b"x" * (MAX_GROUP_BYTES // 4 + 1)

    async def act(archive: Archive) -> None:
        await give(archive, [record(name) for name in many])
        await give(archive, [record(f"large {number}", body=body) for number in range(7)])

    kept = run(tmp_path, act)
    assert kept == [*many, "last", *(f"large {number}" for number in range(7)), "last"]
    assert commits == [MAX_GROUP, MAX_GROUP, 1, 1, 3, 3, 1, 1]


def test_a_ticket_that_is_spent_twice_in_a_group_spoils_its_own_unit_alone(tmp_path: Path) -> None:
    heard: Heard = []

    async def act(archive: Archive) -> None:
        units = [record("a"), record("b", spends="t"), record("c"), record("d", spends="t"), record("e")]
        heard.extend(await give(archive, units))

    assert run(tmp_path, act) == ["a", "b", "c", "e", "last"]
    assert [name for name, _ in heard] == ["a", "b", "c", "d", "e"]
    assert [type(problem) for _, problem in heard] == [type(None)] * 3 + [AlreadySpent, type(None)]


@pytest.mark.parametrize("grade", ["durable", "written"])
def test_a_full_disk_is_told_to_each_unit_once_and_room_lets_all_go_on(tmp_path: Path, grade: Grade) -> None:
    refused: Heard = []
    written: Heard = []

    async def act(archive: Archive) -> None:
        await archive.write([record("before")])
        with no_room():
            refused.extend(
                await give(archive, [record(str(number), grade, body=b"x" * 100_000) for number in range(9)])
            )
        written.extend(await give(archive, [record(f"after {number}", grade) for number in range(3)]))

    assert run(tmp_path, act) == ["before", "after 0", "after 1", "after 2", "last"]
    assert [name for name, _ in refused] == [str(number) for number in range(9)]
    assert all(isinstance(problem, StorageError) for _, problem in refused)
    assert [problem for _, problem in written] == [None] * 3


def test_whoever_fails_when_it_hears_takes_nobody_along(tmp_path: Path) -> None:
    said: list[str] = []
    heard: list[str] = []

    def fail(_problem: StorageError | None) -> None:
        raise RuntimeError("this one fails")

    async def act(archive: Archive) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: said.append(str(what["exception"])))
        archive.append([record("a")], fail)
        archive.append([record("b")], lambda _: heard.append("b"))
        await archive.write([record("c")])

    assert run(tmp_path, act) == ["a", "b", "c"]
    assert (said, heard) == (["this one fails"], ["b"])


def test_what_needs_no_sync_waits_behind_what_does(tmp_path: Path) -> None:
    async def act(archive: Archive) -> None:
        first = asyncio.ensure_future(archive.write([record("a")]))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(archive.write([record("b", "written")]))
        await asyncio.sleep(0)
        await asyncio.gather(second, first, archive.write([record("c", "written")]))

    assert run(tmp_path, act) == ["a", "b", "c"]

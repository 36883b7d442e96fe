"""Units of many links in one group of the archive: what fails with one of them is not the others' loss."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.bounded import in_loop, until

from doorward.audit.entry import Entry
from doorward.errors import StorageError
from doorward.gateway.archive import Archive
from doorward.gateway.clock import Clock
from doorward.relay.commands import Grade, Record


@in_loop
async def test_a_unit_whose_performance_fails_does_not_take_the_rest_of_its_group_along(tmp_path: Path) -> None:
    clock = Clock()
    said: list[str] = []
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: failures.append(what))
    archive = Archive(tmp_path / "state", label="test", clock=clock.now, report=said.append)
    archive.start()
    await asyncio.to_thread(archive.wait_open)
    heard: list[Any] = []

    def fail(_: StorageError | None) -> None:
        raise RuntimeError("one link's trouble")

    entry = Entry(kind="notice", at=clock.now(), link="l", sender="client")
    grades: tuple[Grade, ...] = ("written", "durable")
    for grade in grades:
        heard.clear()
        failures.clear()
        record = Record(entry, grade)
        archive.append([record], fail)
        archive.append([record], heard.append)
        await until(lambda: heard)
        assert heard == [None]
        assert [str(what["exception"]) for what in failures] == ["one link's trouble"]
    archive.append([Record(entry, "durable")], heard.append)
    await until(lambda: len(heard) == 2)  # and the archive goes on
    await asyncio.to_thread(archive.close)
    assert said == []

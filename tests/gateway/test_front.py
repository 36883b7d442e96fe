"""What is refused before there is a link: one entry for each kind and second, and the count of the others."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from doorward.audit.entry import Entry
from doorward.gateway.archive import Archive
from doorward.gateway.http.front import Front


def now() -> int:
    return time.time_ns() // 1000


async def seconds_until_its_own_entry(front: Front, noticed: list[Entry]) -> float:
    """How long a refusal that goes on is only counted."""
    begun, before = time.monotonic(), len(noticed)
    while len(noticed) == before:
        front.refuse("http-host", "the second kind", peer="127.0.0.1")
        await asyncio.sleep(0.01)
    return time.monotonic() - begun


def test_a_second_of_one_kind_is_no_longer_for_another_that_began_before(tmp_path: Path) -> None:
    async def whole() -> float:
        archive = Archive(tmp_path, label="test", clock=now, report=print)
        archive.start()
        await asyncio.to_thread(archive.wait_open)
        noticed: list[Entry] = []
        front = Front(archive, clock=now, policy=str, notice=noticed.append)
        try:
            front.refuse("http-host", "the first kind", peer="127.0.0.1")
            await asyncio.sleep(0.02)
            front.refuse("http-host", "the second kind", peer="127.0.0.1")
            return await seconds_until_its_own_entry(front, noticed)
        finally:
            front.close()
            await asyncio.to_thread(archive.close)

    assert 0.9 < asyncio.run(asyncio.wait_for(whole(), 60)) < 1.6

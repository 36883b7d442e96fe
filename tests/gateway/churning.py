"""A life of a gateway in little: sessions, streams and children come and go, well and badly, and nothing may be left.

`churn` plays rounds of seeded, random visits. Between rounds it waits until the gateway should hold nothing for
anybody, and weighs it: memory, descriptors, processes. What the first rounds bring (imports, pools, caches that have a
bound) is taken as given; what the last holds more than that grew with the visits.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from tests.gateway.asking import Connection, Session, connected, echo_modern
from tests.gateway.echoing_upstream import EchoingUpstream

VISITORS = 8
SETTLE_LIMIT_S = 30.0
POLICY = """
[serve]
idle_seconds = 1

[limits]
children = 16

[unsafe_limits]
sessions = 100000

[servers.web]
url = "http://127.0.0.1:{port}/mcp"

[servers.child]
command = [{command}]
"""
"""Sessions that were left without a word end after a second; until then they are allowed to pile up."""

Visit = Callable[[int, random.Random], Awaitable[None]]


class Weight(NamedTuple):
    """What a gateway holds."""

    memory: int
    """Bytes that are its own (anonymous, resident): files that it has mapped, or the kernel caches, do not count."""
    descriptors: int
    processes: int
    visits: int


def weigh(pid: int, visits: int = 0) -> Weight:
    status = Path(f"/proc/{pid}/status").read_text()
    (memory,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))
    return Weight(memory * 1024, len(list(Path(f"/proc/{pid}/fd").iterdir())), len(descendants(pid)), visits)


def descendants(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue  # it ended while we looked
    return found[1:]


# --- visits: what clients do ------------------------------------------------------------------------------------------


async def behave(port: int, path: str, chance: random.Random) -> None:
    """Come, ask, take leave."""
    async with connected(port, path) as connection:
        session = await Session.open(connection)
        for call in range(chance.randint(1, 4)):
            await session.echo(f"call {call} " + "x" * chance.choice((10, 1000, 20000)))
        await session.end()


async def vanish(port: int, path: str, chance: random.Random) -> None:
    """Leave a session behind, sometimes in the middle of a call."""
    async with connected(port, path) as connection:
        session = await Session.open(connection)
        await session.echo("before it vanishes")
        if chance.random() < 0.5:
            session.leave_amid_call("nobody reads the answer")


async def listen(port: int, path: str, chance: random.Random) -> None:
    """Open a stream beside the session, hear something, and leave in one of two orders."""
    async with connected(port, path) as connection, connected(port, path) as ear:
        session = await Session.open(connection)
        await ear.listen(session.headers)
        await ear.event()
        await session.echo("beside a stream")
        if chance.random() < 0.5:
            await ear.close()
        await session.end()


async def call_without_session(port: int, path: str, chance: random.Random) -> None:
    async with connected(port, path) as connection:
        for _ in range(chance.randint(1, 4)):
            await echo_modern(connection, chance.randrange(1 << 40), "modern")


async def stammer(port: int, path: str, chance: random.Random) -> None:
    """Say nothing, or half a request, or something that is none, and go."""
    connection = await Connection.open(port, path)
    kind = chance.randrange(3)
    if kind == 1:
        connection.send("POST", {"Content-Length": "1000"}, b"{")
    elif kind == 2:
        connection.send("POST", {"Mcp-Session-Id": "nobody's"}, b'{"jsonrpc":"2.0","id":1,')
    await connection.close()


def visits() -> tuple[tuple[Visit, int], ...]:
    """Every kind of visit with its weight: children are started for few, since each costs a process."""

    def at(path: str, visit: Callable[[int, str, random.Random], Awaitable[None]]) -> Visit:
        return lambda port, chance: visit(port, path, chance)

    return (
        (at("/web/mcp", behave), 10),
        (at("/web/mcp", vanish), 6),
        (at("/web/mcp", listen), 6),
        (at("/web/mcp", call_without_session), 6),
        (at("/web/mcp", stammer), 4),
        (at("/child/mcp", behave), 1),
        (at("/child/mcp", vanish), 1),
    )


# --- the rounds -------------------------------------------------------------------------------------------------------


async def churn(pid: int, port: int, upstream: EchoingUpstream, seconds: float, seed: int) -> tuple[Weight, Weight]:
    """Play visits for about so long; answers what the gateway weighed after the first half and at the end.

    Half, because in twenty seconds the first quarter is still the time in which pools and caches fill.

    Raises:
        AssertionError: an honest visit went wrong, or the gateway did not let go of everything between rounds.
    """
    known, began = visits(), time.monotonic()
    chance = random.Random(seed)  # noqa: S311 (a lot of visits, not a secret)
    weights: list[tuple[float, Weight]] = []
    made = 0
    while not weights or time.monotonic() - began < seconds:
        made += await _round(port, chance, known, seconds / 8)
        await _settled(pid, upstream)
        weights.append((time.monotonic() - began, weigh(pid, made)))
    total = weights[-1][0]
    warm = next(weight for at, weight in weights if at >= total / 2)
    return warm, weights[-1][1]


async def _round(port: int, chance: random.Random, known: tuple[tuple[Visit, int], ...], seconds: float) -> int:
    """Several visitors at once, each with a chance of its own, so that the seed decides what each of them does."""
    until, made = time.monotonic() + seconds, 0
    kinds, shares = zip(*known, strict=True)

    async def visitor(own: random.Random) -> None:
        nonlocal made
        while time.monotonic() < until:
            (visit,) = own.choices(kinds, shares)
            await visit(port, own)
            made += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(VISITORS):
            own = random.Random(chance.random())  # noqa: S311 (the same)
            group.create_task(visitor(own))
    return made


async def _settled(pid: int, upstream: EchoingUpstream) -> None:
    """Until nothing is open for anybody: no session and no stream upstream, no child."""
    until = time.monotonic() + SETTLE_LIMIT_S
    while upstream.sessions or upstream.streams or descendants(pid):
        held = f"{len(upstream.sessions)} sessions, {upstream.streams} streams, {len(descendants(pid))} processes"
        assert time.monotonic() < until, f"still held {SETTLE_LIMIT_S:g} s after everybody left: {held}"
        await asyncio.sleep(0.1)

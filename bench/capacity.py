"""How much `doorward serve` holds at once: idle sessions, and open streams. Prints a table; ends with 1 when missed.

    sessions   legacy sessions that were begun and then say nothing, over HTTP to the upstream; what the gateway's
               processes hold (PSS) with all of them open, itself included
    streams    standing streams (GET), each of a session of its own, each of which must receive one message that the
               upstream sends to all of them at once
    held       after both, every session and stream still answers to its name

Ends with 2 where the machine allows too few descriptors. The policy is bench/doorward.toml, as in throughput.py.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from processes import HERE, LOAD_CORE, ROOT, Started, build, free_port, quit_with, weight
from targets import Plan, doorward_program, serve, start_upstream

sys.path.insert(0, str(ROOT))  # for the client that the tests have
from tests.gateway.asking import Connection, Session, connected

MEMORY_BUDGET_MB = 300.0
HEARD_LIMIT_S = 30.0
AT_ONCE = 16
SPARE_DESCRIPTORS = 200


class Figure(NamedTuple):
    """One promise; ``more`` is what explains it and promises nothing."""

    title: str
    value: float
    unit: str
    bound: float
    at_least: bool
    more: dict[str, float]

    @property
    def held(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound


class Gateway(NamedTuple):
    """A running gateway, and the upstream's own port beside it."""

    port: int
    upstream: int
    process: Started

    def megabytes(self) -> float:
        return weight(self.process.processes())[0]


async def measure_sessions(gateway: Gateway, count: int) -> tuple[Figure, list[Session]]:
    """Open sessions over a few connections, leave them alone for a moment, and weigh."""
    before, began = gateway.megabytes(), time.monotonic()
    shares = [count // AT_ONCE + (i < count % AT_ONCE) for i in range(AT_ONCE)]
    opened = await asyncio.gather(*(_open_sessions(gateway.port, share) for share in shares))
    sessions = [session for some in opened for session in some]
    took = time.monotonic() - began
    await asyncio.sleep(2)  # what is still on its way to the disk or the upstream arrives
    held = gateway.megabytes()
    more = {"sessions": len(sessions), "empty_mb": before, "kb_each": (held - before) * 1e3 / count, "opened_s": took}
    return Figure(
        f"memory with {count} idle sessions", held, "MB", MEMORY_BUDGET_MB, at_least=False, more=more
    ), sessions


async def _open_sessions(port: int, count: int) -> list[Session]:
    async with connected(port) as connection:
        return [await Session.open(connection) for _ in range(count)]


async def measure_streams(gateway: Gateway, count: int) -> Figure:
    """Open streams one after another, have the upstream speak into all of them, and count who heard it."""
    async with AsyncExitStack() as stack:
        before, began = gateway.megabytes(), time.monotonic()
        opener = await stack.enter_async_context(connected(gateway.port))
        ears: list[Connection] = []
        for _ in range(count):
            session = await Session.open(opener)
            ears.append(await stack.enter_async_context(connected(gateway.port)))
            await ears[-1].listen(session.headers)
        await _until_open(gateway.upstream, count)
        opened, told_at = time.monotonic() - began, time.monotonic()
        async with connected(gateway.upstream, "/tell") as teller:
            told = int((await teller.ask("POST", {})).body)
        heard = await asyncio.gather(*(_hears(ear) for ear in ears))
        delays = sorted(at - told_at for at in heard if at is not None)
        more = {
            "told": told,
            "opened_s": opened,
            "last_heard_ms": delays[-1] * 1e3 if delays else 0.0,
            "kb_each": (gateway.megabytes() - before) * 1e3 / count,
        }
        return Figure(f"of {count} open streams heard it", len(delays), "", count, at_least=True, more=more)


async def _hears(ear: Connection) -> float | None:
    """When the message came; None where another came, or none in time."""
    try:
        async with asyncio.timeout(HEARD_LIMIT_S):
            message = await ear.event()
    except (TimeoutError, AssertionError):
        return None
    return time.monotonic() if message.get("params", {}).get("data") == "told to all" else None


async def _until_open(upstream: int, count: int) -> None:
    """Until the upstream has as many streams open; what is missing in the end hears nothing, and is counted."""
    until = time.monotonic() + HEARD_LIMIT_S
    async with connected(upstream, "/count") as counter:
        while int((await counter.ask("GET", {})).body) < count and time.monotonic() < until:  # noqa: ASYNC110 (in another process)
            await asyncio.sleep(0.05)


async def check_held(gateway: Gateway, sessions: list[Session]) -> Figure:
    """A hundred of the idle sessions, spread over all, still answer."""
    some = sessions[:: max(1, len(sessions) // 100)]
    answered = 0
    async with connected(gateway.port) as connection:
        for session in some:
            await session.over(connection).echo("still here")
            answered += 1
    return Figure(f"of {len(some)} idle sessions still answered", answered, "", len(some), at_least=True, more={})


@contextmanager
def _gateway(doorward: str | None) -> Iterator[Gateway]:
    with tempfile.TemporaryDirectory(prefix="doorward-bench-") as work:
        plan, port, upstream = Plan(Path(work), doorward_program(doorward)), free_port(), free_port()
        with start_upstream(plan, upstream, "--streams"):
            command = serve(plan, port, f"http://127.0.0.1:{upstream}/mcp")
            with plan.start("doorward", command, core=LOAD_CORE ^ 1) as process:
                process.wait_for_port(port)
                yield Gateway(port, upstream, process)


async def measure(gateway: Gateway, sessions: int, streams: int) -> list[Figure]:
    memory, opened = await measure_sessions(gateway, sessions)
    return [memory, await measure_streams(gateway, streams), await check_held(gateway, opened)]


def allow_descriptors(streams: int) -> None:
    """As many as may be had: a stream is two for the gateway, whom this passes on to, and one for us."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    needed = streams * 2 + SPARE_DESCRIPTORS
    if most != resource.RLIM_INFINITY and most < needed:
        quit_with(f"only {most} descriptors are allowed, {needed} are needed", "ulimit -Hn, limits.conf(5)")


def show(figures: list[Figure]) -> None:
    for figure in figures:
        bound = f"{'at least' if figure.at_least else 'at most'} {figure.bound:g} {figure.unit}"
        print(f"{figure.title:<36} {figure.value:>9.1f}  {bound:<16} {'held' if figure.held else 'MISSED'}")
        if figure.more:
            print("  " + ", ".join(f"{name} {value:.2f}" for name, value in figure.more.items()))


def report(figures: list[Figure]) -> dict[str, Any]:
    policy = (HERE / "doorward.toml").read_text()
    return {"policy": policy, "figures": [{**figure._asdict(), "held": figure.held} for figure in figures]}


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=10_000, metavar="N", help="idle sessions (10000)")
    parser.add_argument("--streams", type=int, default=1000, metavar="N", help="open streams (1000)")
    parser.add_argument("--doorward", metavar="PROGRAM", help="the doorward to measure (the one of this environment)")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE, - for stdout")
    args = parser.parse_args()
    allow_descriptors(args.streams)
    build("upstream")
    with _gateway(args.doorward) as gateway:
        figures = asyncio.run(measure(gateway, args.sessions, args.streams))
    if args.json == "-":
        print(json.dumps(report(figures), indent=2))
    else:
        show(figures)
        if args.json:
            Path(args.json).write_text(json.dumps(report(figures), indent=2) + "\n")
    return 0 if all(figure.held for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())

"""``request-flooding``: one client asks so much that another is not served."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import anyio

from doorward.lab import another
from doorward.lab.another import another_user
from doorward.lab.endpoint import Endpoint
from doorward.lab.scenario import (
    BenignTwinBrokenError,
    Era,
    Example,
    Harm,
    Scenario,
    Target,
    Topology,
    Trace,
    Variant,
)
from doorward.lab.targets import python, script

if TYPE_CHECKING:
    from pathlib import Path

    from anyio.abc import TaskGroup

    from doorward.lab.peer import Pipe
    from doorward.lab.stage import Stage

SHORTEN, NEWS = "shorten_text", "write_news"
DOCUMENTS = 1500
HANDBOOK, HANDBOOK_BYTES = "handbook.txt", 256 * 1024
ATTACKERS, AT_ONCE = 8, 8
"""So many attackers, each with so many requests under way (docs/threats.md, the measure)."""

WATCHES = 256
"""So many times each attacker asks to watch the handbook."""

NEWS_EVERY_SECONDS = 0.5
FLOOD_SECONDS = 3.0
HONEST_EVERY_SECONDS = 0.05
PATIENCE_SECONDS = 5.0
FLOOR_SECONDS = 0.25
"""A wait that somebody notices. The promise of 20 ms is measured by ``bench/flood.py``, where the flood has its own
process. Here it is sent from the honest client's, which waits for that: 0.11 to 0.13 s where the same flood goes to a
listener that refuses at once and has nothing to do with the server (two cores). Bare servers make it wait 0.3 to 1.8 s.
"""

QUIET_CALLS = 20
QUIET_SECONDS = 0.1
"""A wait that says that what came before is over."""

CALM_LIMIT_SECONDS = 10.0

HTTP = (Topology.SERVE_URL,)


def furnish(work: Path, _greeting: str) -> None:
    """Many small documents, and a large one."""
    (work / HANDBOOK).write_bytes(b"words\n" * (HANDBOOK_BYTES // 6))
    for number in range(DOCUMENTS):
        (work / f"{number:04}.txt").write_text("words\n", encoding="utf-8")


INDEX = Target(
    id="document-index",
    title="a naive server of ours that looks through a folder for whoever asks",
    command=lambda stage: (*python(), script("document_index"), str(stage.layout.work)),
    furnish=furnish,
    configuration="""\
[limits]
concurrent = 16

[serve]
trusted_proxies = ["127.0.0.0/8"]
""",
    tools=(SHORTEN, NEWS),
)


class RequestFlooding(Scenario):
    """Request flooding.

    Goal:
        That nobody else is served.
    Attacker:
        Clients that ask without end: many of them, or one that runs away.
    Steps:
        1. An honest client calls a tool twenty times a second, and is answered in milliseconds.
        2. Eight attackers send ``ping`` and ``resources/list`` in a tight loop, each with eight requests under way: in
           the same session or pipe, in sessions of their own, or as another user. Or they ask two thousand times to
           be told when one document changes, and then change another one, twice a second.
        3. The server does the work for each of them, one after the other.
    Impact:
        The honest client waits behind all of them, or is refused.
    Remedy:
        Limits by address, principal, session and method, on each method and in both directions; refusals that cost
        little, say when to come back, and never lock an honest client out.
    """

    id = "request-flooding"
    title = "request flooding"
    attacker = "client"
    stride = "denial of service"
    cwe = ("CWE-770", "CWE-799")
    owasp = "MCP05:2025"
    controls = ("rates", "principal-limits", "http-limits", "in-flight")
    measures = True
    examples = (
        Example(
            id="tight-loop",
            title="ping and resources/list in a tight loop while one honest client works",
            target=INDEX,
            variants=(
                Variant("own-sessions", "one address, each with a session", "own", topologies=HTTP),
                Variant("own-addresses", "each with an address and a session", "addresses", topologies=HTTP),
                Variant("separate-principals", "another user, through the proxy", "principals", topologies=HTTP),
                Variant("same-session", "all of it beside the honest client, in its session or pipe", "same"),
                Variant("subscription-storm", "two thousand subscriptions to one document", "watching"),
            ),
        ),
    )

    def __init__(self) -> None:
        self._waited: dict[tuple[int, str], tuple[float, float, str]] = {}

    async def attack(self, stage: Stage, variant: Variant) -> None:
        await _calm(stage)
        # The best of three: on a machine that does something else meanwhile, one round says little of the server.
        quiet = min([max([await _timed(stage) for _ in range(QUIET_CALLS)]) for _ in range(3)])
        attacked = _while_they_watch if variant.payload == "watching" else _while_they_ask
        loud, failed = await attacked(stage, variant)
        self._waited[id(stage), variant.id] = quiet, loud, failed
        await _calm(stage)

    def harmed(self, stage: Stage, variant: Variant, _trace: Trace, /) -> Harm | None:
        quiet, loud, failed = self._waited.pop((id(stage), variant.id), (0.0, 0.0, ""))
        if failed:
            return Harm(f"the honest client was not served: {failed}")
        if loud <= max(2 * quiet, FLOOR_SECONDS):
            return None
        return Harm(f"the honest client waited {loud * 1000:.0f} ms instead of {quiet * 1000:.0f}")

    async def benign(self, stage: Stage) -> str:
        result: Any = await stage.client.call_tool(SHORTEN, {"text": stage.greeting})
        if stage.greeting not in result.content[0].text:
            raise BenignTwinBrokenError("a text was not shortened")
        if not (await stage.client.list_resources()).resources:
            raise BenignTwinBrokenError("no document was listed")
        return "a text was shortened, and documents were listed"


async def _calm(stage: Stage) -> None:
    """Wait until what is under way from before is over, so that it is not taken for what comes next."""
    with anyio.move_on_after(CALM_LIMIT_SECONDS):
        while True:
            with suppress(Exception):  # refused or late: it is not over
                if await _timed(stage) <= QUIET_SECONDS:
                    return
            await anyio.sleep(HONEST_EVERY_SECONDS)


async def _timed(stage: Stage) -> float:
    """How long the honest client waits for one call, in seconds; raises where it is not served."""
    begun = time.monotonic()
    with anyio.fail_after(PATIENCE_SECONDS):
        result: Any = await stage.client.call_tool(SHORTEN, {"text": stage.greeting})
    if stage.greeting not in result.content[0].text:
        raise BenignTwinBrokenError("the text was not shortened")
    return time.monotonic() - begun


async def _while_they_ask(stage: Stage, variant: Variant) -> tuple[float, str]:
    """The honest client's day beside the attackers. All are in this process, so what it takes to send is part of the
    wait: on two cores 0.1 to 0.2 s where every request is refused at once, wherever the flood goes.
    """
    async with AsyncExitStack() as open_things:
        wires = [await _wire(stage, variant, number, open_things) for number in range(ATTACKERS)]
        async with anyio.create_task_group() as flood:
            for wire in wires:
                for _ in range(AT_ONCE):
                    flood.start_soon(_without_end, wire)
            found = await _honest_day(stage)
            flood.cancel_scope.cancel()
    return found


async def _while_they_watch(stage: Stage, variant: Variant) -> tuple[float, str]:
    """The honest client's day once the attackers have subscribed, and write the news."""
    async with AsyncExitStack() as open_things:
        wires = [await _wire(stage, variant, number, open_things) for number in range(ATTACKERS)]
        async with anyio.create_task_group() as storm:
            await _subscribe(stage, wires, storm)
            storm.start_soon(_write_news, wires[0])
            found = await _honest_day(stage)
            storm.cancel_scope.cancel()
    return found


async def _subscribe(stage: Stage, wires: list[Pipe | Endpoint], storm: TaskGroup) -> None:
    """Ask to be told of the handbook, each attacker as often as it may. What stands for that, stands in ``storm``."""
    uri = f"file://{stage.layout.work}/{HANDBOOK}"
    if stage.staging.era is Era.MODERN:
        for wire in wires:
            storm.start_soon(
                wire.ask, "subscriptions/listen", {"notifications": {"resourceSubscriptions": [uri] * WATCHES}}
            )
        return

    async def one_by_one(wire: Pipe | Endpoint) -> None:
        for _ in range(WATCHES):
            await wire.ask("resources/subscribe", {"uri": uri})

    async with anyio.create_task_group() as asking:
        for wire in wires:
            asking.start_soon(one_by_one, wire)


async def _write_news(wire: Pipe | Endpoint) -> None:
    while True:
        await wire.ask("tools/call", {"name": NEWS, "arguments": {"text": "nothing new"}})
        await anyio.sleep(NEWS_EVERY_SECONDS)


async def _honest_day(stage: Stage) -> tuple[float, str]:
    """Work for as long as the flood lasts: the 99th percentile of the waits, in seconds, and why a call failed."""
    waits = [0.0]
    until = time.monotonic() + FLOOD_SECONDS
    while time.monotonic() < until:
        try:
            waits.append(await _timed(stage))
        except Exception as problem:  # noqa: BLE001 - whatever the client raised, it was not served
            return _p99(waits), f"{type(problem).__name__}: {problem}"
        await anyio.sleep(max(0.0, HONEST_EVERY_SECONDS - waits[-1]))
    return _p99(waits), ""


async def _wire(stage: Stage, variant: Variant, number: int, open_things: AsyncExitStack) -> Pipe | Endpoint:
    """What one attacker sends through: a session of its own, or the honest client's, as on a pipe."""
    if variant.payload == "same" or not stage.upstream:
        return stage.pipe
    source = f"127.0.1.{number + 1}" if variant.payload == "addresses" else ""
    extra = another_user(stage) if variant.payload == "principals" else None
    wire = await open_things.enter_async_context(another.beside(stage, stage.staging.era, source=source, extra=extra))
    if stage.staging.era is Era.LEGACY:
        info = {"name": "lab", "version": "1"}
        hello = {"protocolVersion": stage.staging.era.value, "capabilities": {}, "clientInfo": info}
        await wire.ask("initialize", hello)
        await wire.tell("notifications/initialized")
    return wire


async def _without_end(wire: Pipe | Endpoint) -> None:
    while True:
        await wire.ask("ping", {})
        await wire.ask("resources/list", {})


def _p99(waits: list[float]) -> float:
    return sorted(waits)[max(0, -(-len(waits) * 99 // 100) - 1)]


SCENARIO = RequestFlooding()

"""``request-flooding``: one client asks so much that another is not served."""

from __future__ import annotations

import json
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

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
    from collections.abc import AsyncIterator, Sequence

    from anyio.abc import TaskGroup
    from mcp import Client

    from doorward.lab.peer import Pipe
    from doorward.lab.stage import Stage

SHORTEN, NEWS = "shorten_text", "write_news"
DOCUMENTS = 250
HANDBOOK, HANDBOOK_BYTES = "handbook.txt", 32 * 1024
ATTACKERS, AT_ONCE = 8, 8
"""So many attackers, each with so many requests under way (docs/threats.md, the measure)."""

ON_A_PIPE = 32
"""Requests under way on a pipe, whose one client runs away."""

WATCHES = 256
"""So many times each attacker asks to watch the handbook."""

NEWS_EVERY_SECONDS = 0.5
FIRST_SECONDS = 0.5
"""The flood is there first."""

ROUND_SECONDS = 1.5
ROUNDS = 4
"""A flood that does harm does it in each round. On a machine that does something else meanwhile, one says little of the
server, so there is another where the honest client waited too long, and where the client that nobody floods did: what
both of them waited for was not the flood. A call that fails is harm in any.
"""

CALM = "calm"
"""How the name begins of a second target of the same kind, which nobody floods. Another client of it waits for what the
machine makes everybody wait for; the honest one may wait twice as long (docs/threats.md, the measure).
"""

HONEST_EVERY_SECONDS = 0.05
PATIENCE_SECONDS = 5.0
FLOOR_SECONDS = 0.020
"""docs/threats.md, the measure: nobody notices so short a wait."""

QUIET_SECONDS = 0.1
"""A wait that says that what came before is over."""

CALM_LIMIT_SECONDS = 10.0

READY_LIMIT_SECONDS = 10.0
FLOODER = str(Path(another.__file__).parent / "flooder.py")
ASKED: tuple[tuple[str, dict[str, Any]], ...] = (("ping", {}), ("resources/list", {}))
HTTP = (Topology.SERVE_URL,)

Waited = tuple[float, float, str]
"""How long who is not flooded waited and how long the honest client did, in seconds, and why a call of its failed."""


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
    controls = ("rates", "principal-limits", "http-limits", "in-flight", "caller")
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
        self._waited: dict[tuple[int, str], Waited] = {}

    async def attack(self, stage: Stage, variant: Variant) -> None:
        await _calm(stage)
        if not await _is_served(stage):  # no flood did that, and the benign twin will say so
            self._waited[id(stage), variant.id] = 0.0, 0.0, ""
            return
        attacked = _while_they_watch if variant.payload == "watching" else _while_they_ask
        async with another.elsewhere(stage, f"{CALM}-{variant.id}") as calm:
            await _calm(stage, calm)
            self._waited[id(stage), variant.id] = await attacked(stage, variant, calm)
        await _calm(stage)

    def harmed(self, stage: Stage, variant: Variant, _trace: Trace, /) -> Harm | None:
        unmeasured = (0.0, 0.0, "it was not measured" if stage.relayed else "")
        quiet, loud, failed = self._waited.pop((id(stage), variant.id), unmeasured)
        if failed:
            return Harm(f"the honest client was not served: {failed}")
        if loud <= _most(quiet):
            return None
        return Harm(f"the honest client waited {loud * 1000:.0f} ms instead of {quiet * 1000:.0f}")

    async def benign(self, stage: Stage) -> str:
        result: Any = await stage.client.call_tool(SHORTEN, {"text": stage.greeting})
        if stage.greeting not in result.content[0].text:
            raise BenignTwinBrokenError("a text was not shortened")
        if not (await stage.client.list_resources()).resources:
            raise BenignTwinBrokenError("no document was listed")
        return "a text was shortened, and documents were listed"


async def _calm(stage: Stage, client: Client | None = None) -> None:
    """Wait until what is under way from before is over, so that it is not taken for what comes next."""
    with anyio.move_on_after(CALM_LIMIT_SECONDS):
        while True:
            with suppress(Exception):  # refused or late: it is not over
                if await _timed(stage, client) <= QUIET_SECONDS:
                    return
            await anyio.sleep(HONEST_EVERY_SECONDS)


async def _is_served(stage: Stage) -> bool:
    try:
        await _timed(stage)
    except Exception:  # noqa: BLE001 - whatever the client raised, it was not served
        return False
    return True


def _most(quiet: float) -> float:
    """How long the honest client may wait where one that is not flooded waits ``quiet``, in seconds."""
    return max(2 * quiet, FLOOR_SECONDS)


async def _timed(stage: Stage, client: Client | None = None) -> float:
    """How long the honest client waits for one call, in seconds; raises where it is not served."""
    begun = time.monotonic()
    with anyio.fail_after(PATIENCE_SECONDS):
        result: Any = await (client or stage.client).call_tool(SHORTEN, {"text": stage.greeting})
    if stage.greeting not in result.content[0].text:
        raise BenignTwinBrokenError("the text was not shortened")
    return time.monotonic() - begun


async def _while_they_ask(stage: Stage, variant: Variant, calm: Client) -> Waited:
    """The honest client's day beside the attackers."""
    if not isinstance(stage.pipe, Endpoint):
        async with anyio.create_task_group() as flood:
            flood.start_soon(stage.pipe.repeat, ASKED, ON_A_PIPE)
            found = await _honest_days(stage, calm)
            flood.cancel_scope.cancel()
        return found
    async with AsyncExitStack() as open_things:
        wires = [await _wire(stage, variant, number, open_things) for number in range(ATTACKERS)]
        await open_things.enter_async_context(_flooding(stage, [wire for wire in wires if isinstance(wire, Endpoint)]))
        return await _honest_days(stage, calm)


@asynccontextmanager
async def _flooding(stage: Stage, wires: Sequence[Endpoint]) -> AsyncIterator[None]:
    """A process that sends the flood, each attacker with what its wire says of itself."""
    where = urlsplit(wires[0].url)
    attackers = []
    for wire in wires:
        messages = []
        for method, params in ASKED:
            message = {"jsonrpc": "2.0", "method": method, "params": wire.params(params)}
            messages.append((message, wire.headers(message)))
        attackers.append({"source": wire.source, "messages": messages})
    plan = {"host": where.hostname, "port": where.port, "path": where.path, "attackers": attackers, "at_once": AT_ONCE}
    argv = (*python(), FLOODER)
    async with await anyio.open_process(argv, stderr=None, cwd=stage.layout.home) as process:
        try:
            assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - pipes, as asked for
            await process.stdin.send(json.dumps(plan).encode() + b"\n")
            with anyio.fail_after(READY_LIMIT_SECONDS):
                await process.stdout.receive()
            await process.stdin.send(b"go\n")
            yield
        finally:
            process.kill()


async def _while_they_watch(stage: Stage, variant: Variant, calm: Client) -> Waited:
    """The honest client's day once the attackers have subscribed, and write the news."""
    async with AsyncExitStack() as open_things:
        wires = [await _wire(stage, variant, number, open_things) for number in range(ATTACKERS)]
        async with anyio.create_task_group() as storm:
            await _subscribe(stage, wires, storm)
            storm.start_soon(_write_news, wires[0])
            found = await _honest_days(stage, calm)
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


async def _honest_days(stage: Stage, calm: Client) -> Waited:
    """The same for as many rounds as it takes until the honest client did not wait too long in one in which others did
    not either, or all of them.
    """
    await anyio.sleep(FIRST_SECONDS)
    found: list[Waited] = []
    for _ in range(ROUNDS):
        waited = quiet, loud, failed = await _honest_day(stage, calm)
        if failed or (quiet <= FLOOR_SECONDS and loud <= _most(quiet)):
            return waited
        found.append(waited)
    undisturbed = [waited for waited in found if waited[0] <= FLOOR_SECONDS]
    return min(undisturbed or found, key=_excess)


def _excess(waited: Waited) -> float:
    quiet, loud, _ = waited
    return loud - _most(quiet)


async def _honest_day(stage: Stage, calm: Client) -> Waited:
    """Work for one round of the flood, and meanwhile another client where there is none."""
    quiet: list[tuple[float, str]] = []

    async def undisturbed() -> None:
        quiet.append(await _round(stage, calm))

    async with anyio.create_task_group() as both:
        both.start_soon(undisturbed)
        loud, failed = await _round(stage, stage.client)
    return quiet[0][0], loud, failed


async def _round(stage: Stage, client: Client) -> tuple[float, str]:
    """The 99th percentile of the waits of one client, in seconds, and why a call failed."""
    waits = [0.0]
    until = time.monotonic() + ROUND_SECONDS
    while time.monotonic() < until:
        try:
            waits.append(await _timed(stage, client))
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


def _p99(waits: list[float]) -> float:
    return sorted(waits)[max(0, -(-len(waits) * 99 // 100) - 1)]


SCENARIO = RequestFlooding()

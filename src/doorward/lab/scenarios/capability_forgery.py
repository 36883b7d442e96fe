"""``capability-forgery``: a client declares what it may not use, and a server believes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from doorward.lab import another, oracles
from doorward.lab.scenario import BenignTwinBrokenError, Era, Example, Harm, Scenario, Target, Trace, Variant
from doorward.lab.targets import python, script

if TYPE_CHECKING:
    from pathlib import Path

    from doorward.lab.stage import Stage

PRICES, FAST = "latest_prices", "fast_updates/get"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
CALL = {"name": PRICES, "arguments": {"symbol": "DOOR"}}
OLDEST = "2024-11-05"


def furnish(work: Path, greeting: str) -> None:
    """The late prices. The fast ones are written when the server is started."""
    (work / "late.txt").write_text(f"a quarter of an hour ago: {greeting}\n", encoding="utf-8")


def _command(stage: Stage) -> tuple[str, ...]:
    (stage.layout.work / "fast.txt").write_text(f"now: {stage.canary}\n", encoding="utf-8")
    return (*python(), script("price_feed"), str(stage.layout.work))


FEED = Target(
    id="price-feed",
    title="a naive server of ours that believes what a client declares",
    command=_command,
    furnish=furnish,
    configuration="""\
[servers.price-feed.tools.latest_prices.arguments.symbol]
no_leading_dash = true
""",
    tools=(PRICES,),
)


class CapabilityForgery(Scenario):
    """Client capability forgery.

    Goal:
        Get what a server gives only to clients that may have it.
    Attacker:
        A client of the server, or whoever wrote it.
    Steps:
        1. The server gives fast prices to clients that declare ``experimental/fast_updates``, or its extension.
        2. A client that was never given that declares it: once (legacy), or with each request (modern). Or it sends the
           method that was never negotiated. Or it says that it is too old to declare anything.
        3. The server believes it.
    Impact:
        Features that are for others, that are not finished, or that nobody has looked at, are used by whoever asks.
    Remedy:
        What is declared is a hint. What reaches the server is what the policy grants of it; what was not negotiated is
        refused; whoever serves old revisions decides that, and not the client.
    """

    id = "capability-forgery"
    title = "client capability forgery"
    attacker = "client"
    stride = "spoofing, elevation of privilege"
    cwe = ("CWE-290", "CWE-807", "CWE-757")
    owasp = "MCP07:2025"
    controls = ("capability-grants", "known-methods", "known-version", "envelope", "lifecycle")
    examples = (
        Example(
            id="fast-updates",
            title="experimental/fast_updates, declared by whoever likes",
            target=FEED,
            variants=(
                Variant("experimental", "the document's own", {"experimental": {"fast_updates": {}}}),
                Variant("extension", "an extension", {"extensions": {"com.example/fast-updates": {}}}),
                Variant("not-negotiated", "a method that was never negotiated", FAST),
            ),
        ),
        Example(
            id="downgrade",
            title="a client that says it is too old to declare anything",
            target=FEED,
            variants=(Variant("oldest", "the oldest revision", OLDEST),),
        ),
    )

    def __init__(self) -> None:
        self._heard: dict[tuple[int, str], tuple[bytes, ...]] = {}

    async def attack(self, stage: Stage, variant: Variant) -> None:
        declared = variant.payload if isinstance(variant.payload, dict) else {}
        era = Era.LEGACY if variant.payload == OLDEST else stage.staging.era
        async with another.beside(stage, era) as wire:
            if era is Era.LEGACY:
                revision = OLDEST if variant.payload == OLDEST else era.value
                info = {"name": "lab", "version": "1"}
                hello = {"protocolVersion": revision, "capabilities": declared, "clientInfo": info}
                await wire.ask("initialize", hello)
                await wire.tell("notifications/initialized")
            more = {"_meta": {CAPABILITIES: declared}} if era is Era.MODERN else {}
            if variant.payload == FAST:
                await wire.ask(FAST, more)
            else:
                await wire.ask("tools/call", {**CALL, **more})
            self._heard[id(stage), variant.id] = tuple(wire.lines)

    def harmed(self, stage: Stage, variant: Variant, _trace: Trace, /) -> Harm | None:
        how = oracles.arrived(self._heard.pop((id(stage), variant.id), ()), stage.canary)
        return Harm(f"the fast prices reached a client that may not have them: {how}") if how else None

    async def benign(self, stage: Stage) -> str:
        result: Any = await stage.client.call_tool(PRICES, {"symbol": "DOOR"})
        if stage.greeting not in result.content[0].text:
            raise BenignTwinBrokenError("the late prices did not arrive")
        return "a client that declares nothing got the late prices"


SCENARIO = CapabilityForgery()

"""``capability-forgery``: a client declares what it may not use, and a server believes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from doorward.lab import another, oracles
from doorward.lab.scenario import BenignTwinBrokenError, Era, Example, Harm, Scenario, Target, Trace, Variant
from doorward.lab.targets import python, script

if TYPE_CHECKING:
    from pathlib import Path

    from doorward.lab.endpoint import Endpoint
    from doorward.lab.peer import Pipe
    from doorward.lab.stage import Stage

PRICES, AGREED, FAST = "latest_prices", "agreed_prices", "fast_updates/get"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
OLDEST = "2024-11-05"
FEATURE: dict[str, Any] = {"experimental": {"fast_updates": {}}}
ACCEPTED: dict[str, Any] = {"terms": {"action": "accept", "content": {}}}


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
    tools=(PRICES, AGREED),
)


class Forgery(msgspec.Struct, frozen=True):
    """What the client says of itself, and what it then asks for.

    With ``later`` it first declares nothing, and is served so. ``answers`` are to a question that nobody asked, with
    the ``state`` that the server would have sent along, empty for none.
    """

    declared: dict[str, Any] = {}
    later: bool = False
    revision: str = ""
    method: str = "tools/call"
    tool: str = PRICES
    answers: dict[str, Any] = {}
    state: str = ""

    def params(self) -> dict[str, Any]:
        if self.method != "tools/call":
            return {}
        given = {"inputResponses": self.answers} if self.answers else {}
        state = {"requestState": self.state} if self.state else {}
        return {"name": self.tool, "arguments": {"symbol": "DOOR"}, **given, **state}


class CapabilityForgery(Scenario):
    """Client capability forgery.

    Goal:
        Get what a server gives only to clients that may have it.
    Attacker:
        A client of the server, or whoever wrote it.
    Steps:
        1. The server gives fast prices to clients that declare ``experimental/fast_updates``, or its extension.
        2. A client that was never given that declares it: once (legacy), or with each request (modern). Or it sends the
           method that was never negotiated. Or it says that it is too old to declare anything. Or it begins as one
           that declares nothing and declares it later. Or it answers a question that its user was never asked.
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
    controls = (
        *("capability-grants", "known-methods", "oldest-revision", "known-version", "envelope", "lifecycle"),
        *("asked-answers", "sealed-state"),
    )
    examples = (
        Example(
            id="fast-updates",
            title="experimental/fast_updates, declared by whoever likes",
            target=FEED,
            variants=(
                Variant("experimental", "the document's own", Forgery(FEATURE)),
                Variant("extension", "an extension", Forgery({"extensions": {"com.example/fast-updates": {}}})),
                Variant("not-negotiated", "a method that was never negotiated", Forgery(method=FAST)),
                Variant("later", "not at first, but once the session stands", Forgery(FEATURE, later=True)),
            ),
        ),
        Example(
            id="unasked-answer",
            title="the answer to a question that no user was asked",
            target=msgspec.structs.replace(FEED, eras=(Era.MODERN,)),
            variants=(
                Variant("in-first-request", "with the first request", Forgery(tool=AGREED, answers=ACCEPTED)),
                Variant(
                    "with-state",
                    "as if the question had been asked",
                    Forgery(tool=AGREED, answers=ACCEPTED, state="the terms were shown"),
                ),
            ),
        ),
        Example(
            id="downgrade",
            title="a client that says it is too old to declare anything",
            target=FEED,
            variants=(Variant("oldest", "the oldest revision", Forgery(revision=OLDEST)),),
        ),
    )

    def __init__(self) -> None:
        self._heard: dict[tuple[int, str], tuple[bytes, ...]] = {}

    async def attack(self, stage: Stage, variant: Variant) -> None:
        forgery: Forgery = variant.payload
        era = Era.LEGACY if forgery.revision else stage.staging.era
        async with another.beside(stage, era) as wire:
            if forgery.later:
                await _asked(wire, era, Forgery())
            await _asked(wire, era, forgery)
            self._heard[id(stage), variant.id] = tuple(wire.lines)

    def harmed(self, stage: Stage, variant: Variant, _trace: Trace, /) -> Harm | None:
        how = oracles.arrived(self._heard.pop((id(stage), variant.id), ()), stage.canary)
        return Harm(f"the fast prices reached a client that may not have them: {how}") if how else None

    async def benign(self, stage: Stage) -> str:
        result: Any = await stage.client.call_tool(PRICES, {"symbol": "DOOR"})
        if stage.greeting not in result.content[0].text:
            raise BenignTwinBrokenError("the late prices did not arrive")
        return "a client that declares nothing got the late prices"


async def _asked(wire: Pipe | Endpoint, era: Era, forgery: Forgery) -> None:
    """Say what is declared, in the way of ``era``, and ask."""
    params = forgery.params()
    if era is Era.LEGACY:
        info = {"name": "lab", "version": "1"}
        revision = forgery.revision or era.value
        hello = {"protocolVersion": revision, "capabilities": forgery.declared, "clientInfo": info}
        await wire.ask("initialize", hello)
        await wire.tell("notifications/initialized")
    else:
        params = {**params, "_meta": {CAPABILITIES: forgery.declared}}
    await wire.ask(forgery.method, params)


SCENARIO = CapabilityForgery()

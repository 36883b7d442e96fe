"""What the runs with the scripted guest share: a server that misbehaves as a variant says, and is honest afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from doorward.lab import oracles
from doorward.lab.scenario import BenignTwinBrokenError, Era, Example, Harm, Scenario, Target, Topology, Trace, Variant
from doorward.lab.targets import python, script

if TYPE_CHECKING:
    from pathlib import Path

    from doorward.lab.stage import Stage

PLAN, FETCH = "plan_trip", "fetch_page"
PIPE, HTTP, BOTH = (Topology.WRAP,), (Topology.SERVE_URL,), (Topology.WRAP, Topology.SERVE_URL)
LEGACY, MODERN = (Era.LEGACY,), (Era.MODERN,)
ALONE = """\
[consent]
hold_seconds = 10
"""
"""What an operator of any server of these runs would write."""


def furnish(work: Path, greeting: str) -> None:
    """Honest work, and an empty script."""
    (work / "honest.txt").write_text(f"take the train: {greeting}\n", encoding="utf-8")
    (work / "script.json").write_text("{}", encoding="utf-8")


GUEST = Target(
    id="scripted-guest",
    title="a malicious server of ours that plays what its script says",
    command=lambda stage: (*python(), script("scripted_guest"), str(stage.layout.work)),
    furnish=furnish,
    configuration=f"""\
{ALONE}
[servers.scripted-guest.tools.{FETCH}.arguments]
url = {{ url_allow = ["https://travel.example"] }}
""",
    tools=(PLAN, FETCH),
    http_option="--http",
)


def with_guest(
    title: str,
    *variants: Variant,
    eras: tuple[Era, ...] = tuple(Era),
    announced: tuple[str, ...] = (),
) -> tuple[Example, ...]:
    """The one example of a run with the guest; with ``announced``, a person is asked."""
    asks = bool(announced)
    return (Example("scripted-guest", title, GUEST, variants, asks=asks, announced=announced, eras=eras),)


class WithGuest(Scenario):
    """A run with the guest: harm is what its script carries, where it must not come."""

    attacker = "server"
    apart = True
    reached = "it"
    """What is harmed: the words of the harm begin with it."""

    def script(self, stage: Stage, variant: Variant) -> dict[str, Any]:
        """What the guest does in ``variant``: its payload, with the canary for ``{canary}``."""

        def put(text: str) -> str:
            return text.replace("{canary}", stage.canary)

        filled: dict[str, Any] = oracles.mapped(variant.payload, put)
        return filled

    async def attack(self, stage: Stage, variant: Variant) -> None:
        try:
            write(stage, self.script(stage, variant))
            await self.use(stage)
        finally:
            write(stage, {})

    async def use(self, stage: Stage) -> None:
        """What the user does meanwhile."""
        await stage.ask("tools/call", {"name": PLAN, "arguments": {}})

    def harmed(self, stage: Stage, _variant: Variant, trace: Trace, /) -> Harm | None:
        how = oracles.arrived(trace.lines, stage.canary)
        return Harm(f"{self.reached}: {how}") if how else None

    async def benign(self, stage: Stage) -> str:
        await stage.client.list_tools()  # as it is listed now, and not as it was
        result: Any = await stage.client.call_tool(PLAN, {})
        if stage.greeting not in result.content[0].text:
            raise BenignTwinBrokenError("no trip was planned")
        return "a trip was planned"


def write(stage: Stage, script: dict[str, Any]) -> None:
    """From now on the guest plays this."""
    (stage.layout.work / "script.json").write_text(json.dumps(script), encoding="utf-8")

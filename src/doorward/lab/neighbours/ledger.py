"""What the runs against the guarded ledger share: the target, its honest use, and the mark that is the harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from doorward.lab.neighbours.wire import Wire
from doorward.lab.scenario import BenignTwinBrokenError, Era, Example, Harm, Scenario, Target, Topology, Trace, Variant
from doorward.lab.targets import python, script

if TYPE_CHECKING:
    from pathlib import Path

    from doorward.lab.stage import Stage

READ, BOOK, PAY, CLOSE, WIPE = "read_entries", "book_entry", "pay_entry", "close_year", "wipe_entries"
HTTP = (Topology.SERVE_URL,)
PIPE = (Topology.WRAP,)


def furnish(work: Path, greeting: str) -> None:
    """One entry."""
    (work / "entries.txt").write_text(f"paid for: {greeting}\n", encoding="utf-8")


LEDGER = Target(
    id="guarded-ledger",
    title="a naive server of ours behind a guard that reads requests in another way",
    command=lambda stage: (*python(), script("guarded_ledger"), str(stage.layout.work)),
    furnish=furnish,
    configuration="""\
[servers.guarded-ledger.tools.book_entry.arguments.entry]
no_leading_dash = true
""",
    tools=(READ, BOOK, PAY, CLOSE, WIPE),
    http_option="--http",
)


def on_ledger(title: str, *variants: Variant, eras: tuple[Era, ...] = tuple(Era)) -> tuple[Example, ...]:
    """The one example of a run against the ledger."""
    return (Example(id="guarded-ledger", title=title, target=LEDGER, variants=variants, eras=eras),)


class OnLedger(Scenario):
    """A run against the ledger: harm is the mark of a tool that the guard kept from the attacker."""

    attacker = "client"
    apart = True

    def entry(self, variant: Variant) -> str:
        """What the mark of ``variant`` is called."""
        return f"{self.id}.{variant.id}"

    def calling(self, tool: str, variant: Variant, **more: str) -> dict[str, Any]:
        """The parameters of a call of ``tool`` that leaves the mark of ``variant``."""
        return {"name": tool, "arguments": {"entry": self.entry(variant), **more}}

    async def wire(self, stage: Stage, version: str = "") -> Wire:
        """An attacker's own way in, with a session where the era has them."""
        wire = Wire(stage, stage.staging.era)
        await wire.begin(version)
        return wire

    def harmed(self, stage: Stage, variant: Variant, _trace: Trace, /) -> Harm | None:
        mark = stage.layout.work / f"mark-{self.entry(variant)}"
        return Harm(f"what the guard forbids was done: {mark.read_text('utf-8')}") if mark.exists() else None

    async def benign(self, stage: Stage) -> str:
        result: Any = await stage.client.call_tool(READ, {})
        if stage.greeting not in result.content[0].text:
            raise BenignTwinBrokenError("the entries did not arrive")
        return "an honest client read the entries"

"""``disputed-execution``: somebody denies what was done, or alters the record of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import anyio
import msgspec
from mcp import MCPError

from doorward.audit import reader
from doorward.audit.verify import verify_log
from doorward.lab import another, forgery
from doorward.lab.adjudicator import Answer, Claim, Decision, adjudicate
from doorward.lab.person import SEATED_LIMIT_SECONDS
from doorward.lab.scenario import (
    BenignTwinBrokenError,
    Example,
    Harm,
    Scenario,
    Target,
    Topology,
    Trace,
    Variant,
)
from doorward.lab.stage import target_command
from doorward.lab.targets import python, script

if TYPE_CHECKING:
    from pathlib import Path

    from mcp import Client

    from doorward.lab.stage import Stage

DELETE, DRAFTS, LIST = "delete_file", "delete_drafts", "list_files"
PLAN, BUDGET, DRAFT = "plan.txt", "budget.txt", "draft-1.txt"
SOMEBODY_ELSE = "user:mallory"
ANNOUNCED = ("tools/call", DRAFTS, "{}")
"""What the user's person is told to expect: the only call that needs their yes."""

AGAIN_SECONDS = 0.1


def furnish(work: Path, greeting: str) -> None:
    """The shared files of a team."""
    for name in (PLAN, BUDGET, DRAFT, f"{greeting}.txt"):
        (work / name).write_text("of all of us\n", encoding="utf-8")


KEEPER = Target(
    id="file-keeper",
    title="a naive server of ours that keeps files, and no record",
    command=lambda stage: (*python(), script("file_keeper"), str(stage.layout.work)),
    furnish=furnish,
    configuration="""\
[servers.file-keeper.tools.delete_file.arguments.name]
no_leading_dash = true
""",
    tools=(DELETE, DRAFTS, LIST),
)


class Dispute(msgspec.Struct, frozen=True):
    """A claim and the truth. ``forged`` says how the record was altered, empty for not at all; ``witnessed`` that
    somebody else kept its newest checkpoint before. ``by`` is whom the claim names: empty for who came. ``agreed`` says
    that the file is gone, and only not by whom; ``consented`` that a person had agreed, which nobody was asked.
    """

    truth: Answer
    forged: str = ""
    witnessed: bool = False
    by: str = ""
    file: str = PLAN
    worked: bool = False
    agreed: bool = False
    consented: bool = False


class DisputedExecution(Scenario):
    """Disputing tool execution.

    Goal:
        Not to be held to what one did, or to have another held to what they did not do.
    Attacker:
        The user who did it, or the operator who keeps the record.
    Steps:
        1. A user deletes the drafts, which they agree to, and then a shared file, through tools.
        2. Later they deny it, blame somebody else, or say that it failed. Or the operator deletes, edits, back-dates or
           forges entries, adds a consent that nobody gave, moves one that was given to another act, cuts the log short,
           withholds it, or makes another one and signs it with the log's own key.
        3. An adjudicator gets what a third party would get, and decides: DID, DID NOT or CANNOT TELL.
    Impact:
        The dispute is decided wrongly, or cannot be decided and nobody is shown to have altered anything.
    Remedy:
        Each act is recorded before its effect with who asked for it and all of it, in an append-only log whose
        checkpoints are signed and kept by others too, so that a third party can verify it without the keeper's help.
    """

    id = "disputed-execution"
    title = "disputing tool execution"
    attacker = "user, operator"
    stride = "repudiation"
    cwe = ("CWE-778", "CWE-223", "CWE-117")
    owasp = "MCP08:2025"
    controls = ("archive",)
    examples = (
        Example(
            id="deleted-file",
            title="the user deletes a file and denies it; the operator alters the log",
            target=KEEPER,
            variants=(
                Variant("own-act", "the document's own: I did not", Dispute(Answer.DID)),
                Variant("others-act", "somebody else did", Dispute(Answer.DID_NOT, by=SOMEBODY_ELSE, agreed=True)),
                Variant("deleted-entry", "the entry is deleted", Dispute(Answer.DID, "drop")),
                Variant("edited-entry", "the entry names another file", Dispute(Answer.DID, "edit")),
                Variant("back-dated", "the entry has another time", Dispute(Answer.DID, "date")),
                Variant(
                    "forged-entry",
                    "an entry is added, for what the operator did by hand",
                    Dispute(Answer.DID_NOT, "add", file=BUDGET, agreed=True),
                ),
                Variant(
                    "forged-consent",
                    "a consent is added that nobody gave",
                    Dispute(Answer.DID_NOT, "consent", consented=True, agreed=True),
                ),
                Variant(
                    "moved-consent",
                    "the consent to delete the drafts is moved to the file",
                    Dispute(Answer.DID_NOT, "move", consented=True, agreed=True),
                ),
                Variant("cut-after-witness", "the end is removed", Dispute(Answer.DID, "cut", witnessed=True)),
                Variant("rewritten-after-witness", "made anew", Dispute(Answer.DID, "rewrite", witnessed=True)),
            ),
            asks=True,
            announced=ANNOUNCED,
        ),
        Example(
            id="beyond-one-log",
            title="what one side's own log does not show",
            target=KEEPER,
            variants=(
                Variant("outcome", "the user says that it failed", Dispute(Answer.DID, worked=True)),
                Variant("cut", "the end is removed, and nobody kept a checkpoint", Dispute(Answer.DID, "cut")),
                Variant("rewritten", "made anew and signed by its keeper", Dispute(Answer.DID, "rewrite")),
                Variant(
                    "withheld", "handed over by nobody, and the other side kept none", Dispute(Answer.DID, "withhold")
                ),
            ),
            asks=True,
            announced=ANNOUNCED,
        ),
    )

    def __init__(self) -> None:
        self._records: WeakKeyDictionary[Stage, Path] = WeakKeyDictionary()
        self._decided: dict[tuple[int, str], Decision] = {}

    async def attack(self, stage: Stage, variant: Variant) -> None:
        if (
            stage.relayed
        ):  # where there should be a record, a deed that failed must not look like a dispute that was won
            self._decided[id(stage), variant.id] = Decision(Answer.CANNOT_TELL)
        if stage not in self._records:
            self._records[stage] = await _deed(stage)
        dispute: Dispute = variant.payload
        handed = stage.layout.outside / f"evidence-{variant.id}"
        shutil.copytree(self._records[stage], handed)
        notes = _newest_notes(handed) if dispute.witnessed else ()
        for log in reader.logs(handed):
            _alter(log, dispute, stage)
        who = dispute.by or _who(self._records[stage])
        claim = Claim(
            who,
            DELETE,
            {"name": dispute.file},
            worked=dispute.worked,
            agreed=dispute.agreed,
            consented=dispute.consented,
        )
        self._decided[id(stage), variant.id] = adjudicate(handed, claim, notes)

    def harmed(self, stage: Stage, variant: Variant, _trace: Trace, /) -> Harm | None:
        decision = self._decided.pop((id(stage), variant.id), None)
        dispute: Dispute = variant.payload
        if decision is None or decision.answer is dispute.truth or (decision.altered and dispute.forged):
            return None
        return Harm(f"the adjudicator says {decision.answer.value}, and the truth is {dispute.truth.value}")

    async def benign(self, stage: Stage) -> str:
        result: Any = await stage.client.call_tool(LIST, {})
        if f"{stage.greeting}.txt" not in result.content[0].text.split("\n"):
            raise BenignTwinBrokenError("the shared files were not listed")
        return "the shared files were listed"


async def _deed(stage: Stage) -> Path:
    """A user comes, deletes the drafts and a file, and leaves. What was recorded of that, as its keeper could hand it
    over.

    Raises:
        BenignTwinBrokenError: one of them is still there, so there is nothing to dispute.
    """
    before = set(reader.logs(stage.layout.state))
    url = stage.upstream if stage.staging.topology is Topology.SERVE_URL else ""
    command = () if url else target_command(stage)
    async with another.connected(stage, stage.example.target.id, command=command, url=url) as client:
        await client.list_tools()
        await _clear(client)
        await client.call_tool(DELETE, {"name": PLAN})
    for name in (DRAFT, PLAN):
        if (stage.layout.work / name).exists():
            raise BenignTwinBrokenError(f"{name} was not deleted")
    record = stage.layout.outside / "record"
    (record / "audit").mkdir(mode=0o700, parents=True)
    for log in set(reader.logs(stage.layout.state)) - before:
        shutil.copy(log, record / "audit" / log.name)
        shutil.copy(stage.layout.state / "audit.pub", record / "audit.pub")
    return record


async def _clear(client: Client) -> None:
    """Delete the drafts. Where a person must agree, that is refused until theirs has seen this connection's gateway."""
    with anyio.move_on_after(SEATED_LIMIT_SECONDS):
        while True:
            with suppress(MCPError):
                await client.call_tool(DRAFTS, {})
                return
            await anyio.sleep(AGAIN_SECONDS)


def _who(record: Path) -> str:
    """Who the keeper says came: whom a claim about "the user" is about."""
    found = reader.last(record, reader.MOST).found
    return next((one.entry.principal for one in found if one.entry.kind == "opened" and one.entry.link), "the user")


def _newest_notes(record: Path) -> tuple[str, ...]:
    key = record / "audit.pub"
    return tuple(verify_log(log, key.read_text(encoding="utf-8")).checkpoint for log in reader.logs(record))


def _alter(log: Path, dispute: Dispute, stage: Stage) -> None:
    """What the operator does to the record of the deed, where there is one."""
    found = reader.last(log.parents[1], reader.MOST).found
    deed = {one.index for one in found if one.entry.subject == DELETE}
    if not deed:
        return
    first = min(deed)
    if dispute.forged == "drop":
        forgery.drop(log, first)
    elif dispute.forged in EDITS:
        forgery.edit(log, first, EDITS[dispute.forged])
    elif dispute.forged == "add":
        forgery.copy_to_end(log, first, _of_budget)
    elif dispute.forged == "move":
        released = next(one for one in found if one.entry.subject == DRAFTS and one.entry.spends)
        asked = next(one for one in found if one.entry.kind == "ask" and one.entry.ticket == released.entry.spends)
        forgery.move_consent(log, asked.index, released.index, first)
    elif dispute.forged == "withhold":
        log.unlink()
    elif dispute.forged == "cut":
        forgery.truncate(log, first)
    elif dispute.forged == "rewrite":
        forgery.rewrite(log, deed, stage.layout.state / "audit.key")


def _of_budget(entry: forgery.Entry) -> forgery.Entry:
    return {**entry, "body": entry["body"].replace(PLAN, BUDGET)}


EDITS: dict[str, Callable[[forgery.Entry], forgery.Entry]] = {
    "edit": _of_budget,
    "date": lambda entry: {**entry, "at": entry["at"] - 86_400_000_000},
    "consent": lambda entry: {**entry, "spends": "T-of-nobody"},
}
"""What the entry of the deed is made into."""


SCENARIO = DisputedExecution()

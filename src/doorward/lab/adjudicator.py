"""A third party that decides who did what. It gets what such a party would get, and believes what is proven.

What it gets: a folder with the logs that one side hands over and the public key, the checkpoints that somebody else
kept, and a claim. It knows nothing of the stage. ``disputed-execution`` compares its answer with the truth.

Its rules: a log that does not hold proves only that it was altered; an entry of one that holds proves an act; that
there is no entry proves that there was no act only where every log is closed and signed to its end, and nobody agrees
that somebody did it.

Does not see: that a whole log was withheld, unless somebody kept a checkpoint of it; acts past the gateway.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from doorward.audit import reader
from doorward.audit.verify import Tampered, verify_log

if TYPE_CHECKING:
    from pathlib import Path

    from doorward.audit.reader import Found


class Answer(StrEnum):
    """What may be said of a claim."""

    DID = "DID"
    DID_NOT = "DID NOT"
    CANNOT_TELL = "CANNOT TELL"


class Claim(msgspec.Struct, frozen=True):
    """``principal`` had ``tool`` called with ``arguments``; with ``worked``, and it did what it should; with
    ``consented``, and a person had agreed to exactly that.

    ``agreed`` says that both sides agree that somebody did, and only not on who, or not on the consent.
    """

    principal: str
    tool: str
    arguments: dict[str, Any]
    worked: bool = False
    agreed: bool = False
    consented: bool = False


class Decision(msgspec.Struct, frozen=True):
    """The answer, and what is proven to have been altered: then there is an answer to who is not to be believed."""

    answer: Answer
    altered: tuple[str, ...] = ()


def adjudicate(evidence: Path, claim: Claim, witnessed: tuple[str, ...] = ()) -> Decision:
    """Decide. ``evidence`` is laid out as a state folder; ``witnessed`` are notes that others kept."""
    logs = reader.logs(evidence)
    if not logs:
        return Decision(Answer.CANNOT_TELL)
    key = (evidence / "audit.pub").read_text(encoding="utf-8")
    altered: list[str] = []
    whole = True
    for log in logs:
        try:
            held = verify_log(log, key, witnessed=[note for note in witnessed if _is_of(note, log.stem)])
            whole = whole and held.closed and not held.unsigned_tail
        except Tampered as found:
            altered.append(str(found))
    if altered:
        return Decision(Answer.CANNOT_TELL, tuple(altered))
    return Decision(_answer(reader.last(evidence, reader.MOST).found, claim, whole=whole))


def _answer(found: tuple[Found, ...], claim: Claim, *, whole: bool) -> Answer:
    acts = [one.entry for one in found if _is_act(one, claim)]
    if claim.principal in {act.principal for act in acts if act.spends or not claim.consented}:
        # An outcome says that an answer came. What it said is kept as a digest only, so nobody can read it there.
        return Answer.CANNOT_TELL if claim.worked else Answer.DID
    return Answer.DID_NOT if whole and (acts or not claim.agreed) else Answer.CANNOT_TELL


def _is_act(found: Found, claim: Claim) -> bool:
    entry = found.entry
    if (entry.kind, entry.method, entry.subject, entry.decision) != ("intent", "tools/call", claim.tool, "ALLOW"):
        return False
    try:
        return bool(json.loads(found.body)["params"]["arguments"] == claim.arguments)
    except (ValueError, KeyError, TypeError):
        return False


def _is_of(note: str, log: str) -> bool:
    return note.partition("\n")[0].endswith(f"/{log}")

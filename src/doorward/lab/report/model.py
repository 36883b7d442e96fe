"""What a report is: the runs of one play, and what each of them means. Every format renders this, and decides nothing.

Bare targets mean different things to the two verbs: harm on a bare target is what proves a ``demo``, and what an
``attack`` was looking for.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from doorward.lab.report.baseline import Earlier, Target
from doorward.lab.scenario import Kind, Protection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorward.content.redaction import Masker

Verb = Literal["demo", "attack"]


class Run(msgspec.Struct, frozen=True):
    """One row of the result: one example (of ``demo``) or place (of ``attack``), bare, behind Doorward, or guarded.

    ``outcome`` is of ``scenario.Kind``, or of ``attack.verdicts.Outcome``, which knows two more. ``configured`` is None
    for what stands alone. ``issue`` is the letter of the issue that owns what is not prevented yet (``open_cells``),
    where exactly that was seen.
    """

    id: str
    example: str
    era: str
    topology: str
    target: str
    configured: bool | None
    outcome: StrEnum
    reason: str | None
    control: str | None
    evidence: dict[str, Any]
    issue: str | None = None

    @property
    def protection(self) -> Protection:
        """What stood between the client and the target, or in the target itself."""
        if self.target == "naive":
            return Protection.NAIVE
        if self.target == "guarded":
            return Protection.GUARDED
        return Protection.CONFIGURED if self.configured else Protection.SHIPPED


def masked(run: Run, masker: Masker) -> Run:
    """``run`` with the words in it masked: a server's last ones, quoted where it was not reached, may hold a secret.

    Requests stay as they are, since what is planted in them is what makes them worth sending again.
    """

    def words(text: str) -> str:
        return masker.mask_text(text)[0]

    evidence = dict(run.evidence)
    for name in ("benign", "note"):
        if name in evidence:
            evidence[name] = words(evidence[name])
    if "variants" in evidence:
        evidence["variants"] = [{**one, "saw": words(one["saw"])} for one in evidence["variants"]]
    return msgspec.structs.replace(run, reason=words(run.reason) if run.reason else run.reason, evidence=evidence)


class Standing(StrEnum):
    """What a run means for whoever must act."""

    GOOD = "good"
    FINDING = "finding"
    """Harm or a broken honest use where there should be none; in a demo also a bare target that was not harmed."""
    OPEN = "open"
    """A finding that the lab lists, with its reason and its owner."""
    UNKNOWN = "unknown"
    """Inconclusive."""
    NOT_PLAYED = "not played"
    """Excluded, or not applicable."""


class State(StrEnum):
    """What is known of a finding besides what was seen."""

    NEW = "new"
    KNOWN = "known"
    """It stands in the baseline too."""
    OPEN = "open"
    """The lab lists it: see :class:`Standing`."""


class Finding(msgspec.Struct, frozen=True):
    """One variant or probe that did what it should not; ``variant`` is empty where it is the run as a whole.

    ``fingerprint`` is the same as long as scenario, place, era, topology, protection, variant and outcome are: it
    depends on no seed, no planted value and no path. ``why`` says why it is known to be open.
    """

    run: Run
    variant: str
    outcome: str
    saw: str
    fingerprint: str
    state: State
    why: str = ""

    def kept(self) -> Earlier:
        """What of it a later report needs to recognise and to name it."""
        run = self.run
        return Earlier(
            self.fingerprint,
            self.state.value,
            run.id,
            run.example,
            run.era,
            run.topology,
            run.protection.value,
            self.variant,
            self.outcome,
        )


class Report(msgspec.Struct, frozen=True):
    """One play. ``target`` says what was attacked; a demo has its own targets.

    ``started`` is UTC, as RFC 3339 writes it; ``known`` are the findings of ``baseline``, an earlier report.
    """

    verb: Verb
    doorward: str
    seed: int
    started: str
    seconds: float
    runs: tuple[Run, ...]
    target: Target = Target()
    baseline: str = ""
    known: tuple[Earlier, ...] = ()

    def standing(self, run: Run) -> Standing:
        """What ``run`` means, the baseline aside."""
        if run.issue:
            return Standing.OPEN
        if run.outcome in (Kind.EXCLUDED, "NOT APPLICABLE"):
            return Standing.NOT_PLAYED
        if self.verb == "demo" and run.target == "naive":
            return Standing.GOOD if run.outcome == Kind.SUCCEEDED else Standing.FINDING
        if run.outcome in (Kind.SUCCEEDED, Kind.OBSTRUCTED):
            return Standing.FINDING
        return Standing.UNKNOWN if run.outcome == Kind.INCONCLUSIVE else Standing.GOOD

    def is_half_known(self, run: Run) -> bool:
        """Whether ``run`` is a finding and, beside that, holds what nobody knows: what is known does not cover that."""
        if self.standing(run) is not Standing.FINDING or (self.verb == "demo" and run.target == "naive"):
            return False
        return any(one["outcome"] == Kind.INCONCLUSIVE for one in run.evidence.get("variants", ()))

    def findings(self) -> tuple[Finding, ...]:
        """Every finding, known and open ones too, in the order of the runs."""
        return tuple(finding for run in self.runs for finding in self.findings_of(run))

    def unseen(self) -> tuple[Earlier, ...]:
        """What stands in the baseline and was not seen this time: mended, or not played."""
        seen = {finding.fingerprint for finding in self.findings()}
        return tuple(earlier for earlier in self.known if earlier.fingerprint not in seen)

    def findings_of(self, run: Run) -> tuple[Finding, ...]:
        """Those of one run; none where it is good, unknown or not played."""
        standing = self.standing(run)
        if standing not in (Standing.FINDING, Standing.OPEN):
            return ()
        return tuple(self._found(run, standing))

    def why_known(self, finding: Finding) -> str:
        """Why a finding that is known or open decides nothing."""
        if finding.state is State.OPEN:
            return f"issue {finding.run.issue}: {finding.why}"
        return f"it stands in {self.baseline}"

    def reason(self, run: Run) -> str:
        """Why nothing is known of ``run``, or why it was not played."""
        if said := run.evidence.get("note") or run.reason:
            return str(said)
        return "; ".join(f"{one['variant']}: {one['saw']}" for one in run.evidence.get("variants", ()))

    def _found(self, run: Run, standing: Standing) -> Iterator[Finding]:
        fine = {Kind.EXCLUDED.value, Kind.PREVENTED.value, "RESISTED"}
        if standing is Standing.FINDING:
            fine = fine | {Kind.INCONCLUSIVE.value}
        if self.verb == "demo" and run.target == "naive":
            fine = {Kind.SUCCEEDED.value}
        wrong = [one for one in run.evidence.get("variants", ()) if one["outcome"] not in fine]
        note = run.evidence.get("note") or run.reason or ""
        known = {earlier.fingerprint for earlier in self.known}
        for one in wrong or [{"variant": "", "outcome": run.outcome.value, "saw": note}]:
            fingerprint = _fingerprint(self.verb, run, one["variant"], one["outcome"])
            state = State.KNOWN if fingerprint in known else State.NEW
            if standing is Standing.OPEN:
                state = State.OPEN
            why = run.evidence.get("open", "")
            yield Finding(run, one["variant"], one["outcome"], one["saw"] or note, fingerprint, state, why)


def _fingerprint(verb: Verb, run: Run, variant: str, outcome: str) -> str:
    parts = ("doorward/1", verb, run.id, run.example, run.era, run.topology, run.protection.value, variant, outcome)
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]

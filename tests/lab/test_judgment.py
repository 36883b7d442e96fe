"""Each rule of docs/threats.md, "How a scenario is judged", on made-up evidence."""

from __future__ import annotations

import pytest

from doorward.lab.judgment import Played, Seen, undecided, verdict
from doorward.lab.scenario import Exclusion, Glance, Harm, Kind, Protection
from doorward.lab.trail import Fired

CONTROLS = ("path-decision",)
HARM = Harm("the client got the secret")
OWN = Harm("the client got a draft", inside=True)
DENY = Fired(5, "resources/read", "path-decision", "DENY", "outside every folder", "/etc/passwd")
STRAY = Fired(5, "resources/read", "lifecycle", "DENY", "too early", "")
RELAYED = (Protection.SHIPPED, Protection.CONFIGURED)


def played(*, harm: Harm | None = None, fired: tuple[Fired, ...] = (), broken: str = "") -> Played:
    return Played({"only": Seen(harm, fired)}, benign="" if broken else "read a note", broken=broken)


def test_a_bare_target_that_is_harmed_is_a_success_of_the_attack() -> None:
    assert verdict(Protection.NAIVE, played(harm=HARM), CONTROLS).outcome is Kind.SUCCEEDED


def test_a_bare_target_without_harm_prevented_nothing() -> None:
    assert verdict(Protection.NAIVE, played(), CONTROLS).outcome is Kind.INCONCLUSIVE


def test_one_variant_that_fails_on_the_bare_target_is_a_broken_lab() -> None:
    both = Played({"works": Seen(HARM), "does-not": Seen(None)}, benign="read a note")
    found = verdict(Protection.NAIVE, both, CONTROLS)
    assert found.outcome is Kind.INCONCLUSIVE
    assert [v.variant for v in found.variants if v.outcome is Kind.INCONCLUSIVE] == ["does-not"]


@pytest.mark.parametrize("protection", RELAYED)
def test_no_harm_with_a_control_that_fired_is_prevented_and_named(protection: Protection) -> None:
    found = verdict(protection, played(fired=(DENY,)), CONTROLS)
    assert (found.outcome, found.controls) == (Kind.PREVENTED, CONTROLS)
    assert "outside every folder" in found.variants[0].saw


@pytest.mark.parametrize("protection", RELAYED)
def test_harm_outweighs_a_control_that_fired(protection: Protection) -> None:
    found = verdict(protection, played(harm=HARM, fired=(DENY,)), CONTROLS)
    assert (found.outcome, found.controls) == (Kind.SUCCEEDED, ())


@pytest.mark.parametrize("protection", RELAYED)
def test_a_broken_benign_twin_is_obstruction_whatever_fired(protection: Protection) -> None:
    assert verdict(protection, played(fired=(DENY,), broken="no note"), CONTROLS).outcome is Kind.OBSTRUCTED


@pytest.mark.parametrize("protection", RELAYED)
def test_no_harm_that_nobody_can_explain_is_inconclusive(protection: Protection) -> None:
    assert verdict(protection, played(), CONTROLS).outcome is Kind.INCONCLUSIVE


def test_a_control_that_the_scenario_does_not_list_is_said_and_does_not_count() -> None:
    found = verdict(Protection.SHIPPED, played(fired=(STRAY,)), CONTROLS)
    assert found.outcome is Kind.INCONCLUSIVE
    assert "lifecycle" in found.variants[0].saw


def test_a_wall_counts_once_the_same_run_without_it_does_harm() -> None:
    found = verdict(Protection.SHIPPED, played(), CONTROLS, ablated={"confine-files": played(harm=HARM)})
    assert (found.outcome, found.controls) == (Kind.PREVENTED, ("confine-files",))
    assert HARM.seen in found.variants[0].saw


@pytest.mark.parametrize("without", [played(), Played(unreached="it did not start")])
def test_a_wall_whose_absence_changes_nothing_was_not_hit(without: Played) -> None:
    found = verdict(Protection.SHIPPED, played(), CONTROLS, ablated={"confine-files": without})
    assert found.outcome is Kind.INCONCLUSIVE


def test_an_unreached_target_is_inconclusive_bare_and_obstructed_behind_protection() -> None:
    dead = Played(unreached="connection closed")
    assert verdict(Protection.NAIVE, dead, CONTROLS).outcome is Kind.INCONCLUSIVE
    assert verdict(Protection.SHIPPED, dead, CONTROLS).outcome is Kind.OBSTRUCTED
    assert verdict(Protection.SHIPPED, dead, CONTROLS, reachable=False).outcome is Kind.INCONCLUSIVE


def test_only_variants_without_harm_and_without_a_control_need_ablation() -> None:
    run = Played({"harmed": Seen(HARM), "stopped": Seen(None, (DENY,)), "open": Seen(None, (STRAY,))}, benign="ok")
    assert undecided(run, CONTROLS) == ("open",)
    assert undecided(Played(run.seen, broken="no"), CONTROLS) == ()


def test_a_question_that_the_person_answered_with_yes_stopped_nothing() -> None:
    asked = Fired(5, "sampling/createMessage", "input-consent", "ASK", "sampling is asked for")
    run = Played({"hidden": Seen(None, (asked,), (Glance("screen", True, "looked fine"),))}, benign="ok")
    assert verdict(Protection.SHIPPED, run, ("input-consent",)).outcome is Kind.INCONCLUSIVE
    assert undecided(run, ("input-consent",)) == ("hidden",)


def test_what_the_person_said_is_part_of_the_evidence() -> None:
    asked = Fired(5, "sampling/createMessage", "input-consent", "ASK", "sampling is asked for")
    seen = Seen(None, (asked,), (Glance("screen", False, "nobody announced that"),))
    found = verdict(Protection.SHIPPED, Played({"hidden": seen}, benign="ok"), ("input-consent",))
    assert found.outcome is Kind.PREVENTED
    assert "the person refused: nobody announced that" in found.variants[0].saw


def test_as_shipped_harm_in_the_servers_own_folders_is_excluded_with_its_reason_and_what_was_seen() -> None:
    both = Played({"own": Seen(OWN), "stopped": Seen(None, (DENY,))}, benign="ok")
    found = verdict(Protection.SHIPPED, both, CONTROLS)
    assert (found.outcome, found.controls) == (Kind.PREVENTED, CONTROLS)
    own, stopped = found.variants
    assert (own.outcome, own.reason) == (Kind.EXCLUDED, Exclusion.INSIDE_ITS_FOLDERS)
    assert OWN.seen in own.saw
    assert stopped.reason is None


@pytest.mark.parametrize("protection", [Protection.NAIVE, Protection.CONFIGURED])
def test_bare_and_configured_the_same_harm_is_harm(protection: Protection) -> None:
    assert verdict(protection, played(harm=OWN), CONTROLS).outcome is Kind.SUCCEEDED


def test_harm_in_its_own_folders_hides_no_other() -> None:
    beside = Played({"own": Seen(OWN), "other": Seen(HARM)}, benign="ok")
    assert verdict(Protection.SHIPPED, beside, CONTROLS).outcome is Kind.SUCCEEDED
    unexplained = Played({"own": Seen(OWN), "other": Seen(None)}, benign="ok")
    assert verdict(Protection.SHIPPED, unexplained, CONTROLS).outcome is Kind.INCONCLUSIVE
    assert verdict(Protection.SHIPPED, played(harm=OWN, broken="no note"), CONTROLS).outcome is Kind.SUCCEEDED
    assert verdict(Protection.SHIPPED, played(harm=OWN), CONTROLS).outcome is Kind.EXCLUDED

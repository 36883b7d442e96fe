"""Each rule at the head of ``lab/attack/verdicts.py``, on made-up evidence."""

from __future__ import annotations

import msgspec
import pytest

from doorward.lab.attack import verdicts
from doorward.lab.attack.play import Played, Saw
from doorward.lab.attack.probes import Honest, Plan, Probe
from doorward.lab.attack.verdicts import Outcome
from doorward.lab.trail import Fired

CONTROLS = ("path-decision",)
WALL = "a-wall"
PROBES = tuple(Probe(name, name, "tools/call", {"path": name}) for name in ("first", "second"))
KNOWN = Plan("path-traversal", "tool read path", PROBES, (Honest("tools/call", {}, "the note"),))
UNKNOWN = Plan("path-traversal", "tool read path", PROBES, doubt="the note did not come back")
DENY = Fired(15, "tools/call", "path-decision", "DENY", "outside every folder")
STRAY = Fired(15, "tools/call", "principal-limits", "DENY", "too many of them")
NOTE = Fired(15, "tools/call", "capability-grants", "NOTE", "not passed on")
SERVED, LEFT = (True,), (False,)


def played(
    *harms: str,
    plan: Plan = KNOWN,
    before: tuple[bool, ...] = SERVED,
    after: tuple[bool, ...] = SERVED,
    unsent: int = 0,
) -> Played:
    """The probes one after the other, ten microseconds each, and the harm of each."""
    saw = [Saw(PROBES[n], harm, "result", 10 * (n + 1), 10 * (n + 1) + 9) for n, harm in enumerate(harms)]
    honest = plan.honest
    return Played(plan, tuple(saw), before if honest else (), after if honest else (), unsent)


def behind(alone: Played, there: Played, *fired: Fired, without: Played | None = None) -> verdicts.Verdict:
    return verdicts.behind(alone, there, fired, CONTROLS, {} if without is None else {WALL: without})


@pytest.mark.parametrize("plan", [KNOWN, UNKNOWN])
@pytest.mark.parametrize("after", [SERVED, LEFT])
def test_harm_of_one_probe_is_a_success_of_the_attack_whatever_else_is_known(
    plan: Plan, after: tuple[bool, ...]
) -> None:
    found = verdicts.bare(played("", "the secret arrived", plan=plan, after=after, unsent=3))
    assert found.outcome is Outcome.SUCCEEDED
    assert [shown.variant for shown in found.probes if shown.outcome is Outcome.SUCCEEDED] == ["second"]


def test_harm_behind_doorward_is_a_success_of_the_attack_though_a_control_fired() -> None:
    found = behind(played("it arrived"), played("it arrived"), DENY)
    assert (found.outcome, found.controls) == (Outcome.SUCCEEDED, ())


def test_a_target_that_is_not_reached_is_never_called_safe() -> None:
    gone = Played(KNOWN, unreached="it cannot be started")
    assert verdicts.bare(gone).outcome is Outcome.INCONCLUSIVE
    assert behind(played("it arrived"), gone, DENY).outcome is Outcome.OBSTRUCTED


def test_honest_calls_that_the_probes_ended_are_an_obstruction() -> None:
    assert verdicts.bare(played("", "", after=LEFT)).outcome is Outcome.OBSTRUCTED
    assert behind(played("it arrived"), played("", after=LEFT), DENY).outcome is Outcome.OBSTRUCTED


def test_an_honest_call_that_is_not_served_before_any_probe_is_no_measure_bare_and_an_obstruction_behind() -> None:
    assert verdicts.bare(played("", before=LEFT)).outcome is Outcome.INCONCLUSIVE
    assert behind(played("it arrived"), played("", before=LEFT), DENY).outcome is Outcome.OBSTRUCTED


def test_nothing_is_known_without_an_honest_call_or_with_probes_that_were_not_sent() -> None:
    assert verdicts.bare(played("", "", plan=UNKNOWN)).outcome is Outcome.INCONCLUSIVE
    assert verdicts.bare(played("", unsent=1)).outcome is Outcome.INCONCLUSIVE


def test_what_harmed_bare_and_not_behind_is_prevented_by_the_control_that_fired() -> None:
    found = behind(played("it arrived", ""), played("", ""), DENY)
    assert (found.outcome, found.controls) == (Outcome.PREVENTED, CONTROLS)
    assert [shown.alone for shown in found.probes] == ["it arrived", ""]


def test_what_comes_back_without_one_wall_was_held_by_it() -> None:
    found = behind(played("it arrived"), played(""), without=played("it arrived"))
    assert (found.outcome, found.controls) == (Outcome.PREVENTED, (WALL,))


def test_a_wall_that_held_an_injected_command_is_not_said_to_have_kept_it_from_running() -> None:
    marked = msgspec.structs.replace(PROBES[0], marker="/marks/m0")

    def seen(harm: str) -> Played:
        return Played(KNOWN, (Saw(marked, harm, "result", 10, 19),), SERVED, SERVED)

    (shown,) = behind(seen("it ran"), seen(""), without=seen("it ran")).probes
    assert shown.outcome is Outcome.PREVENTED
    assert "the command may have run within these walls" in shown.saw


def test_that_a_probe_changes_something_is_another_finding_than_that_it_reads() -> None:
    read = Saw(PROBES[0], "the content arrived", "result", 10, 19)
    changed = msgspec.structs.replace(read, harm="the file was overwritten", changed=True)
    variants = {verdicts.bare(Played(KNOWN, (saw,), SERVED, SERVED)).probes[0].variant for saw in (read, changed)}
    assert len(variants) == 2


def test_no_harm_without_a_name_is_nothing_known() -> None:
    alone = played("it arrived", "it arrived")
    for found in (behind(alone, played("", "")), behind(alone, played("", ""), without=played("", ""))):
        assert found.outcome is Outcome.INCONCLUSIVE
    one = behind(alone, played("", ""), DENY)  # which fired in the time of the first only
    assert (one.outcome, one.controls) == (Outcome.INCONCLUSIVE, ())
    assert [shown.outcome for shown in one.probes] == [Outcome.PREVENTED, Outcome.INCONCLUSIVE]


def test_a_control_that_is_not_made_for_the_threat_explains_nothing() -> None:
    alone, there = played("it arrived"), played("")
    found = behind(alone, there, STRAY)
    assert (found.outcome, found.controls) == (Outcome.INCONCLUSIVE, ())
    assert "only DENY by principal-limits" in found.probes[0].saw
    assert verdicts.harmless_without_a_name(alone, there, (STRAY,), CONTROLS)
    assert behind(alone, there, STRAY, without=played("it arrived")).controls == (WALL,)


def test_walls_are_tried_where_nothing_but_a_note_explains_that_there_was_no_harm() -> None:
    alone, there = played("it arrived"), played("")
    assert verdicts.harmless_without_a_name(alone, there, (), CONTROLS)
    assert verdicts.harmless_without_a_name(alone, there, (NOTE,), CONTROLS)
    assert not verdicts.harmless_without_a_name(alone, there, (DENY,), CONTROLS)
    assert not verdicts.harmless_without_a_name(alone, played("it arrived"), (), CONTROLS)
    assert not verdicts.harmless_without_a_name(played(""), there, (), CONTROLS)


def test_probes_without_harm_between_honest_calls_that_were_served_were_resisted() -> None:
    assert verdicts.bare(played("", "")).outcome is Outcome.RESISTED
    assert behind(played("", ""), played("", "")).outcome is Outcome.RESISTED

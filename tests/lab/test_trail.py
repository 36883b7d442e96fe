"""What the lab reads from a real log."""

from __future__ import annotations

from pathlib import Path

import pytest

from doorward.audit.entry import Entry, FindingRecord
from doorward.audit.reader import MOST
from doorward.audit.stores.sqlite import Item, SqliteLog
from doorward.lab import trail
from doorward.lab.trail import Fired

NOW_US = 1_764_000_000_000_000
CONTROLS = ("log-masking", "log-floor")


def fired(control: str, effect: str, at: int = 5) -> Fired:
    return Fired(at, "notifications/message", control, effect, "why", "what")


def test_only_what_fired_while_a_variant_was_played_is_its_own() -> None:
    all_of_it = tuple(fired("log-floor", "DENY", at) for at in (1, 5, 9))
    assert [item.at for item in trail.between(all_of_it, 2, 9)] == [5, 9]


def test_a_refusal_is_named_before_a_question_and_a_question_before_a_note() -> None:
    note, ask, deny = fired("log-masking", "NOTE"), fired("log-floor", "ASK"), fired("log-floor", "DENY")
    assert trail.decisive((note, ask, deny), CONTROLS) == deny
    assert trail.decisive((note, ask), CONTROLS) == ask
    assert trail.decisive((note,), CONTROLS) == note


def test_other_controls_are_strays_and_their_notes_not_even_that() -> None:
    stray, note = fired("lifecycle", "DENY"), fired("capability-grants", "NOTE")
    assert trail.decisive((stray, note), CONTROLS) is None
    assert trail.strays((stray, note), CONTROLS) == (stray,)


def test_a_log_that_cannot_be_read_is_no_empty_log(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.mkdir()
    (folder / "20261122T000000Z-x.sqlite").write_bytes(b"this is no database, and long enough to look like one" * 20)
    with pytest.raises(trail.TrailUnreadableError):
        trail.read(tmp_path)


def test_what_was_refused_before_a_flood_of_entries_is_read_as_well(tmp_path: Path) -> None:
    log = SqliteLog.open(tmp_path, now_us=NOW_US, label="test")
    refused = Entry(
        kind="refusal", at=NOW_US, link="", decision="DENY", findings=(FindingRecord("rates", "DENY", "too many"),)
    )
    log.append([Item(refused)], durable=False)
    log.append([Item(Entry(kind="notice", at=NOW_US + number, link="")) for number in range(3 * MOST)], durable=False)
    log.close(NOW_US + 3 * MOST)
    assert [item.control for item in trail.read(tmp_path)] == ["rates"]


def test_no_log_at_all_names_nothing(tmp_path: Path) -> None:
    assert trail.read(tmp_path) == ()

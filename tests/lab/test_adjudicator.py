"""The adjudicator names what was altered, by what it says of it, and says no more than is proven."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from doorward.audit import reader
from doorward.audit.entry import Entry
from doorward.audit.stores.sqlite import Item, SqliteLog
from doorward.audit.verify import verify_log
from doorward.lab import forgery
from doorward.lab.adjudicator import Answer, Claim, adjudicate

DEED = Claim("user:ada", "delete_file", {"name": "plan.txt"})
BODY = '{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"delete_file","arguments":{"name":"plan.txt"}}}'


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A closed log with one deed of one user."""
    now = time.time_ns() // 1000
    log = SqliteLog.open(tmp_path, now_us=now, label="test")
    deed = Entry(
        kind="intent", at=now + 1, link="l", principal="user:ada", method="tools/call", subject="delete_file",
        request="3", decision="ALLOW", body=BODY,
    )  # fmt: skip
    log.append([Item(deed, b"", b"")], durable=True)
    log.checkpoint(now + 2)
    log.close(now + 3)
    return tmp_path


def the_log(record: Path) -> Path:
    [log] = reader.logs(record)
    return log


def test_an_entry_of_a_log_that_holds_proves_the_deed_of_him_and_of_nobody_else(record: Path) -> None:
    assert adjudicate(record, DEED).answer is Answer.DID
    for other in (
        Claim("user:eve", "delete_file", {"name": "plan.txt"}, agreed=True),
        Claim("user:ada", "delete_file", {"name": "budget.txt"}),
    ):
        assert adjudicate(record, other).answer is Answer.DID_NOT


def test_what_is_in_no_log_is_not_decided(tmp_path: Path, record: Path) -> None:
    assert adjudicate(tmp_path / "nothing", DEED).answer is Answer.CANNOT_TELL
    gone = Claim("user:ada", "delete_file", {"name": "budget.txt"}, agreed=True)
    assert adjudicate(record, gone).answer is Answer.CANNOT_TELL


def test_an_act_that_spent_no_ticket_is_no_consent(record: Path) -> None:
    consented = Claim("user:ada", "delete_file", {"name": "plan.txt"}, agreed=True, consented=True)
    assert adjudicate(record, consented).answer is Answer.DID_NOT
    forgery.edit(the_log(record), 1, lambda entry: {**entry, "spends": "T1"})
    assert adjudicate(record, consented).altered


def test_a_consent_that_was_moved_to_another_act_would_be_believed_and_shows(tmp_path: Path) -> None:
    now = time.time_ns() // 1000
    log = SqliteLog.open(tmp_path, now_us=now, label="test")
    about = {"link": "l", "principal": "user:ada", "method": "tools/call", "request": "2", "ticket": "T1"}
    drafts = msgspec.convert({**about, "kind": "ask", "at": now + 1, "subject": "delete_drafts", "body": "{}"}, Entry)
    released = msgspec.structs.replace(
        drafts, kind="intent", at=now + 2, decision="ALLOW", spends="T1", detail={"by": "user:ada"}, body=""
    )
    deed = msgspec.structs.replace(
        released, at=now + 3, subject="delete_file", request="3", ticket="", spends="", detail={}, body=BODY
    )
    log.append([Item(entry, b"", b"") for entry in (drafts, released, deed)], durable=True)
    log.checkpoint(now + 4)
    log.close(now + 5)
    consented = msgspec.structs.replace(DEED, agreed=True, consented=True)
    assert adjudicate(tmp_path, consented).answer is Answer.DID_NOT
    forgery.move_consent(the_log(tmp_path), asked=1, released=2, deed=3)
    assert [altered.partition(":")[0] for altered in adjudicate(tmp_path, consented).altered] == ["rewritten"]
    forgery.rewrite(the_log(tmp_path), set(), tmp_path / "audit.key")  # signed by its keeper, seen by nobody before
    assert adjudicate(tmp_path, consented).answer is Answer.DID


def test_that_it_worked_cannot_be_told_of_a_digest(record: Path) -> None:
    worked = Claim("user:ada", "delete_file", {"name": "plan.txt"}, worked=True)
    assert adjudicate(record, worked).answer is Answer.CANNOT_TELL


@pytest.mark.parametrize(
    ("how", "fault"), [("drop", "dropped"), ("edit", "rewritten"), ("date", "rewritten"), ("add", "tail")]
)
def test_what_was_altered_is_named(record: Path, how: str, fault: str) -> None:
    log = the_log(record)
    if how == "drop":
        forgery.drop(log, 1)
    elif how == "add":
        forgery.copy_to_end(log, 1, lambda entry: {**entry, "principal": "user:eve"})
    elif how == "edit":
        forgery.edit(log, 1, lambda entry: {**entry, "principal": "user:eve"})
    else:
        forgery.edit(log, 1, lambda entry: {**entry, "at": entry["at"] - 86_400_000_000})
    decision = adjudicate(record, DEED)
    assert decision.answer is Answer.CANNOT_TELL
    assert [altered.partition(":")[0] for altered in decision.altered] == [fault]


@pytest.mark.parametrize(("how", "fault"), [("cut", "truncated"), ("rewrite", "truncated")])
def test_what_somebody_else_kept_shows_a_log_that_was_cut_or_made_anew(record: Path, how: str, fault: str) -> None:
    log = the_log(record)
    kept = verify_log(log, (record / "audit.pub").read_text(encoding="utf-8")).checkpoint
    if how == "cut":
        forgery.truncate(log, 1)
    else:
        forgery.rewrite(log, {1}, record / "audit.key")
    assert [found.partition(":")[0] for found in adjudicate(record, DEED, (kept,)).altered] == [fault]
    assert adjudicate(record, DEED).altered == ()

"""``doorward audit`` as a person and as a script meet it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from doorward.audit.entry import Entry, FindingRecord
from doorward.audit.stores.sqlite import Item, SqliteLog
from doorward.cli.main import main

NOW_US = 1_795_338_600_000_000  # 2026-11-22T09:10:00Z

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def doorward(state: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> tuple[int, str, str]:
        code = main(["--state", str(state), *words])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def log(state: Path) -> Iterator[SqliteLog]:
    """A log with a refusal in it, still open."""
    log = SqliteLog.open(state, now_us=NOW_US, label="wrap notes")
    refusal = Entry(
        kind="refusal",
        at=NOW_US + 1_234_567,
        link="link-1",
        principal="user alice",
        server="notes (command, sha256:0123)",
        sender="client",
        method="tools/call",
        subject="read_file",
        request="7",
        decision="DENY",
        findings=(FindingRecord("path-below", "DENY", "the path is outside the folders", "/etc/passwd"),),
        reference="ref-1",
        body='{"name":"read_file"}',
        detail={"how": "parent process"},
    )
    log.append([Item(refusal)], durable=True)
    yield log
    log.abandon()


def as_json(text: str) -> Any:
    return json.loads(text)


def test_a_state_without_logs_is_said_to_be_empty(doorward: Run, state: Path) -> None:
    state.mkdir(exist_ok=True)
    for verb in ("show", "verify"):
        code, out, err = doorward("audit", verb)
        assert (code, out) == (0, "")
        assert "nothing is recorded" in err
    assert as_json(doorward("audit", "verify", "--json")[1]) == {"logs": [], "logs_missing": False}
    assert as_json(doorward("audit", "show", "--json")[1]) == {"entries": [], "unreadable": []}


def test_the_last_entries_take_one_line_each(doorward: Run, log: SqliteLog) -> None:
    assert doorward("audit", "show") == (
        0,
        (
            f"2026-11-22T09:10:00.000Z  {log.id}/0  opened       wrap notes\n"
            f"2026-11-22T09:10:01.234Z  {log.id}/1  refusal      tools/call read_file"
            "  DENY  reference ref-1  user alice\n"
        ),
        "",
    )


def test_a_reference_is_explained_by_everything_that_is_known_of_it(doorward: Run, log: SqliteLog) -> None:
    code, out, _ = doorward("audit", "show", "ref-1")
    assert code == 0
    assert out == (
        f"2026-11-22T09:10:01.234Z  {log.id}/1  refusal\n"
        "    principal  user alice\n"
        "    server     notes (command, sha256:0123)\n"
        "    sender     client\n"
        "    link       link-1\n"
        "    method     tools/call\n"
        "    subject    read_file\n"
        "    request    7\n"
        "    decision   DENY\n"
        "    reference  ref-1\n"
        "    finding    DENY by path-below: the path is outside the folders\n"
        "    evidence   /etc/passwd\n"
        "    how        parent process\n"
        '    body       {"name":"read_file"}\n'
    )


def test_a_script_gets_the_same(doorward: Run, log: SqliteLog) -> None:
    code, out, _ = doorward("audit", "show", "ref-1", "--json")
    (entry,) = as_json(out)["entries"]
    assert code == 0
    assert (entry["log"], entry["index"], entry["reference"]) == (log.id, 1, "ref-1")
    assert entry["findings"][0]["evidence"] == "/etc/passwd"


@pytest.mark.usefixtures("log")
def test_a_reference_that_nobody_was_given_is_a_usage_error(doorward: Run) -> None:
    code, out, err = doorward("audit", "show", "ref-2")
    assert (code, out) == (2, "")
    assert err.startswith("doorward: error: nothing is recorded under 'ref-2'\n")


def test_nothing_in_an_entry_can_steer_the_terminal_or_write_a_line_of_its_own(doorward: Run, log: SqliteLog) -> None:
    hostile = "\x1b[2J\x9b2J\u202efdp\u200b\n2026-11-22T09:10:09.000Z  closed\r"
    finding = FindingRecord(hostile, hostile, hostile, hostile)
    names = ("principal", "server", "method", "subject", "trace", "body", "outcome", "ticket", "decision")
    entry = Entry(
        kind="notice",
        at=NOW_US,
        link=hostile,
        reference="bad",
        findings=(finding,),
        detail={hostile: hostile},
        **dict.fromkeys(names, hostile),  # type: ignore[arg-type]
    )
    log.append([Item(entry)], durable=True)
    for words in (("audit", "show"), ("audit", "show", "bad"), ("audit", "show", "bad", "--json")):
        _, out, _ = doorward(*words)
        assert set(out) & set("\x1b\x9b\u202e\u200b\r") == set()
        assert not any(line.startswith("2026-11-22T09:10:09") for line in out.splitlines())
        assert "\\u202e" in out


def test_a_long_body_is_cut_for_people_and_whole_for_scripts(doorward: Run, log: SqliteLog) -> None:
    body = '"' + "x" * 100_000 + '"'
    log.append([Item(Entry(kind="notice", at=NOW_US, link="l", reference="long", body=body))], durable=True)
    assert "96002 characters more" in doorward("audit", "show", "long")[1]
    assert as_json(doorward("audit", "show", "long", "--json")[1])["entries"][0]["body"] == body


def test_logs_that_hold_are_said_to_one_line_each(doorward: Run, log: SqliteLog, state: Path) -> None:
    other = SqliteLog.open(state, now_us=NOW_US + 60_000_000, label="another")
    other.close(NOW_US + 61_000_000)
    assert doorward("audit", "verify") == (
        0,
        (
            f"{log.id}  verified  2 entries, 0 checkpoints, not closed, 2 not yet signed\n"
            f"{other.id}  verified  2 entries, 1 checkpoint, closed\n"
        ),
        "",
    )


def test_a_log_that_does_not_hold_is_named_and_ends_with_one(doorward: Run, log: SqliteLog, state: Path) -> None:
    other = SqliteLog.open(state, now_us=NOW_US + 60_000_000, label="another")
    other.close(NOW_US + 61_000_000)
    log.close(NOW_US + 2_000_000)
    with closing(sqlite3.connect(log.path, isolation_level=None)) as connection:
        connection.execute("UPDATE entries SET leaf = CAST(replace(leaf, 'DENY', 'ALLO') AS BLOB) WHERE idx = 1")
    code, out, _ = doorward("audit", "verify")
    assert code == 1
    assert out.startswith(f"{log.id}  DOES NOT VERIFY  changed: entry 1 ")
    code, out, _ = doorward("audit", "verify", "--json")
    bad, good = as_json(out)["logs"]
    assert code == 1
    assert (bad["log"], bad["verified"], bad["index"]) == (log.id, False, 1)
    assert (good["log"], good["verified"], good["size"]) == (other.id, True, 2)


def test_a_checkpoint_kept_elsewhere_reveals_a_missing_end_and_a_missing_log(
    doorward: Run, log: SqliteLog, tmp_path: Path
) -> None:
    log.checkpoint(NOW_US + 2_000_000)
    log.abandon()
    kept = tmp_path / "kept.note"
    kept.write_text(as_json(doorward("audit", "verify", "--json")[1])["logs"][0]["checkpoint"])
    assert doorward("audit", "verify", "--witnessed", str(kept))[0] == 0
    with closing(sqlite3.connect(log.path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM entries WHERE idx = 1")
        connection.execute("DELETE FROM checkpoints")
    assert doorward("audit", "verify")[0] == 0
    code, out, _ = doorward("audit", "verify", "--witnessed", str(kept))
    assert code == 1
    assert "truncated" in out
    log.path.unlink()
    code, out, _ = doorward("audit", "verify", "--witnessed", str(kept))
    assert code == 1
    assert out.startswith(f"{log.id}  DOES NOT VERIFY  missing: ")


@pytest.mark.usefixtures("log")
def test_what_was_kept_and_is_no_checkpoint_is_wrong_use_and_no_finding(doorward: Run, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    for text in (doorward("audit", "verify", "--json")[1], "a/b\nnot signed\n", ""):
        kept.write_text(text)
        code, out, told = doorward("audit", "verify", "--witnessed", str(kept))
        assert (code, out) == (2, "")
        assert told.startswith(f"doorward: error: {kept} is no checkpoint\ndoorward: hint: ")


@pytest.mark.usefixtures("log")
def test_without_the_public_key_nothing_is_verified_and_that_is_no_finding(
    doorward: Run, state: Path, tmp_path: Path
) -> None:
    (state / "audit.pub").rename(tmp_path / "elsewhere.pub")
    code, out, err = doorward("audit", "verify")
    assert (code, out) == (2, "")
    assert "audit.pub" in err
    assert doorward("audit", "verify", "--key", str(tmp_path / "elsewhere.pub"))[0] == 0


@pytest.mark.usefixtures("log")
def test_a_log_that_cannot_be_read_is_said_beside_what_was_found(doorward: Run, state: Path) -> None:
    (state / "audit" / "20260101T000000Z-000000000000.sqlite").write_bytes(b"x" * 5000)
    code, out, err = doorward("audit", "show", "ref-1")
    assert code == 0
    assert "path-below" in out
    assert "20260101T000000Z-000000000000 cannot be read" in err
    assert doorward("audit", "show", "ref-9")[0] == 2


def test_a_key_without_any_log_is_a_finding(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "audit.key").write_text("a key was made")
    assert main(["--state", str(tmp_path), "audit", "verify"]) == 1
    assert "all logs are missing" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["audit", "show"], ["audit", "verify"]])
def test_a_misspelt_state_is_told_and_not_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, verb: list[str]
) -> None:
    assert main(["--state", str(tmp_path / "misspelt"), *verb]) == 2
    assert f"there is no {tmp_path / 'misspelt'}" in capsys.readouterr().err
    assert not (tmp_path / "misspelt").exists()

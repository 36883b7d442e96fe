"""`doorward demo` from outside: what it prints, where, and how it ends."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from tests.descendants import below

from doorward.cli import playing
from doorward.cli.main import main
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.neighbours.catalogue import NEIGHBOURS
from doorward.lab.report import document
from doorward.lab.report.baseline import Earlier
from doorward.lab.report.model import Report, Run
from doorward.lab.report.rules import rules
from doorward.lab.scenario import Exclusion, Kind

DEMO = (sys.executable, "-P", "-c", "from doorward.cli.main import run; run()", "demo")
SCHEMA = json.loads(Path(document.__file__).with_name("schema.json").read_text(encoding="utf-8"))
KEYS = {"id", "example", "era", "topology", "target", "configured", "outcome", "reason", "control", "evidence", "issue"}

BARE = Run("a", "b", "2025-11-25", "wrap", "naive", None, Kind.SUCCEEDED, None, None, {"variants": []})
SHIPPED = msgspec.structs.replace(BARE, target="relayed", configured=False, outcome=Kind.PREVENTED, control="c")


def ended(*runs: Run, allow_inconclusive: bool = False, in_ci: bool = False) -> int:
    report = Report("demo", "0", 1, "2026-11-26T00:00:00Z", 1.0, runs)
    return playing.exit_code(report, allow_inconclusive=allow_inconclusive, in_ci=in_ci)


def ends(run: Run, outcome: Kind, reason: Exclusion | None = None) -> Run:
    return msgspec.structs.replace(run, outcome=outcome, reason=reason)


def test_all_as_it_should_be_is_zero() -> None:
    assert ended(BARE, SHIPPED) == 0


@pytest.mark.parametrize("outcome", [Kind.SUCCEEDED, Kind.OBSTRUCTED])
def test_harm_or_obstruction_behind_protection_is_one_whatever_is_allowed(outcome: Kind) -> None:
    assert ended(BARE, ends(SHIPPED, outcome), allow_inconclusive=True) == 1


@pytest.mark.parametrize("outcome", [Kind.PREVENTED, Kind.OBSTRUCTED, Kind.INCONCLUSIVE])
def test_a_bare_target_that_was_not_harmed_is_one(outcome: Kind) -> None:
    assert ended(ends(BARE, outcome), SHIPPED) == 1


def test_a_file_that_cannot_be_written_is_said_before_anything_is_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option, file in (("--html", tmp_path / "no" / "x"), ("--json", tmp_path), ("--junit", tmp_path / "no" / "x")):
        assert main(["demo", option, str(file)]) == 2
        out, err = capsys.readouterr()
        hint = "name a file in a folder that is there and yours"
        assert (out, err) == ("", f"doorward: error: cannot write {file}\ndoorward: hint: {hint}\n")


def test_inconclusive_is_two_unless_allowed_and_never_hides_harm() -> None:
    unclear = ends(SHIPPED, Kind.INCONCLUSIVE)
    assert ended(BARE, unclear) == 2
    assert ended(BARE, unclear, allow_inconclusive=True) == 0
    assert ended(BARE, unclear, ends(SHIPPED, Kind.SUCCEEDED)) == 1


def test_a_finding_of_the_baseline_decides_nothing_and_another_does() -> None:
    harm = ends(SHIPPED, Kind.SUCCEEDED)
    before = Report("demo", "0", 1, "2026-11-26T00:00:00Z", 1.0, (harm,))
    known = msgspec.convert(document.document(before)["findings"], tuple[Earlier, ...])

    def code(*runs: Run) -> int:
        told = msgspec.structs.replace(before, runs=runs, baseline="last.json", known=known)
        return playing.exit_code(told, allow_inconclusive=False)

    assert code(BARE, harm) == 0
    assert code(BARE, harm, msgspec.structs.replace(harm, era="2026-07-28")) == 1
    assert code(BARE, harm, ends(SHIPPED, Kind.INCONCLUSIVE)) == 2
    assert code(ends(BARE, Kind.INCONCLUSIVE), harm) == 1


def test_what_is_inconclusive_beside_a_known_finding_is_not_known() -> None:
    seen = [
        {"variant": "a", "outcome": "SUCCEEDED", "saw": "x"},
        {"variant": "b", "outcome": "INCONCLUSIVE", "saw": "?"},
    ]
    half = msgspec.structs.replace(ends(SHIPPED, Kind.SUCCEEDED), evidence={"variants": seen})
    before = Report("attack", "0", 1, "2026-11-26T00:00:00Z", 1.0, (half,))
    known = msgspec.convert(document.document(before)["findings"], tuple[Earlier, ...])
    told = msgspec.structs.replace(before, baseline="last.json", known=known)
    assert [finding.state.value for finding in told.findings()] == ["known"]
    assert playing.exit_code(told, allow_inconclusive=False) == 2
    assert playing.exit_code(told, allow_inconclusive=True) == 0


def test_an_exclusion_changes_nothing_except_a_missing_target_in_ci() -> None:
    missing = ends(BARE, Kind.EXCLUDED, Exclusion.REGISTRY_UNREACHABLE)
    unspoken = ends(BARE, Kind.EXCLUDED, Exclusion.ERA_NOT_SPOKEN)
    assert ended(missing, unspoken) == 0
    assert ended(unspoken, in_ci=True) == 0
    assert ended(missing, in_ci=True) == 1


def test_the_list_names_every_scenario_and_plays_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--list"]) == 0
    said = capsys.readouterr().out
    assert all(f"{scenario.id}  {scenario.title}" in said for scenario in CATALOGUE)


def test_the_neighbours_are_a_list_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--neighbours", "--list"]) == 0
    said = capsys.readouterr().out
    assert all(f"{scenario.id}  {scenario.title}" in said for scenario in NEIGHBOURS)
    assert not any(f"{scenario.id}  {scenario.title}" in said for scenario in CATALOGUE)


def test_the_list_as_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--list", "--only", "log-leakage", "--json", "-"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["scenarios"]
    assert (found["id"], found["owasp"]) == ("log-leakage", "MCP01:2025")


def test_an_unknown_scenario_is_usage_and_the_hint_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--only", "world-peace"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "doorward: error: there is no scenario 'world-peace'\n" in said.err
    assert "doorward: hint: one of: server-imitation" in said.err


@pytest.fixture(scope="module")
def log_leakage(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One real demo of the quickest scenario, reported in every form."""
    folder = tmp_path_factory.mktemp("demo")
    options = (
        "--only",
        "log-leakage",
        "--all-variants",
        "--topology",
        "wrap",
        "--seed",
        "3",
        "--html",
        str(folder / "m.html"),
        "--json",
        str(folder / "m.json"),
        "--junit",
        str(folder / "m.xml"),
        "--sarif",
        str(folder / "m.sarif"),
    )
    return folder, subprocess.run((*DEMO, *options), capture_output=True, text=True, timeout=110, check=False)


Demo = tuple[Path, "subprocess.CompletedProcess[str]"]


def runs_of(folder: Path) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads((folder / "m.json").read_text())["runs"]
    return runs


def test_the_json_keeps_the_schema_that_is_shipped(log_leakage: Demo) -> None:
    folder, _ = log_leakage
    written = json.loads((folder / "m.json").read_text())
    jsonschema_rs.validate(SCHEMA, written)
    assert (written["verb"], written["seed"], written["findings"]) == ("demo", 3, [])


def test_the_junit_has_one_case_for_each_run(log_leakage: Demo) -> None:
    folder, _ = log_leakage
    told = (folder / "m.xml").read_text()
    assert told.count("<testcase ") == 6
    assert 'tests="6" failures="0" errors="0" skipped="0"' in told


def test_the_sarif_of_a_demo_without_findings_has_rules_and_no_results(log_leakage: Demo) -> None:
    folder, _ = log_leakage
    (told,) = json.loads((folder / "m.sarif").read_text())["runs"]
    assert (len(told["tool"]["driver"]["rules"]), told["results"]) == (len(rules()), [])


def test_the_json_has_the_agreed_rows(log_leakage: Demo) -> None:
    folder, _ = log_leakage
    runs = runs_of(folder)
    assert [set(run) for run in runs] == [KEYS] * 6  # two eras; bare, as shipped, configured
    assert [run["configured"] for run in runs] == [None, False, True] * 2
    assert {run["target"] for run in runs} == {"naive", "relayed"}
    assert [run["outcome"] for run in runs if run["target"] == "naive"] == ["SUCCEEDED"] * 2


def test_the_matrix_is_on_stdout_and_the_progress_is_not(log_leakage: Demo) -> None:
    _, done = log_leakage
    assert "log-leakage  api-caller  2025-11-25  ATTACK SUCCEEDED 4/4" in done.stdout
    assert "doorward: note: 6 runs, seed 3" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stderr.count("log-leakage on api-caller") == 6


def test_the_page_shows_the_exchange_of_the_attack_and_no_planted_secret(log_leakage: Demo) -> None:
    folder, _ = log_leakage
    text = (folder / "m.html").read_text()
    assert "ATTACK SUCCEEDED 4/4" in text
    assert "call_external_api" in text
    assert "DENY by" in text or "NOTE by" in text
    assert "\u2039hidden:" in text
    assert "kestrel" not in text
    assert "ghp_" not in text


def test_behind_doorward_no_log_carries_the_secret_and_the_demo_says_all_is_well(log_leakage: Demo) -> None:
    folder, done = log_leakage
    relayed = [run for run in runs_of(folder) if run["target"] == "relayed"]
    assert {run["outcome"] for run in relayed} == {"PREVENTED"}, done.stdout
    assert done.returncode == 0


def test_the_guarded_twins_are_shown_beside_their_targets_in_every_form(tmp_path: Path) -> None:
    files = {name: str(tmp_path / f"g.{name}") for name in ("html", "json", "junit", "sarif")}
    options = [word for name, file in files.items() for word in (f"--{name}", file)]
    chosen = ("--guarded", "--only", "log-leakage", "--topology", "wrap", "--seed", "3")
    done = subprocess.run((*DEMO, *chosen, *options), capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads(Path(files["json"]).read_text())
    jsonschema_rs.validate(SCHEMA, written)
    runs = written["runs"]
    assert [(run["target"], run["outcome"]) for run in runs] == [("naive", "SUCCEEDED"), ("guarded", "PREVENTED")] * 2
    assert all(run["control"] == "masker" and run["evidence"]["benign"] for run in runs if run["target"] == "guarded")
    page, junit = Path(files["html"]).read_text(), Path(files["junit"]).read_text()
    assert "written with doorward.guard" in page
    assert "behind Doorward, as shipped" not in page
    assert 'tests="4" failures="0" errors="0" skipped="0"' in junit
    assert json.loads(Path(files["sarif"]).read_text())["runs"][0]["results"] == []


def test_of_the_guarded_twins_only_what_has_one_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--guarded", "--list"]) == 0
    listed = capsys.readouterr().out
    assert "path-traversal  " in listed
    assert "server-imitation" not in listed
    assert main(["demo", "--guarded", "--only", "server-imitation"]) == 2
    assert "there is no scenario with a twin 'server-imitation'" in capsys.readouterr().err
    assert main(["demo", "--guarded", "--topology", "serve-command"]) == 2
    assert "nothing of it is played over that" in capsys.readouterr().err
    assert main(["demo", "--guarded", "--neighbours"]) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_no_process_and_no_folder(number: signal.Signals) -> None:
    stages = Path("/tmp", f"demo-{os.getpid()}-{number}")  # short, for sockets
    stages.mkdir(mode=0o700)
    env = {**os.environ, "TMPDIR": str(stages)}
    with subprocess.Popen(
        (*DEMO, "--only", "log-leakage"), env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        try:
            started = started_below(run.pid)
            run.send_signal(number)
            run.communicate(timeout=30)
        finally:
            run.kill()
    assert run.returncode == 130
    assert {pid for pid in started if Path("/proc", str(pid), "exe").exists()} == set()
    left = list(stages.iterdir())
    stages.rmdir()
    assert left == []


def started_below(pid: int) -> set[int]:
    """The children of ``pid``, once there are two (stages) and Python is up in them."""
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        children = below(pid)
        if len(children) >= 2:
            return children
        time.sleep(0.02)
    raise AssertionError("the demo started nothing")


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_line_of_progress_fits_the_terminal_that_shows_it(columns: int) -> None:
    """A longer one would be drawn below itself at each change. Where stdout goes does not matter."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    draw = (
        "from doorward.cli import demo\n"
        "progress = demo._Progress(9, 1)\n"
        "demo._label = lambda cell, protection: 'a label of forty-two characters: ' + 'x' * 9\n"
        "for one in range(3): progress.started(None, None)\n"
    )
    env = {**os.environ, "TERM": "xterm"}
    env.pop("COLUMNS", None)
    try:
        subprocess.run(
            [sys.executable, "-c", draw], stderr=theirs, stdout=subprocess.PIPE, env=env, timeout=30, check=True
        )
        said = os.read(ours, 1 << 16).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    lines = said.rpartition("\n")[2].split("\r\x1b[2K")[1:]
    assert len(lines) == 3
    assert all(line.startswith("[....................] 0/9") for line in lines)
    assert max(map(len, lines)) <= columns - 3
    assert columns < 200 or len(lines[-1]) > 150

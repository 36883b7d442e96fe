"""`doorward doctor`: what is said of the walls was tried, here and now."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.gateway.wrapping import wait_until

from doorward.cli.main import main
from doorward.confine import probe
from doorward.confine.probe import WAYS, Holds
from doorward.controls import CONTROLS

PROMISED = tuple(way.id for way in WAYS)
FILTERED = """
import ctypes, struct, sys
from doorward.confine import landlock
code = b"".join(struct.pack("=HBBI", *one) for one in [
    (0x20, 0, 0, 0), (0x15, 4, 0, 444), (0x15, 1, 0, 56), (0x15, 0, 3, 220), (0x20, 0, 0, 16),
    (0x45, 0, 1, 0x10000000), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000)])
buffer = ctypes.create_string_buffer(code, len(code))
landlock.prctl(landlock.PR_SET_NO_NEW_PRIVS, 1)
landlock.prctl(22, 2, struct.pack("HP", 8, ctypes.addressof(buffer)))
from doorward.cli.main import main
sys.exit(main(["doctor"]))
"""


def test_each_mechanism_is_tried_and_each_way_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "namespaces: namespaces, landlock ABI" in said
    assert ", which servers get here" in said
    for way in WAYS:
        (line,) = (line for line in said.splitlines() if f"{way.what}  ({way.control}" in line)
        assert line.split()[:2] == ["closed", "closed"]
    assert "servers are confined as promised" in said


def test_every_way_that_is_promised_to_be_closed_names_its_control() -> None:
    assert {way.control for way in WAYS} <= CONTROLS.keys()
    assert len({way.id for way in WAYS}) == len(WAYS)


@pytest.mark.parametrize(
    ("wall", "opened"),
    [
        ("confine-files", {"read", "list", "write", "truncate"}),
        ("confine-privileges", {"privileges", "capabilities"} if os.geteuid() == 0 else {"privileges"}),
        ("confine-processes", {"signal"}),
    ],
)
def test_a_wall_that_is_out_is_found_out(wall: str, opened: set[str]) -> None:
    argv = [sys.executable, "-m", "doorward.lab.ablated", wall, "doctor", "--json"]
    done = subprocess.run(argv, capture_output=True, check=False, timeout=60)
    told = json.loads(done.stdout)
    assert (done.returncode, told["holds"]) == (1, False)
    assert opened <= {way["id"] for way in told["ways"] if way["state"] == "open"}


def test_where_nothing_can_be_confined_the_verb_fails_in_words() -> None:
    done = subprocess.run([sys.executable, "-c", FILTERED], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("doorward: error: this machine gives the server no namespaces")
    assert "neither namespaces nor landlock" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_way_that_is_shut_without_walls_too_proves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = tuple(id for id in PROMISED if id != "io-uring")
    monkeypatch.setattr(probe, "probe", lambda _mechanism: Holds("namespaces", 7, rest, (), ("io-uring",)))
    assert main(["doctor"]) == 0
    assert "also without walls: not proven to be ours" in capsys.readouterr().out


@pytest.mark.parametrize("groups", [("memory", "pids", "cpu"), ("memory", "pids"), ("pids",), ()])
def test_what_a_control_group_holds_is_said_and_what_holds_instead(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], groups: tuple[str, ...]
) -> None:
    monkeypatch.setattr(probe, "probe", lambda _mechanism: Holds("namespaces", 7, PROMISED, ()))
    monkeypatch.setattr(probe, "held", lambda: groups)
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert ("memory is capped for a server's whole tree" in said) is ("memory" in groups)
    assert ("processes are capped for a server's whole tree" in said) is ("pids" in groups)
    assert ("processors are a share for a server's whole tree" in said) is ("cpu" in groups)
    assert said.count("no control group can be had here") == 2 - len({*groups} - {"cpu"})
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["groups"] == list(groups)


def test_a_temporary_folder_may_lie_deeper_than_a_socket_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("deep" * 30)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    holds = probe.probe("namespaces")
    assert "path-socket" in holds.closed
    assert holds.as_promised


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_doctor_that_is_told_to_end_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    running = subprocess.Popen(
        ["env", "--default-signal", sys.executable, "-m", "doorward", "doctor"],  # under nohup one would be ignored
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    wait_until(lambda: any(tmp_path.glob("*/*")), "it tries something")  # and has it all in hand
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (128 + number, "", "")
    assert not list(tmp_path.iterdir())

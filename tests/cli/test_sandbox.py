"""`doorward sandbox show`: the profile that is enforced, and nothing is started."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import msgspec
import pytest

from doorward.cli.main import main
from doorward.cli.places import of_gateway
from doorward.gateway.command_use import WrapOptions, walls_of
from doorward.gateway.identity.command import identify
from doorward.policy.load import load
from doorward.policy.profiles import values


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """A command with a folder of its own; it would leave a mark if it ran."""
    monkeypatch.setenv("DOORWARD_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = tmp_path / "notes"
    folder.mkdir()
    script = tmp_path / "server" / "run.py"
    script.parent.mkdir()
    script.write_text(f"open({str(folder / 'ran')!r}, 'w')")
    return (sys.executable, str(script), str(folder))


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main(["sandbox", "show", "--json", *words]) == 0
    told: dict[str, object] = json.loads(capsys.readouterr().out)
    return told


def test_what_is_shown_is_what_wrap_would_enforce(
    tmp_path: Path, server: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    extra = tmp_path / "extra"
    extra.mkdir()
    told = shown(capsys, "--name", "notes", "--read", str(extra), "--", *server)
    options = WrapOptions(command=server, name="notes", read=(str(extra),))
    identity = identify(server, path=os.environ["PATH"], cwd=str(Path.cwd()), name="notes")
    walls = walls_of(options, identity, load(None), of_gateway(argparse.Namespace(state=None, config=None)))
    assert told["read"] == list(walls.read)
    assert told["write"] == list(walls.write)
    assert told["environment"] == sorted(name for name, _ in walls.env)
    assert told["folders"] == [
        {"path": str(tmp_path / "notes"), "access": "read and write", "named_by": "argument"},
        {"path": str(extra), "access": "read", "named_by": "--read"},
    ]
    assert (told["server"], told["profile"], told["network"]) == ("notes", "standard", "public")
    assert told["caps"] == msgspec.structs.asdict(values("standard").caps)


def test_what_it_may_use_up_is_shown_as_policy_lowers_it(
    tmp_path: Path, server: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "config" / "policy.toml"
    policy.parent.mkdir()
    policy.write_text("[servers.notes]\nprocessor_percent = 20\n")
    assert main(["sandbox", "show", "--config", str(policy), "--name", "notes", "--", *server]) == 0
    assert "\nat most: memory 2 GiB and 512 processes" in (said := capsys.readouterr().out)
    assert "20 % of the time of all processors" in said


def test_nothing_is_started(tmp_path: Path, server: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    shown(capsys, "--", *server)
    assert list((tmp_path / "notes").iterdir()) == []


def test_it_can_be_read_by_people(tmp_path: Path, server: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "show", "--name", "notes", "--", *server]) == 0
    said = capsys.readouterr().out
    assert f"  read and write  {tmp_path / 'notes'}  (argument)\n" in said
    assert said.startswith(f"notes, under standard: {sys.executable}, started in {Path.cwd()}\n")
    assert "network: public addresses, through doorward's proxy\n" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no command to look at"),
        (["--", "no-such-program-anywhere"], "is nowhere on PATH"),
        (["--", "cat", "/"], "would give the server the whole file system"),
        (["--read", "/no/such/folder", "--", "cat"], "/no/such/folder"),
        (["--network", "localhost", "--", "cat"], "--network 'localhost' is not HOST:PORT"),
        (["--network", "127.1:80", "--", "cat"], "is an address that not everybody reads alike"),
        (["--network", "none", "--network", "public", "--", "cat"], "--network none and --network public"),
    ],
)
def test_what_wrap_would_refuse_is_refused_in_the_same_words(
    words: list[str], said: str, server: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert server
    assert main(["sandbox", "show", *words]) == 2
    assert said in capsys.readouterr().err


def test_the_network_is_what_the_policy_and_the_command_line_say(
    tmp_path: Path, server: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "own" / "doorward.toml"
    policy.parent.mkdir()
    policy.write_text('[servers.notes]\nhosts = ["*.example.org"]\nconnect = ["DB.internal:5432"]\n')
    common = ("-c", str(policy), "--name", "notes")
    told = shown(capsys, *common, "--network", "[0::1]:80", "--", *server)
    assert (told["network"], told["hosts"]) == ("public", ["*.example.org"])
    assert told["connect"] == ["db.internal:5432", "[::1]:80"]
    told = shown(capsys, *common, "--network", "none", "--", *server)
    assert (told["network"], told["hosts"], told["connect"]) == ("none", [], ["db.internal:5432"])
    assert main(["sandbox", "show", *common, "--", *server]) == 0
    said = capsys.readouterr().out
    assert "network: public addresses of *.example.org, through doorward's proxy\n" in said
    assert "  and db.internal:5432, whatever that is\n" in said


def test_a_strict_server_has_no_network_unless_it_is_given_one(
    tmp_path: Path, server: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "own" / "doorward.toml"
    policy.parent.mkdir()
    policy.write_text('profile = "strict"\n')
    assert shown(capsys, "-c", str(policy), "--", *server)["network"] == "none"
    assert shown(capsys, "-c", str(policy), "--network", "public", "--", *server)["network"] == "public"

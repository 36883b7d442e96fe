"""``doorward pin``, as a person types it."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from pathlib import Path

import pytest

from doorward.cli.main import main
from doorward.policy.lock import read


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOORWARD_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "server.py").write_text("print(1)\n")
    return tmp_path


COMMAND = ("--", sys.executable, "server.py", "/data")


def test_a_command_is_shown_and_pinned_under_the_name_given(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    assert main(["pin", "accept", "--name", "notes", *COMMAND]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[0] == "notes"
    assert f"    command     {sys.executable} server.py /data\n" in out
    assert f"    script      {place}/server.py  sha256 " in out
    pin = read(place / "state" / "doorward.lock")["notes"]
    assert pin.argv == COMMAND[1:]
    assert pin.accepted_by.startswith("doorward pin accept, user ")


def test_without_a_name_one_is_derived_that_wrap_derives_too(place: Path) -> None:
    from doorward.gateway.identity.command import derived_name

    assert main(["pin", "accept", *COMMAND]) == 0
    assert set(read(place / "state" / "doorward.lock")) == {derived_name(COMMAND[1:])}


def test_accepting_again_changes_nothing(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    main(["pin", "accept", "--name", "notes", *COMMAND])
    before = (place / "state" / "doorward.lock").read_bytes()
    capsys.readouterr()
    assert main(["pin", "accept", "notes"]) == 0
    assert capsys.readouterr().out == "notes is pinned as it is already\n"
    assert (place / "state" / "doorward.lock").read_bytes() == before


def test_a_change_is_accepted_by_name_and_shown(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    main(["pin", "accept", "--name", "notes", *COMMAND])
    old = read(place / "state" / "doorward.lock")["notes"].script_sha256
    (place / "server.py").write_text("print(2)\n")
    capsys.readouterr()
    assert main(["pin", "accept", "notes"]) == 0
    new = read(place / "state" / "doorward.lock")["notes"].script_sha256
    assert new != old
    assert capsys.readouterr().out.startswith(f"script_sha256\n    - {old}\n    + {new}\nnotes\n")


def test_changed_arguments_need_the_whole_command(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    main(["pin", "accept", "--name", "notes", *COMMAND])
    capsys.readouterr()
    assert main(["pin", "accept", "--name", "notes", *COMMAND[:3], "/other"]) == 0
    assert capsys.readouterr().out.startswith("arguments\n    - server.py /data\n    + server.py /other\nnotes\n")
    assert read(place / "state" / "doorward.lock")["notes"].argv[-1] == "/other"


def test_a_command_with_a_secret_cannot_be_accepted_by_name(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    secret = "ghp_" + "q7" * 18
    assert main(["pin", "accept", "--name", "hub", *COMMAND, "--token", secret]) == 0
    assert secret not in capsys.readouterr().out
    assert secret not in (place / "state" / "doorward.lock").read_text()
    assert main(["pin", "accept", "hub"]) == 2
    assert "holds a secret that the lock file does not keep" in capsys.readouterr().err


def test_what_a_pin_cannot_prove_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pin", "accept", "--", "sh", "-c", "exec server"]) == 0
    assert re.fullmatch(r"doorward: note: what \w*sh runs is known by its arguments only\n", capsys.readouterr().err)


def test_pins_are_listed_for_people_and_for_scripts(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    for name in ("notes", "mail"):
        main(["pin", "accept", "--name", name, *COMMAND])
    capsys.readouterr()
    assert main(["pin", "list"]) == 0
    titles = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert titles == ["mail", "notes"]
    assert main(["pin", "list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [pin["name"] for pin in told["pins"]] == ["mail", "notes"]
    assert told["lock"] == str(place / "state" / "doorward.lock")


def test_nothing_pinned_is_said_beside_the_result(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    assert main(["pin", "list"]) == 0
    assert capsys.readouterr() == ("", f"doorward: note: nothing is pinned in {place}/state/doorward.lock\n")


def test_a_removed_pin_is_gone(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    main(["pin", "accept", "--name", "notes", *COMMAND])
    assert main(["pin", "remove", "notes"]) == 0
    assert read(place / "state" / "doorward.lock") == {}
    assert main(["pin", "remove", "notes"]) == 2
    assert (
        capsys.readouterr().err == "doorward: error: nothing is pinned as 'notes'\ndoorward: hint: doorward pin list\n"
    )


def test_the_lock_file_lies_beside_the_policy_that_was_named(place: Path) -> None:
    project = place / "project"
    project.mkdir()
    assert main(["-c", str(project / "doorward.toml"), "pin", "accept", "--name", "notes", *COMMAND]) == 0
    assert set(read(project / "doorward.lock")) == {"notes"}
    assert not (place / "state").exists()


URL = "https://mcp.example.com/mcp"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["notes", *COMMAND],
        ["notes", "--name", "x"],
        ["--name", "x"],
        ["--url", URL, *COMMAND],
        ["notes", "--url", URL],
    ],
)
def test_accept_takes_a_name_or_a_command_or_a_url(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(["pin", "accept", *words]) == 2
    assert "takes either a pinned name or a command or a URL" in capsys.readouterr().err


def test_an_unknown_name_and_a_missing_command_are_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pin", "accept", "never"]) == 2
    assert main(["pin", "accept", "--", "no-such-command"]) == 2
    err = capsys.readouterr().err
    assert "nothing is pinned as 'never'" in err
    assert "'no-such-command' is nowhere on PATH" in err


def test_json_tells_the_pin_and_the_difference(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    assert main(["pin", "accept", "--json", "--name", "notes", *COMMAND]) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["known"], first["differences"], first["pin"]["name"]) == (False, [], "notes")
    (place / "server.py").write_text("print(2)\n")
    assert main(["pin", "accept", "--json", "notes"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert [one["field"] for one in second["differences"]] == ["script_sha256"]
    assert second["known"] is True


def test_a_url_is_shown_pinned_listed_and_removed(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    assert main(["pin", "accept", "--url", URL, "--name", "tickets"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[:2] == ["tickets", f"    url         {URL}"]
    assert err == "doorward: note: whoever holds a certificate for mcp.example.com is taken for tickets\n"
    pin = read(place / "state" / "doorward.lock")["tickets"]
    assert (pin.kind, pin.url, pin.argv) == ("url", URL, ())
    text = (place / "state" / "doorward.lock").read_text()
    assert "argv" not in text
    assert f'url = "{URL}"\n' in text
    assert main(["pin", "list", "--json"]) == 0
    [listed] = json.loads(capsys.readouterr().out)["pins"]
    assert (listed["kind"], listed["url"]) == ("url", URL)
    assert main(["pin", "remove", "tickets"]) == 0
    assert read(place / "state" / "doorward.lock") == {}


def test_a_url_on_loopback_is_pinned_with_the_user_that_listens(
    capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        assert main(["pin", "accept", "--url", url, "--name", "notes"]) == 0
        assert f"    listener    owned by user {os.geteuid()} (" in capsys.readouterr().out
        assert main(["pin", "accept", "notes"]) == 0
        assert capsys.readouterr().out == "notes is pinned as it is already\n"
    assert read(place / "state" / "doorward.lock")["notes"].owner == os.geteuid()
    assert main(["pin", "accept", "--url", url]) == 2
    assert "nobody can tell whose socket listens" in capsys.readouterr().err


def test_another_url_is_accepted_under_the_name_and_shown(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    main(["pin", "accept", "--name", "tickets", *COMMAND])
    main(["pin", "accept", "--url", URL, "--name", "tickets"])
    capsys.readouterr()
    assert main(["pin", "accept", "--url", f"{URL}/v2", "--name", "tickets"]) == 0
    assert capsys.readouterr().out.startswith(f"url\n    - {URL}\n    + {URL}/v2\ntickets\n")
    assert read(place / "state" / "doorward.lock")["tickets"].url == f"{URL}/v2"


def test_a_url_with_a_secret_cannot_be_accepted_by_name(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    secret = "q7" * 18
    assert main(["pin", "accept", "--name", "hub", "--url", f"{URL}?api_key={secret}"]) == 0
    assert secret not in "".join(capsys.readouterr())
    assert secret not in (place / "state" / "doorward.lock").read_text()
    assert main(["pin", "accept", "hub"]) == 2
    assert "doorward pin accept --name hub --url URL" in capsys.readouterr().err


def test_a_url_that_could_be_read_otherwise_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pin", "accept", "--url", "http://127.0.0.1@evil.example/"]) == 2
    assert "before an @" in capsys.readouterr().err

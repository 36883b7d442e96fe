"""``doorward policy show``: what a person and a script are told about what is in force."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from doorward.cli.main import main
from doorward.policy.load import load
from doorward.policy.profiles import PROFILES, ROWS

EXAMPLE = Path(__file__).parents[2] / "examples" / "doorward.toml"


@pytest.fixture(autouse=True)
def no_policy_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def example(tmp_path: Path) -> Path:
    path = tmp_path / "example.toml"
    path.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    path.chmod(0o600)
    return path


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["policy", "show", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize("profile", PROFILES)
def test_every_row_is_shown_with_its_control_or_as_not_enforced_yet(
    capsys: pytest.CaptureFixture[str], profile: str
) -> None:
    blocks = shown(capsys, "--profile", profile).split("\n\n")[1:]
    assert len(blocks) == len(ROWS)
    for row, block in zip(ROWS, blocks, strict=True):
        title, _, rest = block.partition("\n")
        words = " ".join(rest.split())
        end = f"[{', '.join(row.controls)}]" if row.controls else "not enforced yet"
        if row.controls and row.not_yet:
            end += f" not enforced yet: {row.not_yet}"
        assert (title, words) == (row.title, f"{row.words(profile)} {end}")


def test_the_first_lines_say_which_profile_from_where(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys).splitlines()
    assert lines[0] == "profile standard, from the built-in defaults"
    assert lines[1] == f"policy digest {load(None).digest}"


def test_no_line_is_wider_than_the_terminal(capsys: pytest.CaptureFixture[str], example: Path) -> None:
    first, *lines = shown(capsys, "-c", str(example)).splitlines()
    assert first.endswith(f"from {example}")  # a path is as long as it is
    assert max(map(len, lines)) <= 100


def test_what_the_file_adds_is_shown(capsys: pytest.CaptureFixture[str], example: Path) -> None:
    text = shown(capsys, "-c", str(example))
    assert text.startswith(f"profile standard, from {example}\n")
    assert "\nyour policy file says\n    sizes: to server 1 MiB, from server 16 MiB, string argument 256 KiB" in text
    assert "\n    log floor: notice\n" in text
    assert "\nserver scripts\n" in text
    assert "    tool execute_script: ask before each call\n" in text
    assert "argument script_path: no_shell_metacharacters, path_below /safe/scripts\n" in text


def test_a_demand_is_shown_with_what_it_is_measured_by(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text("[servers.a.tools.t.arguments]\nx = { enum = ['b', 1], minimum = 0, read_only_sql = 'sqlite' }\n")
    text = shown(capsys, "-c", str(path))
    assert "    tool t, argument x: enum (b | 1), minimum 0, read_only_sql sqlite\n" in text
    assert '"enum": ["b", 1], "minimum": 0, "read_only_sql": "sqlite"' in text.replace("\n    ", " ")


PINNED = """version = 1
[pins.mine]
kind = "command"
argv = ["x"]
arguments_sha256 = "00"
executable = "/usr/bin/x"
first_seen = "2026-11-22T00:00:00Z"
accepted_by = "ada"
package = "pypi:mcp-server-sqlite 2025.4.25"
[pins.other]
kind = "command"
argv = ["y"]
arguments_sha256 = "00"
executable = "/usr/bin/y"
first_seen = "2026-11-22T00:00:00Z"
accepted_by = "ada"
"""


@pytest.mark.parametrize("text", ["", "[servers.mine]\nunsafe_no_profile = true\n"])
def test_what_is_demanded_of_a_well_known_server_is_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str
) -> None:
    path, lock = tmp_path / "p.toml", tmp_path / "doorward.lock"
    for file, content in ((path, text), (lock, PINNED)):
        file.write_text(content)
        file.chmod(0o600)
    out = shown(capsys, "-c", str(path))
    assert "\nserver mine is well known: profile sqlite\n    its pin names pypi:mcp-server-sqlite 2025.4.25\n" in out
    assert ("    tool read_query, argument query: read_only_sql sqlite\n" in out) is not bool(text)
    assert ("    not applied (unsafe_no_profile)\n" in out) is bool(text)
    assert "other is well known" not in out
    (told,) = json.loads(shown(capsys, "--json", "-c", str(path)))["known_servers"]
    assert (told["server"], told["profile"], told["applies"]) == ("mine", "sqlite", not text)


def test_a_policy_that_softens_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    import datetime

    path = tmp_path / "p.toml"
    today = datetime.date.today()  # noqa: DTZ011 (the operator's own calendar, as the loader reads it)
    path.write_text(f"unsafe_observe_until = {today}\n")
    assert f"\n    unsafe: controls that may soften only observe until {today} (unsafe_observe_until)\n" in shown(
        capsys, "-c", str(path)
    )


def test_a_profile_by_name_is_shown_as_shipped_whatever_the_file_says(
    capsys: pytest.CaptureFixture[str], example: Path
) -> None:
    assert shown(capsys, "-c", str(example), "--profile", "standard") == shown(capsys, "--profile", "standard")


def test_a_profile_that_does_not_exist_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "show", "--profile", "lax"]) == 2
    assert capsys.readouterr() == (
        "",
        "doorward: error: no profile is called 'lax'\ndoorward: hint: the profiles are standard and strict\n",
    )


def test_json_holds_the_effective_policy_and_every_default(capsys: pytest.CaptureFixture[str], example: Path) -> None:
    told = json.loads(shown(capsys, "--json", "-c", str(example)))
    policy = load(example)
    assert (told["profile"], told["digest"], told["source"]) == ("standard", policy.digest, str(example))
    assert told["values"]["sizes"]["to_server_bytes"] == 1024 * 1024
    assert told["servers"]["scripts"]["tools"]["execute_script"]["ask"] is True
    assert [one["id"] for one in told["defaults"]] == [row.id for row in ROWS]
    assert {one["id"] for one in told["defaults"] if not one["enforced"]} == {
        row.id for row in ROWS if not row.controls
    }

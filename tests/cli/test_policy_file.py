"""``doorward policy init``, ``check`` and ``schema``, and what ``show`` says of where each value comes from."""

from __future__ import annotations

import json
import re
import resource
import tomllib
from pathlib import Path
from typing import Any

import pytest

from doorward.cli.main import main
from doorward.cli.policy_file import write_new
from doorward.errors import UsageError
from doorward.policy import keys
from doorward.policy.load import load
from doorward.policy.profiles import PROFILES

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def usual(tmp_path: Path) -> Path:
    return tmp_path / "config" / "doorward" / "doorward.toml"


def written(folder: Path, text: str) -> Path:
    path = folder / "p.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def uncommented(text: str) -> str:
    """The file as if somebody had removed the ``#`` before every setting."""
    return re.sub(r"(?m)^#(?=[^ \n])", "", text)


# init


def test_init_writes_the_users_policy_readable_by_them_only(usual: Path, capsys: Output) -> None:
    assert main(["policy", "init"]) == 0
    assert capsys.readouterr().out.startswith(f"wrote {usual}\n")
    assert usual.stat().st_mode & 0o777 == 0o600
    assert usual.parent.stat().st_mode & 0o777 == 0o700
    assert load(usual).digest == load(None).digest


@pytest.mark.parametrize("profile", PROFILES)
def test_init_begins_with_a_profile_and_says_nothing_else(tmp_path: Path, profile: str) -> None:
    path = tmp_path / "new" / "mine.toml"
    assert main(["policy", "init", "--profile", profile, str(path)]) == 0
    assert tomllib.loads(path.read_text(encoding="utf-8")) == {"profile": profile}
    assert load(path).profile == profile


@pytest.mark.parametrize("profile", PROFILES)
def test_every_line_of_the_written_file_may_be_taken_into_use(tmp_path: Path, profile: str) -> None:
    path = tmp_path / "mine.toml"
    main(["policy", "init", "--profile", profile, str(path)])
    path.write_text(uncommented(path.read_text(encoding="utf-8")), encoding="utf-8")
    policy = load(path)
    assert set(policy.servers) == {"*", "notes", "reports"}
    assert policy.serve.public_url


def test_the_written_file_has_every_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    main(["policy", "init", str(path)])
    text = path.read_text(encoding="utf-8")
    raw = tomllib.loads(uncommented(text))
    assert raw["consent"].keys() == keys.CONSENT.keys()
    assert raw["sizes"].keys() == keys.SIZES.keys()
    assert raw["limits"].keys() == keys.LIMITS.keys()
    assert raw["rates"].keys() == keys.RATES.keys()
    assert raw["serve"].keys() == keys.SERVE.keys()
    raised = {
        "unsafe_memory_bytes",
        "unsafe_file_bytes",
        "unsafe_processes",
        "unsafe_processor_percent",
        "unsafe_sizes",
    }
    assert {key for server in raw["servers"].values() for key in server} | raised == keys.SERVER.keys()
    # What stands for something else that is there is named in the words.
    instead = {"unsafe_sizes", "unsafe_limits", "unsafe_rates", "unsafe_standing_approvals", "unsafe_floor", "for"}
    said = raw.keys() | raw["log"].keys() | raw["servers"]["notes"]["unsafe_standing_approvals"].keys()
    assert said | instead == keys.TOP.keys() | keys.LOG.keys() | keys.STANDING.keys()
    assert [name for name in instead if name not in text] == []


def test_init_leaves_a_file_alone_that_is_there(usual: Path, capsys: Output) -> None:
    usual.parent.mkdir(parents=True)
    usual.write_text("# mine\n")
    assert main(["policy", "init"]) == 2
    assert f"{usual} is there already" in capsys.readouterr().err
    assert usual.read_text() == "# mine\n"


def test_the_how_to_names_every_key_that_weakens() -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-policy.md"
    table = page.read_text(encoding="utf-8").partition("## What weakens\n")[2].partition("\n## ")[0]
    tables = (found for found in vars(keys).values() if isinstance(found, dict))
    unsafe = {key for table in tables for key in table if str(key).startswith("unsafe_")}
    assert len(unsafe) > 8
    assert sorted(key for key in unsafe if f"`{key}" not in table and f"`[{key}]" not in table) == []


@pytest.mark.parametrize("verb", ["init", "learn"])
def test_what_could_not_be_written_whole_is_not_left_there(tmp_path: Path, capsys: Output, verb: str) -> None:
    """An empty file would be the profile ``standard``, whatever was asked for, and no later ``init`` would mend it."""
    path = tmp_path / "mine.toml"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        if verb == "init":
            assert main(["policy", "init", "--profile", "strict", str(path)]) == 2
        else:
            with pytest.raises(UsageError, match="file too large"):
                write_new(path, "# learnt\n" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not path.exists()
    assert verb == "learn" or capsys.readouterr() == ("", f"doorward: error: cannot write {path}: file too large\n")


def test_init_follows_no_link(tmp_path: Path, usual: Path) -> None:
    usual.parent.mkdir(parents=True)
    usual.symlink_to(tmp_path / "elsewhere")
    assert main(["policy", "init"]) == 2
    assert not (tmp_path / "elsewhere").exists()


def test_init_writes_what_c_names(tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "c.toml"
    assert main(["-c", str(path), "policy", "init", "--json", "--profile", "strict"]) == 0
    assert json.loads(capsys.readouterr().out) == {"path": str(path), "profile": "strict"}
    assert load(path).profile == "strict"


def test_init_knows_no_third_profile_and_writes_nothing(usual: Path, capsys: Output) -> None:
    assert main(["policy", "init", "--profile", "lax"]) == 2
    assert "no profile is called 'lax'" in capsys.readouterr().err
    assert not usual.exists()


def test_init_leaves_nothing_where_others_could_replace_it(tmp_path: Path, capsys: Output) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert main(["policy", "init", str(shared / "p.toml")]) == 2
    assert "where others can replace it" in capsys.readouterr().err
    assert list(shared.iterdir()) == []


# check


def test_check_says_every_problem_with_its_line_and_what_to_write(tmp_path: Path, capsys: Output) -> None:
    path = written(tmp_path, '[serve]\nlisten = "0.0.0.0:1"\n[servers.a]\nurl = "ws://x"\ntool = 1\n')
    assert main(["policy", "check", str(path)]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == f"{path}:2: serve.listen: '0.0.0.0:1' would be a plaintext listener that is not loopback"
    assert lines[1].startswith("    hint: listen on 127.0.0.1")
    assert lines[2] == f"{path}:4: servers.a.url: ws:// is refused"
    assert lines[4:6] == [f"{path}:5: servers.a.tool: is not a known key", "    hint: did you mean 'tools'"]
    assert lines[6:] == ["3 problems: nothing starts under this file"]


def test_check_says_every_problem_as_json(tmp_path: Path, capsys: Output) -> None:
    path = written(tmp_path, "colour = 1\n[consent]\nhold_seconds = 0\n")
    assert main(["policy", "check", "--json", str(path)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [one["where"] for one in told["problems"]] == [f"{path}:1", f"{path}:3"]
    assert all(one.keys() == {"where", "what", "hint"} for one in told["problems"])
    assert (told["file"], told["digest"], told["weakens"]) == (str(path), "", [])


def test_check_of_what_is_no_toml_is_a_finding_too(tmp_path: Path, capsys: Output) -> None:
    assert main(["policy", "check", str(written(tmp_path, "[serve\n"))]) == 1
    assert "p.toml:1: is not TOML" in capsys.readouterr().out


def test_check_of_a_clean_file_says_what_it_weakens(tmp_path: Path, capsys: Output) -> None:
    text = '[unsafe_limits]\nsessions = 99\n[unsafe_standing_approvals]\nroots = true\nfor = "1h"\n'
    path = written(tmp_path, text)
    weakens = [
        "limits are raised (unsafe_limits): sessions",
        "roots of any server pass without a question for 1h from the start (unsafe_standing_approvals)",
    ]
    assert main(["policy", "check", str(path)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines() == [f"{path}: no problems, profile standard", *(f"unsafe: {one}" for one in weakens)]
    assert main(["policy", "check", "--json", str(path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["problems"], told["weakens"], told["digest"]) == ([], weakens, load(path).digest)


def test_check_without_a_file_looks_at_the_one_in_force(usual: Path, capsys: Output) -> None:
    assert main(["policy", "check"]) == 0
    assert capsys.readouterr().out.startswith("no policy file, so the built-in defaults: no problems")
    usual.parent.mkdir(parents=True)
    usual.write_text("colour = 1\n")
    usual.chmod(0o600)
    assert main(["policy", "check"]) == 1
    assert f"{usual}:1: colour: is not a known key" in capsys.readouterr().out


def test_check_of_a_file_that_is_not_there_is_no_finding_but_an_error(tmp_path: Path, capsys: Output) -> None:
    assert main(["policy", "check", str(tmp_path / "no.toml")]) == 2
    assert "there is no" in capsys.readouterr().err


# schema


def test_schema_prints_what_is_shipped(capsys: Output) -> None:
    assert main(["policy", "schema"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["properties"].keys() == keys.TOP.keys()


# show


def origins(capsys: Output, *words: str) -> dict[str, tuple[Any, str]]:
    assert main(["policy", "show", "--json", *words]) == 0
    return {
        ".".join(one["key"]): (one["value"], one["from"]) for one in json.loads(capsys.readouterr().out)["settings"]
    }


def test_without_a_file_values_come_from_the_profile_or_are_defaults(capsys: Output) -> None:
    found = origins(capsys)
    assert found["sizes.depth"] == (64, "profile standard")
    assert found["limits.sessions"] == (32, "profile standard")
    assert found["log.floor"] == ("info", "profile standard")
    assert found["consent.hold_seconds"] == (45, "default")
    assert found["serve.listen"] == ("127.0.0.1:8484", "default")
    assert {origin for _, origin in found.values()} == {"profile standard", "default"}


def test_what_a_file_says_comes_from_its_line(tmp_path: Path, capsys: Output) -> None:
    path = written(
        tmp_path,
        """profile = "strict"
unsafe_observe_until = 2020-01-01
[log]
unsafe_floor = "debug"
[unsafe_sizes]
depth = 99
[limits]
sessions = 2
[serve]
idle_seconds = 60
[unsafe_standing_approvals]
roots = true
for = "1h"
[servers.a]
url = "https://a.example/mcp"
grants = ["x"]
[servers.a.unsafe_standing_approvals]
sampling = true
expires = 2020-01-02
[servers.a.tools.run]
ask = false
arguments.cmd = { identifier = true, path_below = "/x" }
""",
    )
    found = origins(capsys, "-c", str(path))
    at = {key: (value, origin.removeprefix(f"{path}:")) for key, (value, origin) in found.items()}
    assert at["profile"] == ("strict", "1")
    assert at["unsafe_observe_until"] == ("2020-01-01", "2")
    assert at["log.unsafe_floor"] == ("debug", "4")
    assert at["unsafe_sizes.depth"] == (99, "6")
    assert at["sizes.nodes"] == (5000, "profile strict")
    assert at["limits.sessions"] == (2, "8")
    assert at["limits.children"] == (1, "profile strict")
    assert at["serve.idle_seconds"] == (60, "10")
    assert at["serve.max_seconds"] == (86_400, "default")
    assert at["unsafe_standing_approvals.roots"] == (True, "12")
    assert at["unsafe_standing_approvals.for"] == ("1h", "13")
    assert at["servers.a.url"] == ("https://a.example/mcp", "15")
    assert at["servers.a.grants"] == (["x"], "16")
    assert at["servers.a.path"] == ("/a/mcp", "default")
    assert at["servers.a.transport"] == ("streamable", "default")
    assert at["servers.a.unsafe_standing_approvals.expires"] == ("2020-01-02", "19")
    assert at["servers.a.tools.run.ask"] == (False, "21")
    assert at["servers.a.tools.run.arguments.cmd"] == ({"identifier": True, "path_below": "/x"}, "22")
    assert "log.floor" not in at
    assert "sizes.depth" not in at


def test_every_value_stands_once(tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "all.toml"
    main(["policy", "init", str(path)])
    path.write_text(uncommented(path.read_text(encoding="utf-8")), encoding="utf-8")
    capsys.readouterr()
    assert main(["policy", "show", "--json", "-c", str(path)]) == 0
    told = json.loads(capsys.readouterr().out)["settings"]
    names = [tuple(one["key"]) for one in told]
    assert len(names) == len(set(names))
    elsewhere = [tuple(one["key"]) for one in told if not one["from"].startswith(f"{path}:")]
    assert elsewhere == [("servers", "reports", "path")]


def test_people_are_told_where_values_come_from_too(tmp_path: Path, capsys: Output) -> None:
    path = written(
        tmp_path, '[servers."*"]\nenv = ["LANG"]\n[servers.a]\ncommand = ["x", "y"]\n[limits]\nsessions = 2\n'
    )
    assert main(["policy", "show", "-c", str(path)]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "limits: 64 concurrent, 2 sessions, 16 child processes, 128 subscriptions, 256 MiB in flight" in words
    assert "server a at /a/mcp: x y" in words
    assert f'servers.a.command = ["x", "y"] [{path}:4]' in words
    assert f'servers."*".env = ["LANG"] [{path}:2]' in words
    assert f"limits.sessions = 2 [{path}:6]" in words
    assert "limits.children = 16 [profile standard]" in words
    assert "serve.drain_seconds = 10 [default]" in words


def test_a_profile_by_name_comes_from_the_option(capsys: Output) -> None:
    assert origins(capsys, "--profile", "strict")["profile"] == ("strict", "--profile")

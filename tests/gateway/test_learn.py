"""``doorward learn``: what it proposes loads, lets the same calls pass, and refuses another."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.wrapping import DOORWARD, World, Wrapped

AGREEING = Path(__file__).with_name("agreeing_server.py")


def calls(world: World) -> list[dict[str, Any]]:
    """Seven ordinary calls: a choice, a number, a file, an address, a word, a text, a secret."""
    return [
        {
            "format": ("pdf", "html")[number % 2],
            "copies": number + 1,
            "path": str(world.folder / f"note-{number}.txt"),
            "source": f"https://files.example.com/reports/{number}",
            "branch": f"topic-{number}x",
            "title": f"Report, number {number}",
            "api_key": f"sk-live-{number}abcdefghijklmnop",
            "deep": {"list": [number]},
        }
        for number in range(7)
    ]


CHANGED: dict[str, Any] = {
    "format": "docx",
    "copies": 8,
    "source": "https://elsewhere.example.com/reports/1",
    "branch": "--upload-pack=x",
    "title": "a title; rm -rf and then some more",
}


def start(world: World, *before: str) -> Wrapped:
    command = (sys.executable, "-I", "-S", str(AGREEING), str(world.folder))
    wrapped = world.wrap(command, before=before, after=("--name", "agreeing"))
    wrapped.initialize()
    return wrapped


def learnt(world: World) -> str:
    wrapped = start(world)
    for given in calls(world):
        assert wrapped.text("do", **given) == "yes"
    assert wrapped.end() == 0
    done = world.doorward("learn", "--server", "agreeing")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_proposed_loads_lets_the_same_calls_pass_and_refuses_a_changed_one(world: World) -> None:
    text = learnt(world)
    policy = world.top / "config" / "proposed.toml"
    assert world.doorward("learn", "--server", "agreeing", "--write", str(policy)).returncode == 0
    assert policy.read_text() == text
    checked = world.doorward("policy", "check", str(policy))
    assert checked.returncode == 0, checked.stderr
    again = start(world, "-c", str(policy))
    for given in calls(world):
        assert again.text("do", **given) == "yes", again.stderr
    (world.top / "out.txt").write_text("x")
    for name, value in (CHANGED | {"path": str(world.top / "out.txt")}).items():
        assert "error" in again.call("do", **calls(world)[0] | {name: value}), name
    assert again.end() == 0


def test_each_line_says_from_how_many_calls_it_was_learnt_and_what_could_not_be(world: World) -> None:
    text = learnt(world)
    server = tomllib.loads(text)["servers"]["agreeing"]
    assert server["rate"]["burst"] >= 2 * 7
    assert server["tools"]["do"]["rate"]["burst"] >= 2
    assert "# 2 times what the 7 calls of one principal needed" in text
    rules = server["tools"]["do"]["arguments"]
    assert rules["format"] == {"enum": ["pdf", "html"]}
    assert rules["copies"] == {"integer": True, "minimum": 1, "maximum": 7}
    assert rules["path"]["path_below"] == str(world.folder.resolve())
    assert rules["source"]["url_allow"] == ["https://files.example.com"]
    assert rules["branch"] == {"identifier": True, "max_length": 8}
    assert "api_key" not in rules
    assert "# api_key: not learnt, the log masks 7 values of it" in text
    lines = [line for line in text.splitlines() if line.partition(" = ")[0] in rules]
    assert len(lines) == len(rules)
    assert all(line.endswith("# learnt from 7 calls") for line in lines)


def test_with_a_command_it_wraps_that_and_learns_from_what_passed_meanwhile(world: World) -> None:
    start(world).end()
    file = world.top / "config" / "proposed.toml"
    command = (sys.executable, "-I", "-S", str(AGREEING), str(world.folder))
    words = ("learn", "--server", "agreeing", "--write", str(file), "--", *command)
    wrapped = world.run((*DOORWARD, "--state", str(world.state), *words))
    wrapped.initialize()
    for given in calls(world):
        assert wrapped.text("do", **given) == "yes"
    assert wrapped.end() == 0
    assert "# learnt from 7 calls" in file.read_text()
    assert "read it, then doorward policy check" in wrapped.stderr


NARROW = """
[servers.agreeing.tools.do]
rate = { per_second = 1, burst = 2 }
[servers.agreeing.tools.do.arguments]
copies = { maximum = 2 }
"""


@pytest.mark.parametrize("observing", [False, True])
def test_a_run_may_observe_what_the_policy_in_force_refuses_and_leaves_it_as_it_was(
    world: World, observing: bool
) -> None:
    policy = world.top / "config" / "narrow.toml"
    policy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    policy.write_text(NARROW)
    file = world.top / "config" / "proposed.toml"
    command = (sys.executable, "-I", "-S", str(AGREEING), str(world.folder))
    words = ("learn", "--server", "agreeing", "--write", str(file), *(("--unsafe-observe",) if observing else ()))
    wrapped = world.run((*DOORWARD, "--state", str(world.state), "-c", str(policy), *words, "--", *command))
    wrapped.initialize()
    refused = ["error" in wrapped.call("do", **given) for given in calls(world)]
    assert wrapped.end() == 0
    assert any(refused) is not observing
    assert policy.read_text() == NARROW
    assert ("unsafe_observe_until" in wrapped.stderr) is observing
    assert ("--unsafe-observe" in wrapped.stderr) is not observing
    text = file.read_text()
    assert tomllib.loads(text).keys() == {"servers"}
    if observing:
        again = start(world, "-c", str(file))
        assert [again.text("do", **given) for given in calls(world)] == ["yes"] * 7
        again.end()


def test_only_a_run_can_observe(world: World) -> None:
    done = world.doorward("learn", "--server", "agreeing", "--unsafe-observe")
    assert done.returncode == 2
    assert "--unsafe-observe is for a command" in done.stderr


@pytest.mark.parametrize("words", [(), ("--write", "there.toml"), ("--write", "new.toml", "--since", "1h")])
def test_with_a_command_the_proposal_goes_to_a_new_file(world: World, words: tuple[str, ...]) -> None:
    (world.cwd / "there.toml").write_text("mine")
    done = world.doorward("learn", "--server", "agreeing", *words, "--", "true")
    assert (done.returncode, done.stdout) == (2, "")
    assert "a command needs --write FILE" in done.stderr


def test_a_file_that_is_there_is_left_alone(world: World) -> None:
    learnt(world)
    kept = world.top / "kept.toml"
    kept.write_text("mine")
    done = world.doorward("learn", "--server", "agreeing", "--write", str(kept))
    assert done.returncode == 2
    assert kept.read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--server", "nobody"), "nothing that 'nobody' was asked for"),
        (("--server", "agreeing", "--since", "tomorrow"), "is no time"),
        (("--server", "agreeing", "--since", "2999-01-01"), "nothing that 'agreeing' was asked for since 2999-01-01"),
        (("--server", "a/b"), "--server"),
        ((), "--server"),
    ],
)
def test_what_cannot_be_learnt_from_is_said(world: World, words: tuple[str, ...], told: str) -> None:
    learnt(world)
    done = world.doorward("learn", *words)
    assert done.returncode == 2
    assert told in done.stderr


def test_a_run_in_which_nothing_was_asked_for_says_so_and_makes_no_file(world: World) -> None:
    learnt(world)
    file = world.top / "proposed.toml"
    command = (sys.executable, "-I", "-S", str(AGREEING), str(world.folder))
    words = ("learn", "--server", "agreeing", "--write", str(file), "--", *command)
    wrapped = world.run((*DOORWARD, "--state", str(world.state), *words))
    assert wrapped.end() == 2
    assert "error: nothing that 'agreeing' was asked for in this run is recorded" in wrapped.stderr
    assert not file.exists()


def test_the_proposal_is_part_of_the_json(world: World) -> None:
    text = learnt(world)
    done = world.doorward("learn", "--server", "agreeing", "--since", "1h", "--json")
    found = json.loads(done.stdout)
    assert (found["server"], found["policy"]) == ("agreeing", text)
    assert found["requests"] > 7

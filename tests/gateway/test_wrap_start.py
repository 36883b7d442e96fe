"""What a wrap does before its server runs: places and options, who the server is, and refusals that start nothing."""

from __future__ import annotations

import datetime
import json
import shutil
from pathlib import Path

import pytest
from tests.gateway.wrapping import CRAFTED, DOORWARD, World, Wrapped, crafted


def refused(wrapped: Wrapped) -> str:
    """What stderr says of a wrap that ended with 2 and answered nothing."""
    assert wrapped.line() is None
    assert wrapped.wait() == 2
    assert "doorward: error: " in wrapped.stderr
    return wrapped.stderr


@pytest.fixture
def script(world: World) -> Path:
    """A copy of the crafted server, for the test to change."""
    copy = world.top / "server" / "notes.py"
    copy.parent.mkdir()
    shutil.copyfile(CRAFTED, copy)
    return copy


# Places and options.


@pytest.mark.parametrize("where", ["before", "after"])
def test_state_and_policy_may_stand_before_and_after_the_verb(world: World, where: str) -> None:
    policy = world.top / "config" / "policy.toml"
    policy.parent.mkdir()
    policy.write_text("[sizes]\nstring_argument_bytes = 100\n")
    options = ("--state", str(world.top / "elsewhere"), "-c", str(policy))
    words = ("wrap", *options) if where == "after" else (*options, "wrap")
    wrapped = world.run((*DOORWARD, *words, "--", *crafted()))
    wrapped.initialize()
    assert "error" in wrapped.call("echo", text="x" * 200)
    assert wrapped.end() == 0
    assert list((world.top / "elsewhere" / "audit").iterdir())
    assert (policy.parent / "doorward.lock").is_file()  # beside the policy that -c names
    assert not (world.top / "elsewhere" / "doorward.lock").exists()
    assert not world.state.exists()


def test_a_policy_in_the_working_directory_is_not_read(world: World) -> None:
    """A repository that someone cloned must not bring policy."""
    for name in ("doorward.toml", ".doorward.toml", "doorward/doorward.toml"):
        place = world.cwd / name
        place.parent.mkdir(exist_ok=True)
        place.write_text("this is not a policy, and would be refused if it were read")
    wrapped = world.wrap(crafted())
    wrapped.initialize()
    assert wrapped.text("echo", text="hello") == "hello"
    assert wrapped.end() == 0


def test_a_lock_file_in_the_working_directory_is_not_read(world: World) -> None:
    (world.cwd / "doorward.lock").write_text("no lock file at all")
    wrapped = world.wrap(crafted())
    wrapped.initialize()
    assert wrapped.end() == 0
    assert (world.cwd / "doorward.lock").read_text() == "no lock file at all"


def test_a_policy_that_does_not_parse_starts_nothing(world: World) -> None:
    policy = world.top / "policy.toml"
    policy.write_text('profile = "lax"\n')
    told = refused(world.wrap(crafted("plain", world.folder), before=("-c", str(policy))))
    assert "profile" in told


# What cannot be started.


def test_a_command_that_is_not_there_ends_with_2(world: World) -> None:
    told = refused(world.wrap(("no-such-mcp-server", "--serve")))
    assert "no-such-mcp-server" in told


def test_a_file_that_cannot_be_executed_ends_with_2(world: World) -> None:
    plain = world.top / "plain.txt"
    plain.write_text("not a program")
    refused(world.wrap((str(plain),)))


def test_a_program_without_a_format_ends_with_2_and_a_hint(world: World) -> None:
    program = world.top / "script"
    program.write_text("echo hello\n")
    program.chmod(0o755)
    assert "hint" in refused(world.wrap((str(program),)))


@pytest.mark.parametrize("folder", ["root", "home", "state"])
def test_a_folder_that_would_open_everything_is_refused_with_a_hint(world: World, folder: str) -> None:
    world.state.mkdir(mode=0o700)
    path = {"root": "/", "home": str(world.home), "state": str(world.state)}[folder]
    told = refused(world.wrap(crafted("plain", path)))
    assert path in told
    assert "doorward: hint: " in told


def test_no_command_ends_with_2_and_says_how_it_is_written(world: World) -> None:
    told = refused(world.run((*DOORWARD, "--state", str(world.state), "wrap")))
    assert "doorward wrap -- COMMAND" in told


# Who the server is.


def test_a_first_use_is_recorded_and_said_once(world: World) -> None:
    first = world.wrap(crafted(), after=("--name", "notes"))
    first.initialize()
    assert first.end() == 0
    assert "first use of notes" in first.stderr
    again = world.wrap(crafted(), after=("--name", "notes"))
    again.initialize()
    assert again.end() == 0
    assert "first use" not in again.stderr
    pins = json.loads(world.doorward("pin", "list", "--json").stdout)
    assert "notes" in json.dumps(pins)


def test_a_name_that_env_gives_and_nobody_set_is_said_and_doorwards_own_are_not_advised(world: World) -> None:
    served = world.wrap(crafted(), after=("--env", "MISSPELT_TOKEN"), env={"DOORWARD_STATE": str(world.state)})
    served.initialize()
    assert served.end() == 0
    assert "--env names what is not set here: MISSPELT_TOKEN" in served.stderr
    assert "DOORWARD_STATE" not in served.stderr


@pytest.mark.parametrize("verb", ["wrap", "sandbox show", "serve"])
def test_a_value_that_env_gives_is_refused_and_not_repeated(world: World, verb: str) -> None:
    """``docker -e NAME=VALUE`` is a habit, and stderr is in many clients a log."""
    last = ("--upstream", "true") if verb == "serve" else ("--", "true")
    told = world.doorward(*verb.split(), "--env", "A_TOKEN=a-value-of-mine", *last)
    assert (told.returncode, told.stdout) == (2, "")
    assert "doorward: error: --env 'A_TOKEN=…' is not the name of a variable\n" in told.stderr
    assert "doorward: hint: write the name only, no value" in told.stderr
    assert "a-value-of-mine" not in told.stderr


def test_a_changed_argument_under_a_known_name_starts_nothing(world: World) -> None:
    first = world.wrap(crafted("plain", world.folder), after=("--name", "notes"))
    first.initialize()
    assert first.end() == 0
    changed = crafted("plain", world.folder, "--verbose")
    told = refused(world.wrap(changed, after=("--name", "notes")))
    assert "notes is not what it was pinned as" in told
    assert "arguments" in told
    assert "doorward pin accept --name notes -- " in told


def test_the_command_that_the_hint_names_lets_the_change_in(world: World, script: Path) -> None:
    command = (crafted()[0], "-I", "-S", str(script), "plain")
    first = world.wrap(command, after=("--name", "notes"))
    first.initialize()
    assert first.end() == 0
    script.write_text(script.read_text() + "\n# another version\n")
    assert "script_sha256" in refused(world.wrap(command, after=("--name", "notes")))
    accepted = world.doorward("pin", "accept", "--name", "notes", "--", *command)
    assert accepted.returncode == 0, accepted.stderr
    again = world.wrap(command, after=("--name", "notes"))
    again.initialize()
    assert again.end() == 0


def test_a_near_miss_of_a_known_name_starts_nothing_while_nobody_can_be_asked(world: World) -> None:
    first = world.wrap(crafted(), after=("--name", "filesystem"))
    first.initialize()
    assert first.end() == 0
    told = refused(world.wrap(crafted("plain", world.folder), after=("--name", "filesytem")))
    assert "doorward pin accept --name filesytem" in told
    logs = world.logs()
    assert len(logs) == 2
    assert all(log["verified"] and log["closed"] for log in logs)


def test_the_strict_profile_asks_before_the_first_use(world: World) -> None:
    policy = world.top / "policy.toml"
    policy.write_text('profile = "strict"\n')
    told = refused(world.wrap(crafted("plain", world.folder), before=("-c", str(policy)), after=("--name", "notes")))
    assert "doorward consent" in told
    assert not (world.folder / "journal").exists()


def test_what_is_refused_before_the_start_never_ran(world: World) -> None:
    """The refusals above end with 2 before a process of the server exists."""
    first = world.wrap(crafted("plain", world.folder), after=("--name", "notes"))
    first.initialize()
    assert first.end() == 0
    touch = ("/usr/bin/touch", str(world.folder / "ran"))
    refused(world.wrap(touch, after=("--name", "notes")))
    assert not (world.folder / "ran").exists()


def test_a_program_that_cannot_be_executed_is_not_pinned(world: World) -> None:
    script = world.folder / "server"
    script.write_text("no first line that names an interpreter\n")
    script.chmod(0o755)
    refused(world.wrap((str(script),), after=("--name", "notes")))
    assert json.loads(world.doorward("pin", "list", "--json").stdout)["pins"] == []


def test_what_a_policy_weakens_is_said_at_the_start(world: World) -> None:
    policy = world.top / "etc" / "policy.toml"
    policy.parent.mkdir()
    day = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=3)
    policy.write_text(f'unsafe_observe_until = {day}\n[log]\nunsafe_floor = "debug"\n[unsafe_sizes]\ndepth = 100\n')
    wrapped = world.wrap(crafted("plain", world.folder), before=("-c", str(policy)), after=("--name", "notes"))
    wrapped.initialize()
    wrapped.end()
    said = "".join(line for line in wrapped.stderr.splitlines() if line.startswith("doorward: unsafe: "))
    assert [key for key in ("unsafe_sizes", "unsafe_floor", "unsafe_observe_until") if key not in said] == []

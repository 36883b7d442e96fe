"""How a wrap ends: exit codes, signals, and nothing of the server left behind, whatever happened."""

from __future__ import annotations

import os
import signal

import pytest
from tests.descendants import outside
from tests.gateway.wrapping import World, Wrapped, crafted, is_alive, wait_gone, wait_until


def started(world: World, mode: str = "plain", *options: str) -> Wrapped:
    wrapped = world.wrap(crafted(mode, world.folder), after=options)
    wrapped.initialize()
    return wrapped


def test_a_client_that_leaves_ends_the_server_and_the_exit_code_is_the_servers(world: World) -> None:
    wrapped = started(world, "code")
    below = wrapped.descendants()
    assert len(below) == 3  # the launcher, the first process of the server's namespace, and the server
    assert wrapped.end() == 3
    wait_gone(*below)


def test_the_exit_code_of_a_server_that_ends_by_itself_is_passed_on(world: World) -> None:
    wrapped = started(world)
    key = wrapped.start_asking("tools/call", {"name": "leave", "arguments": {"count": 41}})
    assert wrapped.answer_to(key)["error"]["data"]["outcome"] == "unknown"
    assert wrapped.wait() == 41


def test_a_server_killed_by_a_signal_gives_128_and_its_number(world: World) -> None:
    wrapped = started(world)
    wrapped.start_asking("tools/call", {"name": "kill_itself", "arguments": {}})
    assert wrapped.wait() == 128 + signal.SIGKILL
    assert "soon after it began" not in wrapped.stderr, "whoever was killed has not ended itself"


@pytest.mark.parametrize("options", [(), ("--unsafe-no-sandbox",)])
def test_a_server_that_fails_at_once_is_said_to_and_how_to_see_what_it_lacks(
    world: World, options: tuple[str, ...]
) -> None:
    wrapped = world.wrap(("/bin/sh", "-c", "exit 5"), after=options)
    assert wrapped.wait() == 5
    assert ("ended with 5 soon after it began" in wrapped.stderr) == (not options)
    assert ("doorward sandbox learn -- COMMAND…" in wrapped.stderr) == (not options)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_doorward_reaches_the_server(world: World, number: signal.Signals) -> None:
    wrapped = started(world)
    below = wrapped.descendants()
    wrapped.process.send_signal(number)
    assert wrapped.wait() == 128 + number
    wait_gone(*below)


def test_a_server_that_ignores_its_end_and_the_signal_is_killed(world: World) -> None:
    wrapped = started(world, "stubborn")
    below = wrapped.descendants()
    assert wrapped.end() == 128 + signal.SIGKILL
    wait_gone(*below)


def test_a_server_that_never_answers_is_ended_after_its_client_left(world: World) -> None:
    wrapped = world.wrap(crafted("silent"))
    wrapped.start_asking("tools/list")
    wait_until(lambda: len(wrapped.descendants()) == 3, "the server runs")
    below = wrapped.descendants()
    wrapped.close_stdout()
    wrapped.end()
    wait_gone(*below)


def test_a_server_that_closes_its_output_and_lives_on_is_ended_and_who_waits_hears_of_it(world: World) -> None:
    wrapped = world.wrap(("/bin/sh", "-c", "exec sleep 600 >&-"))
    assert wrapped.initialize()["error"]["data"]["outcome"] == "unknown"
    assert wrapped.wait() == 128 + signal.SIGTERM
    assert "no answer to initialize: the server closed its output" in wrapped.stderr


def test_a_client_whose_output_broke_ends_the_server(world: World) -> None:
    wrapped = started(world)
    below = wrapped.descendants()
    wrapped.close_stdout()
    wrapped.start_asking("tools/call", {"name": "echo", "arguments": {"text": "anyone?"}})
    wrapped.wait()
    wait_gone(*below)


@pytest.mark.parametrize("end", ["stdin", "term", "kill"])
def test_a_daemon_of_the_server_does_not_outlive_the_wrap(world: World, end: str) -> None:
    wrapped = started(world)
    daemon = int(wrapped.text("daemon"))
    below = wrapped.descendants()
    assert outside(daemon, below) in below
    if end == "stdin":
        wrapped.end()
    else:
        wrapped.process.send_signal(signal.SIGTERM if end == "term" else signal.SIGKILL)
        wrapped.wait()
    wait_gone(*below)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_wrap_that_is_ended_while_it_starts_leaves_nothing(world: World, number: signal.Signals) -> None:
    """The server's temporary folder is the last thing that goes: then nothing of it runs any more."""
    temporary = world.top / "temporary"
    temporary.mkdir()
    wrapped = world.wrap(crafted("plain", world.folder), env={"TMPDIR": str(temporary)})
    wait_until(lambda: len(wrapped.descendants()) > 0, "the launcher runs")
    below = wrapped.descendants()
    wrapped.process.send_signal(number)
    assert wrapped.wait() in (-number, 128 + number)
    wait_until(lambda: not list(temporary.iterdir()), "the temporary folder is gone")
    wait_gone(*below)


def test_a_daemon_does_not_outlive_a_launcher_that_was_killed(world: World) -> None:
    wrapped = started(world)
    daemon = outside(int(wrapped.text("daemon")), wrapped.descendants())
    launcher, server, *_ = wrapped.descendants()
    os.kill(launcher, signal.SIGKILL)
    assert wrapped.wait() == 128 + signal.SIGKILL
    wait_gone(launcher, server, daemon)


def test_whoever_waits_hears_that_the_outcome_is_unknown_when_the_server_dies_in_its_answer(world: World) -> None:
    wrapped = started(world)
    answer = wrapped.call("die")
    told = answer["error"]
    assert (told["data"]["outcome"], told["data"]["retry"]) == ("unknown", "not safe")
    shown = world.doorward("audit", "show", told["data"]["reference"])
    assert shown.returncode == 0, shown.stderr
    assert "unknown" in shown.stdout
    assert wrapped.wait() == 7


def test_a_call_in_flight_is_answered_after_its_client_closed_its_side(world: World) -> None:
    wrapped = started(world)
    first = wrapped.start_asking("tools/call", {"name": "note", "arguments": {"text": "last words"}})
    wrapped.close_stdin()
    assert wrapped.answer_to(first)["result"]["content"][0]["text"] == "noted"
    assert wrapped.wait() == 0
    assert (world.folder / "journal").read_text() == "last words\n"


def test_every_end_leaves_a_log_that_verifies(world: World) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        wrapped = started(world)
        assert wrapped.text("echo", text="hello") == "hello"
        wrapped.process.send_signal(number)
        wrapped.wait()
    last = started(world)
    assert is_alive(last.pid)
    last.end()
    logs = world.logs()
    assert len(logs) == 3
    assert all(log["verified"] and log["closed"] for log in logs)

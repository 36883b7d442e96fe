"""What cannot be recorded does not happen, and whoever asked is told; when the disk has room again, all goes on."""

from __future__ import annotations

import resource
import signal
from typing import Any

from tests.gateway.wrapping import World, Wrapped, crafted, wait_until

from doorward.audit.reader import last

_, UNLIMITED = resource.getrlimit(resource.RLIMIT_FSIZE)


def started(world: World) -> Wrapped:
    wrapped = world.wrap(crafted("plain", world.folder), after=("--name", "notes"))
    wrapped.initialize()
    assert wrapped.text("note", text="with room") == "noted"
    return wrapped


def fill_the_disk(wrapped: Wrapped) -> None:
    """From now on no file of this process can grow: for its archive, a disk without room. The server has its own."""
    resource.prlimit(wrapped.pid, resource.RLIMIT_FSIZE, (0, UNLIMITED))


def make_room(wrapped: Wrapped) -> None:
    resource.prlimit(wrapped.pid, resource.RLIMIT_FSIZE, (UNLIMITED, UNLIMITED))


def error(answer: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return answer["error"]["code"], answer["error"]["data"]


def test_a_call_that_cannot_be_recorded_is_not_made_and_the_next_one_is_once_there_is_room(world: World) -> None:
    wrapped = started(world)
    fill_the_disk(wrapped)
    for _ in range(3):
        assert error(wrapped.call("note", text="without room")) == (-31003, {"executed": False, "recorded": False})
    make_room(wrapped)
    assert wrapped.text("note", text="room again") == "noted"
    assert wrapped.end() == 0
    assert (world.folder / "journal").read_text() == "with room\nroom again\n"
    (log,) = world.logs()
    assert log["verified"]
    assert log["closed"]


def test_an_outcome_that_cannot_be_recorded_is_withheld_and_written_later(world: World) -> None:
    wrapped = started(world)
    key = wrapped.start_asking("tools/call", {"name": "hold", "arguments": {"text": "go"}})
    wait_until(lambda: "began" in (world.folder / "journal").read_text(), "the call is under way")
    fill_the_disk(wrapped)
    (world.folder / "go").touch()
    assert error(wrapped.answer_to(key)) == (-31003, {"executed": True, "recorded": False})
    assert error(wrapped.call("note", text="no")) == (-31003, {"executed": False, "recorded": False})
    make_room(wrapped)
    assert wrapped.text("note", text="room again") == "noted"
    assert wrapped.end() == 0

    written = [found.entry for found in last(world.state, 10_000).found]
    held = [entry.kind for entry in written if entry.subject == "hold"]
    assert sorted(held) == ["intent", "outcome"]
    assert "began\nroom again\n" in (world.folder / "journal").read_text()
    (log,) = world.logs()
    assert log["verified"]
    assert log["closed"]


def test_a_disk_that_stays_full_does_not_keep_a_wrap_from_ending(world: World) -> None:
    wrapped = started(world)
    below = wrapped.descendants()
    fill_the_disk(wrapped)
    assert error(wrapped.call("note", text="no"))[1]["executed"] is False
    wrapped.process.send_signal(signal.SIGTERM)
    assert wrapped.wait() == 128 + signal.SIGTERM
    assert below
    again = world.wrap(crafted("plain", world.folder), after=("--name", "notes"))
    again.initialize()
    assert again.end() == 0
    logs = world.logs()
    assert len(logs) == 2
    assert all(log["verified"] and log["closed"] for log in logs)


def test_a_state_directory_that_cannot_be_written_starts_no_server(world: World) -> None:
    world.state.mkdir(mode=0o700)
    (world.state / "audit").write_text("in the way of the folder")
    wrapped = world.wrap(crafted("plain", world.folder), after=("--name", "notes"))
    wrapped.start_asking("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}})
    assert wrapped.line() is None
    assert wrapped.wait() == 2
    assert "doorward: error: " in wrapped.stderr

"""What cannot be recorded does not happen; when the disk has room again all goes on, and sudden deaths lose nothing."""

from __future__ import annotations

import json
import random
import resource
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.gateway.serving_badly import Served, Upstream, request, serve
from tests.gateway.wrapping import World, crafted, wait_gone, wait_until

from doorward.audit.entry import Entry, decode
from doorward.audit.reader import last

_, UNLIMITED = resource.getrlimit(resource.RLIMIT_FSIZE)
ROOM_TO_SPEAK = 8 * 1024
SEED, ROUNDS = 20261125, 5


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.stop()


def fill_the_disk(served: Served) -> None:
    """From now on no file of this process can grow: for its archive, a disk without room. What it says still fits."""
    resource.prlimit(served.pid, resource.RLIMIT_FSIZE, (ROOM_TO_SPEAK, UNLIMITED))


def make_room(served: Served) -> None:
    resource.prlimit(served.pid, resource.RLIMIT_FSIZE, (UNLIMITED, UNLIMITED))


@pytest.mark.parametrize("modern", [False, True], ids=["legacy", "modern"])
def test_a_full_disk_refuses_and_room_lets_all_go_on(world: World, upstream: Upstream, modern: bool) -> None:
    served = serve(world, upstream.url)
    with served.client() if modern else served.session() as client:
        assert client.call("echo", modern=modern, text="with room")["result"]
        fill_the_disk(served)
        for _ in range(3):
            error = client.call("echo", modern=modern, text="without room")["error"]
            assert (error["code"], error["data"]) == (-31003, {"executed": False, "recorded": False})
        with served.client() as another:  # neither a new session, nor its first link
            assert another.initialize().message["error"]["code"] == -31003
            assert not another.session
        make_room(served)
        assert client.call("echo", modern=modern, text="room again")["result"]
        with served.session() as another:
            assert another.call("echo", text="a new one too")["result"]
    assert upstream.calls == ["with room", "room again", "a new one too"]
    assert "cannot be written" in next(one.reason for one in served.findings() if one.control == "archive")
    served.process.process.terminate()
    assert served.process.wait() == 0
    assert all(log["verified"] and log["closed"] for log in world.logs())


def test_the_first_record_of_a_link_is_there_even_if_the_disk_was_full_at_its_beginning(
    world: World, upstream: Upstream
) -> None:
    served = serve(world, upstream.url)
    fill_the_disk(served)
    with served.client() as client:
        assert client.call("echo", modern=True, text="no")["error"]["code"] == -31003
        make_room(served)
        assert client.call("echo", modern=True, text="yes")["result"]
    entries = [found.entry for found in last(world.state, 1000).found]
    links = {entry.link for entry in entries if entry.subject == "echo" and entry.kind == "intent"}
    assert links
    assert links <= {entry.link for entry in entries if entry.kind == "opened"}


def test_an_outcome_that_cannot_be_recorded_is_withheld_and_written_later(world: World) -> None:
    served = serve(world, policy=_policy(world))
    with served.session("/notes/mcp") as client, served.session("/notes/mcp") as other:
        client.start_call("hold", text="go")
        journal = world.folder / "journal"
        wait_until(lambda: journal.exists() and "began" in journal.read_text(), "the call is under way")
        fill_the_disk(served)
        (world.folder / "go").touch()
        error = client.answer().message["error"]
        assert (error["code"], error["data"]) == (-31003, {"executed": True, "recorded": False})
        assert other.call("note", text="no")["error"]["data"]["executed"] is False
        make_room(served)
        assert client.call("note", text="room again")["result"]
        assert other.call("note", text="here too")["result"]
    entries = [found.entry for found in last(world.state, 1000).found]
    assert sorted(entry.kind for entry in entries if entry.subject == "hold") == ["intent", "outcome"]
    assert journal.read_text() == "began\nroom again\nhere too\n"


def _policy(world: World) -> str:
    return f"[servers.notes]\ncommand = {json.dumps(list(crafted('plain', world.folder)))}\n"


# --- killed at any moment ---------------------------------------------------------------------------------------------


class Callers:
    """Clients of both eras that call without a pause until nobody answers; ``answered`` says what and when."""

    def __init__(self, served: Served, name: str) -> None:
        self.answered: dict[str, float] = {}  # when
        self._threads = [
            threading.Thread(target=self._work, args=(served, f"{name}-{number}", number % 2), daemon=True)
            for number in range(4)
        ]
        for thread in self._threads:
            thread.start()

    def _work(self, served: Served, name: str, modern: int) -> None:
        try:
            with served.client() as client:
                if not modern:
                    client.initialize()
                for number in range(100_000):
                    text = f"{name}-{number}"
                    assert client.call("echo", modern=bool(modern), text=text)["result"]
                    self.answered[text] = time.monotonic()
        except (OSError, ValueError, StopIteration, RuntimeError, IndexError):
            return  # it was killed

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


def test_whatever_moment_it_is_killed_at_the_log_verifies_and_knows_every_call_that_arrived(
    world: World, upstream: Upstream
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - moments, not secrets
    answered: set[str] = set()
    owed: set[str] = set()
    for number in range(ROUNDS):
        served = serve(world, upstream.url)
        callers = Callers(served, f"r{number}")
        wait_until(lambda callers=callers: len(callers.answered) >= 4, "calls under way")  # type: ignore[misc]
        threading.Event().wait(chance.uniform(0, 1.3))
        served.process.process.kill()
        killed_at = time.monotonic()
        served.process.wait()
        callers.join()
        answered |= callers.answered.keys()
        owed |= {text for text, at in callers.answered.items() if at < killed_at - 1}
    after = serve(world, upstream.url)  # recovers what the others left
    with after.session() as client:
        assert client.call("echo", text="after all")["result"]
    after.process.process.terminate()
    assert after.process.wait() == 0
    logs = world.logs()
    assert len(logs) == ROUNDS + 1
    assert all(log["verified"] for log in logs)

    entries = _every_entry(world)
    calls = [entry for entry in entries if entry.method == "tools/call"]
    intents = {_text(entry): (entry.link, entry.request) for entry in calls if entry.kind == "intent"}
    ended = {(entry.link, entry.request) for entry in calls if entry.kind == "outcome"}
    assert len(set(upstream.calls)) == len(upstream.calls), "nothing was sent twice"
    assert intents.keys() >= set(upstream.calls) >= answered >= owed
    assert owed
    assert ended >= {intents[text] for text in owed}


def _every_entry(world: World) -> list[Entry]:
    """From the files themselves: a search shows so many of one log and no more."""
    entries: list[Entry] = []
    for log in sorted((world.state / "audit").glob("*.sqlite")):
        with closing(sqlite3.connect(log)) as connection:
            entries += [decode(leaf) for (leaf,) in connection.execute("SELECT leaf FROM entries ORDER BY idx")]
    return entries


def _text(entry: Entry) -> str:
    return str(json.loads(entry.body)["params"]["arguments"]["text"])


def test_children_of_a_gateway_that_was_killed_are_gone(world: World) -> None:
    for wait in (0.0, 0.1):
        served = serve(world, policy=_policy(world))
        sessions = [served.session("/notes/mcp") for _ in range(3)]
        sessions[0].start_call("daemon")
        sessions[1].start_call("hang")
        threading.Event().wait(wait)
        below = served.process.descendants()
        assert len(below) >= 6
        served.process.process.kill()
        served.process.wait()
        wait_gone(*below)
        for session in sessions:
            session.leave()
    after = serve(world, policy=_policy(world))
    with after.session("/notes/mcp") as client:
        assert client.say(request(7, "ping")).status == 200
    assert all(log["verified"] for log in world.logs())

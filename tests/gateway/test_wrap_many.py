"""Many wraps share one state directory, some of them die, and every log holds: all that was acknowledged is there."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

from tests.gateway.wrapping import World, Wrapped, crafted, wait_gone, wait_until

from doorward.audit.entry import Entry
from doorward.audit.reader import last

# Names that nobody can mistake for each other, or a wrap would rightly ask.
NAMES = ("calendar", "database", "filesystem", "git", "mail", "payments", "research", "scripts", "tickets", "weather")
WRAPS = len(NAMES)
CALLS = 100
KILLED = {3: 40, 7: 71}  # which wrap, and after how many of its calls


def entries(world: World) -> dict[str, list[Entry]]:
    """All entries of all logs, by log."""
    found = last(world.state, 1_000_000)
    assert found.unreadable == ()
    by_log: dict[str, list[Entry]] = {}
    for one in found.found:
        by_log.setdefault(one.log, []).append(one.entry)
    return by_log


def acknowledge(wrapped: Wrapped, number: int) -> None:
    assert wrapped.text("note", text=f"call {number}") == "noted"


def start_all(world: World) -> list[Wrapped]:
    wraps = []
    for number, name in enumerate(NAMES):
        folder = world.top / f"folder-{number}"
        folder.mkdir()
        wraps.append(world.wrap(crafted("plain", folder), after=("--name", name)))
    for wrapped in wraps:
        wrapped.initialize()
    return wraps


def call_all(wraps: list[Wrapped]) -> dict[int, int]:
    """Each wrap gets its calls, all of them at the same time; returns how many each acknowledged."""
    acknowledged = dict.fromkeys(range(WRAPS), 0)
    for call in range(CALLS):
        asked = {}
        for number, wrapped in enumerate(wraps):
            if KILLED.get(number, CALLS) >= call:
                asked[number] = wrapped.start_asking("tools/call", {"name": "note", "arguments": {"text": f"{call}"}})
            if KILLED.get(number) == call:
                wrapped.process.send_signal(signal.SIGKILL)  # with a call under way
                del asked[number]
        for number, key in asked.items():
            answer = wraps[number].answer_to(key)
            assert answer["result"]["content"][0]["text"] == "noted", answer
            acknowledged[number] += 1
    return acknowledged


def journal(world: World, number: int) -> list[str]:
    return (world.top / f"folder-{number}" / "journal").read_text().splitlines()


def test_ten_wraps_at_once_share_one_state_and_two_killed_ones_lose_nothing(world: World) -> None:
    wraps = start_all(world)
    below = [pid for wrapped in wraps for pid in wrapped.descendants()]
    acknowledged = call_all(wraps)
    for number, wrapped in enumerate(wraps):
        assert wrapped.wait() == -signal.SIGKILL if number in KILLED else wrapped.end() == 0, wrapped.stderr
    wait_gone(*below)

    logs = {log["log"]: log for log in world.logs()}
    assert len(logs) == WRAPS
    assert all(log["verified"] for log in logs.values())
    assert sum(not log["closed"] for log in logs.values()) == len(KILLED)
    by_server = {written[0].detail["label"]: written for written in map(_in_order, entries(world).values())}
    for number in range(WRAPS):
        (written,) = [found for label, found in by_server.items() if label == NAMES[number]]
        outcomes = sum(entry.kind == "outcome" and entry.method == "tools/call" for entry in written)
        intents = sum(entry.kind == "intent" and entry.method == "tools/call" for entry in written)
        assert outcomes >= acknowledged[number] == min(CALLS, KILLED.get(number, CALLS))
        assert intents >= len(journal(world, number)) >= acknowledged[number]  # recorded before its effect

    _recovers(world)


def _in_order(written: list[Entry]) -> list[Entry]:
    return sorted(written, key=lambda entry: entry.index)


def _recovers(world: World) -> None:
    """The next wrap, of any server, ends what the killed ones left, and says so."""
    after = world.wrap(crafted(), after=("--name", "afterwards"))
    after.initialize()
    acknowledge_echo(after)
    assert after.end() == 0
    assert after.stderr.count("an earlier run was interrupted") == len(KILLED), after.stderr
    logs = world.logs()
    assert len(logs) == WRAPS + 1
    assert all(log["verified"] and log["closed"] and log["unsigned_tail"] == 0 for log in logs)
    kinds = Counter(entry.kind for written in entries(world).values() for entry in written)
    assert kinds["interrupted"] == len(KILLED)


def acknowledge_echo(wrapped: Wrapped) -> None:
    assert wrapped.text("echo", text="hello") == "hello"


def test_a_restart_after_a_kill_names_the_call_that_was_under_way(world: World) -> None:
    wrapped = world.wrap(crafted("plain", world.folder), after=("--name", "notes"))
    wrapped.initialize()
    acknowledge(wrapped, 1)
    wrapped.start_asking("tools/call", {"name": "hold", "arguments": {"text": "never"}})
    wait_until(lambda: "began" in (world.folder / "journal").read_text(), "the call is under way")
    below = wrapped.descendants()
    wrapped.process.send_signal(signal.SIGKILL)
    wrapped.wait()
    wait_gone(*below)

    again = world.wrap(crafted("plain", world.folder), after=("--name", "notes"))
    again.initialize()
    assert again.end() == 0
    assert "an earlier run was interrupted" in again.stderr
    assert "1 requests without an outcome (tools/call hold)" in again.stderr
    assert all(log["verified"] and log["closed"] for log in world.logs())


def test_many_first_uses_of_one_name_record_one_pin(world: World) -> None:
    """All start at once; one records the first use, the others find it."""
    wraps = [world.wrap(crafted(), after=("--name", "notes")) for _ in range(5)]
    for wrapped in wraps:
        wrapped.initialize()
    for wrapped in wraps:
        assert wrapped.end() == 0, wrapped.stderr
    assert (world.state / "doorward.lock").read_text().count("first_seen") == 1
    assert len({Path(log["log"]).name for log in world.logs()}) == 5

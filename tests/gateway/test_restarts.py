"""A server that ends by itself is started again: at once, then after pauses that double, for whoever it was."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.gateway.serving import by_command, initialize, place
from tests.gateway.wrapping import crafted

from doorward.gateway.upstream.restarts import (
    FORGOTTEN_S,
    LONGEST_PAUSE_S,
    START_EVERY_S,
    STARTS_AT_ONCE,
    Restarts,
    Starts,
)


def after(ends: int) -> Restarts:
    restarts = Restarts()
    for _ in range(ends):
        restarts.ended("ada", 100.0)
    return restarts


@pytest.mark.parametrize(("ends", "pause"), [(0, 0), (1, 0), (2, 0.25), (3, 0.5), (4, 1), (6, 4), (7, 4), (5000, 4)])
def test_the_pause_doubles_to_its_bound(ends: int, pause: float) -> None:
    assert after(ends).pause("ada", 100.0) == pause


def test_time_that_has_passed_counts() -> None:
    assert after(6).pause("ada", 101.0) == LONGEST_PAUSE_S - 1.0
    assert after(6).pause("ada", 110.0) == 0


def test_another_principal_does_not_wait() -> None:
    assert after(9).pause("bob", 100.0) == 0


def test_after_a_while_an_end_is_the_first_again() -> None:
    restarts = after(9)
    restarts.ended("ada", 100.0 + FORGOTTEN_S)
    assert restarts.pause("ada", 100.0 + FORGOTTEN_S) == 0


def test_some_are_started_at_once_and_then_one_after_the_other() -> None:
    starts = Starts()
    assert {starts.pause("ada", 100.0) for _ in range(STARTS_AT_ONCE)} == {0}
    assert [starts.pause("ada", 100.0) for _ in range(3)] == [START_EVERY_S, 2 * START_EVERY_S, 3 * START_EVERY_S]
    assert starts.pause("bob", 100.0) == 0
    assert starts.pause("ada", 1000.0) == 0


def test_while_a_server_is_being_started_no_more_wait_for_it_than_may_be_in_flight(tmp_path: Path) -> None:
    """What waits is held in memory, and counted nowhere else yet."""
    with place(tmp_path) as house:
        serve = house.serve(by_command(tuple(crafted("plain"))) + "[limits]\nsessions = 8\nconcurrent = 2\n")
        for _ in range(STARTS_AT_ONCE):
            serve.session("/child/mcp").end()
        hello = json.dumps(initialize()).encode()
        for _ in range(4):  # each of which is to be started before
            serve.client("/child/mcp").send("POST", {}, hello)
        waiting = [serve.send_modern(number, "ping", "/child/mcp") for number in range(12)]
        statuses = [client.answer().status for client in waiting]
        assert statuses.count(429) >= 8
        assert len(statuses) - statuses.count(429) >= 2
        serve.wait_for_finding("principal-limits", "wait for child")
        serve.leave_all()


def test_whoever_begins_and_ends_sessions_keeps_the_machine_no_busier_than_was_said(tmp_path: Path) -> None:
    with place(tmp_path) as house:
        serve = house.serve(by_command(tuple(crafted("plain"))))
        began = time.monotonic()
        for _ in range(STARTS_AT_ONCE + 6):
            serve.session("/child/mcp").end()
        took = time.monotonic() - began
        serve.leave_all()
    assert took >= 5 * START_EVERY_S

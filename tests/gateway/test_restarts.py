"""A server that ends by itself is started again: at once, then after pauses that double, for whoever it was."""

from __future__ import annotations

import pytest

from doorward.gateway.upstream.restarts import FORGOTTEN_S, LONGEST_PAUSE_S, Restarts


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

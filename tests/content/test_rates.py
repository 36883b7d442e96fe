"""The generic cell rate algorithm against a bucket that is filled drop by drop."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.content.rates import Bucket, Rate, Rates, charge, take

RATES = st.builds(Rate, st.sampled_from([0.5, 1.0, 4.0, 64.0]), st.integers(1, 20).map(float))
# Eighths of a second and powers of two for rates: exact in binary, so that both sides can be compared exactly.
PAUSES = st.lists(st.tuples(st.integers(0, 80).map(lambda n: n / 8), st.sampled_from([0.0, 1.0, 2.0])), max_size=60)


@given(RATES, PAUSES)
def test_it_lets_through_exactly_what_a_bucket_of_drops_would(rate: Rate, pauses: list[tuple[float, float]]) -> None:
    now, due = 0.0, 0.0
    level = burst = Fraction(rate.burst)
    for pause, cost in pauses:
        now += pause
        level = min(burst, level + Fraction(pause) * Fraction(rate.per_second))
        taken = take(due, now, rate, cost)
        assert taken.allowed == (level >= cost)
        level -= Fraction(cost) if taken.allowed else 0
        due = taken.due


@given(RATES, PAUSES)
def test_who_waits_as_long_as_was_said_is_let_in_and_not_a_moment_earlier(
    rate: Rate, pauses: list[tuple[float, float]]
) -> None:
    now, due = 0.0, 0.0
    for pause, cost in pauses:
        now += pause
        taken = take(due, now, rate, cost)
        if not taken.allowed and cost <= rate.burst:
            assert take(due, now + taken.retry_after, rate, cost).allowed
            assert not take(due, now + taken.retry_after * 0.99, rate, cost).allowed
        due = taken.due


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    rate = Rate(1.0, 1.0)
    due = take(0.0, 100.0, rate).due
    assert not take(due, 50.0, rate).allowed
    assert take(due, 101.0, rate).allowed


def test_what_costs_more_than_a_burst_never_may() -> None:
    assert take(0.0, 0.0, Rate(1.0, 5.0), 6.0).retry_after == float("inf")


@pytest.mark.parametrize("rate", [Rate(0.0, 1.0), Rate(-1.0, 1.0), Rate(1.0, 0.5), Rate(float("nan"), 1.0)])
def test_a_rate_that_cannot_be_is_found_at_once(rate: Rate) -> None:
    with pytest.raises(ValueError, match="a rate is"):
        Rates(rate)


def test_a_negative_cost_would_fill_the_bucket_and_is_refused() -> None:
    with pytest.raises(ValueError, match="not negative"):
        take(0.0, 0.0, Rate(1.0, 1.0), -1.0)


@given(RATES, st.lists(st.integers(0, 80).map(lambda n: n / 8), max_size=60))
def test_a_bucket_that_is_asked_first_lets_through_the_same(rate: Rate, pauses: list[float]) -> None:
    bucket, now, due = Bucket(rate), 0.0, 0.0
    for pause in pauses:
        now += pause
        taken = take(due, now, rate)
        due = taken.due
        wait = bucket.wait(now)
        assert (wait <= 0) == taken.allowed
        if taken.allowed:
            charge((bucket,), now)
        else:
            assert wait == pytest.approx(taken.retry_after)


def test_a_bucket_that_is_charged_beyond_its_end_owes_at_most_a_burst() -> None:
    bucket = Bucket(Rate(2.0, 3.0))
    for _ in range(100):
        charge((bucket,), 0.0)
    assert bucket.wait(0.0) == pytest.approx(0.5 + 1.5)


def test_a_bucket_may_begin_empty() -> None:
    bucket = Bucket(Rate(2.0, 3.0), empty_at=10.0)
    assert bucket.wait(10.0) == pytest.approx(0.5)
    assert bucket.wait(10.5) <= 0
    assert bucket.wait(100.0) <= 0


def test_keys_do_not_share_a_bucket() -> None:
    rates = Rates(Rate(1.0, 2.0))
    assert [rates.take("a", 0.0) for _ in range(3)] == [0.0, 0.0, 1.0]
    assert rates.take("b", 0.0) == 0.0


def test_a_full_table_refuses_who_is_new_and_forgets_nobody_early() -> None:
    rates = Rates(Rate(1.0, 1.0), max_keys=3)
    assert [rates.take(key, 0.0) for key in "abc"] == [0.0, 0.0, 0.0]
    assert rates.take("d", 0.5) == 0.5
    assert rates.take("a", 0.5) == 0.5
    assert rates.take("d", 1.0) == 0.0
    assert len(rates) == 1


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 4).map(lambda n: n / 4)), max_size=200))
def test_a_table_never_outgrows_its_bound(asked: list[tuple[int, float]]) -> None:
    rates, now = Rates(Rate(2.0, 3.0), max_keys=8), 0.0
    for key, pause in asked:
        now += pause
        rates.take(key, now)
        assert len(rates) <= 8

"""Calls, calls at once and sizes: what is over is refused at once."""

from __future__ import annotations

from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.guard import Concurrency, RateLimit, RefusedError, check_size


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_and_who_is_refused_hears_when_to_come_back() -> None:
    clock = Clock()
    limit = RateLimit(2.0, 3.0, clock=clock)
    for _ in range(3):
        limit.take("ann")
    with pytest.raises(RefusedError, match="too many calls") as refusal:
        limit.take("ann")
    assert (refusal.value.rule, refusal.value.retry_after) == ("rate", 0.5)
    limit.take("bob")
    clock.now = 0.5
    limit.take("ann")


def test_what_may_never_pass_names_no_time() -> None:
    with pytest.raises(RefusedError) as refusal:
        RateLimit(1.0, 3.0).take(cost=4.0)
    assert refusal.value.retry_after is None


def test_threads_together_get_what_one_would_get() -> None:
    limit, passed = RateLimit(1.0, 50.0, clock=Clock()), []

    def many() -> None:
        for _ in range(100):
            try:
                limit.take()
            except RefusedError:
                continue
            passed.append(1)

    threads = [Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(passed) == 50


def test_what_is_held_counts_until_it_is_left_also_by_an_error() -> None:
    places = Concurrency(2, each=1)
    with places.hold("ann"):
        with pytest.raises(RefusedError, match="at once"), places.hold("ann"):
            pytest.fail("held twice")
        with places.hold("bob"), pytest.raises(RefusedError), places.hold("eve"):
            pytest.fail("held a third time")
        with pytest.raises(KeyError), places.hold("bob"):
            raise KeyError
    for key in ("ann", "bob"):
        with places.hold(key):
            pass


def test_none_at_all_is_no_limit() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Concurrency(0)


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


def parts(value: Any) -> list[Any]:
    found = [value]
    if isinstance(value, dict):
        found += value.keys()
        for child in value.values():
            found += parts(child)
    elif isinstance(value, list):
        for child in value:
            found += parts(child)
    return found


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 1


def fits(value: Any, **limits: int) -> bool:
    try:
        check_size(value, **limits)
    except RefusedError as refusal:
        return refusal.rule != "size"
    return True


@given(VALUES)
def test_bytes_parts_and_depth_are_what_a_plain_count_says(value: Any) -> None:
    size = sum(len(part.encode("utf-8", "surrogatepass")) for part in parts(value) if isinstance(part, str))
    assert fits(value, max_bytes=size, max_nodes=len(parts(value)), max_depth=depth(value) + 1)
    assert not fits(value, max_nodes=len(parts(value)) - 1)
    if size:
        assert not fits(value, max_bytes=size - 1)
    if depth(value) > 1:
        assert not fits(value, max_depth=depth(value) - 1)


def test_a_value_that_holds_itself_ends() -> None:
    circle: list[Any] = []
    circle += [circle, circle]
    assert not fits(circle)

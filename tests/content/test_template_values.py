"""URI templates read backwards: every value that a variable may have."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.content.template_values import TooManyReadings, values


@pytest.mark.parametrize(
    ("template", "uri", "read"),
    [
        ("notes://{topic}", "notes://rain", {"topic": ("rain",)}),
        ("notes://{topic}", "NOTES://rain", {"topic": ("rain",)}),
        ("notes://{topic}", "notes://", {}),
        ("notes://{topic}", "other://rain", {}),
        ("notes://{topic}", "notes://rain/today", {}),
        ("notes://{topic}/x", "notes://rain/today", {}),
        ("notes://{topic}/{language}", "notes://a%20b/en", {"topic": ("a b",), "language": ("en",)}),
        ("n://{a}-{b}", "n://x-y-z", {"a": ("x", "x-y"), "b": ("y-z", "z")}),
        ("n://{a}{b}", "n://xy", {"a": ("x", "xy"), "b": ("xy", "y")}),
        ("n://{ids}", "n://1,-rf", {"ids": ("1,-rf", "1", "-rf")}),
        ("n://{ids*}", "n://1,-rf", {"ids": ("1", "-rf")}),
        ("n://{x,y}", "n://1,2", {"x": ("1",), "y": ("2",)}),
        ("n://{x,y}", "n://2", {"x": ("2",), "y": ("2",)}),
        ("file:///{+path}", "file:///a/b%2Fc", {"path": ("a/b/c",)}),
        ("n://h{/steps*}", "n://h/a/b", {"steps": ("a", "b")}),
        ("n://h{.kind}", "n://h.json", {"kind": ("json",)}),
        ("n://h{#part}", "n://h#top", {"part": ("top",)}),
        ("n://h{;x,y}", "n://h;y=2;x=1", {"y": ("2",), "x": ("1",)}),
        ("n://h{?q,limit}", "n://h?LIMIT=5&q=a+b", {"limit": ("5",), "q": ("a+b", "a b")}),
        ("n://h?fixed=1{&q}", "n://h?fixed=1&q=%2Detc", {"q": ("-etc",)}),
        ("n://{broken", "n://x", {}),
    ],
)
def test_each_reading(template: str, uri: str, read: dict[str, tuple[str, ...]]) -> None:
    assert values(template, uri) == read


def test_too_many_are_not_looked_for() -> None:
    with pytest.raises(TooManyReadings):
        values("n://{a}{b}{c}", "n://" + "x" * 200)
    assert len(values("n://{a}{b}", "n://" + "x" * 40)["a"]) == 40


def test_places_far_apart_are_fewer() -> None:
    assert len(values("n://{a}-{b}", "n://" + "x" * 4_000 + "-y" * 8)["a"]) == 8
    with pytest.raises(TooManyReadings):  # each would have all of it decoded again
        values("n://{a}-{b}", "n://" + "%2c-" * 1_900)


@given(st.text("ab-./%,\u00e9", min_size=1, max_size=12), st.text("ab-é", min_size=1, max_size=8))
def test_what_was_put_in_is_among_what_is_read(first: str, second: str) -> None:
    uri = f"n://{quote(first, safe='')}-{quote(second, safe='')}"
    read = values("n://{a}-{b}", uri)
    assert first in read["a"]
    assert second in read["b"]

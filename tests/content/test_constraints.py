"""What each predicate lets through and what not; ``test_arguments`` has those that came first."""

from __future__ import annotations

import posixpath
import re
import time
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.content import constraints

FOLDER = "/srv/notes"
PLACES = ("https://api.example.com", "http://127.0.0.1:8080/v1/")


@given(st.text())
def test_one_line_is_one_line_to_every_reader(text: str) -> None:
    if constraints.single_line(text) is None:
        assert len(text.splitlines()) <= 1
        assert "\0" not in text


@pytest.mark.parametrize("text", ["a\nb", "a\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\0", "\x1b[2J"])
def test_what_breaks_a_line_or_speaks_to_a_terminal_is_refused(text: str) -> None:
    assert constraints.single_line(text)


@pytest.mark.parametrize("text", ["", "plain", "a\tb", "café 日本語 👍"])
def test_a_plain_line_passes(text: str) -> None:
    assert constraints.single_line(text) is None


@given(st.text(max_size=40), st.integers(0, 40))
def test_a_length_is_counted_in_characters(text: str, limit: int) -> None:
    assert (constraints.max_length(text, limit) is None) == (len(text) <= limit)


@pytest.mark.parametrize(
    ("value", "allowed"), [("Start", ["start"]), (" start", ["start"]), (True, [1]), (1, [True]), (1.0, [1]), ("", [])]
)
def test_what_only_looks_like_an_allowed_value_is_refused(value: object, allowed: list[object]) -> None:
    assert constraints.one_of(value, allowed)


def test_an_allowed_value_passes() -> None:
    assert constraints.one_of("start", ["stop", "start"]) is None
    assert constraints.one_of(2, [1, 2]) is None


@pytest.mark.parametrize(
    "value", [True, None, "", "+1", " 1", "1 ", "0x1", "1_000", "01", "1.", ".5", "NaN", "1e999", "१", [1], "1\n"]
)
def test_what_is_no_number_to_every_reader_is_refused(value: object) -> None:
    assert constraints.number_range(value)
    assert constraints.number_range(value, integer=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_bound_is_met_by_what_is_not_finite(value: float) -> None:
    assert constraints.number_range(value, None, None)


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False), st.integers(-100, 0), st.integers(0, 100))
def test_both_bounds_are_included(value: float, low: int, high: int) -> None:
    assert (constraints.number_range(value, low, high) is None) == (low <= value <= high)


@given(st.integers(-(10**30), 10**30))
def test_the_text_of_a_number_is_judged_as_the_number(number: int) -> None:
    for low, high in ((number, number), (number + 1, None), (None, number - 1)):
        as_text = constraints.number_range(str(number), low, high, integer=True)
        assert (as_text is None) == (constraints.number_range(number, low, high, integer=True) is None)


@pytest.mark.parametrize("value", [1.5, "1.5", 1.0, "1e3"])
def test_a_whole_number_is_written_as_one(value: object) -> None:
    assert constraints.number_range(value, integer=True)
    assert constraints.number_range(value) is None


@pytest.mark.parametrize(
    ("text", "expression", "fits"),
    [
        ("abc", "[a-z]+", True),
        ("abc\n", "[a-z]+", False),
        ("xabc", "abc", False),
        ("abc; rm", "abc", False),
        ("b; x", "a|b", False),
        ("b", "a|b", True),
        ("", "a?", True),
        ("\ud800", ".*", False),
    ],
)
def test_an_expression_must_fit_the_whole_text(text: str, expression: str, fits: bool) -> None:
    assert (constraints.pattern(text, expression) is None) == fits


@given(st.text(alphabet="ab\n;", max_size=8))
def test_an_expression_means_what_it_means_to_python_where_both_know_it(text: str) -> None:
    for expression in ("a+b?", "(a|b)*", "[^a]*", "a{1,3};"):
        assert (constraints.pattern(text, expression) is None) == (re.fullmatch(expression, text) is not None)


def test_an_expression_that_makes_others_backtrack_takes_no_time() -> None:
    began = time.perf_counter()
    assert constraints.pattern("a" * 100_000 + "!", "(a+)+b")
    assert time.perf_counter() - began < 1.0


@pytest.mark.parametrize("expression", ["(", "a)|(b", "(?=a)", "(a)\\1", "[", "(?:(?:x{1000}){1000}){1000}"])
def test_an_expression_that_cannot_be_searched_in_linear_time_is_an_authors_mistake(expression: str) -> None:
    assert constraints.pattern_problem(expression)
    with pytest.raises(ValueError, match="linear time"):
        constraints.pattern("a", expression)


@pytest.mark.parametrize("text", ["", ".", "a.txt", "sub/../a", "/srv/notes/a", "file:///srv/notes/a", "caf\u00e9"])
def test_a_path_that_stays_passes(text: str) -> None:
    assert constraints.path_below(text, FOLDER) is None


@pytest.mark.parametrize(
    "text",
    [
        "..",
        "../x",
        "a/../../x",
        "/etc/passwd",
        "/srv/notes-evil/x",
        "file:///etc/passwd",
        "%2e%2e/x",
        "..\\x",
        "a\0",
        "~/x",
        "C:\\x",
        "\uff0e\uff0e/x",
    ],
)
def test_a_path_that_leaves_by_any_reading_is_refused(text: str) -> None:
    assert constraints.path_below(text, FOLDER)


@given(st.lists(st.sampled_from(["..", ".", "a", "%2e%2e", "", "\\", "/", "b c", "…"]), max_size=6).map("/".join))
def test_what_passes_as_a_path_stays_when_python_joins_it(text: str) -> None:
    if constraints.path_below(text, FOLDER) is None:
        joined = posixpath.normpath(posixpath.join(FOLDER, text))
        assert joined == FOLDER or joined.startswith(FOLDER + "/")


def test_a_folder_that_is_relative_is_an_authors_mistake() -> None:
    with pytest.raises(ValueError, match="absolute"):
        constraints.path_below("a", "notes")


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "https://API.example.com:443/a/../b?x=1#y",
        "http://127.0.0.1:8080/v1/items",
        "http://127.0.0.1:8080/v1/",
    ],
)
def test_an_address_that_is_allowed_passes(url: str) -> None:
    assert constraints.url_allow(url, PLACES) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com",
        "https://api.example.com.evil.example",
        "https://evil.example/https://api.example.com",
        "https://api.example.com@evil.example",
        "https://evil.example\\@api.example.com",
        "https://api.example.com\\.evil.example",
        "https://api.example.com:444/",
        "https://sub.api.example.com/",
        "https://api.example.com?@evil.example/",
        "https:api.example.com",
        "//api.example.com",
        " https://api.example.com",
        "https://api.example.com\n",
        "https://api.ex\u00e4mple.com",
        "https://api.example.com/\t",
        "http://127.0.0.1:8080/v2/",
        "http://127.0.0.1:8080/v1",
        "http://127.0.0.1:8080/v1/../admin",
        "http://127.0.0.1:8080/v1/%2e%2E/admin",
        "http://127.0.0.1:8080/v1/..;/admin",
        "http://127.0.0.1:8080/v1/..%3b/admin",
        "http://127.0.0.1:8080/v1/..%20/admin",
        "http://127.0.0.1:8080/v1/%09../admin",
        "http://127.0.0.1:8080/v1/%EF%BC%8E%EF%BC%8E/admin",
        "http://127.0.0.1:8080/v1/..%2fadmin",
        "http://127.0.0.1:8080/v1/%252e%252e/admin",
        "http://127.1:8080/v1/",
        "http://2130706433:8080/v1/",
        "javascript:alert(1)",
        "https://" + "a" * 9000,
    ],
)
def test_an_address_that_some_reader_takes_elsewhere_is_refused(url: str) -> None:
    assert constraints.url_allow(url, PLACES)


@given(st.text(alphabet="htps:/.@\\?#[]%2eapi-examl.com:443", max_size=30).map("https://".__add__))
def test_what_passes_as_an_address_leads_where_python_goes(url: str) -> None:
    if constraints.url_allow(url, ("https://api.example.com", "https://a", "https://e")) is None:
        assert urlsplit(url).hostname in ("api.example.com", "a", "e")
        assert urlsplit(url).port in (None, 443)


@pytest.mark.parametrize("place", ["api.example.com", "https://*.example.com", "https://a/?q", "https://u@a/", ""])
def test_a_place_that_is_no_address_is_an_authors_mistake(place: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        constraints.url_allow("https://api.example.com", (place,))

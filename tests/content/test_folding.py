"""Normal forms of Unicode, in pieces: the same where people write, and never slower than the text is long."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.content.climbing import climbs
from doorward.content.constraints import no_shell_metacharacters
from doorward.content.folding import folded
from doorward.content.text import signals
from doorward.content.uris import canonical, readings

MARKS = "\u0301\u0316\u0323\u0338"
LETTERS = "aeo \u00e9\u00df\uff0f\uff0e\u2025\u6771\u1100\u1161\u11a8\U0001f469\ufdfa" + MARKS


@given(st.text(st.sampled_from(LETTERS) | st.characters(), max_size=60))
def test_what_people_write_is_normalised_as_a_whole_would_be(text: str) -> None:
    assert folded(text) == unicodedata.normalize("NFKC", text)
    assert folded(f"{text} " * 5, "NFC") == unicodedata.normalize("NFC", f"{text} " * 5)


@given(st.text(st.sampled_from(LETTERS), max_size=400))
def test_what_a_character_stands_for_is_found_however_long_the_text(text: str) -> None:
    for char in "/.\u2024abc":
        assert char not in unicodedata.normalize("NFKC", text) or char in folded(text)


@pytest.mark.parametrize("judge", [folded, climbs, no_shell_metacharacters, signals])
def test_a_run_of_marks_is_not_sorted_for_ever(judge: Callable[[str], object]) -> None:
    run = "a" + "\u0301" * 60_000 + "\u0316" * 60_000
    start = time.thread_time()
    judge(run)
    assert time.thread_time() - start < 2  # half a minute before


def test_a_path_of_marks_is_read_in_bounded_time() -> None:
    run = "a" + "\u0301" * 6_000 + "\u0316" * 6_000
    start = time.thread_time()
    for _ in range(4):
        assert readings(run, "/w").problem
        canonical(run)
    assert time.thread_time() - start < 0.1  # a second before

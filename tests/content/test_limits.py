"""How large one part of a message may be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from doorward.content.limits import (
    STANDARD,
    STRICT,
    exceeds,
    first_oversized_string,
    oversized_id,
    oversized_peer_info,
    oversized_uri,
    utf8_bytes,
)

LONGEST_METHOD = "notifications/subscriptions/acknowledged"


def test_the_standard_limits_are_those_of_the_design() -> None:
    sizes = STANDARD.argument_string_bytes, STANDARD.uri_bytes, STANDARD.id_bytes, STANDARD.peer_info_bytes
    assert sizes == (1024 * 1024, 8192, 256, 16384)


def test_strict_is_a_quarter_of_everything_and_still_fits_the_protocol() -> None:
    for field in STANDARD.__struct_fields__:
        assert getattr(STRICT, field) * 4 == getattr(STANDARD, field)
    assert len(LONGEST_METHOD) <= STRICT.method_bytes
    assert STRICT.name_bytes >= 128
    assert STRICT.id_bytes >= 36


@given(st.text(max_size=40), st.integers(0, 120))
def test_sizes_are_bytes_of_utf8(text: str, limit: int) -> None:
    assert utf8_bytes(text) == len(text.encode("utf-8", "surrogatepass"))
    assert exceeds(text, limit) == (utf8_bytes(text) > limit)


def test_a_lone_surrogate_is_counted_and_not_an_exception() -> None:
    assert utf8_bytes("\ud800x") == 4


def test_the_first_oversized_string_is_found_with_its_pointer_wherever_it_hides() -> None:
    assert first_oversized_string({"a": ["x", {"b/c": "yyyy"}]}, 3) == "/a/1/b~1c"
    assert first_oversized_string({"a": {"long name": 1}}, 3) == "/a/long name"
    assert first_oversized_string("yyyy", 3) == ""
    assert first_oversized_string({"a": ["xyz", 10**9]}, 3) is None
    assert first_oversized_string("\u00e9\u00e9", 3) == ""


def test_a_message_that_is_smaller_than_the_limit_is_not_walked() -> None:
    assert first_oversized_string({"a": "yyyy"}, 3, encoded_bytes=3) is None
    assert first_oversized_string({"a": "yyyy"}, 3, encoded_bytes=4) == "/a"


def test_a_deep_value_costs_no_stack() -> None:
    value: object = "yyyy"
    for _ in range(2_000):
        value = [value]
    assert first_oversized_string(value, 3) == "/0" * 2_000


def test_ids_count_as_text_or_digits() -> None:
    assert not oversized_id("x" * 256)
    assert oversized_id("x" * 257)
    assert not oversized_id(10**255)
    assert oversized_id(10**256)
    assert oversized_id(-(10**5000))
    assert not oversized_id(None)


def test_uris_and_peer_info_have_their_own_limits() -> None:
    assert not oversized_uri("file:///" + "x" * (8192 - 8))
    assert oversized_uri("file:///" + "x" * (8192 - 7))
    assert not oversized_peer_info({"name": "x", "version": "1"})
    assert oversized_peer_info({"name": "x" * 16384})
    assert oversized_peer_info({"icons": ["\u00e9" * 8192]})

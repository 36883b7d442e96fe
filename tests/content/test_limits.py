"""How large one part of a message may be."""

from __future__ import annotations

import base64
import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.content.limits import base64_problem, decoded_bytes, exceeds, first_oversized_string, utf8_bytes


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


@given(st.binary(max_size=200))
def test_what_base64_decodes_to_is_counted_without_decoding_it(data: bytes) -> None:
    encoded = base64.b64encode(data).decode()
    assert base64_problem(encoded) is None
    assert decoded_bytes(encoded) == len(data)


@given(st.text("ABw9+/=- \n\u00e9\u0130\0", max_size=12) | st.text(max_size=12))
def test_what_is_taken_for_base64_is_what_one_encoder_gives(text: str) -> None:
    try:
        again = base64.b64encode(binascii.a2b_base64(text.encode("utf-8", "surrogatepass"), strict_mode=True)).decode()
    except binascii.Error:
        again = None
    assert (base64_problem(text) is None) == (again == text)


@pytest.mark.parametrize(
    "text", ["QQ", "QQ=", "QR==", "QUJ=", "Q=Q=", "====", "=QQQ", "QQ==QQ==", "Q_-Q", "QU\nJ", "QQ== "]
)
def test_what_decoders_differ_about_is_no_base64(text: str) -> None:
    assert base64_problem(text) is not None

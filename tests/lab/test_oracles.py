"""The oracles see the canary in every dress, and nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.lab import oracles

CANARY = "kestrelqwertzuiopasdfgh"


def tags(text: str) -> str:
    return "".join(chr(0xE0000 + ord(c)) for c in text)


DRESSES = {
    "plain": CANARY,
    "URL-encoded": "".join(f"%{ord(c):02x}" for c in CANARY),
    "JSON-escaped": "".join(f"\\u{ord(c):04x}" for c in CANARY),
    "base64": base64.b64encode(CANARY.encode()).decode(),
    "hexadecimal": CANARY.encode().hex(),
    "Unicode tags": tags(CANARY),
}


@pytest.mark.parametrize("dress", DRESSES)
def test_each_dress_is_named(dress: str) -> None:
    assert oracles.carries(f"a {DRESSES[dress]} b", CANARY) == dress


@given(st.text(max_size=12), st.text(max_size=12))
def test_base64_is_found_at_every_offset(before: str, after: str) -> None:
    encoded = base64.b64encode((before + CANARY + after).encode()).decode()
    assert oracles.carries(encoded, CANARY) is not None


@given(st.lists(st.sampled_from(["json", "url", "base64"]), max_size=2))
def test_two_dresses_over_each_other_are_found(dresses: list[str]) -> None:
    wear: dict[str, Callable[[str], str]] = {
        "json": json.dumps,
        "url": quote,
        "base64": lambda t: base64.b64encode(t.encode()).decode(),
    }
    text = f"key={CANARY}"
    for dress in dresses:
        text = wear[dress](text)
    assert oracles.carries(text, CANARY) is not None


@given(st.text())
def test_text_without_the_canary_is_never_accused(text: str) -> None:
    assert oracles.carries(text, CANARY) is None


@pytest.mark.parametrize("masked", [CANARY[:-1], CANARY.upper(), "\u2039masked:api-key:1a2b\u203a", CANARY[::-1]])
def test_what_is_left_of_a_masked_value_is_no_harm(masked: str) -> None:
    assert oracles.carries(masked, CANARY) is None


def test_only_the_method_asked_for_counts() -> None:
    result = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"text": CANARY}}).encode()
    log = json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": {"k": CANARY}}}).encode()
    assert oracles.arrived([result], CANARY) is not None
    assert oracles.arrived([result], CANARY, method="notifications/message") is None
    assert oracles.arrived([result, log], CANARY, method="notifications/message") is not None


def test_a_canary_that_is_a_key_counts() -> None:
    assert oracles.arrived([json.dumps({"a": [{CANARY: 1}]}).encode()], CANARY) is not None


def test_a_line_that_is_no_json_is_read_as_text() -> None:
    assert oracles.arrived([b"panic: " + CANARY.encode()], CANARY) is not None


@pytest.mark.parametrize("word", ["error", "denied", "refused", "not found"])
def test_words_of_refusal_mean_nothing_to_an_oracle(word: str) -> None:
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": -31001, "message": word}}).encode()
    assert oracles.arrived([line], CANARY) is None
    assert oracles.arrived([line[:-1] + b', "data": "' + CANARY.encode() + b'"}'], CANARY) is not None


@pytest.mark.parametrize("text", ["\\u", "\\u12", "C:\\users\\u", "\\"])
def test_a_text_that_only_looks_escaped_is_read_all_the_same(text: str) -> None:
    assert oracles.carries(f"{text} {CANARY}", CANARY) == "plain"
    assert oracles.carries(text, CANARY) is None

"""A sealed state opens for whom and what it was sealed, and for nothing else; every change of it is found."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.errors import RefusedError
from doorward.guard import open_state, seal_state
from doorward.guard.states import LIFETIME_SECONDS, MAX_STATE_BYTES
from doorward.relay import seal

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
CALL: dict[str, Any] = {"name": "pay", "arguments": {"sum": 10, "to": "ann"}, "_meta": {"progressToken": 1}}
STATE = {"step": 2, "seen": ["terms"]}
NOW = 1_000_000.0


def sealed(state: Any = STATE, params: Any = CALL, **more: Any) -> str:
    given: dict[str, Any] = {"key": KEY, "principal": "ann", "method": "tools/call", "asked": ["terms"]} | more
    return seal_state(state, params, clock=lambda: NOW, **given)


def opened(token: Any, *, at: float = NOW, params: Any = CALL, answers: Any = None, **more: Any) -> Any:
    retry = {**params, "requestState": token} | ({} if answers is None else {"inputResponses": answers})
    given: dict[str, Any] = {"key": KEY, "principal": "ann", "method": "tools/call"} | more
    return open_state(retry, clock=lambda: at, **given)


def refused(do: Callable[[], Any]) -> str:
    with pytest.raises(RefusedError) as caught:
        do()
    assert caught.value.rule == "state"
    return str(caught.value)


def test_a_state_comes_back_with_the_answers_that_were_asked_for() -> None:
    assert opened(sealed()) == STATE
    assert opened(sealed(), answers={"terms": {"action": "accept"}}) == STATE
    assert opened(sealed(), params={**CALL, "_meta": {"progressToken": 2}}) == STATE
    assert opened(sealed(params={}), params={}) == STATE
    assert opened(sealed(params=None), params={}) == STATE


@given(
    st.recursive(
        st.booleans() | st.integers() | st.text(), lambda below: st.lists(below) | st.dictionaries(st.text(), below)
    )
)
def test_whatever_json_can_say_comes_back(state: Any) -> None:
    assert opened(sealed(state)) == state


def test_a_first_request_has_no_state_and_no_answers() -> None:
    said: dict[str, Any] = {"key": KEY, "principal": "ann", "method": "tools/call"}
    assert open_state(CALL, **said) is None
    assert open_state(None, **said) is None
    assert open_state({**CALL, "requestState": None, "inputResponses": None}, **said) is None
    unasked = {**CALL, "inputResponses": {"terms": {"action": "accept"}}}
    assert refused(lambda: open_state(unasked, **said)) == "an answer that was not asked for"


@pytest.mark.parametrize("answers", [{"terms": {}, "more": {}}, {"other": {}}, [], "terms", ["terms"], True])
def test_an_answer_to_another_question_is_refused(answers: Any) -> None:
    assert refused(lambda: opened(sealed(), answers=answers)) == "an answer that was not asked for"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"principal": "bob"}, "the state was sealed for another principal"),
        ({"principal": ""}, "the state was sealed for another principal"),
        ({"method": "prompts/get"}, "the state was sealed for another method"),
        ({"params": {**CALL, "name": "give"}}, "the state was sealed for other params"),
        ({"params": {**CALL, "arguments": {"sum": 100, "to": "ann"}}}, "the state was sealed for other params"),
        ({"params": {**CALL, "arguments": {"sum": 10.0, "to": "ann"}}}, "the state was sealed for other params"),
        ({"params": {**CALL, "more": None}}, "the state was sealed for other params"),
        ({"params": {}}, "the state was sealed for other params"),
        ({"params": {**CALL, "arguments": float("nan")}}, "the params are nothing that a state can be bound to"),
        ({"key": OTHER_KEY}, "the state was not sealed here"),
        ({"at": NOW + LIFETIME_SECONDS}, "the state has expired: ask again without it"),
        ({"at": float("nan")}, "the state has expired: ask again without it"),
    ],
)
def test_for_anything_else_it_is_refused_and_the_words_hold_no_value(change: dict[str, Any], words: str) -> None:
    token = sealed()
    assert refused(lambda: opened(token, **change)) == words


def test_it_holds_until_it_expires() -> None:
    assert opened(sealed(lifetime_seconds=5), at=NOW + 4.99) == STATE
    refused(lambda: opened(sealed(lifetime_seconds=5), at=NOW + 5))


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/. \n"


def test_with_any_one_character_changed_cut_out_or_put_in_it_is_not_ours() -> None:
    token = sealed(1, {})
    others = set()
    for at in range(len(token) + 1):
        others.add(token[:at] + token[at + 1 :])
        others.update(token[:at] + character + token[at + 1 :] for character in ALPHABET)
        others.update(token[:at] + character + token[at:] for character in ALPHABET)
    taken = [other for other in others - {token} if not is_refused(other)]
    assert taken == []


def is_refused(token: str) -> bool:
    try:
        opened(token, params={})
    except RefusedError as refusal:
        return str(refusal) == "the state was not sealed here"
    return False


def token_of(mac: bytes, payload: bytes, prefix: str = "guard1.") -> str:
    return prefix + base64.urlsafe_b64encode(mac + payload).decode()


def forged() -> dict[str, Any]:
    """Tokens that somebody without the key could send, who knows how they are made."""
    raw = base64.urlsafe_b64decode(sealed().removeprefix("guard1."))
    mac, payload = raw[:32], raw[32:]
    later = json.dumps([NOW + 10**9, *json.loads(payload)[1:]], separators=(",", ":")).encode()
    gateway = seal.close_seal(
        KEY, seal.around({}, ticket="", principal="ann", server="", method="tools/call", params="", expires=2**40)
    )
    return {
        "nothing": "",
        "the prefix": "guard1.",
        "no mac": token_of(b"", payload),
        "a mac of zeros": token_of(bytes(32), payload),
        "another expiry": token_of(mac, later),
        "a plain digest": token_of(hashlib.sha256(payload).digest(), payload),
        "a mac without its domain": token_of(hmac.digest(KEY, payload, "sha256"), payload),
        "a cut payload": token_of(mac, payload[:-1]),
        "a longer payload": token_of(mac, payload + b" "),
        "another prefix": token_of(mac, payload, "guard2."),
        "of the gateway, by the same key": gateway,
        "and called ours": gateway.replace("doorward1.", "guard1."),
        "plain base64": "guard1." + base64.b64encode(raw + b"\xff\xff\xfe").decode(),
        "without padding": token_of(mac, payload).rstrip("=") if token_of(mac, payload).endswith("=") else "",
        "letters of another script": "guard1." + "\u0410" * 100,
        "a lone surrogate": "guard1.\ud800",
        "too long": "guard1." + "A" * MAX_STATE_BYTES,
        "a number": 1,
        "a list": [sealed()],
        "false": False,
    }


@pytest.mark.parametrize("name", forged())
def test_a_forged_state_is_not_ours(name: str) -> None:
    assert refused(lambda: opened(forged()[name])) == "the state was not sealed here"


def test_one_state_of_two_cannot_be_put_together_from_both() -> None:
    one, two = (base64.urlsafe_b64decode(sealed(s).removeprefix("guard1.")) for s in ("a", "b"))
    assert refused(lambda: opened(token_of(one[:32], two[32:]))) == "the state was not sealed here"


@pytest.mark.parametrize("key", [b"", b"k" * 31])
def test_a_short_key_is_a_mistake_of_the_author(key: bytes) -> None:
    for do in (lambda: sealed(key=key), lambda: opened(sealed(), key=key)):
        with pytest.raises(ValueError, match="32 random bytes"):
            do()


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_a_lifetime_has_an_end_and_lies_ahead(seconds: float) -> None:
    with pytest.raises(ValueError, match="some seconds"):
        sealed(lifetime_seconds=seconds)


def test_what_cannot_be_sealed_is_said_to_the_author() -> None:
    with pytest.raises(ValueError, match="None is"):
        sealed(None)
    with pytest.raises(ValueError, match="larger than 65536"):
        sealed("x" * MAX_STATE_BYTES)
    with pytest.raises(ValueError, match="Out of range float"):
        sealed(float("nan"))
    with pytest.raises(TypeError, match="not JSON serializable"):
        sealed(object())

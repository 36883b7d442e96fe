"""No JSON, in any era, from any side, makes the interpretation fail, or pass something without a name for it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.messages import METHODS, any_messages, params

from doorward.policy.model import ServerPolicy
from doorward.protocol import versions
from doorward.protocol.actions import Action, Unrecognised, interpret
from doorward.relay import routes
from doorward.relay.consent import end_to_end
from doorward.relay.questions import MAX_QUESTIONS, questions
from doorward.wire.jsonrpc import Message, Notification, Request, Response


@settings(max_examples=500)
@given(
    any_messages,
    st.sampled_from(["legacy", "modern", ""]),
    st.sampled_from(["", "nonsense", *METHODS]),
    st.lists(st.tuples(st.text(max_size=3), st.sampled_from(sorted(versions.INPUT_METHODS))), max_size=2).map(tuple),
)
def test_interpretation_is_total(message: Message, era: str, method: str, asked: tuple[tuple[str, str], ...]) -> None:
    acts = interpret(message, era, method, asked)
    assert acts, "never nothing"
    assert all(isinstance(act, Action.__args__) for act in acts)
    if isinstance(message, Notification):
        assert len(acts) == 1


@settings(max_examples=150)
@given(params, st.sampled_from(["legacy", "modern"]), st.text(min_size=1, max_size=30))
def test_a_method_that_no_revision_names_is_unrecognised(given_params: dict[str, Any], era: str, method: str) -> None:
    known = set(METHODS)
    if method in known:
        return
    assert any(isinstance(act, Unrecognised) for act in interpret(Request(1, method, given_params), era))
    assert isinstance(interpret(Notification(method, given_params), era)[0], Unrecognised)


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_every_method_of_the_revision_has_a_reading(era: str) -> None:
    whole = {
        "_meta": {versions.META_VERSION: "2026-07-28", versions.META_CAPABILITIES: {}},
        "protocolVersion": "2025-11-25", "name": "n", "uri": "x:y", "taskId": "t",
        "ref": {"name": "r"}, "argument": {"name": "a", "value": "v"},
    }  # fmt: skip
    for sender in ("client", "server"):
        for method in METHODS:
            if versions.known_request(era, sender, method):
                assert not any(isinstance(act, Unrecognised) for act in interpret(Request(1, method, whole), era)), (
                    method
                )


@settings(max_examples=200)
@given(any_messages, st.sampled_from([(), ("/work/space",)]))
def test_what_the_doors_must_find_out_is_bounded_and_never_fails(message: Message, folders: tuple[str, ...]) -> None:
    assert len(questions(message, folders, ServerPolicy("notes"))) <= MAX_QUESTIONS


@settings(max_examples=150)
@given(any_messages, st.sampled_from(["client", "server"]), st.sampled_from(["legacy", "modern"]))
def test_every_message_has_an_exchange_and_an_end_to_end_form(message: Message, sender: Any, era: str) -> None:
    assert routes.exchange_for(message, sender, 0, era, {}) == 0
    form = end_to_end(message)
    assert form == end_to_end(message)
    if isinstance(message, Response):
        assert form.startswith((b'{"result":', b'{"error":'))

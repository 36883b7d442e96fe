"""Rewrites are idempotent, and no secret that was planted survives them (architecture §3, ``Rewrite``)."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.property.messages import any_messages, values
from tests.relay.dialogue import MASKER, PRINCIPAL, SERVER, Era, ready

from doorward.judge.rewrites.answers import keep_asked_answers
from doorward.judge.rewrites.log_masking import mask_logs
from doorward.judge.rewrites.result_masking import mask_results
from doorward.judge.vocabulary import Context, SealedState
from doorward.relay import context as contexts
from doorward.relay import pipeline, seal
from doorward.wire.jsonrpc import Decoded, Message, Notification, Request, Response, encode, encode_value

HELD_SECRET = "a-secret-that-doorward-holds"
GITHUB = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
SECRETS = (HELD_SECRET, GITHUB)
REWRITES = pipeline.build(MASKER).rewrites
link = functools.cache(ready)


def context_of(
    message: Message, sender: Any, era: Era, *, method: str = "tools/call", opened: object = None
) -> Context:
    """What a rewrite sees of ``message``: a response answers an open request for ``method``."""
    talk = link(era)
    found = contexts.around(talk.relay.state, Decoded(message, encode(message), 0), sender, 0, talk.facts(), talk.now)
    if isinstance(message, Response):
        body = talk.call(1) if method == "tools/call" else talk.request(1, method)
        asked = Request(1, method, body["params"])
        answered = talk.relay.state.open(asked, msgspec.structs.replace(found, sender="client"), encode(asked))
        talk.relay.state.opened.clear()
        found = msgspec.structs.replace(found, answers=answered)
    return msgspec.structs.replace(found, seal=opened, era=era)


seals = st.none() | st.builds(
    lambda state, keys: SealedState(state, tuple((key, "roots/list", "") for key in keys), "", "", "", "", "", 0),
    st.none() | st.just("server-state"),
    st.lists(st.sampled_from(["a", "name", "", "method"]), max_size=3),
)


@settings(max_examples=300)
@given(
    any_messages, st.sampled_from(["client", "server"]), st.sampled_from(["legacy", "modern"]),
    st.sampled_from(["tools/call", "initialize", "server/discover", "tools/list"]), seals, st.sampled_from(REWRITES),
)  # fmt: skip
def test_a_rewrite_changes_nothing_that_it_has_changed(
    message: Message, sender: str, era: Era, method: str, opened: object, rewrite: Any
) -> None:
    context = context_of(message, sender, era, method=method, opened=opened)
    once, _ = rewrite(message, context)
    again, _ = rewrite(once, context)
    assert repr(again) == repr(once)
    afresh = msgspec.structs.replace(context, body=encode(once))
    assert repr(rewrite(once, afresh)[0]) == repr(once)


@settings(max_examples=300)
@given(
    any_messages,
    st.sampled_from(["client", "server"]),
    st.sampled_from(["legacy", "modern"]),
    st.permutations(REWRITES),
)
def test_the_order_of_the_rewrites_does_not_matter(message: Message, sender: str, era: Era, order: list[Any]) -> None:
    """They touch different messages, or different members: nothing that one takes away is brought back by another."""
    context = context_of(message, sender, era)
    ours = theirs = message
    for rewrite in REWRITES:
        ours, _ = rewrite(ours, context)
    for rewrite in order:
        theirs, _ = rewrite(theirs, context)
    assert repr(ours) == repr(theirs)


def test_taking_off_a_seal_is_the_exception_and_needs_the_seal_it_took_off() -> None:
    """In the context of its message, taking off is idempotent. In a new context it is not, and must not be: what is
    left is the server's own state, which is no seal of ours, and whoever brings it is refused."""
    talk = link("modern")
    params = talk.call(1)["params"]
    sealed = SealedState(
        "server-state", (("a", "roots/list", ""),), "", PRINCIPAL.id, SERVER.fingerprint, "tools/call",
        seal.params_digest(params), talk.now + 1,
    )  # fmt: skip
    token = seal.close_seal(b"s" * 32, sealed)
    message = Request(1, "tools/call", {**params, "requestState": token, "inputResponses": {"a": {}}})
    context = context_of(message, "client", "modern", opened=sealed)
    once, _ = keep_asked_answers(message, context)
    assert keep_asked_answers(once, context)[0] == once
    new = contexts.around(talk.relay.state, Decoded(once, encode(once), 0), "client", 0, talk.facts(), talk.now)
    assert new.seal == "not sealed here"


# -- secrets -----------------------------------------------------------------------------------------------------------

around = st.sampled_from(["", " ", "use it: ", "(", '"', "\n", "é"])
planted = st.builds(lambda before, secret, after: f"{before}{secret}{after}", around, st.sampled_from(SECRETS),
                    st.sampled_from(["", " ", ")", '"', ".", "\n"]))  # fmt: skip
innocent = st.sampled_from(["text", "items", "note", "0", "", "result"])
hiding = st.recursive(
    planted | values,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3) | st.dictionaries(innocent | planted, inner, min_size=1, max_size=3)
    ),
    max_leaves=6,
)


def secrets_in(value: object) -> bool:
    text = encode_value(value).decode()
    return any(secret in text for secret in SECRETS)


@settings(max_examples=200)
@given(hiding, st.sampled_from(["notifications/message", "notifications/progress", "notifications/tasks/status"]))
def test_no_planted_secret_survives_in_a_log_message(value: Any, method: str) -> None:
    message = Notification(method, {"level": "error", "data": value, "message": f"x {GITHUB}", "logger": HELD_SECRET})
    masked, note = mask_logs(message, context_of(message, "server", "legacy"))
    assert isinstance(masked, Notification)
    assert not secrets_in(masked.params)
    assert note is not None


@pytest.mark.parametrize("name", ["apiKey", "password", "client_secret", "Authorization", "access-token", "x-api-key"])
@given(value=st.text("abcdefgh", min_size=8, max_size=12), depth=st.integers(0, 5))
def test_what_stands_under_a_sensitive_name_does_not_survive_in_a_log_message(
    name: str, value: str, depth: int
) -> None:
    data: Any = {name: value}
    for _ in range(depth):
        data = [{"inner": data}]
    message = Notification("notifications/message", {"level": "error", "data": data})
    masked, _ = mask_logs(message, context_of(message, "server", "legacy"))
    assert isinstance(masked, Notification)
    assert value not in encode_value(masked.params).decode()


@settings(max_examples=200)
@given(hiding, st.sampled_from(["content", "structuredContent", "contents", "messages"]))
def test_no_planted_secret_survives_in_a_result(value: Any, member: str) -> None:
    assume("blob" not in str(value))
    assume(not any(kind in str(value) for kind in ("image", "audio")))
    message = Response(1, result={member: value})
    masked, note = mask_results(message, context_of(message, "server", "legacy"))
    assert isinstance(masked, Response)
    assert not secrets_in(masked.result)
    assert (note is not None) == secrets_in(message.result)


@given(hiding, planted)
def test_no_planted_secret_survives_in_an_error(value: Any, text: str) -> None:
    message = Response(1, error={"code": -32000, "message": text, "data": value})
    masked, note = mask_results(message, context_of(message, "server", "legacy"))
    assert isinstance(masked, Response)
    assert not secrets_in(masked.error)
    assert masked.error is not None
    assert masked.error["code"] == -32000
    assert note is not None

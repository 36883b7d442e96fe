"""Solicited inputs (modern): what was asked is sealed into the state, and only that is answered (architecture §4)."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from tests.relay.dialogue import (
    PRINCIPAL,
    SERVER,
    Dialogue,
    Era,
    Tree,
    Turn,
    only_modern,
    ready,
    requires,
)

from doorward.judge.vocabulary import Principal, SealedState
from doorward.policy.identity import verified
from doorward.relay import seal
from doorward.relay.consent import action_digest

KEY = b"s" * 32


COMPLETION: Tree = {"role": "assistant", "model": "m", "content": {"type": "text", "text": "x"}}


def asked(*, state: object = "server-state", **entries: str) -> tuple[Dialogue, Turn]:
    """A call was answered by asking; a person let the question pass."""
    talk = ready("modern", attached=True)
    talk.client(talk.call(1))
    question = talk.server(requires(1, state=state, **(entries or {"a": "sampling/createMessage"})))
    return talk, talk.person(question.ticket)


def retry(talk: Dialogue, released: Turn, id: object = 2, answers: Tree | None = None, **changed: object) -> Tree:
    """The client's second try: the same call, the state it was given, its answers."""
    message = talk.call(id)
    message["params"]["requestState"] = released.only("client")["result"]["requestState"]
    message["params"]["inputResponses"] = {"a": {"role": "assistant"}} if answers is None else answers
    message["params"].update(changed)
    return message


def token_of(released: Turn) -> str:
    token = released.only("client")["result"]["requestState"]
    assert isinstance(token, str)
    return token


@only_modern
def test_what_passes_is_sealed_to_its_request(era: Era) -> None:
    assert era == "modern"
    talk, released = asked()
    opened = seal.open_seal(
        KEY, token_of(released), now=talk.now, principal=PRINCIPAL.id, server=SERVER.fingerprint, method="tools/call",
        params=seal.params_digest(talk.call(1)["params"]),
    )  # fmt: skip
    assert isinstance(opened, SealedState)
    ask = released.only("client")["result"]["inputRequests"]["a"]
    assert opened.asked == (("a", "sampling/createMessage", seal.ask_digest(ask)),)
    assert opened.state == "server-state"
    assert opened.ticket == released.record.entry.ticket
    assert opened.expires > talk.now


@only_modern
def test_a_retry_restores_the_servers_own_state_and_carries_the_answers(era: Era) -> None:
    assert era == "modern"
    talk, released = asked(state='{"q": "✓", "n":1}')
    params = talk.client(retry(talk, released)).only("server")["params"]
    assert params["requestState"] == '{"q": "✓", "n":1}'
    assert params["inputResponses"] == {"a": {"role": "assistant"}}


@only_modern
def test_a_server_that_gave_no_state_is_given_none(era: Era) -> None:
    assert era == "modern"
    talk, released = asked(state=None)
    params = talk.client(retry(talk, released)).only("server")["params"]
    assert "requestState" not in params
    assert "inputResponses" in params


@only_modern
def test_a_state_without_questions_passes_sealed_and_comes_back_whole(era: Era) -> None:
    assert era == "modern"
    talk = ready("modern")
    talk.client(talk.call(1))
    passed = talk.server(requires(1, state="later"))
    assert token_of(passed) != "later"
    params = talk.client(retry(talk, passed, answers={})).only("server")["params"]
    assert params["requestState"] == "later"
    assert "inputResponses" not in params


@only_modern
def test_an_answer_that_nobody_asked_for_is_stripped_and_noted(era: Era) -> None:
    assert era == "modern"
    talk, released = asked()
    turn = talk.client(retry(talk, released, answers={"a": COMPLETION, "b": {"y": 2}, "A": {}}))
    assert turn.only("server")["params"]["inputResponses"] == {"a": COMPLETION}
    (note,) = turn.record.entry.findings
    assert (note.control, note.effect, note.evidence) == ("asked-answers", "NOTE", "A, b")


@only_modern
def test_answers_without_a_state_are_stripped(era: Era) -> None:
    assert era == "modern"
    talk = ready("modern", attached=True)
    message = talk.call(1)
    message["params"]["inputResponses"] = {"a": {"role": "assistant"}}
    assert "inputResponses" not in talk.client(message).only("server")["params"]


def _flipped(token: str) -> str:
    last = token.rstrip("=")[-2]
    return token.replace(last, "A" if last != "A" else "B")


FORGED: dict[str, object] = {
    "another key": lambda token: seal.close_seal(b"x" * 32, _sealed(token)),
    "one character": _flipped,
    "cut short": lambda token: token[:-8],
    "the server's own": lambda _: "server-state",
    "empty": lambda _: "",
    "no prefix": lambda token: token.partition(".")[2],
    "not ascii": lambda token: token + "é",
    "no text": lambda _: 5,
    "null": lambda _: None,
    "a list": lambda token: [token],
}


def _sealed(token: str) -> SealedState:
    found = seal._authentic(KEY, token)  # noqa: SLF001 (the forger knows the form, not the key)
    assert found is not None
    return found


@pytest.mark.parametrize("how", FORGED)
def test_a_bad_seal_is_refused(how: str) -> None:
    talk, released = asked()
    forge = FORGED[how]
    assert callable(forge)
    turn = talk.client(retry(talk, released, requestState=forge(token_of(released))))
    assert turn.only("client")["error"]["code"] == -32602
    assert turn.controls == {"sealed-state"}


def test_an_expired_seal_is_refused_and_one_that_just_has_not_is_not() -> None:
    talk, released = asked()
    talk.now = _sealed(token_of(released)).expires
    assert talk.client(retry(talk, released)).told("server")
    talk.now += 1
    assert talk.client(retry(talk, released, id=3)).only("client")["error"]["code"] == -32602


def test_a_seal_holds_for_its_own_principal_only() -> None:
    talk, released = asked()
    talk.principal = Principal("user:eve", "somebody else")
    assert talk.client(retry(talk, released)).only("client")["error"]["code"] == -32602


def test_a_seal_holds_for_its_own_server_only() -> None:
    talk, released = asked()
    talk.server_identity = verified("command", "notes", {"path": "/usr/bin/other"})
    assert talk.client(retry(talk, released)).only("client")["error"]["code"] == -32602


def test_a_seal_is_not_replayed_for_other_arguments() -> None:
    talk, released = asked()
    changed = retry(talk, released, arguments={"text": "something else"})
    assert talk.client(changed).only("client")["error"]["code"] == -32602


def test_a_seal_is_not_replayed_for_another_method() -> None:
    talk, released = asked()
    token = token_of(released)
    other = talk.request(2, "prompts/get", {**talk.call(1)["params"], "requestState": token})
    assert talk.client(other).only("client")["error"]["code"] == -32602


def test_a_retry_after_a_lost_answer_is_allowed_and_recorded_each_time() -> None:
    """Not single use, on purpose (``relay.seal``): what is single use is the ticket behind it."""
    talk, released = asked()
    for id in (2, 3):
        turn = talk.client(retry(talk, released, id=id))
        assert turn.only("server")["id"] == id
        assert turn.record.entry.kind == "intent"


def test_members_of_the_envelope_may_differ_in_a_retry() -> None:
    talk, released = asked()
    message = retry(talk, released)
    message["params"]["_meta"]["progressToken"] = 17
    assert talk.client(message).told("server")


def test_several_questions_are_one_decision_and_one_ticket_that_shows_all() -> None:
    talk = ready("modern", attached=True)
    talk.client(talk.call(1))
    turn = talk.server(requires(1, a="sampling/createMessage", b="elicitation/create", c="roots/list"))
    ticket = turn.ticket
    shown = msgspec.json.decode(ticket.shown)["result"]["inputRequests"]
    assert {key: ask["method"] for key, ask in shown.items()} == {
        "a": "sampling/createMessage", "b": "elicitation/create", "c": "roots/list",
    }  # fmt: skip
    assert len(ticket.reasons) == 3
    released = talk.person(ticket)
    assert released.only("client")["result"]["inputRequests"].keys() == {"a", "b", "c"}
    turn = talk.client(retry(talk, released, answers={"a": {}, "c": {}}))
    assert turn.only("server")["params"]["inputResponses"].keys() == {"a", "c"}


def test_one_undeclared_question_among_several_refuses_all_unasked() -> None:
    talk = ready("modern", attached=True)
    talk.client(talk.call(1, capabilities={"sampling": {}}))
    turn = talk.server(requires(1, a="sampling/createMessage", b="roots/list"))
    assert turn.tickets == []
    assert turn.only("client")["error"]["code"] == -31001
    assert "declared-inputs" in turn.controls


def test_what_is_shown_of_a_question_is_what_the_client_gets() -> None:
    talk = ready("modern", attached=True)
    talk.client(talk.call(1))
    ticket = talk.server(requires(1, a="elicitation/create")).ticket
    (body,) = talk.person(ticket).bytes_to("client")
    assert ticket.shown == b'{"result":' + body.partition(b'"result":')[2]


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"requestState": 5},
        {"requestState": 5, "inputRequests": {"a": {"method": "roots/list"}}},
        {"inputRequests": []},
        {"inputRequests": {"a": {"method": "tools/call"}}},
        {"inputRequests": {"a": {"method": "roots/list", "extra": 1}}},
        {"inputRequests": {"a": {"method": "roots/list", "params": []}}},
        {"inputRequests": {"a": "roots/list"}},
    ],
)
def test_a_question_that_is_not_of_its_form_is_refused(result: Tree) -> None:
    talk = ready("modern", attached=True)
    talk.client(talk.call(1))
    turn = talk.server({"jsonrpc": "2.0", "id": 1, "result": {"resultType": "input_required", **result}})
    assert turn.tickets == []
    assert turn.only("client")["error"]["code"] == -31001
    assert turn.controls == {"recognised"}


@pytest.mark.parametrize("method", ["tools/list", "server/discover", "completion/complete"])
def test_where_nothing_may_be_asked_a_question_is_refused(method: str) -> None:
    talk = ready("modern", attached=True)
    params = {"ref": {"name": "p"}, "argument": {"name": "a", "value": "v"}}
    talk.client(talk.request(1, method, params))
    turn = talk.server(requires(1, a="roots/list"))
    assert turn.tickets == []
    assert turn.only("client")["error"]["code"] == -31001


def test_a_question_smuggled_into_a_complete_result_is_refused() -> None:
    talk = ready("modern", attached=True)
    talk.client(talk.call(1))
    turn = talk.server(talk.result(1, content=[], inputRequests={"a": {"method": "roots/list"}}))
    assert turn.only("client")["error"]["code"] == -31001


def test_the_seal_is_an_hmac_over_all_of_it() -> None:
    sealed = SealedState("s", (("a", "roots/list", "d"),), "t", "p", "f", "m", "x", 5)
    token = seal.close_seal(KEY, sealed)
    assert token == seal.close_seal(KEY, sealed)
    for name, other in msgspec.structs.asdict(sealed).items():
        changed = msgspec.structs.replace(sealed, **{name: "z" if isinstance(other, str) else ()})
        assert seal.close_seal(KEY, changed)[:54] != token[:54], name


def test_digests_name_their_domain() -> None:
    assert action_digest(b"{}") == hashlib.sha256(b"doorward action v1\0{}").hexdigest()
    assert seal.ask_digest({}) == hashlib.sha256(b"doorward ask v1\0{}").hexdigest()

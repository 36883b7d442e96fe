"""Who declares what they do not honour is treated as not having it (architecture §9.1 of the threats)."""

from __future__ import annotations

import pytest
from tests.relay.dialogue import (
    ASKABLE,
    Dialogue,
    Era,
    Tree,
    Turn,
    asks,
    eras,
    failure,
    greet,
    only_legacy,
    ready,
    requires,
)

from doorward.relay import unanswered

CONTROL = "honoured-capabilities"
GOOD: dict[str, Tree] = {
    "sampling/createMessage": {"role": "assistant", "model": "m", "content": {"type": "text", "text": "x"}},
    "elicitation/create": {"action": "decline"},
    "roots/list": {"roots": [{"uri": "file:///srv"}]},
}
BAD: dict[str, list[Tree]] = {
    "sampling/createMessage": [{}, {"role": "assistant", "content": {}}, {"role": 1, "model": "m", "content": {}}],
    "elicitation/create": [{}, {"action": "yes"}, {"action": "accept", "content": []}],
    "roots/list": [{}, {"roots": {}}, {"roots": ["file:///srv"]}, {"roots": [{"name": "x"}]}],
}
METHODS = sorted(GOOD)


def approved(talk: Dialogue, method: str, id: str = "s1") -> Turn:
    """The server asks, and a person lets it pass."""
    return talk.person(asks(talk, method, id).ticket)


def answered(talk: Dialogue, method: str, answer: Tree, id: str = "s1") -> Turn:
    approved(talk, method, id)
    return talk.client({"jsonrpc": "2.0", "id": id, **answer})


@only_legacy
@pytest.mark.parametrize("method", METHODS)
def test_an_answer_of_its_form_and_a_no_of_the_user_are_honest(era: Era, method: str) -> None:
    talk = ready(era, attached=True)
    for number, answer in enumerate(({"result": GOOD[method]}, {"error": {"code": -1, "message": "user rejected"}})):
        turn = answered(talk, method, answer, f"s{number}")
        assert turn.told("server")
        assert CONTROL not in turn.controls
    assert talk.relay.state.link.unhonoured == frozenset()


@only_legacy
@pytest.mark.parametrize("method", METHODS)
def test_a_client_that_knows_no_such_method_is_asked_once(era: Era, method: str) -> None:
    talk = ready(era, attached=True)
    turn = answered(talk, method, {"error": {"code": -32601, "message": "method not found"}})
    assert turn.only("server")["error"]["code"] == -32601
    assert turn.controls == {CONTROL}
    again = asks(talk, method, "s2")
    assert "declared-inputs" in again.controls
    assert not again.told("client")


@only_legacy
@pytest.mark.parametrize(("method", "result"), [(method, result) for method in METHODS for result in BAD[method]])
def test_an_answer_in_another_form_is_noted_and_goes_on(era: Era, method: str, result: Tree) -> None:
    talk = ready(era, attached=True)
    turn = answered(talk, method, {"result": result})
    assert turn.only("server")["result"] == result
    assert turn.controls == {CONTROL}
    others = [one for one in METHODS if one != method]
    assert "declared-inputs" in asks(talk, method, "s2").controls
    assert approved(talk, others[0], "s3").told("client"), "only what was not honoured is taken away"


def test_in_the_modern_era_it_is_not_declared_for_the_client_any_more() -> None:
    talk = ready("modern", attached=True)
    talk.client(talk.call(1))
    shown = talk.person(talk.server(requires(1, a="elicitation/create")).ticket).only("client")
    retry = talk.call(2)
    retry["params"] |= {"requestState": shown["result"]["requestState"], "inputResponses": {"a": {"action": "perhaps"}}}
    turn = talk.client(retry)
    assert CONTROL in turn.controls
    assert "inputResponses" in turn.only("server")["params"]
    third = talk.client(talk.call(3))
    heard = third.only("server")["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
    assert heard == {name: value for name, value in ASKABLE.items() if name != "elicitation"}
    assert third.controls == {"capability-grants"}
    asked = talk.server(requires(3, a="elicitation/create"))
    assert "declared-inputs" in asked.controls
    assert "result" not in asked.only("client")


@only_legacy
def test_a_client_that_begins_anew_is_believed_anew(era: Era) -> None:
    talk = ready(era, attached=True)
    answered(talk, "roots/list", {"error": {"code": -32601, "message": "no"}})
    fresh = greet(Dialogue(era, attached=True))
    assert fresh.relay.state.link.unhonoured == frozenset()


@eras()
def test_a_server_that_knows_no_method_of_what_it_declared_is_noted(era: Era) -> None:
    talk = greet(Dialogue(era), server={"tools": {}, "prompts": {}})
    talk.client(talk.request(5, "prompts/list"))
    turn = talk.server(failure(5, -32601, "method not found"))
    assert turn.controls == {CONTROL}
    assert turn.only("client")["error"]["code"] == -32601


@eras()
@pytest.mark.parametrize(("method", "code"), [("resources/list", -32601), ("prompts/list", -32602)])
def test_what_was_never_declared_and_any_other_error_is_no_broken_word(era: Era, method: str, code: int) -> None:
    talk = greet(Dialogue(era), server={"tools": {}, "prompts": {}})
    talk.client(talk.request(5, method))
    assert talk.server(failure(5, code, "no")).controls == set()


# -- never -------------------------------------------------------------------------------------------------------------

REFUSED: dict[str, Tree] = {
    "sampling/createMessage": {"error": -1},
    "elicitation/create": {"result": {"action": "decline"}},
    "roots/list": {"error": -31001},
}


@only_legacy
@pytest.mark.parametrize("method", METHODS)
def test_what_a_client_never_answers_is_refused_in_the_end_and_noted(era: Era, method: str) -> None:
    talk = ready(era, attached=True)
    assert approved(talk, method).told("client")
    asked_at = talk.now
    turn = talk.until_deadline()
    assert talk.now - asked_at == unanswered.PATIENCE_S * 1_000_000
    (answer,) = turn.told("server")
    assert answer["id"] == "s1"
    expected = REFUSED[method]
    assert answer.get("result") == expected.get("result")
    assert answer.get("error", {}).get("code") == expected.get("error")
    (told,) = turn.told("client")
    assert (told["method"], told["params"]) == ("notifications/cancelled", {"requestId": "s1"})
    assert CONTROL in turn.controls
    assert talk.opened("server", '"s1"') is None
    late = talk.client({"jsonrpc": "2.0", "id": "s1", "result": GOOD[method]})
    assert late.told("server") == []
    assert approved(talk, method, "s2").told("client"), "a user may have been away"


@only_legacy
def test_each_has_its_own_deadline_and_what_was_answered_has_none(era: Era) -> None:
    talk = ready(era, attached=True)
    approved(talk, "roots/list", "s1")
    talk.tick(60)
    approved(talk, "roots/list", "s2")
    approved(talk, "roots/list", "s3")
    talk.client({"jsonrpc": "2.0", "id": "s2", "result": GOOD["roots/list"]})
    assert [answer["id"] for answer in talk.until_deadline().told("server")] == ["s1"]
    assert [answer["id"] for answer in talk.until_deadline().told("server")] == ["s3"]
    assert talk.relay.deadline is None


@only_legacy
def test_what_could_not_be_recorded_does_not_wait_for_ever_either(era: Era) -> None:
    talk = ready(era, attached=True)
    approved(talk, "roots/list")
    talk.fails_to_record()
    turn = talk.until_deadline()
    (answer,) = turn.told("server")
    assert answer["error"]["data"]["recorded"] is False
    talk.records_again()
    assert talk.relay.state.asked == {}

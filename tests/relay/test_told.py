"""What each peer is told when something does not pass: every row of the table in architecture §5."""

from __future__ import annotations

import pytest
from tests.relay.dialogue import (
    ASKABLE,
    LEGACY,
    MODERN,
    Dialogue,
    Era,
    Tree,
    asks,
    bring,
    eras,
    greet,
    initialize,
    modern_meta,
    notification,
    only_legacy,
    only_modern,
    ready,
    requires,
    with_tool,
)

from doorward.judge.gates.solicited import MAX_OPEN
from doorward.policy.model import ToolPolicy

REFUSED = {"code": -31001, "message": "refused by the gateway"}


def is_refused(error: Tree) -> bool:
    """The general refusal: a code, a fixed sentence, a reference, and nothing of the policy."""
    reference = error.get("data", {}).get("reference", "")
    return error == {**REFUSED, "data": {"reference": reference}} and len(reference) == 12


# -- arguments violate the server's own published schema ---------------------------------------------------------------


@eras()
def test_arguments_that_do_not_fit_the_schema_are_a_tool_result_with_pointer_and_rule(era: Era) -> None:
    talk = ready(era)
    turn = talk.client(talk.call(1, arguments={"text": 5}))
    result = turn.only("client")["result"]
    assert result["isError"] is True
    (content,) = result["content"]
    assert content["type"] == "text"
    assert "/text" in content["text"]
    assert content["text"].endswith("type")
    assert result.get("resultType") == ("complete" if era == "modern" else None)
    assert turn.record.entry.kind == "refusal"


@eras()
def test_an_argument_that_the_schema_does_not_name_is_told_the_same_way(era: Era) -> None:
    talk = ready(era)
    result = talk.client(talk.call(1, arguments={"text": "x", "force": True})).only("client")["result"]
    assert result["isError"] is True


# -- any policy refusal ------------------------------------------------------------------------------------------------


@eras()
def test_a_policy_refusal_is_31001_with_a_reference_that_the_archive_explains(era: Era) -> None:
    from doorward.content.arguments import Constraint
    from doorward.policy.load import load

    policy = with_tool(load(None), "read", ToolPolicy(arguments={"text": (Constraint("identifier"),)}))
    talk = ready(era, policy=policy)
    turn = talk.client(talk.call(1, arguments={"text": "a; rm -rf /"}))
    error = turn.only("client")["error"]
    assert is_refused(error)
    assert turn.record.entry.reference == error["data"]["reference"]
    assert turn.controls == {"argument-constraints"}


@eras()
def test_a_refused_answer_is_31001_too(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    turn = talk.server(talk.result(1, content=[], resultType="no such kind"))
    assert is_refused(turn.only("client")["error"])
    assert turn.record.entry.outcome == "refused"


# -- waiting for consent -----------------------------------------------------------------------------------------------


@eras()
def test_what_needs_a_person_and_has_none_is_31002_with_the_hint(era: Era) -> None:
    error = (talk := ready(era)).client(talk.call(1, "wipe")).only("client")["error"]
    assert error["code"] == -31002
    assert "doorward consent" in error["message"]
    assert error["data"].keys() == {"reference"}


@eras()
def test_a_persons_no_is_31002_without_a_hint(era: Era) -> None:
    talk, held = bring(era, "HELD")
    error = talk.person(held.ticket, approved=False).only("client")["error"]
    assert error["code"] == -31002
    assert "doorward consent" not in error["message"]


@eras()
def test_a_held_call_that_nobody_answers_ends_as_a_tool_result_that_names_the_way(era: Era) -> None:
    talk, held = bring(era, "HELD")
    talk.now = held.ticket.expires - 1
    talk.tick()
    assert ("client", "1") not in talk.answered
    talk.now += 1
    turn = talk.tick()
    result = turn.only("client")["result"]
    assert result["isError"] is True
    assert "doorward consent" in result["content"][0]["text"]
    assert f"{talk.policy.hold_seconds} s" in result["content"][0]["text"]
    assert result.get("resultType") == ("complete" if era == "modern" else None)
    assert turn.withdrawn == [held.ticket.id]
    (record,) = turn.records("answer")
    assert (record.entry.outcome, record.grade) == ("expired", "durable")
    assert talk.person(held.ticket).silent


# -- rate or capacity --------------------------------------------------------------------------------------------------


@eras()
def test_too_much_at_once_is_31003_with_a_time_to_come_back(era: Era) -> None:
    talk = ready(era)
    for id in range(MAX_OPEN):
        talk.client(talk.call(id))
    error = talk.client(talk.call("more")).only("client")["error"]
    assert (error["code"], error["data"]["retryAfterMs"]) == (-31003, 1000)


# -- a server's ask ----------------------------------------------------------------------------------------------------

LEGACY_ASKS: dict[str, Tree] = {
    "sampling/createMessage": {"error": {"code": -1, "message": "sampling was not agreed to"}},
    "elicitation/create": {"result": {"action": "decline"}},
    "roots/list": {"error": REFUSED},
}


def _refused_at_once(talk: Dialogue, method: str) -> Tree:
    talk.attached = False
    return asks(talk, method).only("server")


def _refused_by_a_person(talk: Dialogue, method: str) -> Tree:
    return talk.person(asks(talk, method).ticket, approved=False).only("server")


def _expired(talk: Dialogue, method: str) -> Tree:
    talk.now = asks(talk, method).ticket.expires
    return talk.tick().only("server")


def _undeclared(talk: Dialogue, method: str) -> Tree:
    talk.relay.state.link.client_capabilities.clear()
    return asks(talk, method).only("server")


@only_legacy
@pytest.mark.parametrize("method", LEGACY_ASKS)
@pytest.mark.parametrize("how", [_refused_at_once, _refused_by_a_person, _expired, _undeclared])
def test_a_legacy_ask_that_does_not_pass_is_answered_in_the_servers_own_words(
    era: Era, method: str, how: object
) -> None:
    talk = ready(era, attached=True, client=dict(ASKABLE))
    assert callable(how)
    told = how(talk, method)
    expected = LEGACY_ASKS[method]
    error = told.get("error", {})
    assert error.pop("data", {}).keys() <= {"reference"}
    assert {name: told[name] for name in told if name not in ("jsonrpc", "id")} == expected
    assert told["id"] == "s1"


@only_modern
@pytest.mark.parametrize("method", LEGACY_ASKS)
@pytest.mark.parametrize("how", ["at once", "by a person", "expired", "undeclared"])
def test_a_modern_ask_that_does_not_pass_is_31001_to_the_client(era: Era, method: str, how: str) -> None:
    talk = ready(era, attached=how != "at once")
    talk.client(talk.call(1, capabilities={} if how == "undeclared" else ASKABLE))
    turn = talk.server(requires(1, a=method))
    if how == "by a person":
        turn = talk.person(turn.ticket, approved=False)
    elif how == "expired":
        talk.now = turn.ticket.expires
        turn = talk.tick()
    assert is_refused(turn.only("client")["error"])
    assert turn.told("server") == [], "we never retry for it"
    assert talk.relay.state.opened == {}


# -- malformed, version ------------------------------------------------------------------------------------------------


def test_a_malformed_message_gets_the_code_of_json_rpc() -> None:
    talk = ready("legacy")
    assert talk.unreadable(b"{", "client").only("client")["error"]["code"] == -32700
    assert talk.unreadable(b"[]", "client").only("client")["error"]["code"] == -32600


@eras()
def test_an_unknown_method_is_32601(era: Era) -> None:
    assert (talk := ready(era)).client(talk.request(1, "no/such")).only("client")["error"]["code"] == -32601


@eras()
def test_params_that_are_not_of_the_methods_form_are_32602(era: Era) -> None:
    talk = ready(era)
    assert talk.client(talk.request(1, "tools/call", {"name": 5})).only("client")["error"]["code"] == -32602
    assert talk.client(talk.request(2, "resources/read", {})).only("client")["error"]["code"] == -32602


@only_legacy
def test_a_message_in_a_wrong_phase_is_32600(era: Era) -> None:
    assert (talk := Dialogue(era)).client(talk.request(1, "tools/list")).only("client")["error"]["code"] == -32600


@only_legacy
def test_a_modern_envelope_on_a_legacy_link_is_32600(era: Era) -> None:
    talk = ready(era)
    message = talk.request(1, "tools/list") | {"params": {"_meta": modern_meta()}}
    assert talk.client(message).only("client")["error"]["code"] == -32600


@only_modern
def test_an_incomplete_envelope_is_32602(era: Era) -> None:
    talk = greet(Dialogue(era))
    assert talk.client(talk.request(1, "tools/list", version=5)).only("client")["error"]["code"] == -32602
    message = talk.request(2, "tools/list")
    del message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
    assert talk.client(message).only("client")["error"]["code"] == -32602


@only_modern
def test_a_modern_revision_that_is_not_spoken_is_32022_with_what_is(era: Era) -> None:
    talk = greet(Dialogue(era))
    error = talk.client(talk.request(1, "tools/list", version="2099-01-01")).only("client")["error"]
    assert error["code"] == -32022
    assert (error["data"]["supported"], error["data"]["requested"]) == ([MODERN], "2099-01-01")


@eras()
def test_our_own_codes_stay_out_of_the_ranges_of_the_specification(era: Era) -> None:
    """-32020 … -32099 are the specification's; ours lie outside -32768 … -32000 altogether."""
    from doorward.relay import replies

    for code in (replies.REFUSED, replies.CONSENT, replies.CAPACITY):
        assert not -32768 <= code <= -32000
    assert replies.SERVER_ENDED == -32603
    assert era in ("legacy", "modern")


@eras()
def test_refusals_of_different_reasons_look_the_same_to_the_peer(era: Era) -> None:
    """A refusal says nothing of the policy: it cannot be used to find out which control stands behind it."""
    talk = ready(era)
    unlisted = talk.client(talk.call(1, "unlisted")).only("client")["error"]
    masked = talk.client(talk.call(2, arguments={"text": "\u2039masked:key:0123456789\u203a"})).only("client")["error"]
    for error in (unlisted, masked):
        assert is_refused(error)


# -- while a ticket is open --------------------------------------------------------------------------------------------


@eras()
def test_who_gave_a_token_sees_a_sign_of_life_while_a_person_is_asked(era: Era) -> None:
    talk, held = bring(era, "HELD", meta={"progressToken": "t"})
    signs = []
    while talk.relay.deadline != held.ticket.expires:
        told = talk.until_deadline().only("client")
        assert (told["method"], told["params"]["progressToken"]) == ("notifications/progress", "t")
        signs.append(told["params"]["progress"])
    assert len(signs) >= 3
    assert signs == sorted(set(signs)), "progress must increase"
    assert signs[-1] < 1, "and not overtake the server's own"


@eras()
def test_who_gave_no_token_sees_nothing_until_the_end(era: Era) -> None:
    talk, held = bring(era, "HELD")
    while talk.relay.deadline != held.ticket.expires:
        assert talk.until_deadline().silent
    assert talk.until_deadline().told("client")


@only_modern
def test_a_held_answer_shows_signs_of_life_too(era: Era) -> None:
    talk, _ = bring(era, "ANSWER_HELD", meta={"progressToken": 3})
    assert talk.until_deadline().only("client")["params"]["progressToken"] == 3


@eras()
def test_nothing_is_said_of_a_ticket_that_was_answered(era: Era) -> None:
    talk, held = bring(era, "HELD", meta={"progressToken": "t"})
    talk.person(held.ticket)
    assert talk.relay.deadline is None
    assert talk.tick(3600).silent


def test_the_driver_speaks_the_envelopes_of_both_eras() -> None:
    assert initialize()["params"]["protocolVersion"] == LEGACY
    assert modern_meta()["io.modelcontextprotocol/protocolVersion"] == MODERN
    assert "id" not in notification("notifications/initialized")

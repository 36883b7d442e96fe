"""Nobody waits for ever: a side that leaves, a frame that cannot be read, a message that was not delivered (§4, §9)."""

from __future__ import annotations

import pytest
from tests.relay.dialogue import (
    Dialogue,
    Era,
    asks,
    bring,
    eras,
    greet,
    initialize,
    initialized,
    notification,
    only_legacy,
    ready,
    states,
)

from doorward.relay.commands import Send
from doorward.wire.jsonrpc import FrameLimits

# -- a side is gone ---------------------------------------------------------------------------------------------------


@states("SENT", "ANSWER_HELD")
def test_a_call_that_reached_a_server_which_ended_has_an_unknown_outcome(era: Era, state: str) -> None:
    talk, _ = bring(era, state)
    turn = talk.closes("server", "it crashed")
    told = turn.only("client")
    assert (told["id"], told["error"]["code"]) == (1, -32603)
    assert (told["error"]["data"]["outcome"], told["error"]["data"]["retry"]) == ("unknown", "not safe")
    (outcome,) = turn.records("outcome")
    assert (outcome.entry.outcome, outcome.grade, outcome.entry.request) == ("unknown", "durable", "1")
    assert talk.relay.state.opened == {}


@states("FETCHING", "HELD")
def test_a_call_that_never_reached_a_server_which_ended_was_not_executed(era: Era, state: str) -> None:
    talk, _ = bring(era, state)
    turn = talk.closes("server")
    told = turn.only("client")["error"]
    assert (told["code"], told["data"]["outcome"], told["data"]["retry"]) == (-32603, "not executed", "safe")
    assert [r.entry.outcome for r in turn.records("outcome")] == ["not executed"]


@states("HELD", "ANSWER_HELD")
def test_a_server_that_ends_voids_the_tickets(era: Era, state: str) -> None:
    talk, held = bring(era, state)
    assert talk.closes("server").withdrawn == [held.ticket.id]
    assert talk.person(held.ticket).silent


@eras()
def test_every_open_call_ends_with_the_server_and_is_never_tried_again(era: Era) -> None:
    talk = ready(era)
    for id in range(5):
        talk.client(talk.call(id))
    turn = talk.closes("server")
    assert sorted(tree["id"] for tree in turn.told("client")) == list(range(5))
    assert turn.told("server") == []
    assert [r.entry.outcome for r in turn.records("outcome")] == ["unknown"] * 5
    assert talk.server(talk.result(0)).silent


@only_legacy
def test_what_a_server_asked_ends_with_it_silently(era: Era) -> None:
    talk = ready(era, attached=True)
    ticket = asks(talk).ticket
    turn = talk.closes("server")
    assert turn.withdrawn == [ticket.id]
    assert turn.silent


@eras()
def test_a_client_that_left_still_gets_its_outcome_recorded(era: Era) -> None:
    talk, _ = bring(era, "SENT")
    talk.closes("client")
    assert talk.server(talk.result(1)).records("outcome")[0].entry.outcome == "ok"
    assert talk.closes("server").records("outcome") == []


# -- not delivered ----------------------------------------------------------------------------------------------------


@eras()
def test_what_was_not_delivered_is_recorded_as_that(era: Era) -> None:
    talk, _ = bring(era, "SENT")
    (body,) = talk.server(talk.result(1)).bytes_to("client")
    turn = talk.undelivered(Send("client", 0, body), "nobody reads")
    assert turn.silent
    entry = turn.record.entry
    assert (entry.outcome, entry.detail) == ("undelivered", {"to": "client", "why": "nobody reads"})
    assert entry.body_size == len(body)


# -- not readable -----------------------------------------------------------------------------------------------------

BROKEN = {
    "json": b"{",
    "utf-8": b'{"jsonrpc":"2.0","method":"\xff"}',
    "duplicate-member": b'{"jsonrpc":"2.0","id":4,"id":5,"method":"ping"}',
    "batch": b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
    "not-an-object": b"5",
    "jsonrpc-version": b'{"jsonrpc":"1.0","id":4,"method":"ping"}',
    "extra-member": b'{"jsonrpc":"2.0","id":4,"method":"ping","x":1}',
    "id": b'{"jsonrpc":"2.0","id":null,"method":"ping"}',
    "method": b'{"jsonrpc":"2.0","id":4,"method":5}',
    "params": b'{"jsonrpc":"2.0","id":4,"method":"ping","params":[]}',
    "response": b'{"jsonrpc":"2.0","id":4}',
    "result": b'{"jsonrpc":"2.0","id":4,"result":5}',
    "error-object": b'{"jsonrpc":"2.0","id":4,"error":{"code":"x"}}',
    "lone-surrogate": b'{"jsonrpc":"2.0","id":4,"method":"\\ud800"}',
    "number-range": b'{"jsonrpc":"2.0","id":4,"method":"ping","params":{"n":1e400}}',
}


@pytest.mark.parametrize("rule", BROKEN)
@pytest.mark.parametrize("sender", ["client", "server"])
def test_a_frame_that_breaks_a_rule_is_recorded_by_that_rule_and_passes_nothing_on(rule: str, sender: str) -> None:
    talk = ready("legacy")
    side, other = ("client", "server") if sender == "client" else ("server", "client")
    turn = talk.unreadable(BROKEN[rule], side)  # type: ignore[arg-type]
    assert turn.told(other) == []  # type: ignore[arg-type]
    entry = turn.record.entry
    assert (entry.kind, entry.detail["rule"], entry.sender) == ("refusal", rule, sender)
    assert turn.controls == {"strict-decode"}


def test_a_frame_beyond_the_limits_is_recorded_as_that() -> None:
    talk = ready("legacy")
    tight = FrameLimits(max_bytes=64)
    turn = talk.unreadable(
        b'{"jsonrpc":"2.0","id":4,"method":"ping","params":{"text":"' + b"x" * 64 + b'"}}', "client", limits=tight
    )
    assert turn.only("client")["error"]["code"] == -32600
    assert turn.controls == {"frame-limits"}


@pytest.mark.parametrize(
    ("rule", "code", "id"), [("json", -32700, None), ("extra-member", -32600, 4), ("id", -32600, None)]
)
def test_a_client_is_told_the_specifications_code_and_its_id_where_it_can_be_read(
    rule: str, code: int, id: object
) -> None:
    told = ready("legacy").unreadable(BROKEN[rule], "client").only("client")
    assert (told["error"]["code"], told["id"]) == (code, id)


@states("FETCHING", "HELD", "SENT", "ANSWER_HELD")
def test_a_broken_frame_is_not_answered_in_the_name_of_an_open_request(era: Era, state: str) -> None:
    talk, _ = bring(era, state)
    told = talk.unreadable(b'{"jsonrpc":"2.0","id":1,"method":"ping","x":1}', "client").only("client")
    assert told["id"] is None
    assert talk.opened("client", "1") is not None


ANSWERS = [
    b'{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2}}',
    b'{"jsonrpc":"2.0","id":1,"result":{"a":"\\ud800"}}',
    b'{"jsonrpc":"2.0","id":1,"result":5}',
    b'{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}',
    b'{"result":{"a":1e999},"id" : 1,"jsonrpc":"2.0"}',
]


@eras()
@pytest.mark.parametrize("line", ANSWERS)
def test_an_unreadable_answer_whose_id_can_be_seen_ends_its_request(era: Era, line: bytes) -> None:
    talk = ready(era)
    talk.client(talk.call(2))
    talk.client(talk.call(1))
    turn = talk.unreadable(line, "server")
    told = turn.only("client")
    assert (told["id"], told["error"]["code"]) == (1, -31001)
    (outcome,) = turn.records("outcome")
    assert (outcome.entry.outcome, outcome.grade) == ("unreadable", "durable")
    assert talk.opened("client", "1") is None
    assert talk.opened("client", "2") is not None


@eras()
def test_an_answer_too_long_to_hold_ends_its_request_by_either_of_its_ends(era: Era) -> None:
    for line in (
        b'{"jsonrpc":"2.0","id":1,"result":{"t":"' + b"x" * 900,
        b'{"jsonrpc":"2.0","result":{"t":"' + b"x" * 500 + b'"},"id":1',
    ):
        talk = ready(era)
        talk.client(talk.call(1))
        talk.client(talk.call(2))
        assert talk.unreadable(line, "server").only("client")["id"] == 1


@eras()
def test_an_unreadable_frame_without_an_id_ends_the_only_request_that_is_open(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    assert talk.unreadable(b'{"jsonrpc":"2.0","result', "server").only("client")["id"] == 1


@eras()
def test_an_unreadable_frame_without_an_id_ends_nothing_where_several_are_open(era: Era) -> None:
    talk = ready(era)
    for id in (1, 2):
        talk.client(talk.call(id))
    assert talk.unreadable(b'{"jsonrpc":"2.0","result', "server").silent
    assert len(talk.relay.state.opened) == 2


@eras()
def test_an_unreadable_notification_is_nobodys_answer(era: Era) -> None:
    """JavaScript servers cut strings inside a character: such a log message must not end the call that it is about."""
    talk = ready(era)
    talk.client(talk.call(1))
    line = b'{"method":"notifications/message","params":{"level":"info","data":{"id":1,"t":"\\ud800"}},"jsonrpc":"2.0"}'
    assert talk.unreadable(line, "server").silent
    assert talk.server(talk.result(1)).only("client")["id"] == 1


@states("FETCHING", "HELD", "ANSWER_HELD")
def test_an_unreadable_answer_to_what_was_not_sent_ends_nothing(era: Era, state: str) -> None:
    talk, _ = bring(era, state)
    before = talk.opened("client", "1")
    talk.unreadable(b'{"jsonrpc":"2.0","id":1,"result":5}', "server")
    if state != "FETCHING":  # there our own question is the only one that is open, and it ends with what waited for it
        assert talk.opened("client", "1") is before


@only_legacy
def test_a_clients_unreadable_answer_ends_what_its_server_asked(era: Era) -> None:
    talk = ready(era, attached=True)
    talk.person(asks(talk, id=1).ticket)
    turn = talk.unreadable(b'{"jsonrpc":"2.0","id":1,"result":5}', "client")
    assert turn.told("server")[0]["id"] == 1
    assert talk.opened("server", "1") is None
    assert [r.entry.outcome for r in turn.records("outcome")] == ["unreadable"]


@only_legacy
def test_a_servers_unreadable_request_is_answered(era: Era) -> None:
    talk = ready(era, attached=True)
    talk.client(talk.call(1))
    turn = talk.unreadable(b'{"jsonrpc":"2.0","id":1,"method":"roots/list","x":1}', "server")
    assert turn.only("server")["error"]["code"] == -32600
    assert talk.opened("client", "1") is not None


@only_legacy
def test_an_initialize_whose_answer_cannot_be_read_may_be_tried_again(era: Era) -> None:
    talk = Dialogue(era)
    talk.client(initialize())
    assert talk.unreadable(b'{"jsonrpc":"2.0","id":"init","result":5}', "server").only("client")["id"] == "init"
    assert talk.client(initialize()).told("server")
    assert talk.server(initialized()).told("client")


def test_the_sample_in_the_archive_is_masked() -> None:
    talk = greet(Dialogue("legacy"))
    turn = talk.unreadable(b'{"token":"a-secret-that-doorward-holds"', "client")
    assert "a-secret-that-doorward-holds" not in turn.record.entry.detail["begins"]


@eras()
def test_a_message_after_the_server_ended_raises_nothing(era: Era) -> None:
    talk = ready(era)
    talk.closes("server")
    talk.server(notification("notifications/message", level="info", data="late"))
    talk.tick(1)
    assert talk.closes("client").records("closed")

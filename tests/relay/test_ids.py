"""An id is in flight while its request is fetched for, held, sent, or its answer is held (architecture §4)."""

from __future__ import annotations

import msgspec
import pytest
from tests.relay.dialogue import (
    ALL_STATES,
    Dialogue,
    Era,
    asks,
    bring,
    eras,
    failure,
    greet,
    only_legacy,
    ready,
    states,
)

from doorward.judge.gates.solicited import MAX_OPEN
from doorward.relay.asking import MAX_HELD


@states(*ALL_STATES)
def test_an_id_that_is_in_flight_cannot_be_used_again(era: Era, state: str) -> None:
    talk, _ = bring(era, state)
    first = talk.opened("client", "1")
    turn = talk.client(talk.call(1))
    told = turn.only("client")
    assert (told["id"], told["error"]["code"]) == (None, -31001)
    assert turn.controls == {"solicited-only"}
    assert talk.opened("client", "1") is first


@states(*ALL_STATES)
def test_a_second_use_that_cannot_be_recorded_is_not_answered_in_the_name_of_the_first(era: Era, state: str) -> None:
    talk, _ = bring(era, state)
    talk.fails_to_record()
    told = talk.client(talk.call(1)).only("client")
    assert told["id"] is None
    assert told["error"]["data"] == {"executed": False, "recorded": False}
    assert talk.opened("client", "1") is not None


@only_legacy
def test_a_servers_second_use_of_its_id_is_refused_and_does_not_look_like_the_answer(era: Era) -> None:
    talk = ready(era, attached=True)
    asks(talk)
    told = asks(talk).only("server")
    assert (told["id"], told["error"]["code"]) == (None, -31001)
    assert talk.opened("server", '"s1"') is not None


@only_legacy
def test_each_side_counts_its_own_ids(era: Era) -> None:
    talk = ready(era)
    assert talk.client(talk.request(1, "ping")).told("server")
    assert talk.server({"jsonrpc": "2.0", "id": 1, "method": "ping"}).told("client")
    assert talk.server(talk.result(1, pong=True)).only("client")["id"] == 1
    assert talk.client({"jsonrpc": "2.0", "id": 1, "result": {}}).only("server")["id"] == 1
    assert talk.relay.state.opened == {}


@eras()
def test_an_id_is_free_again_once_its_request_was_answered(era: Era) -> None:
    talk = ready(era)
    for _ in range(2):
        assert talk.client(talk.call(1)).told("server")
        assert talk.server(talk.result(1)).only("client")["id"] == 1


@eras()
def test_the_number_and_the_text_are_two_ids(era: Era) -> None:
    talk = ready(era)
    assert talk.client(talk.call(1)).told("server")
    assert talk.client(talk.call("1")).told("server")
    assert talk.server(talk.result("1", content=[], which="text")).only("client")["result"]["which"] == "text"
    assert talk.opened("client", "1") is not None
    assert talk.server(talk.result(1, content=[], which="number")).only("client")["result"]["which"] == "number"


@pytest.mark.parametrize("id", [True, False, 1.0, None, [], {}])
def test_what_is_neither_text_nor_integer_is_no_id(id: object) -> None:
    talk = greet(Dialogue("legacy"))
    line = msgspec.json.encode({"jsonrpc": "2.0", "id": id, "method": "ping"})
    assert talk.unreadable(line, "client").only("client")["error"]["code"] == -32600


@eras()
@pytest.mark.parametrize("requestId", [True, 1.0, "1", None])
def test_only_the_very_id_is_cancelled(era: Era, requestId: object) -> None:  # noqa: N803 (the protocol's word)
    talk = ready(era)
    talk.client(talk.call(1))
    turn = talk.client(talk.cancel(requestId))
    assert turn.silent
    assert turn.controls == {"solicited-only"}
    assert talk.opened("client", "1") is not None


@eras()
def test_an_answer_that_nobody_asked_for_ends_silently(era: Era) -> None:
    talk = ready(era)
    turn = talk.server(talk.result(99))
    assert turn.silent
    assert turn.record.entry.kind == "refusal"
    assert turn.controls == {"solicited-only"}
    assert talk.client({"jsonrpc": "2.0", "id": 99, "result": {}}).silent
    assert talk.server(failure(98)).silent


@eras()
def test_a_second_answer_ends_silently(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    assert talk.server(talk.result(1)).told("client")
    assert talk.server(talk.result(1)).silent
    assert talk.answered["client", "1"] == 1


@states("FETCHING", "HELD", "ANSWER_HELD")
def test_what_was_not_sent_cannot_be_answered(era: Era, state: str) -> None:
    talk, _ = bring(era, state)
    assert talk.server(talk.result(1)).silent
    assert talk.opened("client", "1") is not None


@eras()
def test_an_answer_from_the_side_that_asked_is_no_answer(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    assert talk.client(talk.result(1)).silent
    assert talk.opened("client", "1") is not None


@eras()
def test_a_request_is_open_only_once_its_record_succeeded(era: Era) -> None:
    talk = ready(era)
    talk.fails_to_record()
    turn = talk.client(talk.call(1))
    assert turn.only("client")["error"]["data"] == {"executed": False, "recorded": False}
    assert talk.relay.state.opened == {}
    talk.records_again()
    assert talk.server(talk.result(1)).silent
    assert talk.client(talk.call(1)).told("server")


@only_legacy
def test_taking_back_one_sides_request_leaves_the_other_sides_alone(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.request(1, "ping"))
    talk.fails_to_record()
    talk.server({"jsonrpc": "2.0", "id": 1, "method": "ping"})
    talk.records_again()
    assert talk.server(talk.result(1, pong=True)).only("client")["id"] == 1


@eras()
def test_the_table_of_open_requests_is_bounded(era: Era) -> None:
    talk = ready(era)
    for number in range(MAX_OPEN):
        assert talk.client(talk.call(number)).told("server")
    told = talk.client(talk.call(MAX_OPEN)).only("client")
    assert told["id"] == MAX_OPEN
    assert told["error"]["code"] == -31003
    assert told["error"]["data"]["retryAfterMs"] > 0
    assert len(talk.relay.state.opened) == MAX_OPEN
    talk.server(talk.result(0))
    assert talk.client(talk.call(MAX_OPEN)).told("server")


@eras()
def test_the_table_of_questions_is_bounded(era: Era) -> None:
    talk = ready(era, attached=True)
    for number in range(MAX_HELD):
        assert talk.client(talk.call(number, "wipe")).ticket.id in talk.relay.state.held
    turn = talk.client(talk.call(MAX_HELD, "wipe"))
    assert turn.tickets == []
    assert turn.only("client")["error"]["code"] == -31002
    assert len(talk.relay.state.held) == MAX_HELD

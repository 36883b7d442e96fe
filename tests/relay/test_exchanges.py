"""Exchanges of HTTP that end before their answer, closed by the client or lost by the server (architecture §9)."""

from __future__ import annotations

import pytest
from tests.relay.dialogue import (
    ALL_STATES,
    Dialogue,
    Era,
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

from doorward.relay import routes
from doorward.relay.commands import End

LISTENING = {"notifications": {"toolsListChanged": True}}


def ended(turn: object) -> list[int]:
    return [command.exchange for command in turn.commands if isinstance(command, End)]  # type: ignore[attr-defined]


# -- the client closes -------------------------------------------------------------------------------------------------


def test_closing_the_stream_of_a_sent_request_cancels_it_recorded() -> None:
    talk, _ = bring("modern", "SENT", exchange=7)
    turn = talk.closes("client", exchange=7)
    told = turn.only("server")
    assert (told["method"], told["params"]) == ("notifications/cancelled", {"requestId": 1})
    assert talk.exchanges_to(turn, "server") == [7]
    entry = turn.record.entry
    assert (entry.outcome, entry.request, entry.exchange, turn.record.grade) == ("cancelled", "1", 7, "durable")
    assert talk.opened("client", "1") is None
    assert talk.server(talk.result(1), exchange=7).silent  # an answer that crossed with it


@pytest.mark.parametrize("state", ["FETCHING", "HELD", "ANSWER_HELD"])
def test_closing_the_stream_of_what_was_not_sent_on_tells_nobody(state: str) -> None:
    talk, held = bring("modern", state, exchange=7)
    turn = talk.closes("client", exchange=7)
    assert turn.silent
    assert turn.record.entry.outcome == "cancelled"
    assert talk.opened("client", "1") is None
    if state == "FETCHING":
        errand = held.only("server")["id"]
        assert talk.server(talk.result(errand, tools=[])).silent
    else:
        assert turn.withdrawn == [held.ticket.id]
        assert talk.person(held.ticket).silent


def test_closing_one_stream_leaves_every_other_request_alone() -> None:
    talk, _ = bring("modern", "SENT", exchange=7)
    talk.client(talk.call(2), exchange=8)
    talk.closes("client", exchange=7)
    turn = talk.server(talk.result(2), exchange=8)
    assert turn.only("client")["id"] == 2
    assert talk.exchanges_to(turn, "client") == [8]
    assert talk.closes("client", exchange=7).commands == []
    assert talk.closes("client", exchange=99).commands == []


def test_a_cancellation_that_cannot_be_recorded_is_not_sent() -> None:
    talk, _ = bring("modern", "SENT", exchange=7)
    talk.fails_to_record()
    assert talk.closes("client", exchange=7).silent
    assert talk.opened("client", "1") is None


# -- a request that is taken back needs its carriage no more -----------------------------------------------------------


@states("FETCHING", "HELD", "SENT")
def test_a_cancelled_request_ends_its_exchange_whatever_becomes_of_the_record(era: Era, state: str) -> None:
    for writes in (True, False):
        talk, _ = bring(era, state, exchange=7)
        if not writes:
            talk.fails_to_record()
        assert ended(talk.client(talk.cancel(1), exchange=8)) == [7]


@states(*ALL_STATES)
def test_what_is_carried_by_a_pipe_needs_no_end(era: Era, state: str) -> None:
    talk, _ = bring(era, state)
    assert ended(talk.client(talk.cancel(1))) == []


@only_legacy
def test_a_servers_cancellation_ends_no_exchange_of_the_clients(era: Era) -> None:
    talk, _ = bring(era, "SENT", exchange=7)
    talk.server({"jsonrpc": "2.0", "id": "p", "method": "ping"}, exchange=7)
    assert ended(talk.server(talk.cancel("p"), exchange=7)) == []


# -- the server's answer is lost ---------------------------------------------------------------------------------------


@eras()
def test_a_lost_answer_is_told_as_unknown_on_its_own_exchange(era: Era) -> None:
    talk, _ = bring(era, "SENT", exchange=7)
    talk.client(talk.call(2), exchange=8)
    turn = talk.closes("server", "the stream broke off", exchange=7)
    told = turn.only("client")
    assert (told["id"], told["error"]["data"]["outcome"]) == (1, "unknown")
    assert talk.exchanges_to(turn, "client") == [7]
    assert turn.record.entry.detail == {"cause": "the stream broke off"}
    assert talk.server(talk.result(2), exchange=8).only("client")["id"] == 2
    assert talk.server(talk.result(1), exchange=7).silent


@states("HELD", "ANSWER_HELD")
def test_what_waits_for_a_person_is_not_lost_with_its_exchange(era: Era, state: str) -> None:
    talk, held = bring(era, state, exchange=7)
    assert talk.closes("server", exchange=7).commands == []
    assert not talk.person(held.ticket).silent


def test_of_a_batch_only_what_was_not_answered_is_lost() -> None:
    talk = ready("legacy")
    for id in (1, 2, 3):
        talk.client(talk.call(id), exchange=7)
    talk.server(talk.result(2), exchange=7)
    turn = talk.closes("server", exchange=7)
    assert sorted(tree["id"] for tree in turn.told("client")) == [1, 3]


@eras()
def test_whoever_answers_in_the_servers_place_is_refused_once_and_counted_and_the_call_is_lost(era: Era) -> None:
    talk, _ = bring(era, "SENT", exchange=7)
    (refusal,) = talk.unproven("its certificate is not valid: expired", exchange=7).records("refusal")
    assert [(f.control, f.effect, f.reason) for f in refusal.entry.findings] == [
        ("server-proof", "DENY", "its certificate is not valid: expired")
    ]
    assert (refusal.entry.decision, refusal.entry.sender) == ("DENY", "server")
    assert talk.unproven("its certificate is not valid: expired", exchange=7).commands == []
    assert talk.unproven("TLS with it failed", exchange=7).record.entry.kind == "refusal"
    assert talk.opened("client", "1") is not None  # for whoever says that its answer is lost
    assert talk.closes("server", exchange=7).only("client")["error"]["data"]["outcome"] == "unknown"
    counted = {run.entry.count for run in talk.tick(2).records("run")}
    assert counted == {1}


def test_an_initialize_that_is_lost_may_be_tried_again() -> None:
    for exchange in (7, 0):
        talk = Dialogue("legacy")
        talk.client(initialize(), exchange=7)
        assert "error" in talk.closes("server", exchange=exchange).only("client")
        assert talk.relay.state.link.version == ""
    talk = Dialogue("legacy")
    talk.client(initialize(), exchange=7)
    talk.closes("server", exchange=7)
    talk.client(initialize("again"), exchange=8)
    assert talk.server(initialized("again"), exchange=8).only("client")["id"] == "again"


def test_a_question_of_our_own_that_is_lost_refuses_what_waited_for_it() -> None:
    talk, _ = bring("legacy", "FETCHING", exchange=7)
    turn = talk.closes("server", exchange=routes.OURS)
    assert turn.only("client")["id"] == 1
    assert talk.exchanges_to(turn, "client") == [7]
    fetching = talk.client(talk.call(2), exchange=8)
    assert fetching.only("server")["method"] == "tools/list"  # the next one asks anew


# -- where a message goes ----------------------------------------------------------------------------------------------


@only_legacy
def test_what_comes_on_an_answers_stream_stays_on_it_and_what_stands_alone_stays_alone(era: Era) -> None:
    talk, _ = bring(era, "SENT", exchange=7)
    talk.client(talk.call(2), exchange=8)
    log = notification("notifications/message", level="info", data="x")
    for arrived, left in ((7, 7), (8, 8), (0, 0)):
        assert talk.exchanges_to(talk.server(log, exchange=arrived), "client") == [left]


@eras()
def test_on_a_pipe_progress_and_answers_find_their_exchange(era: Era) -> None:
    talk = ready(era)
    for id, exchange in ((1, 7), (2, 8)):
        talk.client(talk.call(id, meta={"progressToken": f"t{id}"}), exchange=exchange)
    assert talk.exchanges_to(talk.server(talk.progress_to("t2")), "client") == [8]
    assert talk.exchanges_to(talk.server(talk.result(1)), "client") == [7]
    assert talk.exchanges_to(talk.server(talk.result(2)), "client") == [8]


def test_on_a_pipe_what_is_listened_for_finds_its_exchange_and_ends_on_it() -> None:
    talk = ready("modern")
    key = "io.modelcontextprotocol/subscriptionId"
    for id, exchange in ((1, 7), (2, 8)):
        talk.client(talk.request(id, "subscriptions/listen", LISTENING), exchange=exchange)
    for id, exchange in ((2, 8), (1, 7)):
        changed = notification("notifications/tools/list_changed", _meta={key: id})
        assert talk.exchanges_to(talk.server(changed), "client") == [exchange]
    turn = talk.server(talk.cancel(2))
    assert talk.exchanges_to(turn, "client") == [8]
    assert talk.opened("client", "2") is None
    assert talk.opened("client", "1") is not None
    assert not talk.relay.busy  # who only listens is not waited for at the end


@only_legacy
def test_a_question_of_the_servers_leaves_where_it_came_and_its_answer_goes_back_as_it_came(era: Era) -> None:
    talk = greet(Dialogue(era))
    talk.client(talk.request(1, "ping"), exchange=7)
    ping = talk.server({"jsonrpc": "2.0", "id": "p", "method": "ping"}, exchange=7)
    assert talk.exchanges_to(ping, "client") == [7]
    answer = talk.client({"jsonrpc": "2.0", "id": "p", "result": {}}, exchange=8)
    assert talk.exchanges_to(answer, "server") == [8]

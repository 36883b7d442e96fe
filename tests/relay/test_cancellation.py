"""A request is taken back by whoever made it, by notification; what waited for it is void (architecture §4)."""

from __future__ import annotations

import msgspec
from tests.relay.dialogue import (
    ALL_STATES,
    Dialogue,
    Era,
    asks,
    bring,
    eras,
    greet,
    initialize,
    initialized,
    only_legacy,
    ready,
    states,
)


@eras()
def test_the_cancellation_of_a_sent_request_reaches_the_server_recorded(era: Era) -> None:
    talk, _ = bring(era, "SENT")
    turn = talk.client(talk.cancel(1))
    assert turn.only("server")["params"]["requestId"] == 1
    assert (turn.record.entry.outcome, turn.record.entry.request, turn.record.grade) == ("cancelled", "1", "durable")
    assert talk.opened("client", "1") is None


@states("FETCHING", "HELD", "ANSWER_HELD")
def test_the_cancellation_of_what_was_not_sent_stays_here_and_is_recorded(era: Era, state: str) -> None:
    talk, _ = bring(era, state)
    turn = talk.client(talk.cancel(1))
    assert turn.silent
    assert turn.record.entry.outcome == "cancelled"
    assert talk.opened("client", "1") is None


@states("HELD", "ANSWER_HELD")
def test_a_cancellation_voids_the_ticket(era: Era, state: str) -> None:
    talk, held = bring(era, state)
    assert talk.client(talk.cancel(1)).withdrawn == [held.ticket.id]
    turn = talk.person(held.ticket)
    assert turn.silent
    assert turn.record.entry.decision == "DENY"
    assert talk.relay.state.held == {}


@eras()
def test_a_call_that_was_cancelled_while_definitions_were_fetched_is_never_sent(era: Era) -> None:
    talk, fetching = bring(era, "FETCHING")
    errand = fetching.only("server")["id"]
    talk.client(talk.cancel(1))
    turn = talk.server(talk.result(errand, tools=[]))
    assert turn.silent


@states(*ALL_STATES)
def test_only_who_asked_may_cancel(era: Era, state: str) -> None:
    talk, _ = bring(era, state)
    turn = talk.server(talk.cancel(1))
    assert turn.silent
    assert turn.controls == {"solicited-only"}
    assert talk.opened("client", "1") is not None


@only_legacy
def test_a_server_cancels_its_own_question_and_only_that(era: Era) -> None:
    talk = ready(era, attached=True)
    ticket = asks(talk).ticket
    assert talk.client(talk.cancel("s1")).silent
    assert talk.opened("server", '"s1"') is not None
    assert talk.server(talk.cancel("s1")).withdrawn == [ticket.id]
    assert talk.person(ticket).silent


@only_legacy
def test_a_servers_cancellation_of_what_the_client_was_sent_reaches_the_client(era: Era) -> None:
    talk = ready(era, attached=True)
    assert talk.person(asks(talk).ticket).told("client")
    assert talk.server(talk.cancel("s1")).only("client")["params"]["requestId"] == "s1"


@eras()
def test_a_late_answer_to_a_cancelled_request_ends_silently(era: Era) -> None:
    talk, _ = bring(era, "SENT")
    talk.client(talk.cancel(1))
    assert talk.server(talk.result(1)).silent
    assert ("client", "1") not in talk.answered


@eras()
def test_a_second_cancellation_ends_silently(era: Era) -> None:
    talk, _ = bring(era, "SENT")
    talk.client(talk.cancel(1))
    assert talk.client(talk.cancel(1)).silent


@eras()
def test_a_client_that_leaves_cancels_nothing_that_was_sent(era: Era) -> None:
    talk, _ = bring(era, "SENT")
    assert talk.closes("client").told("server") == []
    assert talk.opened("client", "1") is not None
    assert talk.server(talk.result(1)).written[-1].entry.outcome == "ok"


@eras()
def test_a_call_that_waits_for_definitions_is_judged_and_sent_even_if_its_client_left(era: Era) -> None:
    talk, fetching = bring(era, "FETCHING")
    talk.closes("client")
    assert talk.relay.fetching
    turn = talk.server(talk.result(fetching.only("server")["id"], tools=[{"name": "read", "inputSchema": {}}]))
    assert turn.only("server")["method"] == "tools/call"


@states("HELD", "ANSWER_HELD")
def test_a_client_that_leaves_voids_what_was_held_for_it(era: Era, state: str) -> None:
    talk, held = bring(era, state)
    turn = talk.closes("client")
    assert turn.withdrawn == [held.ticket.id]
    assert turn.told("server") == []
    assert [r.entry.outcome for r in turn.records("outcome")] == ["client left"]
    assert talk.person(held.ticket).silent


@only_legacy
def test_a_client_that_leaves_answers_what_its_server_had_asked(era: Era) -> None:
    talk = ready(era, attached=True)
    ticket = asks(talk).ticket
    turn = talk.closes("client")
    assert turn.withdrawn == [ticket.id]
    assert turn.only("server")["error"]["code"] == -1


@only_legacy
def test_initialize_cannot_be_cancelled(era: Era) -> None:
    """MCP, "Cancellation": the initialize request MUST NOT be cancelled. One that were would never end."""
    talk = Dialogue(era)
    talk.client(initialize())
    assert talk.client(talk.cancel("init")).silent
    assert talk.server(initialized()).only("client")["id"] == "init"


@eras()
def test_a_cancellation_is_bound_to_a_request_and_not_to_a_text_in_its_reason(era: Era) -> None:
    talk = greet(Dialogue(era))
    body = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"reason": "1"}}
    assert talk.client(msgspec.json.encode(body)).silent


@eras()
def test_the_id_of_a_cancelled_request_is_not_free_while_its_answer_may_still_come(era: Era) -> None:
    talk, _ = bring(era, "SENT")
    talk.client(talk.cancel(1))
    assert "solicited-only" in talk.client(talk.call(1)).controls
    assert talk.server(talk.result(1)).silent, "the late answer is nobody's"
    assert talk.client(talk.call(2)).told("server")

"""Record before effect, in two grades; what cannot be recorded does not happen (architecture §1, idea 5, and §4).

That a record stands before each send within every unit is checked by the driver itself, in every dialogue of this room.
"""

from __future__ import annotations

import msgspec
import pytest
from tests.relay.dialogue import (
    Dialogue,
    Era,
    Why,
    asks,
    bring,
    check_order,
    eras,
    failure,
    greet,
    initialize,
    initialized,
    notification,
    only_legacy,
    only_modern,
    ready,
    requires,
    states,
)

from doorward.judge.gates.owed import MAX_OWED
from doorward.judge.vocabulary import Answer
from doorward.relay.commands import Answered, Record, Send

NOT_DONE = {"executed": False, "recorded": False}
DONE = {"executed": True, "recorded": False}


# -- order and grades -------------------------------------------------------------------------------------------------


def test_the_driver_notices_a_send_without_its_record() -> None:
    """The rule that every dialogue is held against can itself fail."""
    talk = ready("legacy")
    unit = talk.client(talk.call(1)).commands
    with pytest.raises(AssertionError, match="without its intent"):
        check_order([command for command in unit if not isinstance(command, Record)])
    with pytest.raises(AssertionError, match="without its intent"):
        check_order(unit[::-1])
    outcome = talk.server(talk.result(1)).commands
    with pytest.raises(AssertionError, match="unrecorded"):
        check_order([command for command in outcome if isinstance(command, Send)])


@eras()
def test_a_request_is_durable_and_its_result_is_written(era: Era) -> None:
    talk = ready(era)
    intent = talk.client(talk.call(1)).record
    assert (intent.entry.kind, intent.grade, intent.entry.decision) == ("intent", "durable", "ALLOW")
    outcome = talk.server(talk.result(1)).record
    assert (outcome.entry.kind, outcome.grade, outcome.entry.outcome) == ("outcome", "written", "ok")
    assert (outcome.entry.request, outcome.entry.method, outcome.entry.subject) == ("1", "tools/call", "read")


@eras()
def test_an_error_of_the_server_is_an_outcome_too(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    turn = talk.server(failure(1, -32000, "no such file"))
    assert turn.only("client")["error"]["message"] == "no such file"
    assert turn.record.entry.outcome == "error"


@eras()
def test_a_list_is_written(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.request(1, "tools/list"))
    assert talk.server(talk.result(1, tools=[])).record.grade == "written"


@eras()
def test_logs_are_written_and_announcements_are_durable(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    log = talk.server(notification("notifications/message", level="error", data="x"))
    assert (log.record.grade, len(log.told("client"))) == ("written", 1)
    news = talk.server(notification("notifications/tools/list_changed"))
    assert (news.record.grade, len(news.told("client"))) == ("durable", 1)


@only_legacy
def test_what_a_client_answers_to_its_server_is_durable(era: Era) -> None:
    talk = ready(era, attached=True)
    ticket = asks(talk).ticket
    released = talk.person(ticket)
    assert (released.record.entry.kind, released.record.grade) == ("intent", "durable")
    answer = talk.client({"jsonrpc": "2.0", "id": "s1", "result": {"role": "assistant"}})
    assert (answer.record.grade, answer.only("server")["id"]) == ("durable", "s1")


@states("HELD", "ANSWER_HELD")
def test_asking_releasing_and_refusing_are_durable(era: Era, state: str) -> None:
    talk, held = bring(era, state)
    assert (held.records("ask")[0].grade, held.records("ask")[0].entry.ticket) == ("durable", held.ticket.id)
    released = talk.person(held.ticket)
    assert (released.record.grade, released.record.entry.spends) == ("durable", held.ticket.id)
    talk, held = bring(era, state)
    refused = talk.person(held.ticket, approved=False)
    assert (refused.record.grade, refused.record.entry.ticket) == ("durable", held.ticket.id)


def test_the_link_begins_and_ends_durably() -> None:
    talk = Dialogue()
    assert (talk.archive[0].entry.kind, talk.archive[0].grade) == ("opened", "durable")
    assert talk.archive[0].entry.detail["authenticated"] == talk.principal.how
    (closed,) = talk.closes("client").records("closed")
    assert (closed.grade, closed.entry.detail) == ("durable", {"side": "client", "cause": "gone"})


@eras()
def test_each_commitment_has_a_salt_of_its_own(era: Era) -> None:
    """Whoever is shown one original and its salt must not be able to try guesses on another."""
    talk = greet(Dialogue(era))
    fetching = talk.client(talk.call(1))
    talk.server(talk.result(fetching.only("server")["id"], tools=[{"name": "read", "inputSchema": {}}]))
    salts = [record.salt for record in talk.archive if record.salt]
    assert len(set(salts)) == len(salts) > 2


# -- what cannot be recorded ------------------------------------------------------------------------------------------


@eras()
def test_a_request_that_cannot_be_recorded_is_not_sent(era: Era) -> None:
    talk = ready(era)
    talk.fails_to_record()
    assert talk.client(talk.call(1)).only("client")["error"] == {
        "code": -31003,
        "message": "not done, because it could not be recorded",
        "data": NOT_DONE,
    }
    assert talk.relay.state.opened == {}


@eras()
def test_a_question_that_cannot_be_recorded_is_not_asked(era: Era) -> None:
    talk = ready(era, attached=True)
    talk.fails_to_record()
    turn = talk.client(talk.call(1, "wipe"))
    assert turn.only("client")["error"]["data"] == NOT_DONE
    assert turn.tickets == []
    assert talk.relay.state.held == {}
    assert talk.relay.state.opened == {}


@only_modern
def test_a_held_answer_whose_question_cannot_be_recorded_is_withheld(era: Era) -> None:
    talk = ready(era, attached=True)
    talk.client(talk.call(1))
    talk.fails_to_record()
    turn = talk.server(requires(1, a="roots/list"))
    assert turn.only("client")["error"]["data"] == DONE
    assert talk.relay.state.held == {}
    assert talk.opened("client", "1") is None


@eras()
def test_an_approval_that_cannot_be_recorded_releases_nothing(era: Era) -> None:
    talk, held = bring(era, "HELD")
    talk.fails_to_record()
    assert talk.person(held.ticket).only("client")["error"]["data"] == NOT_DONE
    assert talk.opened("client", "1") is None
    talk.records_again()
    assert talk.person(held.ticket).silent


@states("HELD", "ANSWER_HELD")
def test_a_persons_no_that_cannot_be_recorded_still_ends_the_wait(era: Era, state: str) -> None:
    talk, held = bring(era, state)
    talk.fails_to_record()
    told = talk.person(held.ticket, approved=False).only("client")
    assert (told["id"], told["error"]["data"]) == (1, NOT_DONE if state == "HELD" else DONE)
    assert talk.opened("client", "1") is None


@states("HELD", "ANSWER_HELD")
def test_an_expiry_that_cannot_be_recorded_still_ends_the_wait(era: Era, state: str) -> None:
    talk, held = bring(era, state)
    talk.fails_to_record()
    talk.now = held.ticket.expires
    told = talk.tick().only("client")
    assert (told["id"], told["error"]["data"]) == (1, NOT_DONE if state == "HELD" else DONE)


@eras()
def test_an_outcome_that_cannot_be_recorded_is_withheld_and_owed(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    talk.fails_to_record()
    turn = talk.server(talk.result(1, content=[{"type": "text", "text": "the content"}]))
    assert turn.only("client")["error"] == {
        "code": -31003,
        "message": "done, but its outcome could not be recorded",
        "data": DONE,
    }
    assert b"the content" not in b"".join(turn.bytes_to("client"))
    assert [record.entry.request for record in talk.relay.state.owed] == ["1"]


@eras()
def test_what_is_owed_is_written_before_the_next_intent(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    talk.fails_to_record()
    talk.server(talk.result(1))
    assert talk.client(talk.call(2)).only("client")["error"]["data"] == NOT_DONE
    talk.records_again()
    turn = talk.client(talk.call(3))
    assert [(r.entry.kind, r.entry.request) for r in turn.written] == [("outcome", "1"), ("intent", "3")]
    assert turn.only("server")["id"] == 3
    assert talk.relay.state.owed == []


@eras()
def test_what_is_owed_is_bounded_and_no_intent_passes_beyond(era: Era) -> None:
    talk = owing(era, MAX_OWED)
    talk.records_again()
    refused = talk.client(talk.call("late")).only("client")
    assert (refused["error"]["code"], refused["error"]["data"]["retryAfterMs"]) == (-31003, 1000)


@eras()
def test_a_disk_that_recovered_is_paid_and_the_link_lives_on(era: Era) -> None:
    talk = owing(era, MAX_OWED)
    assert len(talk.until_deadline().written) == 0
    assert len(talk.relay.state.owed) == MAX_OWED
    talk.records_again()
    talk.until_deadline()
    assert talk.relay.state.owed == []
    assert talk.client(talk.call("late")).told("server")


def owing(era: Era, count: int) -> Dialogue:
    """A link whose disk failed after ``count`` requests were sent and before any of them was answered."""
    talk = ready(era)
    for number in range(count):
        talk.client(talk.call(number))
    talk.fails_to_record()
    for number in range(count):
        talk.server(talk.result(number))
    assert len(talk.relay.state.owed) == count
    return talk


@eras()
def test_a_refusal_that_cannot_be_recorded_says_only_that(era: Era) -> None:
    talk = ready(era)
    talk.fails_to_record()
    turn = talk.client(talk.call(1, "unlisted"))
    assert turn.only("client")["error"]["data"] == NOT_DONE


@eras()
def test_a_frame_that_cannot_be_read_nor_recorded_is_still_answered(era: Era) -> None:
    talk = ready(era)
    talk.fails_to_record()
    told = talk.unreadable(b'{"jsonrpc":"2.0","id":4,"method":"ping","extra":1}', "client").only("client")
    assert (told["id"], told["error"]["data"]) == (4, NOT_DONE)


@only_legacy
def test_a_servers_question_that_cannot_be_recorded_is_answered_to_the_server(era: Era) -> None:
    talk = ready(era, attached=True)
    talk.fails_to_record()
    assert asks(talk).only("server")["error"]["data"] == NOT_DONE
    assert talk.server({"jsonrpc": "2.0", "id": 5, "method": "ping"}).only("server")["error"]["data"] == NOT_DONE
    assert talk.relay.state.opened == {}


@only_legacy
def test_a_clients_answer_that_cannot_be_recorded_does_not_reach_its_server(era: Era) -> None:
    talk = ready(era, attached=True)
    talk.person(asks(talk).ticket)
    talk.fails_to_record()
    turn = talk.client({"jsonrpc": "2.0", "id": "s1", "result": {"role": "assistant", "secret": 1}})
    assert turn.only("server")["error"]["data"] == DONE


@eras()
def test_a_question_of_our_own_that_cannot_be_recorded_refuses_what_waited_for_it(era: Era) -> None:
    talk = greet(Dialogue(era))
    talk.fails_to_record()
    assert talk.client(talk.call(1)).only("client")["error"]["data"] == NOT_DONE
    assert (talk.relay.state.opened, talk.relay.state.errand) == ({}, None)
    talk.records_again()
    assert talk.client(talk.call(1)).only("server")["method"] == "tools/list"


@only_legacy
def test_an_initialize_that_cannot_be_recorded_may_be_tried_again(era: Era) -> None:
    talk = Dialogue(era)
    talk.fails_to_record()
    assert talk.client(initialize()).only("client")["error"]["data"] == NOT_DONE
    talk.records_again()
    assert talk.client(initialize()).told("server")
    assert talk.server(initialized()).told("client")


@eras()
def test_a_notification_that_cannot_be_recorded_vanishes(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    talk.fails_to_record()
    assert talk.server(notification("notifications/message", level="error", data="x")).silent
    assert talk.server(notification("notifications/tools/list_changed")).silent


@eras()
def test_an_end_that_cannot_be_recorded_is_told_without_content(era: Era) -> None:
    talk = ready(era)
    talk.client(talk.call(1))
    talk.fails_to_record()
    assert talk.closes("server", "a cause with content").only("client")["error"]["data"] == DONE


# -- a ticket is spent once -------------------------------------------------------------------------------------------


@eras()
def test_a_ticket_is_spent_once(era: Era) -> None:
    talk, held = bring(era, "HELD")
    assert talk.person(held.ticket).told("server")
    again = talk.person(held.ticket)
    assert again.silent
    assert "unknown or spent" in again.record.entry.findings[0].reason


@eras()
def test_a_spend_that_the_archive_has_seen_cannot_be_recorded_so_cannot_be_sent(era: Era) -> None:
    """Even if the relay forgot that it released: the archive takes each ticket once."""
    talk, held = bring(era, "HELD")
    forgotten = talk.relay.state.held[held.ticket.id]
    opened = forgotten.opened
    assert talk.person(held.ticket).told("server")
    talk.relay.state.held[held.ticket.id] = forgotten
    opened.state, opened.ticket = "HELD", held.ticket.id
    answer = Answer(held.ticket.id, held.ticket.digest, True, "ada", "again")
    turn = talk.event(Answered(answer, talk.facts()))
    assert turn.told("server") == []
    assert turn.only("client")["error"]["data"] == NOT_DONE


def test_the_answers_that_leave_unrecorded_are_free_of_content() -> None:
    """They are the same for every request but for its id."""
    talk = ready("legacy")
    talk.fails_to_record()
    told = [talk.client(talk.call(1, arguments={"text": text})).only("client") for text in ("one", "two")]
    assert msgspec.json.encode(told[0]) == msgspec.json.encode(told[1])


def test_exclusions_have_types() -> None:
    assert [why.name for why in Why if " " not in why.value] == []


@only_legacy
def test_an_answer_to_initialize_that_cannot_be_recorded_leaves_the_handshake_to_be_tried_again(era: Era) -> None:
    talk = Dialogue(era)
    talk.client(initialize())
    talk.fails_to_record()
    assert talk.server(initialized()).only("client")["error"]["data"] == DONE
    talk.records_again()
    assert talk.client(initialize("again")).told("server")
    assert talk.server(initialized("again")).told("client")


@only_legacy
def test_a_client_whose_word_that_it_is_ready_was_not_recorded_is_not_ready(era: Era) -> None:
    talk = Dialogue(era)
    talk.client(initialize())
    talk.server(initialized())
    talk.fails_to_record()
    assert talk.client(notification("notifications/initialized")).told("server") == []
    talk.records_again()
    phases = [talk.relay.state.link.phase]
    talk.client(notification("notifications/initialized"))
    phases.append(talk.relay.state.link.phase)
    assert phases == ["answered", "ready"]

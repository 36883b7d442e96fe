"""What must still be true when a person's answer is used (architecture §1 idea 6, §4)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from tests.relay.dialogue import (
    READ,
    WIPE,
    Dialogue,
    Era,
    asks,
    bring,
    eras,
    greet,
    initialize,
    notification,
    only_legacy,
    only_modern,
    ready,
    states,
    with_tool,
)

from doorward.judge.vocabulary import Answer, Principal, Ticket
from doorward.policy.identity import verified
from doorward.policy.model import ToolPolicy
from doorward.relay.commands import Answered

Spoil = Callable[[Dialogue, Ticket], object]


def _principal(talk: Dialogue, _: Ticket) -> None:
    talk.principal = Principal("user:eve", "somebody else")


def _server(talk: Dialogue, _: Ticket) -> None:
    talk.server_identity = verified("command", "notes", {"path": "/usr/bin/notes", "sha256": "cd" * 32})


def _policy(talk: Dialogue, _: Ticket) -> None:
    changed = with_tool(talk.policy, "wipe", ToolPolicy(ask=True))
    talk.relay.state.settings = msgspec.structs.replace(talk.relay.state.settings, policy=changed)


def _session(talk: Dialogue, _: Ticket) -> None:
    talk.relay.state.link = msgspec.structs.replace(talk.relay.state.link, session="another")


def _expiry(talk: Dialogue, ticket: Ticket) -> None:
    talk.now = ticket.expires + 1


SPOILT: dict[str, tuple[Spoil, str]] = {
    "principal": (_principal, "the principal changed"),
    "server": (_server, "the server changed"),
    "policy": (_policy, "the policy or the session changed"),
    "session": (_session, "the policy or the session changed"),
    "expiry": (_expiry, "the answer came too late"),
}


@states("HELD", "ANSWER_HELD")
@pytest.mark.parametrize("what", SPOILT)
def test_an_approval_does_not_outlive_what_it_was_given_for(era: Era, state: str, what: str) -> None:
    talk, held = bring(era, state)
    spoil, why = SPOILT[what]
    spoil(talk, held.ticket)
    turn = talk.person(held.ticket)
    assert turn.told("server") == []
    assert turn.only("client")["error"]["code"] == (-31002 if state == "HELD" else -31001)
    assert (turn.record.entry.decision, turn.record.entry.findings[0].reason) == ("DENY", why)
    assert talk.opened("client", "1") is None


@states("HELD", "ANSWER_HELD")
def test_an_approval_in_the_last_microsecond_counts(era: Era, state: str) -> None:
    talk, held = bring(era, state)
    talk.now = held.ticket.expires
    assert talk.person(held.ticket).record.entry.spends == held.ticket.id


@states("HELD", "ANSWER_HELD")
def test_an_approval_of_other_bytes_releases_nothing(era: Era, state: str) -> None:
    talk, held = bring(era, state)
    turn = talk.person(held.ticket, digest="0" * 64)
    assert turn.told("server") == []
    assert turn.record.entry.findings[0].reason == "the answer is about other bytes"


@eras()
def test_an_approval_is_void_once_its_request_is_gone(era: Era) -> None:
    talk, held = bring(era, "HELD")
    del talk.relay.state.opened["client", "1"]
    turn = talk.person(held.ticket)
    assert turn.silent
    assert turn.record.entry.findings[0].reason == "its request is gone"


@eras()
def test_an_approval_is_not_carried_over_to_a_second_request_of_the_same_id(era: Era) -> None:
    talk, held = bring(era, "HELD")
    talk.client(talk.cancel(1))
    again = talk.client(talk.call(1, "wipe", {"all": True}))
    assert talk.person(held.ticket).silent
    found = talk.opened("client", "1")
    assert found is not None
    assert (found.state, found.ticket) == ("HELD", again.ticket.id)


@eras()
def test_an_approval_is_void_once_the_server_said_that_its_tools_changed(era: Era) -> None:
    talk, turn = bring(era, "HELD")
    talk.server(notification("notifications/tools/list_changed"))
    answered = talk.person(turn.ticket)
    assert answered.told("server") == []
    assert answered.record.entry.findings[0].reason == "the server changed its tools"


@eras()
def test_an_approval_is_void_once_the_tools_definition_changed(era: Era) -> None:
    talk, held = bring(era, "HELD")
    talk.client(talk.request("again", "tools/list"))
    talk.server(talk.result("again", tools=[READ, {**WIPE, "description": "now it does more"}]))
    turn = talk.person(held.ticket)
    assert turn.told("server") == []
    assert turn.record.entry.findings[0].reason == "the tool's definition changed"


@eras()
def test_an_approval_outlives_a_change_of_another_tool(era: Era) -> None:
    talk, held = bring(era, "HELD")
    talk.client(talk.request("again", "tools/list"))
    talk.server(talk.result("again", tools=[{**READ, "description": "changed"}, WIPE]))
    assert talk.person(held.ticket).told("server")


@eras()
@pytest.mark.parametrize("approved", [True, False])
def test_an_unknown_ticket_is_a_finding(era: Era, *, approved: bool) -> None:
    talk = ready(era)
    turn = talk.event(Answered(Answer("feed" * 8, "0" * 64, approved, "ada", "x"), talk.facts()))
    assert turn.silent
    assert (turn.record.entry.kind, turn.record.entry.decision) == ("answer", "DENY")
    assert turn.controls == {"ticket"}


@eras()
def test_who_answered_by_what_and_about_which_digest_is_recorded(era: Era) -> None:
    talk, held = bring(era, "HELD")
    entry = talk.person(held.ticket).record.entry
    assert entry.detail == {"by": "ada", "how": "doorward consent, terminal", "digest": held.ticket.digest}
    assert (entry.kind, entry.spends, entry.request, entry.method) == ("intent", held.ticket.id, "1", "tools/call")


@eras()
def test_a_persons_no_ends_the_request_and_says_so(era: Era) -> None:
    talk, held = bring(era, "HELD")
    turn = talk.person(held.ticket, approved=False)
    assert turn.only("client")["error"]["code"] == -31002
    assert turn.record.entry.reference == turn.only("client")["error"]["data"]["reference"]


@eras()
def test_a_ticket_names_everything_that_it_is_bound_to(era: Era) -> None:
    talk, held = bring(era, "HELD")
    ticket = held.ticket
    assert (ticket.principal, ticket.session, ticket.policy) == (talk.principal.id, "session", talk.policy.digest)
    assert (ticket.server, ticket.kind) == (talk.server_identity, "tool-call")
    assert ticket.definitions == talk.relay.state.definitions.fingerprint_of("wipe") != ""
    assert ticket.expires == talk.now + talk.policy.hold_seconds * 1_000_000


@eras()
def test_no_two_tickets_are_alike(era: Era) -> None:
    talk = ready(era, attached=True)
    first, second = talk.client(talk.call(1, "wipe")).ticket, talk.client(talk.call(2, "wipe")).ticket
    assert first.action_digest == second.action_digest
    assert len({first.id, second.id, first.nonce, second.nonce, first.digest, second.digest}) == 6


@eras()
def test_nobody_attached_refuses_at_once_and_holds_nothing(era: Era) -> None:
    talk = ready(era, attached=False)
    turn = talk.client(talk.call(1, "wipe"))
    assert turn.tickets == []
    error = turn.only("client")["error"]
    assert error["code"] == -31002
    assert "doorward consent" in error["message"]
    assert turn.record.entry.decision == "DENY"
    assert turn.controls == {"destructive-consent", "ticket"}


@only_legacy
def test_a_server_that_asks_while_nobody_is_attached_is_refused_at_once(era: Era) -> None:
    talk = ready(era, attached=False)
    turn = asks(talk)
    assert (turn.tickets, turn.told("client")) == ([], [])
    assert turn.only("server")["error"]["code"] == -1


@only_modern
def test_a_call_that_was_held_first_settles_the_era_of_its_link(era: Era) -> None:
    talk = greet(Dialogue(era, attached=True))
    ours = talk.client(talk.call(1, "wipe")).only("server")
    held = talk.server(talk.result(ours["id"], tools=[WIPE]))
    assert held.ticket.kind == "tool-call"
    assert talk.client(initialize(2)).told("server") == []
    assert talk.person(held.ticket).only("server")["id"] == 1
    assert talk.client(initialize(3)).told("server") == []


@only_legacy
def test_news_of_changed_tools_do_not_answer_for_a_person(era: Era) -> None:
    talk, held = bring(era, "HELD")
    talk.server(notification("notifications/tools/list_changed"))
    assert talk.relay.state.held.keys() == {held.ticket.id}

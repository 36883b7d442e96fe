"""What the doors counted and found too much: the relay refuses it, tells, and records it as one of many."""

from __future__ import annotations

import msgspec
import pytest
from tests.relay.dialogue import LIMITS, Dialogue, Era, Turn, eras, notification, ready

from doorward.judge.vocabulary import Effect, Finding, Peer
from doorward.policy.load import load
from doorward.policy.model import sealed
from doorward.relay.commands import Arrived, Send
from doorward.wire.jsonrpc import decode

EARLY = Finding("rates", Effect.DENY, "too many messages of ping", peer=Peer(-31003, "too often", {"retryAfterMs": 40}))


def early(talk: Dialogue, message: object, sender: str = "client") -> Turn:
    facts = msgspec.structs.replace(talk.facts(), too_much=EARLY)
    frame = decode(msgspec.json.encode(message), LIMITS)
    return talk.event(Arrived(frame, "server" if sender == "server" else "client", 0, facts))


@eras()
def test_a_request_that_comes_too_early_is_answered_and_does_not_go_on(era: Era) -> None:
    talk = ready(era)
    told = early(talk, talk.call(7)).only("client")
    assert (told["id"], told["error"]["code"], told["error"]["data"]["retryAfterMs"]) == (7, -31003, 40)
    assert talk.client(talk.call(7)).told("server")  # its id was not used up


@eras()
def test_a_thousand_of_them_are_one_record_and_a_count(era: Era) -> None:
    talk = ready(era)
    turns = [early(talk, talk.call(number)) for number in range(1000)]
    assert sum(len(turn.written) for turn in turns) == 1
    (run,) = talk.until_deadline().records("run")
    assert run.entry.count == 999


def test_notifications_of_a_server_that_come_too_early_are_dropped_and_counted() -> None:
    talk = ready("legacy")
    turns = [early(talk, notification("notifications/resources/updated", uri="x:y"), "server") for _ in range(100)]
    assert all(turn.silent for turn in turns)
    assert sum(len(turn.written) for turn in turns) == 1


@pytest.mark.parametrize(("until", "passes"), [("2026-11-22", True), ("2026-11-21", False)])
def test_while_the_operator_only_observes_it_passes_with_a_note(until: str, passes: bool) -> None:
    talk = ready("legacy", policy=sealed(msgspec.structs.replace(load(None), observe_until=until)))
    turn = early(talk, talk.call(1))
    assert bool(turn.told("server")) is passes
    (finding,) = turn.record.entry.findings
    assert (finding.control, finding.effect) == ("rates", "NOTE" if passes else "DENY")


def counted(talk: Dialogue, message: object, sender: str = "client") -> list[Send] | None:
    frame = decode(msgspec.json.encode(message), LIMITS)
    return talk.relay.count(frame, "server" if sender == "server" else "client", 0, EARLY)


@eras()
def test_after_the_first_of_a_window_they_are_counted_without_being_judged(era: Era) -> None:
    talk = ready(era)
    assert counted(talk, talk.call(1)) is None
    first = early(talk, talk.call(1)).only("client")
    for number in range(2, 1000):
        (send,) = counted(talk, talk.call(number)) or []
        told = msgspec.json.decode(send.body)
        assert (send.to, send.exchange, told["id"]) == ("client", 0, number)
        assert told["error"] == first["error"]
    (run,) = talk.until_deadline().records("run")
    assert (run.entry.count, run.entry.reference) == (998, first["error"]["data"]["reference"])
    assert counted(talk, talk.call(1000)) is None  # another window, with an entry of its own


def test_what_uses_an_open_id_again_is_not_answered_as_the_request_that_has_it() -> None:
    talk = ready("legacy")
    talk.client(talk.call(1))
    early(talk, talk.call(2))
    (send,) = counted(talk, talk.call(1)) or []
    assert msgspec.json.decode(send.body)["id"] is None


def test_notifications_are_counted_and_nobody_is_told() -> None:
    talk = ready("legacy")
    news = notification("notifications/resources/updated", uri="x:y")
    early(talk, news, "server")
    assert counted(talk, news, "server") == []


def test_an_answer_and_whatever_is_only_observed_is_judged() -> None:
    talk = ready("legacy")
    early(talk, talk.call(1))
    assert counted(talk, talk.result(1)) is None
    talk = ready("legacy", policy=sealed(msgspec.structs.replace(load(None), observe_until="2026-11-22")))
    early(talk, talk.call(1))
    assert counted(talk, talk.call(2)) is None

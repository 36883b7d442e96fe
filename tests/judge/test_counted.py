"""What the doors counted and found too much: the relay refuses it, tells, and records it as one of many."""

from __future__ import annotations

import msgspec
import pytest
from tests.relay.dialogue import LIMITS, Dialogue, Era, Turn, eras, notification, ready

from doorward.judge.vocabulary import Effect, Finding, Peer
from doorward.policy.load import load
from doorward.policy.model import sealed
from doorward.relay.commands import Arrived
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

"""A control that fails has refused, and the archive says which and how (architecture §1 idea 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.relay.dialogue import MASKER, READ, Dialogue, Era, eras, greet, initialize, notification, ready

from doorward.judge.vocabulary import Context
from doorward.protocol.actions import CallTool, EmitLog, Operate, ReturnResult
from doorward.relay import pipeline

KINDS = ("gates", "rewrites", "checks")
Trips = Callable[[Any, Context], bool]


def faulty(kind: str, trips: Trips) -> pipeline.Pipeline:
    """The whole pipeline, and one control more that fails on what ``trips`` it."""

    def broken(what: Any, context: Context) -> Any:
        if trips(what, context):
            raise RuntimeError("a control is broken")
        return (what, None) if kind == "rewrites" else None

    whole = pipeline.build(MASKER)
    return msgspec.structs.replace(whole, **{kind: (*getattr(whole, kind), broken)})


def on_request(what: Any, _context: Context) -> bool:
    return isinstance(what, CallTool) or (getattr(what, "method", "") == "tools/call" and hasattr(what, "id"))


def on_answer(what: Any, context: Context) -> bool:
    answered = context.answers is not None and context.answers.method == "tools/call"
    return answered and (isinstance(what, ReturnResult) or hasattr(what, "id"))


def on_log(what: Any, _context: Context) -> bool:
    return isinstance(what, EmitLog) or getattr(what, "method", "") == "notifications/message"


def on_ping(what: Any, _context: Context) -> bool:
    return what == Operate("ping") or getattr(what, "method", "") == "ping"


@eras()
@pytest.mark.parametrize("kind", KINDS)
def test_a_control_that_fails_on_a_request_refuses_it(era: Era, kind: str) -> None:
    talk = greet(Dialogue(era, pipe=faulty(kind, on_request)))
    turn = talk.client(talk.call(1))
    if kind != "gates":
        turn = talk.server(talk.result(turn.only("server")["id"], tools=[READ]))
    error = turn.only("client")["error"]
    assert (error["code"], error["message"]) == (-31001, "refused by the gateway")
    (finding,) = (found for record in turn.records("refusal") for found in record.entry.findings)
    assert (finding.control, finding.effect) == ("crash", "DENY")
    assert "broken" in finding.reason
    assert finding.evidence == "RuntimeError: a control is broken"


@eras()
@pytest.mark.parametrize("kind", KINDS)
def test_a_control_that_fails_on_an_answer_withholds_it(era: Era, kind: str) -> None:
    talk = ready(era, pipe=faulty(kind, on_answer))
    talk.client(talk.call(1))
    turn = talk.server(talk.result(1))
    assert turn.only("client")["error"]["code"] == -31001
    assert (turn.record.entry.kind, turn.record.entry.outcome) == ("outcome", "refused")
    assert turn.controls == {"crash"}


@eras()
@pytest.mark.parametrize("kind", KINDS)
def test_a_control_that_fails_on_a_notification_stops_it(era: Era, kind: str) -> None:
    talk = ready(era, pipe=faulty(kind, on_log))
    talk.client(talk.call(1))
    turn = talk.server(notification("notifications/message", level="error", data="x"))
    assert turn.silent
    assert turn.controls == {"crash"}
    assert talk.server(talk.result(1)).told("client")


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_lives_on_after_a_control_failed(kind: str) -> None:
    talk = Dialogue("legacy", pipe=faulty(kind, on_ping))
    talk.client(initialize())
    assert talk.client(talk.request(1, "ping")).only("client")["error"]["code"] == -31001
    assert talk.client(notification("notifications/cancelled", requestId=1)).silent

"""A control that fails has refused, and the archive says which and how (architecture §1 idea 3)."""

from __future__ import annotations

from typing import Any, Never

import msgspec
import pytest

from doorward.relay import pipeline
from tests.relay.dialogue import MASKER, READ, Dialogue, Era, eras, greet, initialize, notification, only_legacy

KINDS = ("gates", "rewrites", "checks")


def faulty(kind: str, method: str) -> pipeline.Pipeline:
    """The whole pipeline, and one control more that fails on ``method`` (or on what answers a request)."""

    def broken(what: Any, _context: Any) -> Any:
        if kind == "checks" and type(what).__name__ == method:
            _fail()
        if kind != "checks" and getattr(what, "method", "Response") == method:
            _fail()
        return (what, None) if kind == "rewrites" else None

    whole = pipeline.build(MASKER)
    return msgspec.structs.replace(whole, **{kind: (*getattr(whole, kind), broken)})


def _fail() -> Never:
    raise RuntimeError("a control is broken")


@eras()
@pytest.mark.parametrize("kind", KINDS)
def test_a_control_that_fails_on_a_request_refuses_it(era: Era, kind: str) -> None:
    talk = greet(Dialogue(era, pipe=faulty(kind, "CallTool" if kind == "checks" else "tools/call")))
    ours = talk.client(talk.call(1))
    turn = talk.server(talk.result(ours.only("server")["id"], tools=[READ])) if kind != "gates" else ours
    error = turn.only("client")["error"]
    assert (error["code"], error["message"]) == (-31001, "refused by the gateway")
    (finding,) = (f for r in turn.records("refusal") for f in r.entry.findings)
    assert finding.control == "crash"
    assert "broken" in finding.reason
    assert "RuntimeError: a control is broken" in finding.evidence


@eras()
@pytest.mark.parametrize("kind", KINDS)
def test_a_control_that_fails_on_an_answer_withholds_it(era: Era, kind: str) -> None:
    talk = greet(Dialogue(era, pipe=faulty(kind, "ReturnResult" if kind == "checks" else "Response")), client={})
    assert talk.relay.state.link.upstream == "", "the greeting was withheld already" if kind != "checks" else ""
    assert kind != "checks"


@eras()
@pytest.mark.parametrize("kind", KINDS)
def test_a_control_that_fails_on_a_notification_stops_it(era: Era, kind: str) -> None:
    talk = greet(Dialogue(era, pipe=faulty(kind, "EmitLog" if kind == "checks" else "notifications/message")))
    talk.client(talk.request(1, "prompts/list"))
    turn = talk.server(notification("notifications/message", level="error", data="x"))
    assert turn.silent
    assert turn.controls == {"crash"}


@only_legacy
@pytest.mark.parametrize("kind", KINDS)
def test_a_link_lives_on_after_a_control_failed(era: Era, kind: str) -> None:
    talk = Dialogue(era, pipe=faulty(kind, "Operate" if kind == "checks" else "ping"))
    talk.client(initialize())
    assert talk.client(talk.request(1, "ping")).only("client")["error"]["code"] == -31001

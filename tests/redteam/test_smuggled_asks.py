"""A hostile server asks for a person's answer, a completion or folders where nobody looks for it."""

from __future__ import annotations

from typing import Final

import pytest
from tests.relay.dialogue import ASKABLE, Dialogue, Era, Tree, eras, failure, greet, lists, notification, ready

TASKS: Final = "io.modelcontextprotocol/tasks"
URL_ELICITATION: Final = {"mode": "url", "url": "https://example.test/login", "message": "log in", "elicitationId": "e"}
ASKED: Final = {"a": {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 5}}}


def asking_error(id: object) -> Tree:
    return failure(id, -32042, "log in first", elicitations=[URL_ELICITATION])


def with_tasks() -> Dialogue:
    """A call of a client that declared the tasks extension, to a server that did so too."""
    talk = lists(greet(Dialogue("modern", attached=True), server={"tools": {}, "extensions": {TASKS: {}}}))
    talk.client(talk.call(1, capabilities={**ASKABLE, "extensions": {TASKS: {}}}))
    return talk


@eras()
def test_an_error_that_requires_elicitation_waits_for_a_person(era: Era) -> None:
    talk = ready(era, client=ASKABLE, attached=True)
    talk.client(talk.call(1))
    held = talk.server(asking_error(1))
    assert held.silent
    assert b"https://example.test/login" in held.ticket.shown
    assert talk.person(held.ticket).only("client") == asking_error(1)


@eras()
def test_an_error_that_requires_elicitation_is_withheld_when_nobody_can_be_asked(era: Era) -> None:
    talk = ready(era, client=ASKABLE)
    talk.client(talk.call(1))
    turn = talk.server(asking_error(1))
    assert turn.only("client")["error"]["code"] == -31001
    assert "example.test" not in str(turn.sent)


@eras()
def test_an_error_may_not_require_elicitation_of_a_client_that_declared_none(era: Era) -> None:
    talk = ready(era, client={}, attached=True)
    talk.client(talk.call(1, capabilities={}) if era == "modern" else talk.call(1))
    turn = talk.server(asking_error(1))
    assert "declared-inputs" in turn.controls
    assert turn.only("client")["error"]["code"] == -31001


@pytest.mark.parametrize(
    "data", [{}, {"elicitations": []}, {"elicitations": ["https://example.test"]}, {"elicitations": {}}]
)
def test_an_error_that_requires_elicitation_and_lists_none_is_not_understood(data: Tree) -> None:
    talk = ready("legacy", client=ASKABLE, attached=True)
    talk.client(talk.call(1))
    turn = talk.server(failure(1, -32042, "log in first", **data))
    assert "recognised" in turn.controls
    assert turn.only("client")["error"]["code"] == -31001


@eras()
def test_any_other_error_still_passes_as_it_is(era: Era) -> None:
    talk = ready(era, client=ASKABLE)
    talk.client(talk.call(1))
    sent = failure(1, -32000, "no", elicitations=[])
    assert talk.server(sent).only("client") == sent


def test_a_task_notification_that_asks_does_not_reach_the_client() -> None:
    talk = with_tasks()
    turn = talk.server(notification("notifications/tasks", taskId="t", status="input_required", inputRequests=ASKED))
    assert turn.silent
    assert "input-consent" in turn.controls
    assert turn.record.entry.decision == "DENY"


def test_a_task_notification_that_asks_nothing_passes() -> None:
    talk = with_tasks()
    talk.relay.state.began("t", "read")
    told = notification("notifications/tasks", taskId="t", status="working")
    assert talk.server(told).only("client") == told


@pytest.mark.parametrize(
    "method", ["notifications/message", "notifications/tasks/status", "notifications/tools/list_changed"]
)
@pytest.mark.parametrize("params", [{"inputRequests": ASKED}, {"task": {"inputRequests": ASKED}}])
def test_no_other_notification_carries_requests_for_input(method: str, params: Tree) -> None:
    talk = ready("legacy", client=ASKABLE, attached=True)
    talk.client(talk.call(1))
    turn = talk.server(notification(method, level="error", data="x", **params))
    assert turn.silent
    assert "recognised" in turn.controls


def test_a_result_does_not_carry_requests_for_input_inside_its_task() -> None:
    talk = with_tasks()
    turn = talk.server({"jsonrpc": "2.0", "id": 1, "result": {"resultType": "task", "task": {"inputRequests": ASKED}}})
    assert turn.only("client")["error"]["code"] == -31001


def test_a_task_instead_of_a_result_needs_a_client_that_declared_tasks() -> None:
    def answered(extensions: dict[str, object]) -> Tree:
        talk = ready("modern")
        talk.client(talk.call(1, capabilities={"extensions": extensions}))
        return talk.server(talk.result(1, resultType="task", taskId="t", status="working")).only("client")

    assert answered({})["error"]["code"] == -31001
    assert answered({"io.modelcontextprotocol/tasks": {}})["result"]["taskId"] == "t"

"""A message that says to which task it belongs is bound as a task is: in both directions, in every place for it."""

from __future__ import annotations

import pytest
from tests.protocol.test_own_tasks import DECLARED, begin, denied, get, talking
from tests.relay.dialogue import Dialogue, Era, Tree, Turn, eras, greet, lists, notification

OWN = "own-tasks"
CONTROL = "related-tasks"
KEY = "io.modelcontextprotocol/related-task"
ASKABLE: Tree = {"sampling": {}, "elicitation": {}, "roots": {}, **DECLARED}
SAMPLING: Tree = {"messages": [{"role": "user", "content": {"type": "text", "text": "x"}}], "maxTokens": 1}
COMPLETION: Tree = {"role": "assistant", "model": "m", "content": {"type": "text", "text": "y"}}


def related(task: object) -> Tree:
    return {KEY: {"taskId": task}}


def calls(talk: Dialogue, about: object, id: object = 7) -> Turn:
    call = talk.call(id, capabilities=DECLARED)
    call["params"].setdefault("_meta", {})[KEY] = about
    return talk.client(call)


@eras()
def test_a_client_speaks_of_its_own_tasks_only(era: Era) -> None:
    talk = talking(era)
    begin(talk, "job-1")
    assert calls(talk, {"taskId": "job-1"}).told("server")
    turn = calls(talk, {"taskId": "job-2"}, id=8)
    assert turn.only("client")["error"]["code"] == -32602
    assert denied(turn) == {CONTROL}


@eras()
@pytest.mark.parametrize("about", [None, "job-1", ["job-1"], {}, {"taskId": ["job-1"]}, {"taskId": 1}, {"taskId": ""}])
def test_what_names_a_task_in_another_form_is_refused(era: Era, about: object) -> None:
    talk = talking(era)
    begin(talk, "job-1")
    assert denied(calls(talk, about)) == {CONTROL}


@eras()
def test_the_id_among_the_params_does_not_excuse_another_beside_it(era: Era) -> None:
    talk = talking(era)
    begin(talk, "job-1")
    request = talk.request(2, "tasks/get", {"taskId": "job-1"}, capabilities=DECLARED, meta=related("job-2"))
    request["params"]["_meta"] |= related("job-2")
    assert denied(talk.client(request)) == {CONTROL}


@eras()
def test_an_answer_of_a_server_that_belongs_to_anothers_task_is_withheld(era: Era) -> None:
    talk = talking(era)
    begin(talk, "job-1")
    for id, task in ((2, "job-1"), (3, "job-2")):
        get(talk, "job-1", id=id)
        turn = talk.server(talk.result(id, taskId="job-1", status="working", _meta=related(task)))
        told = turn.only("client")
        assert ("result" in told) is (task == "job-1")
        assert (CONTROL in denied(turn)) is (task != "job-1")


@eras()
def test_the_answer_that_begins_a_task_may_name_it(era: Era) -> None:
    talk = talking(era)
    talk.client(talk.call(1, capabilities=DECLARED))
    result: Tree = {"resultType": "task", "taskId": "job-1", "status": "working", "_meta": related("job-1")}
    if era == "legacy":
        result = {"task": {"taskId": "job-1", "status": "working"}, "_meta": related("job-1")}
    assert "result" in talk.server({"jsonrpc": "2.0", "id": 1, "result": result}).only("client")


@eras()
def test_a_notification_about_anothers_task_reaches_nobody(era: Era) -> None:
    talk = talking(era)
    begin(talk, "job-1")
    talk.client(talk.call(5, capabilities=DECLARED))
    for task in ("job-1", "job-2"):
        told = talk.server(notification("notifications/message", level="error", data="x", _meta=related(task)))
        assert bool(told.told("client")) is (task == "job-1")


def asking() -> Dialogue:
    talk = Dialogue("legacy", attached=True)
    return lists(greet(talk, client=ASKABLE, server={"tools": {}, **DECLARED}))


def asks(talk: Dialogue, id: str, method: str = "sampling/createMessage", **params: object) -> Turn:
    given = SAMPLING if method.startswith("sampling") else {"message": "m", "requestedSchema": {"type": "object"}}
    return talk.server({"jsonrpc": "2.0", "id": id, "method": method, "params": {**given, **params}})


def test_a_question_that_belongs_to_anothers_task_is_put_to_nobody() -> None:
    talk = asking()
    begin(talk, "job-1")
    assert asks(talk, "a", _meta=related("job-1")).tickets
    turn = asks(talk, "b", _meta=related("job-2"))
    assert (turn.tickets, turn.told("client"), denied(turn)) == ([], [], {CONTROL})
    assert "error" in turn.only("server")


@pytest.mark.parametrize("place", ["result", "params"])
def test_a_question_inside_of_a_modern_result_is_bound_as_well(place: str) -> None:
    talk = talking("modern")
    begin(talk, "job-1")
    talk.client(talk.call(5, capabilities={**DECLARED, "sampling": {}}))
    ask: Tree = {"method": "sampling/createMessage", "params": {**SAMPLING, "_meta": related("job-2")}}
    if place == "result":
        turn = talk.server(
            {"jsonrpc": "2.0", "id": 5, "result": {"resultType": "input_required", "inputRequests": {"k": ask}}}
        )
    else:
        turn = talk.server(
            notification("notifications/tasks", taskId="job-1", status="input_required", inputRequests={"k": ask})
        )
    assert CONTROL in denied(turn)


# -- tasks that a client runs for its server --------------------------------------------------------------------------


def begun_by_client(method: str = "sampling/createMessage") -> Dialogue:
    talk = asking()
    talk.person(asks(talk, "ask", method, task={"ttl": 1000}).ticket)
    begun = talk.client({"jsonrpc": "2.0", "id": "ask", "result": {"task": {"taskId": "mine", "status": "working"}}})
    assert "result" in begun.only("server")
    assert "honoured-capabilities" not in begun.controls
    return talk


def fetch(talk: Dialogue, task: str, id: str = "fetch", method: str = "tasks/result") -> Turn:
    return talk.server({"jsonrpc": "2.0", "id": id, "method": method, "params": {"taskId": task}})


def test_a_server_fetches_what_the_task_of_its_client_returned() -> None:
    talk = begun_by_client()
    assert fetch(talk, "mine").told("client")
    done = talk.client({"jsonrpc": "2.0", "id": "fetch", "result": {**COMPLETION, "_meta": related("mine")}})
    assert "result" in done.only("server")
    assert done.controls == set()


@pytest.mark.parametrize("method", ["tasks/get", "tasks/result", "tasks/cancel"])
def test_a_server_asks_for_no_task_that_this_client_did_not_begin(method: str) -> None:
    talk = begun_by_client()
    turn = fetch(talk, "other", method=method)
    assert (turn.told("client"), denied(turn)) == ([], {OWN})
    assert fetch(talk, "mine", "again", method).told("client")


def test_a_credential_goes_no_way_round_by_a_task() -> None:
    secret = {"action": "accept", "content": {"key": "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"}}
    talk = begun_by_client("elicitation/create")
    fetch(talk, "mine")
    turn = talk.client({"jsonrpc": "2.0", "id": "fetch", "result": secret})
    assert denied(turn) == {"held-secrets"}
    assert "error" in turn.only("server")


def test_a_client_gains_no_task_of_the_servers_by_the_name_of_its_own() -> None:
    talk = begun_by_client()
    assert denied(calls(talk, {"taskId": "mine"})) == {CONTROL}
    assert denied(get(talk, "mine")) == {OWN}


def test_a_client_announces_the_tasks_that_it_runs_and_no_others() -> None:
    talk = begun_by_client()
    assert talk.client(notification("notifications/tasks/status", taskId="mine", status="completed")).told("server")
    turn = talk.client(notification("notifications/tasks/status", taskId="other", status="completed"))
    assert (turn.told("server"), denied(turn)) == ([], {OWN})

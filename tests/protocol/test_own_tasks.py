"""A task belongs to the principal whose request began it; to anybody else there is none."""

from __future__ import annotations

import msgspec
import pytest
from tests.relay.dialogue import READ, Dialogue, Era, Tree, Turn, eras, greet, lists, notification

from doorward.relay.state import _MAX_TASKS

TASKS = "io.modelcontextprotocol/tasks"
DECLARED: Tree = {"extensions": {TASKS: {}}}
CONTROL = "own-tasks"


WEATHER: Tree = {
    "name": "weather",
    "inputSchema": {"type": "object"},
    "outputSchema": {"type": "object", "properties": {"degrees": {"type": "number"}}, "required": ["degrees"]},
}
ANNOUNCED = {"legacy": "notifications/tasks/status", "modern": "notifications/tasks"}


def talking(era: Era, shared: dict[str, str] | None = None) -> Dialogue:
    talk = Dialogue(era)
    if shared is not None:
        state = talk.relay.state
        state.settings = msgspec.structs.replace(state.settings, tasks=shared)
    return lists(greet(talk, client=DECLARED, server={"tools": {}, **DECLARED}), [READ, WEATHER])


def begin(talk: Dialogue, task: str, id: object = 1, tool: str = "read") -> Turn:
    """A call that is answered by a task, in the way of each era."""
    params = {"name": tool, "arguments": {"text": "x"} if tool == "read" else {}}
    talk.client(talk.request(id, "tools/call", params, capabilities=DECLARED))
    result: Tree = {"resultType": "task", "taskId": task, "status": "working"}
    if talk.era == "legacy":
        result = {"task": {"taskId": task, "status": "working"}}
    return talk.server({"jsonrpc": "2.0", "id": id, "result": result})


def get(talk: Dialogue, task: object, id: object = 2, method: str = "tasks/get") -> Turn:
    return talk.client(talk.request(id, method, {"taskId": task}, capabilities=DECLARED))


@eras()
@pytest.mark.parametrize("method", ["tasks/get", "tasks/cancel"])
def test_a_task_that_was_begun_here_is_handled(era: Era, method: str) -> None:
    talk = talking(era)
    assert begin(talk, "job-1").told("client")
    turn = get(talk, "job-1", method=method)
    assert turn.only("server")["params"]["taskId"] == "job-1"
    assert CONTROL not in turn.controls


@eras()
@pytest.mark.parametrize("task", ["job-2", "job-1 ", "JOB-1", ""])
def test_any_other_is_not_there(era: Era, task: str) -> None:
    talk = talking(era)
    begin(talk, "job-1")
    turn = get(talk, task)
    assert turn.only("client")["error"]["code"] == -32602
    assert CONTROL in turn.controls
    assert not turn.told("server")


@eras()
def test_another_session_of_the_same_principal_may_ask(era: Era) -> None:
    shared: dict[str, str] = {}
    begin(talking(era, shared), "job-1")
    assert get(talking(era, shared), "job-1").told("server")
    assert not get(talking(era, {}), "job-1").told("server")


@eras()
def test_the_newest_tasks_are_remembered(era: Era) -> None:
    talk = talking(era, {f"old-{number}": "read" for number in range(_MAX_TASKS)})
    begin(talk, "new")
    assert len(talk.relay.state.settings.tasks) == _MAX_TASKS
    assert get(talk, "new").told("server")
    assert not get(talk, "old-0", id=3).told("server")


def test_of_a_list_of_tasks_only_the_own_ones_pass() -> None:
    talk = talking("legacy")
    begin(talk, "job-2")
    talk.client(talk.request(5, "tasks/list"))
    jobs = [{"taskId": f"job-{number}", "status": "working"} for number in range(4)]
    turn = talk.server({"jsonrpc": "2.0", "id": 5, "result": {"tasks": [*jobs, "job-5", {"status": "none"}]}})
    assert turn.only("client")["result"]["tasks"] == [jobs[2]]
    assert turn.controls == {"own-task-lists"}


def announce(talk: Dialogue, task: object, **more: object) -> Turn:
    """A modern client listens for that; it says with which capabilities."""
    if talk.era == "modern" and talk.opened("client", '"listen"') is None:
        listening = {"notifications": {"taskIds": [task]}}
        talk.client(talk.request("listen", "subscriptions/listen", listening, capabilities=DECLARED))
    return talk.server(notification(ANNOUNCED[talk.era], taskId=task, status="completed", **more))


@eras()
def test_what_a_server_tells_of_a_task_reaches_only_whose_it_is(era: Era) -> None:
    shared: dict[str, str] = {}
    begin(talking(era, shared), "job-1")
    assert announce(talking(era, shared), "job-1").only("client")["params"]["taskId"] == "job-1"
    turn = announce(talking(era, {}), "job-1")
    assert (turn.told("client"), turn.controls) == ([], {CONTROL})


@eras()
@pytest.mark.parametrize("task", [None, 1, ["job-1"], ""])
def test_what_names_no_task_is_told_to_nobody(era: Era, task: object) -> None:
    talk = talking(era)
    begin(talk, "job-1")
    assert announce(talk, task).told("client") == []


def returning(talk: Dialogue, **result: object) -> Turn:
    """The client fetches what the task of ``weather`` returned, in the way of each era."""
    begin(talk, "job-1", tool="weather")
    method = "tasks/result" if talk.era == "legacy" else "tasks/get"
    assert get(talk, "job-1", method=method).told("server")
    done = {"content": [], **result}
    if talk.era == "legacy":
        return talk.server(talk.result(2, **done))
    return talk.server(talk.result(2, taskId="job-1", status="completed", result=done))


def denied(turn: Turn) -> set[str]:
    return {f.control for record in turn.written for f in record.entry.findings if f.effect == "DENY"}


@eras()
def test_what_a_task_returns_fits_the_schema_of_its_tool(era: Era) -> None:
    assert not denied(returning(talking(era), structuredContent={"degrees": 3}))
    assert not denied(returning(talking(era), isError=True))
    wrongs: tuple[Tree, ...] = ({"structuredContent": {"degrees": "3"}}, {"structuredContent": {}}, {})
    for wrong in wrongs:
        turn = returning(talking(era), **wrong)
        assert denied(turn) == {"definition-results"}
        told = turn.only("client")
        said = told["result"]["content"][0]["text"] if era == "legacy" else told["error"]["message"]
        assert "was executed" in said


def test_a_name_beside_the_id_of_a_task_does_not_hide_whose_it_is() -> None:
    talk = talking("legacy")
    begin(talk, "job-1", tool="weather")
    talk.client(talk.request(2, "tasks/result", {"taskId": "job-1", "name": "read"}, capabilities=DECLARED))
    assert denied(talk.server(talk.result(2, content=[], structuredContent={}))) == {"definition-results"}


def test_what_a_notification_brings_is_held_to_the_schema_as_well() -> None:
    talk = talking("modern")
    begin(talk, "job-1", tool="weather")
    assert announce(talk, "job-1", result={"content": [], "structuredContent": {"degrees": 3}}).told("client")
    turn = announce(talk, "job-1", result={"content": [], "structuredContent": {}})
    assert (turn.told("client"), denied(turn)) == ([], {"definition-results"})


@eras()
def test_on_a_new_link_the_tools_are_listed_before_a_task_is_fetched(era: Era) -> None:
    shared: dict[str, str] = {}
    begin(talking(era, shared), "job-1", tool="weather")
    again = Dialogue(era)
    again.relay.state.settings = msgspec.structs.replace(again.relay.state.settings, tasks=shared)
    greet(again, client=DECLARED, server={"tools": {}, **DECLARED})
    turn = get(again, "job-1")
    assert turn.only("server")["method"] == "tools/list"

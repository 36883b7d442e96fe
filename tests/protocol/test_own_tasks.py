"""A task belongs to the principal whose request began it; to anybody else there is none."""

from __future__ import annotations

import msgspec
import pytest
from tests.relay.dialogue import Dialogue, Era, Tree, Turn, eras, greet, lists

from doorward.relay.state import _MAX_TASKS

TASKS = "io.modelcontextprotocol/tasks"
DECLARED: Tree = {"extensions": {TASKS: {}}}
CONTROL = "own-tasks"


def talking(era: Era, shared: dict[str, None] | None = None) -> Dialogue:
    talk = Dialogue(era)
    if shared is not None:
        state = talk.relay.state
        state.settings = msgspec.structs.replace(state.settings, tasks=shared)
    return lists(greet(talk, client=DECLARED, server={"tools": {}, **DECLARED}))


def begin(talk: Dialogue, task: str, id: object = 1) -> Turn:
    """A call that is answered by a task, in the way of each era."""
    params = {"name": "read", "arguments": {"text": "x"}}
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
    shared: dict[str, None] = {}
    begin(talking(era, shared), "job-1")
    assert get(talking(era, shared), "job-1").told("server")
    assert not get(talking(era, {}), "job-1").told("server")


@eras()
def test_the_newest_tasks_are_remembered(era: Era) -> None:
    talk = talking(era, {f"old-{number}": None for number in range(_MAX_TASKS)})
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

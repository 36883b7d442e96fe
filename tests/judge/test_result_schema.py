"""What a tool returns is held to the schema that its server listed for it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.relay.dialogue import Era, Tree, Turn, eras, ready

OUTPUT: Tree = {
    "type": "object",
    "properties": {"degrees": {"type": "number"}, "sky": {"enum": ["clear", "grey"]}},
    "required": ["degrees"],
}
TOKEN = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"


def weather(output: Any = OUTPUT) -> Tree:
    return {"name": "weather", "inputSchema": {"type": "object"}, "outputSchema": output}


def returning(era: Era, output: Any = OUTPUT, **result: Any) -> Turn:
    talk = ready(era, tools=[weather(output)])
    assert talk.client(talk.call(1, "weather")).told("server")
    return talk.server(talk.result(1, **{"content": [], **result}))


def denied(turn: Turn) -> set[str]:
    return {f.control for record in turn.written for f in record.entry.findings if f.effect == "DENY"}


@eras()
@pytest.mark.parametrize("content", [{"degrees": 3}, {"degrees": 3.5, "sky": "grey"}, {"degrees": 1, "more": [1]}])
def test_content_that_fits_passes_whole(era: Era, content: Tree) -> None:
    assert returning(era, structuredContent=content).only("client")["result"]["structuredContent"] == content


@eras()
@pytest.mark.parametrize(
    ("content", "where"),
    [
        ({}, "/: required"),
        ({"degrees": "3"}, "/degrees: type"),
        ({"degrees": True}, "/degrees: type"),
        ({"degrees": 3, "sky": "green"}, "/sky: enum"),
        ([], "/: type"),
        (None, "/: type"),
    ],
)
def test_content_that_does_not_fit_is_withheld_and_the_client_learns_that_it_was_executed(
    era: Era, content: Any, where: str
) -> None:
    turn = returning(era, structuredContent=content)
    result = turn.only("client")["result"]
    assert result["isError"] is True
    assert "structuredContent" not in result
    (said,) = result["content"]
    assert "was executed" in said["text"]
    assert said["text"].endswith(where)
    assert (denied(turn), turn.record.entry.outcome) == ({"definition-results"}, "refused")


@eras()
def test_a_result_without_the_content_that_was_listed_is_withheld(era: Era) -> None:
    turn = returning(era)
    assert turn.only("client")["result"]["content"][0]["text"].endswith("/: required")
    assert denied(turn) == {"definition-results"}


@eras()
def test_what_says_of_itself_that_it_is_an_error_is_exempt(era: Era) -> None:
    assert not denied(returning(era, isError=True))
    assert not denied(returning(era, isError=True, structuredContent={"degrees": "broken"}))
    assert denied(returning(era, isError=False)) == {"definition-results"}
    assert denied(returning(era, isError="yes")) == {"definition-results"}


def test_the_answer_that_a_task_was_begun_is_no_result_yet() -> None:
    assert not denied(returning("legacy", task={"taskId": "1", "status": "working"}))
    turn = returning("legacy", task={"taskId": "1", "status": "working"}, structuredContent={})
    assert denied(turn) == {"definition-results"}


@eras()
def test_a_tool_that_lists_no_schema_returns_what_it_likes(era: Era) -> None:
    assert not denied(returning(era, None))
    assert not denied(returning(era, None, structuredContent=[1, {"a": "b"}]))


@eras()
def test_the_content_is_judged_as_the_client_would_get_it(era: Era) -> None:
    output = {"type": "object", "properties": {"key": {"type": "string", "maxLength": len(TOKEN) * 2}}}
    turn = returning(era, output, structuredContent={"key": TOKEN})
    assert TOKEN not in str(turn.only("client"))
    assert not denied(turn)
    short = {"type": "object", "properties": {"key": {"pattern": "^ghp_"}}}
    assert denied(returning(era, short, structuredContent={"key": TOKEN})) == {"definition-results"}


@eras()
def test_content_that_the_schema_makes_too_much_work_of_is_withheld(era: Era) -> None:
    steps: Tree = {f"s{n}": {"allOf": [{"$ref": f"#/$defs/s{n + 1}"}] * 2} for n in range(20)}
    output = {"$defs": {**steps, "s20": {}}, "type": "object", "additionalProperties": {"$ref": "#/$defs/s0"}}
    turn = returning(era, output, structuredContent={str(n): n for n in range(100)})
    assert denied(turn) == {"definition-results"}

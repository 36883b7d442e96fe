"""JSON in a string is judged as what a lenient server makes of it: the SDK's own does."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest
from mcp.server.mcpserver import MCPServer
from tests.relay.dialogue import Dialogue, Era, Tree, eras, ready

from doorward.content.arguments import Constraint
from doorward.content.embedded import embedded
from doorward.policy.load import load
from doorward.policy.model import Policy, ServerPolicy, ToolPolicy, sealed

TEXTS: Tree = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
ADD: Tree = {"name": "add", "inputSchema": {"type": "object", "properties": {"files": TEXTS, "note": TEXTS}}}
OUTSIDE = [
    '["/etc/passwd"]',
    ' \n["a.txt", "../../etc/passwd"]',
    '["\\u002fetc\\u002fpasswd"]',
    '["/etc/passwd", NaN]',
    '["/etc/passwd", ' + "9" * 5_000 + "]",
    '[["/etc/passwd"]]',
    '{"path": "/etc/passwd"}',
    '{"path": "/etc/passwd", "path": "a.txt"}',
    '{"/etc/passwd": 1}',
    '"\\u002fetc/passwd"',
    "[" * 3_000 + '"/etc/passwd"' + "]" * 3_000,
]


def demanding(*constraints: Constraint) -> Policy:
    tool = ToolPolicy(arguments={"files": constraints})
    return sealed(msgspec.structs.replace(load(None), servers={"notes": ServerPolicy("notes", tools={"add": tool})}))


def passes(talk: Dialogue, **arguments: object) -> bool:
    turn = talk.client(talk.call(f"call {talk.events}", "add", arguments))
    return bool(turn.told("server"))


def test_the_sdks_server_takes_such_a_string_for_the_list_that_it_holds() -> None:
    server = MCPServer("git")

    @server.tool()
    def add(files: str | list[str]) -> str:
        return json.dumps(files)

    result = asyncio.run(server.call_tool("add", {"files": OUTSIDE[0]}))
    assert '["/etc/passwd"]' in str(result)
    assert '"[' not in str(result).replace('\\"', "")


@eras()
@pytest.mark.parametrize("text", OUTSIDE)
def test_a_path_in_it_is_a_path(era: Era, text: str) -> None:
    talk = ready(era, tools=[ADD], folders=("/work/space",))
    assert passes(talk, files='["a.txt", "b/c.txt"]')
    assert not passes(talk, files=text)


@eras()
@pytest.mark.parametrize("text", OUTSIDE)
def test_what_the_operator_demands_of_a_path_holds_for_those_in_it(era: Era, text: str) -> None:
    talk = ready(era, tools=[ADD], policy=demanding(Constraint("path_below", "/work/space")))
    assert passes(talk, files='["a.txt"]')
    assert not passes(talk, files=text)


@eras()
@pytest.mark.parametrize("text", ['["--output=x"]', '{"a": ["b", "-x"]}', '{"-x": 1}', ' "-x"', '["a", ["\\u002dx"]]'])
def test_an_option_in_it_is_an_option(era: Era, text: str) -> None:
    talk = ready(era, tools=[ADD], policy=demanding(Constraint("no_leading_dash")))
    assert passes(talk, files='["a-b", -1]')
    assert not passes(talk, files=text)


@eras()
def test_a_line_break_in_it_is_one(era: Era) -> None:
    talk = ready(era, tools=[ADD], policy=demanding(Constraint("single_line")))
    assert passes(talk, files='["a b"]')
    assert not passes(talk, files='["a\\nb"]')


@eras()
def test_a_file_uri_in_it_is_one_under_a_name_for_addresses_too(era: Era) -> None:
    fetch = {"name": "add", "inputSchema": {"type": "object", "properties": {"urls": TEXTS}}}
    talk = ready(era, tools=[fetch], folders=("/work/space",))
    assert passes(talk, urls='["https://host/a", "file:///work/space/a"]')
    assert not passes(talk, urls='["file:///etc/passwd"]')


@eras()
def test_what_is_demanded_of_the_whole_is_not_demanded_of_what_is_in_it(era: Era) -> None:
    talk = ready(era, tools=[ADD], policy=demanding(Constraint("pattern", r"\[.*\]"), Constraint("enum", ('["a"]',))))
    assert passes(talk, files='["a"]')


@eras()
def test_text_under_a_name_that_is_not_a_paths_is_left_alone(era: Era) -> None:
    talk = ready(era, tools=[ADD], folders=("/work/space",))
    assert passes(talk, note='{"extends": "../tsconfig.json", "files": ["/usr/share/x"]}')
    assert passes(talk, files="[id].tsx")


@pytest.mark.parametrize("text", ["", "a", "[", "{a}", "[id].tsx", "1", "null", "true", '"a" and "b"'])
def test_what_is_no_json_or_holds_nothing_is_not_looked_into(text: str) -> None:
    assert embedded(text) is None

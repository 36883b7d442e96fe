"""What a server lists is held against it, in the whole program: schemas, results, prompts, and what goes to it."""

from __future__ import annotations

import sys

import pytest
from tests.gateway.wrapping import World, Wrapped

SERVER = """
import json, sys
TOOLS = [
    {"name": "say", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}},
    {"name": "weather", "inputSchema": {"type": "object"},
     "outputSchema": {"type": "object", "properties": {"degrees": {"type": "number"}}, "required": ["degrees"]}},
    {"name": "remote", "inputSchema": {"$ref": "http://127.0.0.1:1/schema.json"}},
]
PROMPTS = [{"name": "summary", "arguments": [{"name": "topic", "required": True}]}]
CAPABILITIES, INFO = {"tools": {}, "prompts": {}}, {"name": "s", "version": "1"}
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    method, params = asked["method"], asked.get("params", {})
    if method == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": CAPABILITIES, "serverInfo": INFO}
    elif method == "tools/list":
        result = {"tools": TOOLS}
    elif method == "prompts/list":
        result = {"prompts": PROMPTS}
    elif method == "prompts/get":
        result = {"messages": [{"role": "user", "content": {"type": "text", "text": str(params["arguments"])}}]}
    else:
        given = params["arguments"]
        result = {"content": [{"type": "text", "text": json.dumps(given)}]}
        if params["name"] == "weather":
            result["structuredContent"] = {"degrees": given.get("degrees", 3)}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""
TOKEN = "ghp_" + "A1b2" * 9


@pytest.fixture
def wrapped(world: World) -> Wrapped:
    made = world.wrap((sys.executable, "-I", "-S", "-c", SERVER))
    made.initialize()
    return made


def test_a_tool_that_cannot_be_called_is_not_listed_and_the_operator_reads_why(wrapped: Wrapped) -> None:
    listed = wrapped.ask("tools/list")["result"]["tools"]
    assert [tool["name"] for tool in listed] == ["say", "weather"]
    assert wrapped.call("remote")["error"]["code"] == -31001
    assert wrapped.text("say", text="the rest works") == '{"text": "the rest works"}'
    assert wrapped.end() == 0
    assert wrapped.stderr.count("quarantined: a tool that cannot be called is not shown: remote: ") == 1


def test_a_result_that_does_not_fit_is_withheld(wrapped: Wrapped) -> None:
    assert wrapped.call("weather")["result"]["structuredContent"] == {"degrees": 3}
    result = wrapped.call("weather", degrees="mild")["result"]
    assert result["isError"] is True
    assert result["content"][0]["text"].endswith("/degrees: type")
    assert "structuredContent" not in result


def test_a_prompt_is_asked_for_as_it_is_listed(wrapped: Wrapped) -> None:
    got = wrapped.ask("prompts/get", {"name": "summary", "arguments": {"topic": "rain"}})
    assert "rain" in got["result"]["messages"][0]["content"]["text"]
    assert wrapped.ask("prompts/get", {"name": "summary", "arguments": {}})["error"]["code"] == -32602
    assert wrapped.ask("prompts/get", {"name": "other", "arguments": {}})["error"]["code"] == -31001


def test_a_credential_does_not_go_to_it_unasked(wrapped: Wrapped) -> None:
    error = wrapped.call("say", text=f"my key is {TOKEN}")["error"]
    assert error["code"] == -31002
    assert "doorward consent" in error["message"]
    assert wrapped.end() == 0
    assert "held-secrets" in wrapped.stderr
    assert TOKEN not in wrapped.stderr

"""One line around a server: what a guard refuses is told in words, what is too much is refused, in both eras."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.client import ClientRequestContext
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import MCPServer
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    CreateMessageRequestParams,
    CreateMessageResult,
    ListToolsResult,
    TextContent,
    Tool,
)

from doorward import guard
from doorward.guard import Concurrency, FeatureGate, RateLimit, RefusedError

ERAS = pytest.mark.parametrize("era", ["legacy", "2026-07-28"])


def text_of(result: Any) -> str:
    [content] = result.content
    return str(content.text)


def guarded(**options: Any) -> MCPServer[Any]:
    server = guard.protect(MCPServer("guarded"), **options)

    @server.tool()
    @guard.arguments(name=guard.identifier)
    def greet(name: str) -> str:
        return f"hello {name}"

    @server.tool()
    async def crash() -> str:
        raise KeyError("a secret of the server")

    @server.tool()
    def wrap() -> str:
        try:
            guard.check("x", "a b", guard.identifier)
        except RefusedError as refusal:
            raise KeyError("the author's own") from refusal
        return ""

    @server.tool()
    def may() -> str:
        return ",".join(sorted(guard.current_features().names))

    @server.resource("notes://{name}")
    def note(name: str) -> str:
        guard.check("name", name, guard.identifier)
        return "a note"

    return server


def play(server: Any, era: str, dialogue: Callable[[Client], Awaitable[Any]], **client_options: Any) -> Any:
    async def run() -> Any:
        async with Client(server, mode=era, **client_options) as client:
            return await asyncio.wait_for(dialogue(client), 30)

    return asyncio.run(run())


@ERAS
def test_a_refusal_is_told_in_its_own_words_and_a_crash_is_not(era: str, caplog: pytest.LogCaptureFixture) -> None:
    async def dialogue(client: Client) -> None:
        assert text_of(await client.call_tool("greet", {"name": "ann"})) == "hello ann"
        refused = await client.call_tool("greet", {"name": "; id"})
        assert refused.is_error
        assert text_of(refused).startswith("name: not an identifier")
        for tool in ("crash", "wrap"):
            assert text_of(await client.call_tool(tool, {})) == f"Error executing tool {tool}"
        with pytest.raises(MCPError, match="name: not an identifier"):
            await client.read_resource("notes://a%20b")
        assert (await client.read_resource("notes://ann")).contents

    with caplog.at_level(logging.ERROR):
        play(guarded(), era, dialogue)
    crashed = [record.getMessage() for record in caplog.records]
    assert len(crashed) == 2
    assert not any("greet" in line for line in crashed)  # a refusal is no crash of the server


async def until_refused(client: Client) -> None:
    for _ in range(30):
        try:
            await client.call_tool("greet", {"name": "eve"})
        except MCPError:
            return
    pytest.fail("nothing was refused")


@ERAS
def test_who_calls_too_often_hears_when_to_come_back(era: str) -> None:
    async def dialogue(client: Client) -> None:
        await until_refused(client)
        with pytest.raises(MCPError, match="too many calls") as refusal:
            await client.call_tool("greet", {"name": "ann"})
        assert refusal.value.code == -31003
        assert 0 < refusal.value.data["retryAfterMs"] <= 100_000

    play(guarded(rate=RateLimit(0.01, 15)), era, dialogue)


@ERAS
def test_callers_are_told_apart_by_what_the_author_knows_of_them(era: str) -> None:
    rate = RateLimit(0.001, 10)

    async def flood(client: Client) -> None:
        await until_refused(client)

    async def honest(client: Client) -> None:
        assert text_of(await client.call_tool("greet", {"name": "ann"})) == "hello ann"

    who = iter(["eve", "ann"])
    for dialogue in (flood, honest):
        name = next(who)
        play(guarded(rate=rate, key=lambda _context, name=name: name), era, dialogue)


@ERAS
def test_what_runs_at_once_is_bounded(era: str) -> None:
    server = guarded(concurrency=Concurrency(2))
    entered, leave = asyncio.Event(), asyncio.Event()

    @server.tool()
    async def stay() -> str:
        entered.set()
        await leave.wait()
        return "stayed"

    async def dialogue(client: Client) -> None:
        first = asyncio.create_task(client.call_tool("stay", {}))
        await entered.wait()
        entered.clear()
        second = asyncio.create_task(client.call_tool("stay", {}))
        await entered.wait()
        with pytest.raises(MCPError, match="at once"):
            await client.call_tool("greet", {"name": "ann"})
        leave.set()
        assert [text_of(await one) for one in (first, second)] == ["stayed", "stayed"]
        assert text_of(await client.call_tool("greet", {"name": "ann"})) == "hello ann"

    play(server, era, dialogue)


def test_who_listens_takes_no_place_from_who_works_and_listeners_are_bounded_as_well() -> None:
    server = guarded(concurrency=Concurrency(2))

    async def dialogue(client: Client) -> None:
        async with client.listen(tools_list_changed=True), client.listen(prompts_list_changed=True):
            assert text_of(await client.call_tool("greet", {"name": "ann"})) == "hello ann"
            with pytest.raises(MCPError, match="at once"):
                async with client.listen(tools_list_changed=True):
                    pass
        assert text_of(await client.call_tool("greet", {"name": "bob"})) == "hello bob"
        async with client.listen(tools_list_changed=True):
            pass

    play(server, "2026-07-28", dialogue)


@ERAS
def test_params_that_are_too_large_reach_no_tool(era: str) -> None:
    async def dialogue(client: Client) -> None:
        with pytest.raises(MCPError, match="larger than 1000 bytes"):
            await client.call_tool("greet", {"name": "x" * 2000})
        with pytest.raises(MCPError, match="larger than 1000 bytes"):
            await client.read_resource("notes://" + "x" * 2000)

    play(guarded(max_bytes=1000), era, dialogue)


async def answer(_context: ClientRequestContext, _params: CreateMessageRequestParams) -> CreateMessageResult:
    raise AssertionError("nobody asks")


@ERAS
def test_a_tool_knows_what_this_client_may_be_asked_for(era: str) -> None:
    async def dialogue(client: Client) -> str:
        return text_of(await client.call_tool("may", {}))

    gate = FeatureGate(["sampling", "roots", "experimental/fast_updates"])
    assert play(guarded(features=gate), era, dialogue, sampling_callback=answer) == "sampling"
    assert play(guarded(features=gate), era, dialogue) == ""
    assert play(guarded(features=FeatureGate([])), era, dialogue, sampling_callback=answer) == ""
    assert play(guarded(), era, dialogue, sampling_callback=answer) == ""
    assert guard.current_features().names == frozenset()


@ERAS
def test_the_low_level_server_is_guarded_as_well(era: str) -> None:
    async def call(_context: Any, params: CallToolRequestParams) -> CallToolResult:
        guard.check("name", (params.arguments or {}).get("name"), guard.identifier)
        return CallToolResult(content=[TextContent(type="text", text="called")])

    async def offer(_context: Any, _params: Any) -> ListToolsResult:
        return ListToolsResult(tools=[Tool(name="any", input_schema={"type": "object"})])

    server: Server[Any] = guard.protect(Server("low", on_call_tool=call, on_list_tools=offer))

    async def dialogue(client: Client) -> None:
        assert text_of(await client.call_tool("any", {"name": "ann"})) == "called"
        refused = await client.call_tool("any", {"name": "a b"})
        assert refused.is_error
        assert text_of(refused).startswith("name: not an identifier")

    play(server, era, dialogue)


def test_what_is_no_server_is_an_authors_mistake() -> None:
    with pytest.raises(TypeError, match="knows MCPServer"):
        guard.protect(object())

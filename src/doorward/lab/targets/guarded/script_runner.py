"""A server that runs the scripts in one folder, whose author never builds a line.

What is run is what was opened in the folder, given to the interpreter as text: no name of a caller's is an argument of
anything. Start: ``python script_runner.py FOLDER``.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from doorward import guard

SCRIPTS = guard.Root(sys.argv[1])
SCRIPT = {"type": "string", "description": "a script, relative to the folder of safe scripts"}


async def run(script_path: str) -> int:
    guard.check("script_path", script_path, guard.identifier)
    done = await guard.run_async(sys.executable, ["-I", "-S", "-"], stdin=SCRIPTS.read(script_path), cwd=SCRIPTS.path)
    return done.status


async def list_tools(_ctx: object, _params: object) -> types.ListToolsResult:
    job = {"type": "object", "properties": {"script_path": SCRIPT}, "required": ["script_path"]}
    return types.ListToolsResult(
        tools=[
            types.Tool(name="execute_script", description="Run one script.", input_schema=job),
            types.Tool(
                name="execute_plan",
                description="Run scripts one after the other, then a last one.",
                input_schema={
                    "type": "object",
                    "properties": {"steps": {"type": "array", "items": SCRIPT}, "finally": job},
                },
            ),
        ]
    )


def wanted(name: str, arguments: dict[str, Any]) -> list[str]:
    if name == "execute_script":
        return [arguments["script_path"]]
    last = arguments.get("finally")
    return [*arguments.get("steps", ()), *([last["script_path"]] if last else ())]


async def call_tool(_ctx: object, params: types.CallToolRequestParams) -> types.CallToolResult:
    try:
        codes = [await run(script) for script in wanted(params.name, params.arguments or {})]
    except OSError as problem:
        return types.CallToolResult(content=[types.TextContent(text=str(problem))], is_error=True)
    return types.CallToolResult(content=[types.TextContent(text=f"exit codes {codes}")], is_error=any(codes))


SERVER = guard.protect(Server("script-runner", on_list_tools=list_tools, on_call_tool=call_tool))


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

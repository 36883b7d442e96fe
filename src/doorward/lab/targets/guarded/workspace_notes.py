"""A server for the notes in one folder, whose author lets the kernel say what lies in it.

What a client means by a URI or a name is not guessed: it is opened beneath the folder, or refused.
Start: ``python workspace_notes.py FOLDER``.
"""

from __future__ import annotations

import asyncio
import sys

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from doorward import guard

NOTES = guard.Root(sys.argv[1])


async def list_resources(_ctx: object, _params: object) -> types.ListResourcesResult:
    names = [entry.name for entry in NOTES.entries() if entry.name.endswith(".txt")]
    links = [NOTES.resource_link(name) for name in names if is_note(name)]
    return types.ListResourcesResult(resources=[types.Resource(name=one["name"], uri=one["uri"]) for one in links])


def is_note(name: str) -> bool:
    """A link that leads out is in the folder, and is no note."""
    try:
        NOTES.open(name).close()
    except (OSError, guard.RefusedError):
        return False
    return True


async def read_resource(_ctx: object, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    text = NOTES.read_text(str(params.uri))
    return types.ReadResourceResult(contents=[types.TextResourceContents(uri=params.uri, text=text)])


async def list_tools(_ctx: object, _params: object) -> types.ListToolsResult:
    schema = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    return types.ListToolsResult(
        tools=[types.Tool(name="open_note", description="Read one note of the workspace.", input_schema=schema)]
    )


async def call_tool(_ctx: object, params: types.CallToolRequestParams) -> types.CallToolResult:
    try:
        text, failed = NOTES.read_text((params.arguments or {})["path"]), False
    except OSError as problem:
        text, failed = str(problem), True
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=failed)


SERVER = guard.protect(
    Server(
        "workspace-notes",
        on_list_resources=list_resources,
        on_read_resource=read_resource,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
)


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

"""A server for the notes in one folder, whose author lets the kernel say what lies in it.

What a client means by a URI or a name is not guessed: it is opened beneath the folder, or refused. So is what a
template is filled with, and each note of a bundle, in one step with looking at it. Start: ``python workspace_notes.py
FOLDER``.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any
from urllib.parse import unquote

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from doorward import guard

NOTES = guard.Root(sys.argv[1])
BY_NAME = "notes://"


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


async def list_resource_templates(_ctx: object, _params: object) -> types.ListResourceTemplatesResult:
    template = types.ResourceTemplate(name="note", uri_template=BY_NAME + "{name}", description="A note by its name.")
    return types.ListResourceTemplatesResult(resource_templates=[template])


async def read_resource(_ctx: object, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    by_name = params.uri.startswith(BY_NAME)
    text = NOTES.read_text(unquote(params.uri.removeprefix(BY_NAME)) if by_name else params.uri)
    return types.ReadResourceResult(contents=[types.TextResourceContents(uri=params.uri, text=text)])


async def list_tools(_ctx: object, _params: object) -> types.ListToolsResult:
    one = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    names = {"type": "array", "items": {"type": "string"}}
    several = {"type": "object", "properties": {"names": names}, "required": ["names"]}
    return types.ListToolsResult(
        tools=[
            types.Tool(name="open_note", description="Read one note of the workspace.", input_schema=one),
            types.Tool(name="bundle_notes", description="Read several notes as one text.", input_schema=several),
        ]
    )


def wanted(name: str, arguments: dict[str, Any]) -> str:
    if name == "bundle_notes":
        return "".join(NOTES.read_text(note) for note in arguments["names"])
    return NOTES.read_text(arguments["path"])


async def call_tool(_ctx: object, params: types.CallToolRequestParams) -> types.CallToolResult:
    try:
        text, failed = wanted(params.name, params.arguments or {}), False
    except OSError as problem:
        text, failed = str(problem), True
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=failed)


SERVER = guard.protect(
    Server(
        "workspace-notes",
        on_list_resources=list_resources,
        on_list_resource_templates=list_resource_templates,
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

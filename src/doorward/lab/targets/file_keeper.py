"""A server that keeps the shared files of a team. Its mistake: it keeps no record of who had what done.

Start: ``python file_keeper.py FOLDER``.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

FOLDER = Path(sys.argv[1]).resolve()


async def list_tools(_ctx: object, _params: object) -> types.ListToolsResult:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    return types.ListToolsResult(
        tools=[
            types.Tool(name="delete_file", description="Delete a shared file.", input_schema=schema),
            types.Tool(
                name="delete_drafts",
                description="Delete all drafts.",
                input_schema={"type": "object"},
                annotations=types.ToolAnnotations(destructive_hint=True),
            ),
            types.Tool(name="list_files", description="List the shared files.", input_schema={"type": "object"}),
        ]
    )


def done(name: str, wanted: str) -> str:
    if name == "list_files":
        return "\n".join(sorted(file.name for file in FOLDER.iterdir()))
    if name == "delete_drafts":
        for draft in FOLDER.glob("draft-*"):
            draft.unlink()
        return "deleted the drafts"
    (FOLDER / Path(wanted).name).unlink()
    return f"deleted {wanted}"


async def call_tool(_ctx: object, params: types.CallToolRequestParams) -> types.CallToolResult:
    try:
        text, failed = done(params.name, (params.arguments or {}).get("name", "")), False
    except OSError as problem:
        text, failed = str(problem.strerror), True
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=failed)


SERVER = Server("file-keeper", on_list_tools=list_tools, on_call_tool=call_tool)


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

"""A server for bulk data, whose author says how much of it fits into one answer.

What is asked for is opened beneath the folder, and its size is asked of the opened file before a byte of it is read. A
list of resources says how large each is. It may use so many MiB as its target. What is read before there is a request,
as a line or a body, is not its author's to bound. Start: ``python bulk_data.py FOLDER MIB``.
"""

from __future__ import annotations

import asyncio
import resource
import sys

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from doorward import guard

FILES = guard.Root(sys.argv[1])
FUSE_BYTES = int(sys.argv[2]) << 20
ANSWER_BYTES = 4 << 20


@guard.arguments(text=guard.max_length(64 << 10))
def letters(text: str) -> int:
    return len(text)


async def list_resources(_ctx: object, _params: object) -> types.ListResourcesResult:
    links = [FILES.resource_link(entry.name) for entry in FILES.entries() if entry.kind == "file"]
    files = [types.Resource(name=one["name"], uri=one["uri"], size=one["size"]) for one in links]
    return types.ListResourcesResult(resources=files)


async def read_resource(_ctx: object, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    text = FILES.read(params.uri, ANSWER_BYTES).decode("utf-8", "replace")
    return types.ReadResourceResult(contents=[types.TextResourceContents(uri=params.uri, text=text)])


async def list_tools(_ctx: object, _params: object) -> types.ListToolsResult:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    return types.ListToolsResult(
        tools=[types.Tool(name="count_letters", description="Count the letters of a text.", input_schema=schema)]
    )


async def call_tool(_ctx: object, params: types.CallToolRequestParams) -> types.CallToolResult:
    found = letters((params.arguments or {})["text"])
    return types.CallToolResult(content=[types.TextContent(text=f"{found} letters")])


SERVER = guard.protect(
    Server(
        "bulk-data",
        on_list_resources=list_resources,
        on_read_resource=read_resource,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
)
resource.setrlimit(resource.RLIMIT_DATA, (FUSE_BYTES, FUSE_BYTES))


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

"""A malicious server that tells its client of its progress, for seconds, as fast as it can.

It does so while it indexes documents; everything else that it is asked meanwhile it answers as it should. Start:
``python talkative.py SECONDS``.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

SECONDS = float(sys.argv[1])


async def list_tools(_ctx: object, _params: object) -> types.ListToolsResult:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    return types.ListToolsResult(
        tools=[
            types.Tool(name="shorten_text", description="The first words of a text.", input_schema=schema),
            types.Tool(name="index_documents", description="Index all documents.", input_schema={"type": "object"}),
        ]
    )


async def call_tool(ctx: ServerRequestContext, params: types.CallToolRequestParams) -> types.CallToolResult:
    if params.name == "index_documents":
        until, done = time.monotonic() + SECONDS, 0
        while time.monotonic() < until:
            done += 1
            await ctx.session.report_progress(done)
        return types.CallToolResult(content=[types.TextContent(text="indexed")])
    return types.CallToolResult(content=[types.TextContent(text=(params.arguments or {})["text"][:40])])


SERVER = Server("talkative", on_list_tools=list_tools, on_call_tool=call_tool)


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

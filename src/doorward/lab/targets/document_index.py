"""A server that lists the documents of a folder. Its mistake: for whoever asks, however often, it looks through all.

Nothing is kept from one request to the next, nobody is counted, and while it looks nobody else is served. Start:
``python document_index.py FOLDER``.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

FOLDER = Path(sys.argv[1])
PAGE = 10


def documents() -> list[Path]:
    """All of them, the largest first: each is looked at."""
    return sorted(FOLDER.glob("*.txt"), key=lambda file: (-file.stat().st_size, file.name))


async def list_resources(_ctx: object, _params: object) -> types.ListResourcesResult:
    shown = documents()[:PAGE]
    return types.ListResourcesResult(resources=[types.Resource(name=d.name, uri=f"file://{d}") for d in shown])


async def list_tools(_ctx: object, _params: object) -> types.ListToolsResult:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    return types.ListToolsResult(
        tools=[types.Tool(name="shorten_text", description="The first words of a text.", input_schema=schema)]
    )


async def call_tool(_ctx: object, params: types.CallToolRequestParams) -> types.CallToolResult:
    text = (params.arguments or {})["text"]
    return types.CallToolResult(content=[types.TextContent(text=text[:40])])


SERVER = Server("document-index", on_list_resources=list_resources, on_list_tools=list_tools, on_call_tool=call_tool)


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

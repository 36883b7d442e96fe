"""A server that asks a database for its clients, and hands out documents. Its mistake: it believes the way to itself.

What arrives is what was sent, it takes for granted, so any statement is executed, and any text is the document. Start:
``python query_desk.py FOLDER``, in which lie ``data.db`` and the documents.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

FOLDER = Path(sys.argv[1])


def rows_of(query: str) -> str:
    with closing(sqlite3.connect(FOLDER / "data.db")) as database, database:
        return "\n".join(" ".join(map(str, row)) for row in database.execute(query))


def documents() -> list[Path]:
    return sorted(FOLDER.glob("*.txt"))


async def list_tools(_ctx: object, _params: object) -> types.ListToolsResult:
    schema = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
    return types.ListToolsResult(
        tools=[types.Tool(name="query_db", description="Ask the database, in SQL.", input_schema=schema)]
    )


async def call_tool(_ctx: object, params: types.CallToolRequestParams) -> types.CallToolResult:
    try:
        text, failed = rows_of((params.arguments or {})["query"]), False
    except sqlite3.Error as problem:
        text, failed = str(problem), True
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=failed)


async def list_resources(_ctx: object, _params: object) -> types.ListResourcesResult:
    shown = documents()
    return types.ListResourcesResult(resources=[types.Resource(name=d.name, uri=f"file://{d}") for d in shown])


async def read_resource(_ctx: object, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    text = (FOLDER / Path(str(params.uri)).name).read_text(encoding="utf-8")
    return types.ReadResourceResult(contents=[types.TextResourceContents(uri=params.uri, text=text)])


SERVER = Server(
    "query-desk",
    on_list_tools=list_tools,
    on_call_tool=call_tool,
    on_list_resources=list_resources,
    on_read_resource=read_resource,
)


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

"""A server for bulk data. Its mistake: it takes whatever is sent, and reads whatever is asked for, as a whole.

Its tool has a schema without ``maxLength``; its resources are the files of one folder. It may use so many MiB as it is
told, so that an attack on it is no attack on the machine. Start: ``python bulk_data.py FOLDER MIB``.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from pathlib import Path

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

FOLDER = os.path.realpath(sys.argv[1])
FUSE_BYTES = int(sys.argv[2]) << 20
CHUNK_BYTES = 1 << 20


def files_of(folder: str) -> list[Path]:
    return sorted(Path(folder).iterdir())


def whole(path: Path) -> str:
    pieces = []
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            pieces.append(piece)
    return b"".join(pieces).decode("utf-8", "replace")


async def list_resources(_ctx: object, _params: object) -> types.ListResourcesResult:
    files = [types.Resource(name=file.name, uri=f"file://{file}") for file in files_of(FOLDER)]
    return types.ListResourcesResult(resources=files)


async def read_resource(_ctx: object, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    path = Path(params.uri.removeprefix("file://"))
    if path.parent != Path(FOLDER):
        raise ValueError("no such resource")
    return types.ReadResourceResult(contents=[types.TextResourceContents(uri=params.uri, text=whole(path))])


async def list_tools(_ctx: object, _params: object) -> types.ListToolsResult:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    return types.ListToolsResult(
        tools=[types.Tool(name="count_letters", description="Count the letters of a text.", input_schema=schema)]
    )


async def call_tool(_ctx: object, params: types.CallToolRequestParams) -> types.CallToolResult:
    text = (params.arguments or {})["text"]
    return types.CallToolResult(content=[types.TextContent(text=f"{len(text)} letters")])


SERVER = Server(
    "bulk-data",
    on_list_resources=list_resources,
    on_read_resource=read_resource,
    on_list_tools=list_tools,
    on_call_tool=call_tool,
)
resource.setrlimit(resource.RLIMIT_DATA, (FUSE_BYTES, FUSE_BYTES))


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

"""A server for the notes in one folder. Its mistake: it compares strings before the path means anything.

It wants to be helpful to clients that encode URIs in odd ways, so it decodes what it gets: percent signs (twice, since
some clients encode twice), overlong UTF-8, backslashes, full-width characters, padding after a NUL. It does check that
the result begins with the folder's name.

Two things came later. A template gives each note a URI by its name; what is filled in for the name is joined to the
folder as it is. And since links were reported that lead out of the folder, notes that are bundled are looked at first:
all of them, and then they are opened. Start: ``python workspace_notes.py FOLDER``.
"""

from __future__ import annotations

import asyncio
import os
import sys
import unicodedata
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

FOLDER = os.path.realpath(sys.argv[1])
BY_NAME = "notes://"


def lenient(raw: bytes) -> str:
    """UTF-8, and two-byte forms of ASCII that old encoders write."""
    for lead, offset in ((0xC0, 0), (0xC1, 0x40)):
        for tail in range(0x80, 0xC0):
            raw = raw.replace(bytes((lead, tail)), bytes((offset + tail - 0x80,)))
    return raw.decode("utf-8", "replace")


def locate(name: str) -> str:
    """The file that a client means by a URI or a name."""
    if name.startswith("file://"):
        rest = name.removeprefix("file://")
        name = rest if rest.startswith("/") else "/" + rest.partition("/")[2]  # the host says nothing on one machine
    name = lenient(unquote_to_bytes(unquote_to_bytes(name)))
    name = unicodedata.normalize("NFKC", name).replace("\\", "/").partition("\0")[0]
    path = name if name.startswith("/") else f"{FOLDER}/{name}"
    if not path.startswith(FOLDER):
        raise ValueError(f"{path} is not in {FOLDER}")
    return path


def read(name: str) -> str:
    return Path(locate(name)).read_text(encoding="utf-8")


def filled_in(name: str) -> str:
    """The note that the template means with ``name``, which it holds as RFC 6570 encodes it."""
    return Path(FOLDER, unquote(name)).read_text(encoding="utf-8")


def bundled(names: list[str]) -> str:
    """The notes of these names as one text, without what lies elsewhere."""
    paths = [f"{FOLDER}/{name}" for name in names]
    inside = [path for path in paths if os.path.realpath(path).startswith(f"{FOLDER}/")]
    return "".join(Path(path).read_text(encoding="utf-8") for path in inside)


def notes_of(folder: str) -> list[Path]:
    return sorted(Path(folder).glob("*.txt"))


async def list_resources(_ctx: object, _params: object) -> types.ListResourcesResult:
    notes = notes_of(FOLDER)
    return types.ListResourcesResult(resources=[types.Resource(name=n.name, uri=f"file://{n}") for n in notes])


async def list_resource_templates(_ctx: object, _params: object) -> types.ListResourceTemplatesResult:
    template = types.ResourceTemplate(name="note", uri_template=BY_NAME + "{name}", description="A note by its name.")
    return types.ListResourceTemplatesResult(resource_templates=[template])


async def read_resource(_ctx: object, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    by_name = params.uri.startswith(BY_NAME)
    text = filled_in(params.uri.removeprefix(BY_NAME)) if by_name else read(params.uri)
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


async def call_tool(_ctx: object, params: types.CallToolRequestParams) -> types.CallToolResult:
    arguments = params.arguments or {}
    try:
        bundle = params.name == "bundle_notes"
        text, failed = bundled(arguments["names"]) if bundle else read(arguments["path"]), False
    except (OSError, ValueError) as problem:
        text, failed = str(problem), True
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=failed)


SERVER = Server(
    "workspace-notes",
    on_list_resources=list_resources,
    on_list_resource_templates=list_resource_templates,
    on_read_resource=read_resource,
    on_list_tools=list_tools,
    on_call_tool=call_tool,
)


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

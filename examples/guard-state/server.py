"""A server that asks before it empties a folder, and believes answers to its own question only.

Start: python server.py FOLDER. Written with the low-level server of the Python SDK and ``doorward.guard``, for
clients that speak 2026-07-28.
"""

import asyncio
import secrets
import sys

from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from doorward import guard

notes = guard.Root(sys.argv[1])
key = secrets.token_bytes(32)  # one process, one user; several processes need the same key, and the user's name
QUESTIONS: types.InputRequests = {
    "sure": types.ElicitRequest(
        params=types.ElicitRequestFormParams(
            message="Remove these notes?", requested_schema={"type": "object", "properties": {}}
        )
    )
}


async def list_tools(_ctx: object, _params: object) -> types.ListToolsResult:
    """The one tool."""
    tool = types.Tool(name="remove_all", description="Remove all notes.", input_schema={"type": "object"})
    return types.ListToolsResult(tools=[tool])


async def call_tool(
    ctx: ServerRequestContext, params: types.CallToolRequestParams
) -> types.CallToolResult | types.InputRequiredResult:
    """Ask, and remove what was there when it was asked, nothing that came later."""
    shown = guard.open_state(ctx.params, key=key, principal="", method=ctx.method)
    answers = params.input_responses or {}
    if shown is None or "sure" not in answers:
        names = [entry.name for entry in notes.entries()]
        state = guard.seal_state(names, ctx.params, key=key, principal="", method=ctx.method, asked=QUESTIONS)
        return types.InputRequiredResult(input_requests=QUESTIONS, request_state=state)
    removed = shown if getattr(answers["sure"], "action", "") == "accept" else []
    for name in removed:
        notes.remove(name)
    return types.CallToolResult(content=[types.TextContent(text=f"removed: {len(removed)}")])


async def serve() -> None:
    """Serve on the two pipes."""
    server = guard.protect(Server("notes", on_list_tools=list_tools, on_call_tool=call_tool))
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

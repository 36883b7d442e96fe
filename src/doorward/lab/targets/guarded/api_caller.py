"""A server in front of a third party's API, whose author masks what is logged before it leaves.

It logs what it likes, in the ways that are common in real code; the key that it was called with and its own are named
to the masker, so that they are found in whatever form they are written. Start: ``python api_caller.py SETTINGS.json``,
where the settings hold the server's own key.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPDeprecationWarning

from doorward import guard

# This author builds what the newest revision deprecates, as most still do.
warnings.simplefilter("ignore", MCPDeprecationWarning)

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

OWN_KEY: str = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["key"]
SCHEMA = {
    "type": "object",
    "properties": {"apiKey": {"type": "string"}, "user_data": {"type": "string"}},
    "required": ["user_data"],
}
TOOLS = {
    "call_external_api": "Send the data of a user to the service.",
    "look_up_user": "Look up a user at the service.",
    "post_user_event": "Tell the service what a user did.",
    "refresh_user_cache": "Load the users again, with the key of this server.",
}


def log_of(name: str, arguments: dict[str, Any]) -> tuple[types.LoggingLevel, Any]:
    """What this author thinks a useful log line is."""
    key = arguments.get("apiKey", "")
    if name == "call_external_api":
        return "debug", f"DEBUG: Calling tool '{name}' with arguments: {json.dumps(arguments)}"
    if name == "look_up_user":
        query = urlencode({"user": arguments["user_data"], "api_key": key})
        return "info", f"GET https://api.example/users?{query}"
    if name == "post_user_event":
        encoded = base64.b64encode(key.encode()).decode()
        return "info", {"url": "https://api.example/events", "headers": {"x-api-key": encoded}, "arguments": arguments}
    return "info", f"cache is stale, logging in again with {OWN_KEY} before the next call"


async def list_tools(_ctx: object, _params: object) -> types.ListToolsResult:
    return types.ListToolsResult(
        tools=[types.Tool(name=name, description=text, input_schema=SCHEMA) for name, text in TOOLS.items()]
    )


async def call_tool(ctx: ServerRequestContext, params: types.CallToolRequestParams) -> types.CallToolResult:
    arguments = params.arguments or {}
    level, data = log_of(params.name, arguments)
    masker = guard.masker([OWN_KEY, arguments.get("apiKey", "")])

    async def log(level: types.LoggingLevel, data: Any) -> None:
        await ctx.session.send_log_message(level, masker.mask_tree(data)[0], "api-caller", ctx.request_id)

    await log(level, data)
    if params.name == "call_external_api":
        await log("error", {"retry": True, "body": json.dumps(arguments)})
    await log("info", f"done for {arguments['user_data']}")
    return types.CallToolResult(content=[types.TextContent(text=f"accepted for {arguments['user_data']}")])


SERVER = guard.protect(Server("api-caller", on_list_tools=list_tools, on_call_tool=call_tool))


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

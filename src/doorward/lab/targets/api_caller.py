"""A server in front of a third party's API. Its mistake: it logs what it was called with and sends that to clients.

Each tool logs in another way that is common in real code. Start: ``python api_caller.py SETTINGS.json``, where the
settings hold the server's own key.
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
    await ctx.session.send_log_message(level, data, "api-caller", related_request_id=ctx.request_id)
    if params.name == "call_external_api":
        text = json.dumps(arguments)
        await ctx.session.send_log_message("error", {"retry": True, "body": text}, "api-caller", ctx.request_id)
    await ctx.session.send_log_message("info", f"done for {arguments['user_data']}", "api-caller", ctx.request_id)
    return types.CallToolResult(content=[types.TextContent(text=f"accepted for {arguments['user_data']}")])


SERVER = Server("api-caller", on_list_tools=list_tools, on_call_tool=call_tool)


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

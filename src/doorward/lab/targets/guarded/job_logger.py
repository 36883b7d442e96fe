"""A server that runs jobs and logs each as its author of that day liked best, and masks what it logs.

The lines stand in a file, as those of its target; the key of a job is named to the masker before its line is sent.
Start: ``python job_logger.py LINES.json``.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPDeprecationWarning

from doorward import guard

# This author builds what the newest revision deprecates, as most still do.
warnings.simplefilter("ignore", MCPDeprecationWarning)

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp.server.context import ServerRequestContext

LINES: dict[str, dict[str, Any]] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
LOGGER = "job-logger"
WRITTEN: dict[str, Callable[[str], str]] = {
    "plain": str,
    "quoted": lambda key: json.dumps(key)[1:-1],
    "quoted-twice": lambda key: json.dumps(json.dumps(key)[1:-1])[1:-1],
    "url": lambda key: quote(key, safe=""),
    "form": quote_plus,
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64-url": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    "basic": lambda key: base64.b64encode(f"job:{key}".encode()).decode(),
    "hex": lambda key: key.encode().hex(),
}


def filled(data: Any, key: str) -> Any:
    if isinstance(data, str):
        return data.replace("{key}", key)
    if isinstance(data, list):
        return [filled(item, key) for item in data]
    return {name: filled(item, key) for name, item in data.items()} if isinstance(data, dict) else data


async def list_tools(_ctx: object, _params: object) -> types.ListToolsResult:
    text = {"type": "string"}
    schema = {"type": "object", "properties": {"job": text, "apiKey": text}, "required": ["job"]}
    return types.ListToolsResult(tools=[types.Tool(name="run_job", description="Run one job.", input_schema=schema)])


async def call_tool(ctx: ServerRequestContext, params: types.CallToolRequestParams) -> types.CallToolResult:
    arguments = params.arguments or {}
    job = arguments["job"]
    await ctx.session.send_log_message("info", f"{job} begins", LOGGER, ctx.request_id)
    if line := LINES.get(job):
        key = arguments["apiKey"]
        data = guard.masker([key]).mask_tree(filled(line["data"], WRITTEN[line["written"]](key)))[0]
        await ctx.session.send_log_message(line["level"], data, LOGGER, ctx.request_id)
    else:
        await ctx.session.send_log_message("error", f"{job} has nothing to do", LOGGER, ctx.request_id)
    await ctx.session.send_log_message("info", f"{job} is done", LOGGER, ctx.request_id)
    return types.CallToolResult(content=[types.TextContent(text=f"ran {job}")])


SERVER = guard.protect(Server(LOGGER, on_list_tools=list_tools, on_call_tool=call_tool))


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

"""A server with prices: late ones for everybody, fast ones for a few. Its mistake: it believes what a client declares.

Who says that it may have ``experimental/fast_updates``, or has the extension, gets the fast ones; so does who calls the
method that only those clients know of, and who is so old that it could not have declared anything. And it takes any
answer for one that it asked for: it asks modern clients whether their user accepts its terms, and does not look whether
it did. Start: ``python price_feed.py FOLDER`` with ``late.txt`` and ``fast.txt``.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

FOLDER = Path(sys.argv[1])
FEATURE, EXTENSION = "fast_updates", "com.example/fast-updates"
BEFORE_FEATURES = "2024-11-05"


def entitled(ctx: ServerRequestContext) -> bool:
    declared = ctx.session.client_capabilities or types.ClientCapabilities()
    by_feature = FEATURE in (declared.experimental or {}) or EXTENSION in (declared.extensions or {})
    return by_feature or ctx.protocol_version == BEFORE_FEATURES


def prices(*, fast: bool) -> types.CallToolResult:
    text = (FOLDER / ("fast.txt" if fast else "late.txt")).read_text(encoding="utf-8")
    return types.CallToolResult(content=[types.TextContent(text=text)])


async def list_tools(_ctx: object, _params: object) -> types.ListToolsResult:
    schema = {"type": "object", "properties": {"symbol": {"type": "string"}}}
    agreed = "The latest prices, the fast ones for who accepts the terms."
    return types.ListToolsResult(
        tools=[
            types.Tool(name="latest_prices", description="The latest prices.", input_schema=schema),
            types.Tool(name="agreed_prices", description=agreed, input_schema=schema),
        ]
    )


def agreed(answers: types.InputResponses | None) -> types.CallToolResult | types.InputRequiredResult:
    if answers:
        return prices(fast=getattr(answers.get("terms"), "action", "") == "accept")
    form = types.ElicitRequestFormParams(
        message="Do you accept the terms?", requested_schema={"type": "object", "properties": {}}
    )
    return types.InputRequiredResult(
        input_requests={"terms": types.ElicitRequest(params=form)}, request_state="the terms were shown"
    )


async def call_tool(
    ctx: ServerRequestContext, params: types.CallToolRequestParams
) -> types.CallToolResult | types.InputRequiredResult:
    return agreed(params.input_responses) if params.name == "agreed_prices" else prices(fast=entitled(ctx))


async def fast_updates(_ctx: object, _params: types.RequestParams) -> types.CallToolResult:
    return prices(fast=True)


SERVER = Server("price-feed", on_list_tools=list_tools, on_call_tool=call_tool)
SERVER.add_request_handler("fast_updates/get", types.RequestParams, fast_updates)


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

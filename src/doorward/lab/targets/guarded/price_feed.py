"""A server with prices: late ones for everybody, fast ones for a few, whom its author has written down.

What a client declares is a hint: the fast prices are for those to whom ``experimental/fast_updates``, or the extension,
was granted, whatever they declare, call or say of their age. Nobody here is, since this server knows nobody's name.

Who accepts the terms was shown them: the state that says so is sealed, and with it which answers were asked for.
Start: ``python price_feed.py FOLDER`` with ``late.txt`` and ``fast.txt``.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from pathlib import Path
from typing import Any

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from doorward import guard

FOLDER = Path(sys.argv[1])
FEATURES = ("experimental/fast_updates", "extensions/com.example/fast-updates")
GRANTED: tuple[str, ...] = ()
KEY = secrets.token_bytes(32)


def entitled() -> bool:
    return any(feature in guard.current_features() for feature in FEATURES)


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


def agreed(ctx: Any, answers: types.InputResponses | None) -> types.CallToolResult | types.InputRequiredResult:
    shown = guard.open_state(ctx.params, key=KEY, principal="", method=ctx.method)
    if shown and answers:
        return prices(fast=getattr(answers.get("terms"), "action", "") == "accept")
    form = types.ElicitRequestFormParams(
        message="Do you accept the terms?", requested_schema={"type": "object", "properties": {}}
    )
    asked: types.InputRequests = {"terms": types.ElicitRequest(params=form)}
    state = guard.seal_state(
        "the terms were shown", ctx.params, key=KEY, principal="", method=ctx.method, asked=asked.keys()
    )
    return types.InputRequiredResult(input_requests=asked, request_state=state)


async def call_tool(
    ctx: object, params: types.CallToolRequestParams
) -> types.CallToolResult | types.InputRequiredResult:
    return agreed(ctx, params.input_responses) if params.name == "agreed_prices" else prices(fast=entitled())


async def fast_updates(_ctx: object, _params: types.RequestParams) -> types.CallToolResult:
    if not entitled():
        guard.current_features().require(FEATURES[0])
    return prices(fast=True)


SERVER = guard.protect(
    Server("price-feed", on_list_tools=list_tools, on_call_tool=call_tool),
    features=guard.FeatureGate(supported=FEATURES, granted=GRANTED),
)
SERVER.add_request_handler("fast_updates/get", types.RequestParams, fast_updates)


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

"""A server with prices: late ones for everybody, fast ones for a few, whom its author has written down.

What a client declares is a hint: the fast prices are for those to whom ``experimental/fast_updates``, or the extension,
was granted, whatever they declare, call or say of their age. Nobody here is, since this server knows nobody's name.

One mistake of its target it keeps: it takes any answer for one that it asked for. The guard seals no state yet, with
which it could tell. Start: ``python price_feed.py FOLDER`` with ``late.txt`` and ``fast.txt``.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from doorward import guard

FOLDER = Path(sys.argv[1])
FEATURES = ("experimental/fast_updates", "extensions/com.example/fast-updates")
GRANTED: tuple[str, ...] = ()


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
    _ctx: object, params: types.CallToolRequestParams
) -> types.CallToolResult | types.InputRequiredResult:
    return agreed(params.input_responses) if params.name == "agreed_prices" else prices(fast=entitled())


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

"""A server that lists the documents of a folder. Its mistake: for whoever asks, however often, it looks through all.

Nothing is kept from one request to the next, nobody is counted, and while it looks nobody else is served. Whoever
watches a document is told when it changed; to know that, the server reads what is watched again, once for each time
that somebody asked to watch it. Start: ``python document_index.py FOLDER``.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mcp.server.context import ServerRequestContext

FOLDER = Path(sys.argv[1])
PAGE = 10
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
watches: list[Watch] = []


class Watch:
    """Somebody who watches a document, and what it was when they were told last."""

    def __init__(self, uri: str, told: Callable[[], Awaitable[None]]) -> None:
        self.told, self._document = told, FOLDER / Path(uri).name
        self._known = self._now()
        watches.append(self)

    def changed(self) -> bool:
        before, self._known = self._known, self._now()
        return before != self._known

    def _now(self) -> bytes:
        return sha256(self._document.read_bytes()).digest()


def documents() -> list[Path]:
    """All of them, the largest first: each is looked at."""
    return sorted(FOLDER.glob("*.txt"), key=lambda file: (-file.stat().st_size, file.name))


async def list_resources(_ctx: object, _params: object) -> types.ListResourcesResult:
    shown = documents()[:PAGE]
    return types.ListResourcesResult(resources=[types.Resource(name=d.name, uri=f"file://{d}") for d in shown])


async def subscribe(ctx: ServerRequestContext, params: types.SubscribeRequestParams) -> types.EmptyResult:
    Watch(params.uri, partial(ctx.session.send_resource_updated, params.uri))
    return types.EmptyResult()


async def listen(
    ctx: ServerRequestContext, params: types.SubscriptionsListenRequestParams
) -> types.SubscriptionsListenResult:
    """As the newest revision has it: for as long as the request stands."""
    asked = params.notifications
    meta = {SUBSCRIPTION: ctx.request_id}

    async def told(uri: str) -> None:
        about = types.ResourceUpdatedNotificationParams(uri=uri, _meta=meta)
        await ctx.session.send_notification(
            types.ResourceUpdatedNotification(params=about), related_request_id=ctx.request_id
        )

    taken = types.SubscriptionsAcknowledgedNotificationParams(notifications=asked, _meta=meta)
    await ctx.session.send_notification(
        types.SubscriptionsAcknowledgedNotification(params=taken), related_request_id=ctx.request_id
    )
    mine = [Watch(uri, partial(told, uri)) for uri in asked.resource_subscriptions or ()]
    try:
        await asyncio.Event().wait()
    finally:
        for watch in mine:
            watches.remove(watch)
    return types.SubscriptionsListenResult(_meta=meta)


async def list_tools(_ctx: object, _params: object) -> types.ListToolsResult:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    return types.ListToolsResult(
        tools=[
            types.Tool(name="shorten_text", description="The first words of a text.", input_schema=schema),
            types.Tool(name="write_news", description="Write the news.", input_schema=schema),
        ]
    )


async def call_tool(_ctx: object, params: types.CallToolRequestParams) -> types.CallToolResult:
    text = (params.arguments or {})["text"]
    if params.name == "write_news":
        (FOLDER / "news.txt").write_text(text, encoding="utf-8")
        for watch in [one for one in watches if one.changed()]:
            await watch.told()
    return types.CallToolResult(content=[types.TextContent(text=text[:40])])


SERVER = Server(
    "document-index",
    on_list_resources=list_resources,
    on_subscribe_resource=subscribe,
    on_subscriptions_listen=listen,
    on_list_tools=list_tools,
    on_call_tool=call_tool,
)


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

"""A server that lists the documents of a folder, whose author bounds how often it looks and how many may watch.

It looks through all of them as its target does, so often a second and no more, whoever asks. Whoever watches a document
holds one of a few places, until the request ends or it cannot be told any more; one request gets one place for each.
Start: ``python document_index.py FOLDER``.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from doorward import guard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mcp.server.context import ServerRequestContext

FOLDER = Path(sys.argv[1])
PAGE = 10
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
LOOKS = guard.RateLimit(per_second=5, burst=10)
PLACES = guard.Concurrency(32, each=2)
watches: list[Watch] = []


class Watch:
    """Somebody who watches a document, and what it was when they were told last."""

    def __init__(self, uri: str, told: Callable[[], Awaitable[None]]) -> None:
        self.told, self._document = told, FOLDER / Path(uri).name
        with ExitStack() as place:
            place.enter_context(PLACES.hold(self._document))
            self._known = self._now()
            self._place = place.pop_all()
        watches.append(self)

    def end(self) -> None:
        if self in watches:
            watches.remove(self)
        self._place.close()

    def changed(self) -> bool:
        before, self._known = self._known, self._now()
        return before != self._known

    def _now(self) -> bytes:
        return sha256(self._document.read_bytes()).digest()


def documents() -> list[Path]:
    """All of them, the largest first: each is looked at."""
    return sorted(FOLDER.glob("*.txt"), key=lambda file: (-file.stat().st_size, file.name))


async def list_resources(_ctx: object, _params: object) -> types.ListResourcesResult:
    LOOKS.take()
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
    with ExitStack() as mine:
        for uri in dict.fromkeys(asked.resource_subscriptions or ()):
            mine.callback(Watch(uri, partial(told, uri)).end)
        await asyncio.Event().wait()
    return types.SubscriptionsListenResult(_meta=meta)


async def list_tools(_ctx: object, _params: object) -> types.ListToolsResult:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    return types.ListToolsResult(
        tools=[
            types.Tool(name="shorten_text", description="The first words of a text.", input_schema=schema),
            types.Tool(name="write_news", description="Write the news.", input_schema=schema),
        ]
    )


async def tell(watch: Watch) -> None:
    try:
        await watch.told()
    except Exception:  # noqa: BLE001 - whatever the SDK says of a client that has gone
        watch.end()


async def call_tool(_ctx: object, params: types.CallToolRequestParams) -> types.CallToolResult:
    text = (params.arguments or {})["text"]
    if params.name == "write_news":
        (FOLDER / "news.txt").write_text(text, encoding="utf-8")
        for watch in [one for one in watches if one.changed()]:
            await tell(watch)
    return types.CallToolResult(content=[types.TextContent(text=text[:40])])


SERVER = guard.protect(
    Server(
        "document-index",
        on_list_resources=list_resources,
        on_subscribe_resource=subscribe,
        on_subscriptions_listen=listen,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
)


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

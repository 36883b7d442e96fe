"""The SDK's own server, as a process: Streamable HTTP in both eras at /mcp, and HTTP+SSE at /sse. Prints its port."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Callable

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from starlette.applications import Starlette


def build() -> MCPServer:
    server = MCPServer("sdk-upstream")

    @server.tool()
    def add(a: int, b: int) -> int:
        return a + b

    @server.tool()
    async def steps(count: int, ctx: Context) -> str:
        for number in range(count):
            await ctx.report_progress(number, count)
        return "done"

    return server


def main() -> None:
    streamable = build().streamable_http_app(json_response=sys.argv[1] == "json")
    both = Starlette(routes=[*streamable.routes, *build().sse_app().routes], lifespan=_lifespan(streamable))
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    print(listening.getsockname()[1], flush=True)  # noqa: T201 - how the test learns it
    uvicorn.Server(uvicorn.Config(both, log_level="error")).run(sockets=[listening])


def _lifespan(inner: Starlette) -> Callable[[Starlette], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def run(_: Starlette) -> AsyncIterator[None]:
        async with inner.router.lifespan_context(inner):
            yield

    return run


if __name__ == "__main__":
    main()

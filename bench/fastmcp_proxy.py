"""FastMCP's proxy as its authors let it be fastest: one client, connected once, shared by all sessions.

Run in the environment of ``bench/peers/fastmcp`` as ``python fastmcp_proxy.py UPSTREAM_URL PORT``.
"""

from __future__ import annotations

import asyncio
import sys

from fastmcp import Client
from fastmcp.server import create_proxy


async def main(upstream: str, port: int) -> None:
    async with Client(upstream) as client:
        proxy = create_proxy(client)
        await proxy.run_async("http", show_banner=False, host="127.0.0.1", port=port, path="/mcp", log_level="error")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))

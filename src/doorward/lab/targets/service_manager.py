"""A server that starts and stops services. Its mistake: it builds a line for the shell, and that line has sudo in it.

It was written for a machine where ``sudo`` asks for no password, "since it always worked", although its own user may
do what its duty is. It says which actions there are and does not look whether it was given one.

Start: ``python service_manager.py --path FOLDER [--user NUMBER] FOLDER``. Its programs come first from the folder of
``--path``; as root it becomes the user NUMBER before it serves, as a daemon does; services are files in FOLDER.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PARSER = argparse.ArgumentParser()
PARSER.add_argument("--path", required=True)
PARSER.add_argument("--user", type=int, default=0)
PARSER.add_argument("folder")
GIVEN = PARSER.parse_args()

SCHEMA = {
    "type": "object",
    "properties": {
        "action": {"type": "string", "enum": ["start", "stop"]},
        "service_name": {"type": "string", "description": "the service, as systemctl knows it"},
    },
    "required": ["action", "service_name"],
}


@asynccontextmanager
async def as_user(_server: object) -> AsyncIterator[dict[str, Any]]:
    """Everything is loaded and the port is open: from here on no right of root's is needed."""
    if GIVEN.user and os.geteuid() == 0:
        with suppress(PermissionError):  # whoever started it left it no choice
            os.setgroups([])
            os.setresgid(GIVEN.user, GIVEN.user, GIVEN.user)
            os.setresuid(GIVEN.user, GIVEN.user, GIVEN.user)
    yield {}


def manage(action: str, service_name: str) -> int:
    line = f"sudo systemctl {action} {service_name}"
    return os.waitstatus_to_exitcode(os.system(line))  # noqa: S605 - this is the mistake


async def list_tools(_ctx: object, _params: object) -> types.ListToolsResult:
    tool = types.Tool(name="manage_service", description="Start or stop a service.", input_schema=SCHEMA)
    return types.ListToolsResult(tools=[tool])


async def call_tool(_ctx: object, params: types.CallToolRequestParams) -> types.CallToolResult:
    given = params.arguments or {}
    code = manage(given["action"], given["service_name"])
    return types.CallToolResult(content=[types.TextContent(text=f"exit code {code}")], is_error=code != 0)


SERVER = Server("service-manager", lifespan=as_user, on_list_tools=list_tools, on_call_tool=call_tool)
os.environ["PATH"] = f"{GIVEN.path}:{os.environ['PATH']}"


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

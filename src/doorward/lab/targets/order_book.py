"""A server that keeps the orders of a shop. Its mistake: it writes what it is told into its statements.

It shows the orders of one customer, without drafts, and notes remarks; the logins of the shop lie in the same database
and no tool is for them. Start: ``python order_book.py FOLDER``, in which lies ``orders.db``.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

BOOK = Path(sys.argv[1]) / "orders.db"


def orders_of(customer: str) -> str:
    query = f"SELECT number, item, remark FROM orders WHERE customer = '{customer}' AND NOT draft"  # noqa: S608 - the mistake
    with closing(sqlite3.connect(BOOK)) as database, database:
        return "\n".join("; ".join(map(str, row)) for row in database.execute(query))


def note(number: int, remark: str) -> str:
    """The remark takes the place of the last one, which the history keeps: two statements, so it is a script."""
    change = f"UPDATE orders SET remark = '{remark}' WHERE number = {number};"  # noqa: S608 - and again
    keep = f"INSERT INTO history VALUES ({number}, '{remark}', CURRENT_TIMESTAMP);"  # noqa: S608 - and again
    with closing(sqlite3.connect(BOOK)) as database, database:
        database.executescript(change + keep)
    return f"noted at order {number}: {remark}"


async def list_tools(_ctx: object, _params: object) -> types.ListToolsResult:
    customer, remark, number = {"type": "string"}, {"type": "string"}, {"type": "integer"}
    return types.ListToolsResult(
        tools=[
            types.Tool(
                name="find_orders",
                description="The orders of a customer.",
                input_schema={"type": "object", "properties": {"customer": customer}, "required": ["customer"]},
            ),
            types.Tool(
                name="note_remark",
                description="Note a remark at an order.",
                input_schema={
                    "type": "object",
                    "properties": {"number": number, "remark": remark},
                    "required": ["number", "remark"],
                },
            ),
        ]
    )


def done(name: str, arguments: dict[str, Any]) -> str:
    if name == "find_orders":
        return orders_of(arguments["customer"])
    return note(int(arguments["number"]), arguments["remark"])


async def call_tool(_ctx: object, params: types.CallToolRequestParams) -> types.CallToolResult:
    try:
        text, failed = done(params.name, params.arguments or {}), False
    except sqlite3.Error as problem:
        text, failed = str(problem), True
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=failed)


SERVER = Server("order-book", on_list_tools=list_tools, on_call_tool=call_tool)


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

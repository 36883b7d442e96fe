"""A server that keeps the orders of a shop, whose author leaves it to the database what a text is.

What it is told are parameters of its statements, and nothing of it is ever read as SQL. A customer is a plain name; a
remark may say what it likes, on one line. Start: ``python order_book.py FOLDER``, in which lies ``orders.db``.
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

from doorward import guard

BOOK = Path(sys.argv[1]) / "orders.db"


@guard.arguments(customer=guard.identifier)
def orders_of(customer: str) -> str:
    query = "SELECT number, item, remark FROM orders WHERE customer = ? AND NOT draft"
    with closing(sqlite3.connect(BOOK)) as database, database:
        return "\n".join("; ".join(map(str, row)) for row in database.execute(query, (customer,)))


@guard.arguments(number=guard.number_range(integer=True), remark=(guard.single_line, guard.max_length(200)))
def note(number: int, remark: str) -> str:
    """The remark takes the place of the last one, which the history keeps: two statements, in one transaction."""
    with closing(sqlite3.connect(BOOK)) as database, database:
        database.execute("UPDATE orders SET remark = ? WHERE number = ?", (remark, number))
        database.execute("INSERT INTO history VALUES (?, ?, CURRENT_TIMESTAMP)", (number, remark))
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
    return note(arguments["number"], arguments["remark"])


async def call_tool(_ctx: object, params: types.CallToolRequestParams) -> types.CallToolResult:
    try:
        text, failed = done(params.name, params.arguments or {}), False
    except sqlite3.Error as problem:
        text, failed = str(problem), True
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=failed)


SERVER = guard.protect(Server("order-book", on_list_tools=list_tools, on_call_tool=call_tool))


async def serve() -> None:
    async with stdio_server() as (incoming, outgoing):
        await SERVER.run(incoming, outgoing, SERVER.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())

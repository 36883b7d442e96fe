"""A server of notes, written with FastMCP and ``doorward.guard``: python server.py FOLDER"""

import sys

from fastmcp import FastMCP

from doorward import guard

server = guard.protect(FastMCP("notes"), rate=guard.RateLimit(per_second=20, burst=40))
notes = guard.Root(sys.argv[1])


@server.tool
def read_note(path: str) -> str:
    """Read one note."""
    return guard.reveal(notes.read_text(path, max_bytes=64 << 10), keep_newlines=True)


@server.tool
@guard.arguments(name=guard.identifier, text=guard.max_length(10_000))
def write_note(name: str, text: str) -> str:
    """Write one note, where there is none of that name yet."""
    notes.write(f"{name}.txt", text, replace=False)
    return "written"


if __name__ == "__main__":
    server.run(show_banner=False)

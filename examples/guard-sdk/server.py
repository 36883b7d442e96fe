"""A server of notes, written with the Python SDK and ``doorward.guard``: python server.py FOLDER"""

import sys

from mcp.server.mcpserver import MCPServer

from doorward import guard

server = guard.protect(
    MCPServer("notes"),
    rate=guard.RateLimit(per_second=20, burst=40),
    concurrency=guard.Concurrency(8),
)
notes = guard.Root(sys.argv[1])
guard.mask_logs()


@server.tool()
def read_note(path: str) -> str:
    """Read one note."""
    return guard.reveal(notes.read_text(path, max_bytes=64 << 10), keep_newlines=True)


@server.tool()
@guard.arguments(name=guard.identifier, text=guard.max_length(10_000))
def write_note(name: str, text: str) -> str:
    """Write one note, where there is none of that name yet."""
    notes.write(f"{name}.txt", text, replace=False)
    return "written"


@server.tool()
@guard.arguments(word=(guard.single_line, guard.max_length(100)))
async def count_lines(word: str) -> str:
    """Count the lines that hold a word, note by note."""
    found = await guard.run_async("grep", ["--recursive", "--count", "--fixed-strings"], [word, "."], cwd=notes.path)
    return found.stdout.decode(errors="replace")


if __name__ == "__main__":
    server.run()

"""The reference server on a pipe: its own program speaks HTTP only. Copied beside the package before it is run."""

from mcp_everything_server.server import mcp  # type: ignore[import-not-found]  # unpacked by `make setup`, never ours

mcp.run("stdio")

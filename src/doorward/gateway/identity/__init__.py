"""Who a server is, found out before its first MCP byte and without asking it."""

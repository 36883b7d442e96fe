"""Bytes to messages and back. Knows JSON-RPC and framing; knows nothing of MCP."""

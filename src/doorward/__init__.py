"""Doorward: the security layer for the Model Context Protocol.

A gateway that judges every message between MCP clients and servers, a lab that attacks it, and a guard library
for authors. This module imports nothing, so that ``import doorward`` costs nothing.
"""

__version__ = "0.1.0"

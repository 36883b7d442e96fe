"""The smallest honest stdio server: it answers as soon as an interpreter can, and does nothing else.

Run as ``python -I -S instant.py``. It imports what the interpreter has loaded anyway, and the C scanner behind ``json``
without that package, whose import would give a gateway milliseconds to hide in.
"""

from __future__ import annotations

import os
from _json import encode_basestring_ascii as quote
from _json import make_scanner


class _PlainJson:
    strict = True
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo = None


VERSION = "2025-11-25"
TOOLS = (
    '{"tools":[{"name":"echo","description":"Say it again","inputSchema":{"type":"object",'
    '"properties":{"text":{"type":"string"}},"required":["text"]}}]}'
)


def answer(method: str, params: dict[str, dict[str, str]]) -> str:
    """The result of one request, as JSON text."""
    if method == "initialize":
        declared = '"capabilities":{"tools":{}},"serverInfo":{"name":"instant","version":"1"}'
        return f'{{"protocolVersion":{quote(params["protocolVersion"])},{declared}}}'
    if method == "tools/list":
        return TOOLS
    if method == "tools/call":
        return f'{{"content":[{{"type":"text","text":{quote(params["arguments"]["text"])}}}]}}'
    return "{}"


def main() -> None:
    scan = make_scanner(_PlainJson)
    pending = b""
    while received := os.read(0, 65536):
        *lines, pending = (pending + received).split(b"\n")
        for line in lines:
            message, _ = scan(line.decode(), 0)
            if "id" in message:
                key = message["id"]
                shown = quote(key) if isinstance(key, str) else key
                result = answer(message["method"], message.get("params", {}))
                os.write(1, f'{{"jsonrpc":"2.0","id":{shown},"result":{result}}}\n'.encode())


if __name__ == "__main__":
    main()

"""One frame for each rule of the decoder, as a client might send it and as a server might answer."""

from __future__ import annotations

from typing import Final

PARSE, INVALID = -32700, -32600

_ASKS: Final = b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":%s}'
_ANSWERS: Final = b'{"jsonrpc":"2.0","id":@,"result":%s}'

FROM_CLIENT: Final[dict[str, tuple[int, bytes]]] = {
    "json": (PARSE, b'{"jsonrpc":"2.0","id":7,"method":"tools/call"'),
    "utf-8": (PARSE, _ASKS % b'{"name":"echo\xff"}'),
    "lone-surrogate": (PARSE, _ASKS % rb'{"name":"\ud800"}'),
    "number-range": (PARSE, _ASKS % b'{"name":1e999}'),
    "frame-depth": (INVALID, _ASKS % (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")),
    "frame-nodes": (INVALID, _ASKS % (b'{"a":[' + b"0," * 30_000 + b"0]}")),
    "duplicate-member": (INVALID, _ASKS % b'{"name":"echo","name":"bad"}'),
    "batch": (INVALID, b"[" + _ASKS % b'{"name":"echo"}' + b"]"),
    "not-an-object": (INVALID, b'"initialize"'),
    "jsonrpc-version": (INVALID, b'{"jsonrpc":"1.0","id":7,"method":"ping"}'),
    "method": (INVALID, b'{"jsonrpc":"2.0","id":7,"method":""}'),
    "params": (INVALID, _ASKS % b"[1,2]"),
    "id": (INVALID, b'{"jsonrpc":"2.0","id":1.0,"method":"ping"}'),
    "extra-member": (INVALID, b'{"jsonrpc":"2.0","id":7,"method":"ping","result":{}}'),
    "response": (INVALID, b'{"jsonrpc":"2.0","id":7}'),
    "result": (INVALID, b'{"jsonrpc":"2.0","id":7,"result":[]}'),
    "error-object": (INVALID, b'{"jsonrpc":"2.0","id":7,"error":{"code":"1","message":"x"}}'),
}
"""Rule → the code that its client is told, and the frame."""

FROM_SERVER: Final[dict[str, bytes]] = {
    "json": b'{"jsonrpc":"2.0","id":@,"result":{"content":[',
    "utf-8": _ANSWERS % b'{"content":"\xff"}',
    "lone-surrogate": _ANSWERS % rb'{"content":"\udc00"}',
    "number-range": _ANSWERS % b'{"content":1e999}',
    "frame-depth": _ANSWERS % (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "frame-nodes": _ANSWERS % (b'{"a":[' + b"0," * 120_000 + b"0]}"),
    "frame-bytes": _ANSWERS % (b'{"a":"' + b"x" * (16 << 20) + b'"}'),
    "duplicate-member": _ANSWERS % b'{"content":[],"content":[]}',
    "batch": b"[" + _ANSWERS % b"{}" + b"]",
    "not-an-object": b"null",
    "jsonrpc-version": b'{"jsonrpc":"3.0","id":@,"result":{}}',
    "method": b'{"jsonrpc":"2.0","id":@,"method":"","result":{}}',
    "params": b'{"jsonrpc":"2.0","id":@,"method":"notifications/message","params":7}',
    "id": b'{"jsonrpc":"2.0","id":true,"result":{}}',
    "extra-member": b'{"jsonrpc":"2.0","id":@,"result":{},"more":1}',
    "response": b'{"jsonrpc":"2.0","id":@,"result":{},"error":{"code":1,"message":"both"}}',
    "result": _ANSWERS % b'"ok"',
    "error-object": b'{"jsonrpc":"2.0","id":@,"error":"bad"}',
}
"""Rule → the frame, with ``@`` where the request's id stands."""

ELSEWHERE: Final = frozenset({"frame-bytes"})
"""A client's frame that is too long is refused by the HTTP server already (``body-bytes``)."""

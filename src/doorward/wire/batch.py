"""A batch of JSON-RPC messages, which one revision has (2025-03-26): each part becomes a message of its own.

Counted as one frame first: bytes, nodes and depth of all parts together are within the limits of one message.
"""

from __future__ import annotations

from typing import Final

import msgspec

from doorward.errors import MalformedMessageError
from doorward.wire.jsonrpc import INVALID_REQUEST, PARSE_ERROR, Decoded, FrameLimits, Request, count_values, decode

MAX_PARTS: Final = 100
"""Requests and notifications in one batch. No client of that revision is known to send more than a few."""


def split(frame: bytes, limits: FrameLimits) -> tuple[Decoded, ...]:
    """The parts of a batch, in order.

    Raises MalformedMessageError: it is no array, it is empty or too long, one part is no message, or ``initialize`` is
    among them (which MUST NOT be part of a batch).
    """
    if count_values(frame) > limits.max_nodes:
        raise MalformedMessageError("frame-nodes", f"more than {limits.max_nodes} values in one batch")
    try:
        parts = msgspec.json.decode(frame, type=list[msgspec.Raw])
    except (ValueError, RecursionError):
        raise MalformedMessageError("json", "not a batch of messages", rpc_code=PARSE_ERROR) from None
    if not 0 < len(parts) <= MAX_PARTS:
        raise MalformedMessageError("batch", f"a batch has 1 to {MAX_PARTS} messages", rpc_code=INVALID_REQUEST)
    decoded = tuple(decode(bytes(part), limits) for part in parts)
    for part in decoded:
        if isinstance(part.message, Request) and part.message.method == "initialize":
            raise MalformedMessageError("batch", "initialize is not part of a batch", rpc_code=INVALID_REQUEST)
    return decoded

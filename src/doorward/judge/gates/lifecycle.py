"""Gate: nothing before ``initialize``, no server request where none may be (legacy). The rules stand in
``protocol.handshake``.
"""

from __future__ import annotations

from typing import Final

from doorward.judge.vocabulary import Context, Effect, Finding, Peer
from doorward.protocol import handshake
from doorward.wire.jsonrpc import Message, Request, Response

CONTROL: Final = "lifecycle"


def require_lifecycle(message: Message, context: Context) -> Finding | None:
    if isinstance(message, Response):
        return None
    if context.era == "modern":
        return _modern(message, context)
    why = handshake.refuses(context.link, context.sender, message.method, request=isinstance(message, Request))
    if why is None:
        return None
    return Finding(
        CONTROL, Effect.DENY, why, message.method[:80], Peer(-32600, "not allowed in this state of the connection")
    )


def _modern(message: Message, context: Context) -> Finding | None:
    """A modern server speaks only about a request of the client's: an open call or a listen stream."""
    if context.sender == "client" or any(asker == "client" for asker, _ in context.opened):
        return None
    return Finding(CONTROL, Effect.DENY, "a modern server spoke while nothing was asked of it")

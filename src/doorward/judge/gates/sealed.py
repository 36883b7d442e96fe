"""Gate: a retried request carries the ``requestState`` that Doorward sealed for exactly it (modern era).

The seal ties answers to what was asked: server, method, params, principal, expiry (``relay.seal``). A state that
we did not seal, or sealed for something else, is refused; no state at all is allowed, since a first request has
none.
"""

from __future__ import annotations

from typing import Final

from doorward.judge.vocabulary import Context, Effect, Finding, Peer
from doorward.wire.jsonrpc import Message, Request

CONTROL: Final = "sealed-state"


def require_intact_seal(message: Message, context: Context) -> Finding | None:
    if not isinstance(message, Request) or context.era != "modern" or not isinstance(context.seal, str):
        return None
    return Finding(
        CONTROL,
        Effect.DENY,
        f"requestState is not one that was sealed for this request: {context.seal}",
        peer=Peer(-32602, "requestState does not belong to this request"),
    )

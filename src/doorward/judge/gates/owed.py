"""Gate: while outcomes could not be written to the archive, nothing new is let through beyond a bounded debt.

A request whose record cannot be written is refused by the relay itself; this gate stops the case in which intents
can be written but the outcomes owed before them are too many to remember (DESIGN §4, Perform).
"""

from __future__ import annotations

from typing import Final

from doorward.judge.vocabulary import Context, Effect, Finding, Peer
from doorward.wire.jsonrpc import Message, Request

CONTROL: Final = "record-first"
MAX_OWED: Final = 256


def require_written_outcomes(message: Message, context: Context) -> Finding | None:
    if not isinstance(message, Request) or context.owed < MAX_OWED:
        return None
    return Finding(
        CONTROL,
        Effect.DENY,
        f"{context.owed} outcomes are waiting to be recorded",
        peer=Peer(-31003, "the record cannot be written at the moment", {"retryAfterMs": 1000}),
    )

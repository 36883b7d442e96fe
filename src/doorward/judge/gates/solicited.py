"""Gate: only answers that somebody asked for, and one use of an id at a time.

Covers responses, progress (by its token) and cancellations (by whoever asked). An id is in flight while its request is
held, sent, or its answer is held; ``1`` and ``"1"`` are two ids and ``true`` is none.
"""

from __future__ import annotations

from typing import Final

from doorward.judge.vocabulary import Context, Effect, Finding, Peer
from doorward.protocol.actions import Cancel, ReportProgress, interpret
from doorward.wire.jsonrpc import Message, Notification, Request, Response, key_of

CONTROL: Final = "solicited-only"
MAX_OPEN: Final = 1024  # requests in flight on one link; the SDKs' clients keep at most a few dozen


def require_solicited(message: Message, context: Context) -> Finding | None:
    if isinstance(message, Request):
        return _fresh_id(message, context)
    if isinstance(message, Response):
        return None if context.answers is not None else _deny("an answer that nobody asked for")
    return _about_something_open(message, context)


def _fresh_id(message: Request, context: Context) -> Finding | None:
    key = key_of(message.id)
    if (context.sender, key) in context.opened:
        return _deny("its id is already in flight", key[:80])
    if (context.sender, key) in context.cancelled:
        return _deny("its id was cancelled, and the answer to that may still come", key[:80])
    if len(context.opened) >= MAX_OPEN:
        return _deny(
            "too many requests in flight",
            str(MAX_OPEN),
            Peer(-31003, "too many requests in flight", {"retryAfterMs": 1000}),
        )
    return None


def _about_something_open(message: Notification, context: Context) -> Finding | None:
    if message.method not in ("notifications/progress", "notifications/cancelled"):
        return None
    (action,) = interpret(message, context.era)
    if isinstance(action, Cancel):
        asked = context.opened.get((context.sender, action.request))
        if asked is not None and asked.method != "initialize":  # MCP: it MUST NOT be cancelled, and would never end
            return None
        if _ends_listening(action, context):
            return None
        return _deny("it cancels nothing that this side asked for and is still open", action.request[:80])
    if isinstance(action, ReportProgress) and action.token:
        for (asker, _), opened in context.opened.items():
            if asker != context.sender and opened.progress == action.token:
                return None
    return _deny("progress of nothing that is open")


def _ends_listening(action: Cancel, context: Context) -> bool:
    """A modern server tears down a stream that the client listens on (2026-07-28, "Cancellation")."""
    if context.sender != "server" or context.era != "modern":
        return False
    stream = context.opened.get(("client", action.request))
    return stream is not None and stream.method == "subscriptions/listen" and stream.state == "SENT"


def _deny(reason: str, evidence: str = "", peer: Peer | None = None) -> Finding:
    return Finding(CONTROL, Effect.DENY, reason, evidence, peer)

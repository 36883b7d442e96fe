"""Gate: only methods that the revision names, in the direction it gives them.

An unknown method cannot be judged, so it is refused (DESIGN §7). A server request on a modern link is refused
whatever its name: that era has none.
"""

from __future__ import annotations

from typing import Final

from doorward.judge.vocabulary import Context, Effect, Finding, Peer
from doorward.protocol import versions
from doorward.wire.jsonrpc import Message, Request, Response

CONTROL: Final = "known-methods"


def require_known_method(message: Message, context: Context) -> Finding | None:
    if isinstance(message, Response):
        return None
    if isinstance(message, Request):
        known = versions.known_request(context.era, context.sender, message.method)
    else:
        known = versions.known_notification(context.era, context.sender, message.method)
    extension = versions.EXTENSION_METHODS.get(message.method)
    if known and (extension is None or _declared_by_both(extension, context)):
        return None
    reason = f"{context.sender} may not send this method in the {context.era} era"
    return Finding(CONTROL, Effect.DENY, reason, message.method[:80], Peer(-32601, "method not found"))


def _declared_by_both(extension: str, context: Context) -> bool:
    server = context.link.server_capabilities.get("extensions")
    client = context.link.client_capabilities.get("extensions")
    return (
        isinstance(server, dict)
        and extension in server
        and (context.era == "modern" or (isinstance(client, dict) and extension in client))
    )

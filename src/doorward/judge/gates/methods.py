"""Gate: only methods that the revision names, in the direction it gives them.

An unknown method cannot be judged, so it is refused (DESIGN §7). A server request on a modern link is refused
whatever its name: that era has none. A method of an extension passes where both sides declared it and its declaration
may pass (``capability-grants``).
"""

from __future__ import annotations

from typing import Any, Final

from doorward.judge.rewrites.capabilities import extension_passes
from doorward.judge.vocabulary import Context, Effect, Finding, Peer
from doorward.protocol import stateless, versions
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
    if known and (extension is None or _declared_by_both(extension, message, context)):
        return None
    reason = f"{context.sender} may not send this method in the {context.era} era"
    return Finding(CONTROL, Effect.DENY, reason, message.method[:80], Peer(-32601, "method not found"))


def _declared_by_both(extension: str, message: Message, context: Context) -> bool:
    if not extension_passes(extension, context):
        return False  # asked at each message: a policy that was read anew may have taken the grant back
    server = context.link.server_capabilities
    return _names(server, extension) and any(_names(client, extension) for client in _clients(message, context))


def _clients(message: Message, context: Context) -> list[Any]:
    """What the client declared: once (legacy), with this request, or with those that are open (modern)."""
    if context.era != "modern":
        return [context.link.client_capabilities]
    if isinstance(message, Request):
        return [stateless.meta_of(message.params).get(versions.META_CAPABILITIES)]
    return [opened.declared for (asker, _), opened in context.opened.items() if asker == "client"]


def _names(capabilities: Any, extension: str) -> bool:
    extensions = capabilities.get("extensions") if isinstance(capabilities, dict) else None
    return isinstance(extensions, dict) and extension in extensions

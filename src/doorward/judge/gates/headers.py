"""Gate: the headers of a modern HTTP request say what its body says (threats ``message-tampering``,
``capability-forgery``).

Whoever routes, limits or logs by ``Mcp-Method``, ``Mcp-Name`` or ``Mcp-Param-*`` must see the call that the server will
execute. So a request whose headers and body differ is refused with the code that the revision gives it (-32020), and
what goes on to the server has headers of our own, computed from the body that was judged. It comes before the gate that
looks at the version: a body that names an unknown one under a header that names another is a mismatch.

Source: MCP 2026-07-28, "Streamable HTTP", header validation.
"""

from __future__ import annotations

from typing import Final

from doorward.judge.vocabulary import Context, Effect, Finding, Peer
from doorward.protocol import versions
from doorward.protocol.headers import mismatch
from doorward.protocol.stateless import meta_of
from doorward.wire.jsonrpc import Message, Request

CONTROL: Final = "header-agreement"
_MISMATCH: Final = -32020


def require_agreeing_headers(message: Message, context: Context) -> Finding | None:
    headers = context.facts.headers
    if headers is None or context.sender != "client" or context.link.era != "modern":
        return None
    if isinstance(message, Request) and versions.META_VERSION not in meta_of(message.params):
        return None  # no modern envelope to compare with: the next gate says what is missing
    schema = None
    if isinstance(message, Request) and message.method == "tools/call":
        tool = context.definitions.tools.get(str((message.params or {}).get("name")))
        schema = tool.schema if tool is not None else None
    lines = ((name, value) for name, values in headers.items() for value in values)
    why = mismatch(lines, message, schema)
    if why is None:
        return None
    return Finding(CONTROL, Effect.DENY, why, peer=Peer(_MISMATCH, why))

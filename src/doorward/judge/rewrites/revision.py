"""Rewrite: a client that asks for an older revision than the policy wants is answered with a newer one (threat
``capability-forgery``: a downgrade).

Who says that they are too old to declare anything may get what others have to declare. The oldest revision is the
policy's (``[protocol] oldest``); what is asked for below it, and what is no revision at all, goes on as a request for
that one, and the client is told what was agreed on, as by any server that does not speak the older one. It holds for
what clients ask, not for what a server answers: a server that knows nothing newer gains nothing by that.

Where the floor is modern there is nothing that ``initialize`` could ask for: ``judge.checks.version`` refuses it.
Does not protect a server that gives more to clients of a revision which the policy allows: raise the floor there.
Source: MCP 2025-11-25 "Version Negotiation".
"""

from __future__ import annotations

import re
from typing import Final

from doorward.judge.vocabulary import MAX_EVIDENCE, Context, Effect, Finding
from doorward.protocol import versions
from doorward.wire.jsonrpc import Message, Request

CONTROL: Final = "oldest-revision"
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def raise_revision(message: Message, context: Context) -> tuple[Message, Finding | None]:
    if not isinstance(message, Request) or message.method != "initialize" or message.params is None:
        return message, None
    oldest, asked = context.policy.values.oldest_revision, message.params.get("protocolVersion")
    if oldest not in versions.LEGACY_VERSIONS or not isinstance(asked, str):
        return message, None
    if _DATE.fullmatch(asked) and asked >= oldest:  # also one that nobody published: servers compare dates
        return message, None
    raised = Request(message.id, message.method, {**message.params, "protocolVersion": oldest})
    return raised, Finding(CONTROL, Effect.NOTE, f"asks for an older revision than {oldest}", asked[:MAX_EVIDENCE])

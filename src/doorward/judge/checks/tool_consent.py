"""Check: a tool that says of itself that it destroys, or that policy names, is called only after a person agreed.

An absent hint is not a yes (DESIGN §7): most servers give none, and asking for everything teaches people to agree
to everything. ``readOnlyHint`` alone never excuses a call that policy or a profile asks for: a server's word about
itself is not evidence.
"""

from __future__ import annotations

from typing import Final

from doorward.judge.vocabulary import Context, Effect, Finding
from doorward.protocol.actions import Action, CallTool

CONTROL: Final = "destructive-consent"


def require_tool_consent(action: Action, context: Context) -> Finding | None:
    if not isinstance(action, CallTool):
        return None
    wanted = context.server.tool(action.name).ask
    tool = context.definitions.tools.get(action.name)
    if tool is not None and tool.destructive:
        return Finding(CONTROL, Effect.ASK, "the server says that this tool may destroy", action.name)
    if wanted is True:
        return Finding(CONTROL, Effect.ASK, "policy asks for every call of this tool", action.name)
    if wanted is None and context.policy.values.ask_every_tool_call:
        return Finding(CONTROL, Effect.ASK, "the profile asks for every tool call", action.name)
    return None

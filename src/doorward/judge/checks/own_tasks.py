"""Check: a task belongs to the principal whose request began it (threat ``task-of-another``).

Its id is a handle on results and on the right to answer what the task asks, and servers count ids up. What was not
begun through this gateway by the same principal on the same server is, to whoever asks, not there. Sources: MCP
2025-11-25 "Tasks", the extension ``io.modelcontextprotocol/tasks`` of 2026-07-28.

What is known is kept for the life of the process, of the newest tasks: after a restart older ones are refused as well.
Does not protect against a server that gives one user's results to another of itself, nor what a notification tells.
"""

from __future__ import annotations

from typing import Final

from doorward.judge.vocabulary import MAX_EVIDENCE, Context, Effect, Finding, Peer
from doorward.protocol.actions import Action, HandleTask

CONTROL: Final = "own-tasks"


def require_own_task(action: Action, context: Context) -> Finding | None:
    if not isinstance(action, HandleTask) or context.sender != "client" or action.task in context.tasks:
        return None
    return Finding(
        CONTROL,
        Effect.DENY,
        "a task that nobody of this principal began here",
        action.task[:MAX_EVIDENCE],
        Peer(-32602, "there is no such task"),
    )

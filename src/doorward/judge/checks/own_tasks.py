"""Check: a task belongs to the principal whose request began it (threat ``task-of-another``).

Its id is a handle on results and on the right to answer what the task asks, and servers count ids up. What was not
begun through this gateway by the same principal on the same server is, to whoever asks, not there, and what a server
tells of it does not reach a client: such a notification names the id, and in the modern era brings the result to
whoever listens (``subscriptions/listen`` with ``taskIds``). One that comes before the answer that begins its task is
lost with them; no client may rely on any. Messages that only say to which task they belong are for
``judge.gates.related_tasks``. Sources: MCP 2025-11-25 "Tasks", the extension ``io.modelcontextprotocol/tasks`` of
2026-07-28.

A client may run tasks as well, of what a server asks it. Those are that client's on this link: its server asks for
them, the client tells of them, and nobody of others.

What is known is kept for the life of the process, of the newest tasks: after a restart older ones are refused as well.
Does not protect against a server that gives one user's results to another of itself.
"""

from __future__ import annotations

from typing import Final

from doorward.judge.vocabulary import MAX_EVIDENCE, Context, Effect, Finding, Peer
from doorward.protocol import versions
from doorward.protocol.actions import Action, Announce, HandleTask

CONTROL: Final = "own-tasks"


def require_own_task(action: Action, context: Context) -> Finding | None:
    if isinstance(action, HandleTask):
        own = context.tasks if context.sender == "client" or action.verb == "start" else context.clients_tasks
        return None if action.verb == "start" or action.task in own else _of_another(action.task)
    if not isinstance(action, Announce) or action.what not in versions.TASK_ANNOUNCEMENTS:
        return None
    own = context.clients_tasks if context.sender == "client" else context.tasks
    return None if action.task in own else _of_another(action.task)


def _of_another(task: str) -> Finding:
    return Finding(
        CONTROL,
        Effect.DENY,
        "a task that nobody of this principal began here",
        task[:MAX_EVIDENCE],
        Peer(-32602, "there is no such task"),
    )

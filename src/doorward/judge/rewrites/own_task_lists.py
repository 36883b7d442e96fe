"""Rewrite: of the tasks that a server lists, only those of whoever asks (threat ``task-of-another``).

Which these are, ``judge.checks.own_tasks`` says; the archive says how many went. Source: MCP 2025-11-25 "Tasks"
(``tasks/list``); the modern era has no such list.
"""

from __future__ import annotations

from typing import Final

from doorward.judge.vocabulary import Context, Effect, Finding
from doorward.wire.jsonrpc import Message, Response

CONTROL: Final = "own-task-lists"


def keep_own_tasks(message: Message, context: Context) -> tuple[Message, Finding | None]:
    if not isinstance(message, Response) or message.result is None:
        return message, None
    asked = context.answers
    if asked is None or asked.asker != "client":
        return message, None
    listed = message.result.get("tasks")
    if asked.method != "tasks/list" or not isinstance(listed, list):
        return message, None
    own = [task for task in listed if isinstance(task, dict) and task.get("taskId") in context.tasks]
    if len(own) == len(listed):
        return message, None
    others = f"{len(listed) - len(own)} of {len(listed)}"
    return Response(message.id, result={**message.result, "tasks": own}), Finding(
        CONTROL, Effect.NOTE, "tasks that nobody of this principal began here, so not passed on", others
    )

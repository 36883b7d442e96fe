"""Gate: a message that says to which task it belongs belongs to one of its principal's (threat ``task-of-another``).

In ``_meta``, under ``io.modelcontextprotocol/related-task``, any message may name a task: a question that a task asks,
a call or a log within it, its result. Who takes it for granted lets one user answer, or be asked, in the task of
another. So the task is one that this principal began here (``judge.checks.own_tasks``), or one that this client runs
for its server; the answer that begins a task may name it. A client names none of its own in requests: there the ids are
the server's. What names a task in another form than ``{"taskId": text}`` is refused.

Source: MCP 2025-11-25 "Tasks", "Associating Task-Related Messages" (receivers ignore the member where ``taskId`` stands
among the params; both must be the principal's here). Does not look at other places than those where a receiver does:
params, results, and what is asked and answered in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from doorward.judge.vocabulary import MAX_EVIDENCE, Context, Effect, Finding, Peer
from doorward.protocol import versions
from doorward.wire.jsonrpc import Message, Request, Response

CONTROL: Final = "related-tasks"
_KEY: Final = versions.META_RELATED_TASK


def require_own_related_task(message: Message, context: Context) -> Finding | None:
    for related in _related(message):
        task = related.get("taskId") if isinstance(related, dict) else None
        if not isinstance(task, str):
            return _of_another("named in another form than an id")
        if task in context.tasks or task == _begun_by(message):
            continue
        if task not in context.clients_tasks or (context.sender == "client" and isinstance(message, Request)):
            return _of_another(task)
    return None


def _related(message: Message) -> Iterator[Any]:
    """What every ``_meta`` in ``message`` says of a task: its own, those of what is asked and answered in it."""
    holder = message.result if isinstance(message, Response) else message.params
    for one in _holders(holder or {}):
        meta = one.get("_meta")
        if isinstance(meta, dict) and _KEY in meta:
            yield meta[_KEY]


def _holders(holder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield holder
    for name in ("task", "result"):
        inner = holder.get(name)
        if isinstance(inner, dict):
            yield inner
    for name in ("inputRequests", "inputResponses"):
        entries = holder.get(name)
        for entry in entries.values() if isinstance(entries, dict) else ():
            if isinstance(entry, dict):
                yield entry
                params = entry.get("params")
                if isinstance(params, dict):
                    yield params


def _begun_by(message: Message) -> str | None:
    """The id of the task that an answer brings in the place of a result."""
    result = (message.result if isinstance(message, Response) else None) or {}
    task = result.get("task")
    begun = task.get("taskId") if isinstance(task, dict) else None
    begun = result.get("taskId") if begun is None and result.get("resultType") == "task" else begun
    return begun if isinstance(begun, str) else None


def _of_another(task: str) -> Finding:
    return Finding(
        CONTROL,
        Effect.DENY,
        "it belongs to a task that nobody of this principal began here",
        task[:MAX_EVIDENCE],
        Peer(-32602, "there is no such task"),
    )

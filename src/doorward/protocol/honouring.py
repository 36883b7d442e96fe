"""Whether a peer does what it declared, as far as an answer shows it.

A client declares ``sampling``, ``elicitation`` or ``roots``, and then knows no such method, or answers in a form that
is none of its. A user who says no is no such client: that is an answer. A server declares ``tools`` and knows no
``tools/list``. Sources: MCP 2025-11-25 "Sampling", "Elicitation", "Roots" (their result schemas), JSON-RPC 2.0 for
-32601.

What is never answered is no answer: ``relay.unanswered`` sees to it.
"""

from __future__ import annotations

from typing import Any, Final

from doorward.protocol import versions
from doorward.protocol.actions import AnswerInput
from doorward.wire.jsonrpc import Message, Response

METHOD_NOT_FOUND: Final = -32601

_OF_SERVERS: Final = {"tools": "tools", "prompts": "prompts", "resources": "resources", "completion": "completions"}


def broken_by_client(action: AnswerInput, message: Message | None) -> tuple[str, str] | None:
    """The capability that this answer of a client's does not honour, and why; None where it honours it.

    ``message`` is what the answer arrived in: a response, or a modern request that answers what was asked before.
    """
    if action.method not in _FORMS:
        return None
    name = versions.INPUT_CAPABILITY[action.method]
    if isinstance(message, Response) and message.error is not None:
        return (name, "the client knows no such method") if message.error.get("code") == METHOD_NOT_FOUND else None
    fits = action.result is not None and (_FORMS[action.method](action.result) or bool(task_of(action.result)))
    return None if fits else (name, "the answer has another form")


def task_of(result: dict[str, Any] | None) -> str:
    """The id of the task that a client answers with instead of the result (2025-11-25); empty: with none."""
    task = (result or {}).get("task")
    named = task.get("taskId") if isinstance(task, dict) else None
    return named if isinstance(named, str) else ""


def broken_by_server(method: str, error_code: object, declared: dict[str, Any]) -> str:
    """The capability that a server declared and, by this error to ``method``, does not have; empty if none."""
    name = "logging" if method == "logging/setLevel" else _OF_SERVERS.get(method.partition("/")[0], "")
    return name if error_code == METHOD_NOT_FOUND and name in declared else ""


def _completion(result: dict[str, Any]) -> bool:
    said = isinstance(result.get("role"), str) and isinstance(result.get("model"), str)
    return said and isinstance(result.get("content"), dict | list)


def _elicited(result: dict[str, Any]) -> bool:
    return result.get("action") in ("accept", "decline", "cancel") and isinstance(result.get("content", {}), dict)


def _roots(result: dict[str, Any]) -> bool:
    roots = result.get("roots")
    return isinstance(roots, list) and all(isinstance(one, dict) and isinstance(one.get("uri"), str) for one in roots)


_FORMS: Final = {"sampling/createMessage": _completion, "elicitation/create": _elicited, "roots/list": _roots}

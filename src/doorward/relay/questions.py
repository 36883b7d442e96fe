"""What the doors must find out about a body before it is judged: the real paths of everything it names."""

from __future__ import annotations

from doorward.content import uris
from doorward.content.arguments import path_readings, text_of
from doorward.judge.checks.argument_constraints import constrained
from doorward.judge.checks.paths import named_paths
from doorward.judge.vocabulary import RealPath
from doorward.policy.model import ServerPolicy
from doorward.protocol.actions import interpret
from doorward.wire.jsonrpc import Message, Request

MAX_QUESTIONS = 256
"""A message that names more paths than this is refused by the check, since the rest stays unanswered."""


def questions(message: Message, folders: tuple[str, ...], server: ServerPolicy) -> tuple[RealPath, ...]:
    """Each path once, at most ``MAX_QUESTIONS``. Only requests of a client name paths."""
    if not isinstance(message, Request) or not (folders or server.tools or server.prompts):
        return ()
    asked: dict[RealPath, None] = {}
    for action in interpret(message, "legacy"):
        if folders:
            for _, text in named_paths(action):
                _add(asked, uris.readings(text, folders[0]).paths)
        for demanded in constrained(action, server):
            if demanded.constraint.kind == "path_below":
                _add(asked, path_readings(demanded.constraint, text_of(demanded.leaf), folders).paths)
    return tuple(asked)


def _add(asked: dict[RealPath, None], paths: tuple[str, ...]) -> None:
    for path in paths:
        if len(asked) < MAX_QUESTIONS:
            asked[RealPath(path)] = None

"""What the doors must find out about a body before it is judged: where its paths lead, and how much is to be read."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from doorward.content import uris
from doorward.content.arguments import path_readings, text_of
from doorward.content.template_values import TooManyReadings
from doorward.judge.checks.argument_constraints import constrained
from doorward.judge.checks.paths import named_paths
from doorward.judge.checks.resource_size import measured
from doorward.judge.vocabulary import FileSize, Question, RealPath
from doorward.policy.model import ServerPolicy
from doorward.protocol.actions import interpret
from doorward.wire.jsonrpc import Message, Request

MAX_QUESTIONS = 256
"""A message that names more paths than this is refused by the check, since the rest stays unanswered."""


def questions(message: Message, folders: tuple[str, ...], server: ServerPolicy) -> tuple[Question, ...]:
    """Each path once, at most ``MAX_QUESTIONS``, and as many sizes. Only requests of a client name paths."""
    if not isinstance(message, Request) or not (folders or _demands_anything(server)):
        return ()
    asked: dict[Question, None] = {}
    sizes: dict[Question, None] = {}
    for action in interpret(message, "legacy"):
        if folders:
            for _, text in named_paths(action):
                _add(asked, map(RealPath, uris.readings(text, folders[0]).paths))
            for path in measured(action, folders):
                _add(sizes, (FileSize(path),))
        with suppress(TooManyReadings):  # then the action is refused, wherever its paths lead
            for demanded in constrained(action, server):
                if demanded.constraint.kind == "path_below":
                    paths = path_readings(demanded.constraint, text_of(demanded.leaf), folders).paths
                    _add(asked, map(RealPath, paths))
    return (*asked, *sizes)


def _demands_anything(server: ServerPolicy) -> bool:
    return bool(server.tools or server.prompts or server.templates)


def _add(asked: dict[Question, None], questions: Iterable[Question]) -> None:
    for question in questions:
        if len(asked) < MAX_QUESTIONS:
            asked[question] = None

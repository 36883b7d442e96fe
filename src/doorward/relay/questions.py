"""What the doors must find out about a body before it is judged: where its paths lead, and how much is to be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from doorward.content import uris
from doorward.content.arguments import path_readings, text_of
from doorward.content.template_values import TooManyReadings
from doorward.judge.checks.argument_constraints import constrained
from doorward.judge.checks.paths import named_paths
from doorward.judge.checks.resource_size import measured
from doorward.judge.vocabulary import FileSize, Question, RealPath
from doorward.policy.model import ServerPolicy
from doorward.protocol.actions import Action, interpret
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
            _fill(asked, (RealPath(path) for _, text in named_paths(action) for path in _read(text, folders)))
            _fill(sizes, map(FileSize, measured(action, folders)))
        with suppress(TooManyReadings):  # then the action is refused, wherever its paths lead
            _fill(asked, map(RealPath, _demanded(action, folders, server)))
    return (*asked, *sizes)


def _read(text: str, folders: tuple[str, ...]) -> tuple[str, ...]:
    return uris.readings(text, folders[0]).paths


def _demanded(action: Action, folders: tuple[str, ...], server: ServerPolicy) -> Iterator[str]:
    for demanded in constrained(action, server):
        if demanded.constraint.kind == "path_below":
            yield from path_readings(demanded.constraint, text_of(demanded.leaf), folders).paths


def _demands_anything(server: ServerPolicy) -> bool:
    return bool(server.tools or server.prompts or server.templates)


def _fill(asked: dict[Question, None], questions: Iterable[Question]) -> None:
    """Add as many as there is room for; how many more there would be is not found out."""
    for question in questions:
        if len(asked) >= MAX_QUESTIONS:
            return
        asked[question] = None

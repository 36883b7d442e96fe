"""Check: what the operator demands of an argument holds (threat ``argument-injection``).

Constraints stand in ``doorward.toml`` per server, tool, prompt or URI template, and argument. A constraint on a
container holds for every value in it, so nothing hides in nested objects or lists. ``path_below`` is judged on real
paths, as in ``judge.checks.paths``. They hold for ``prompts/get``, and for the values in ``completion/complete``: of
the one that is still being written an empty text breaks nothing, and ``enum`` asks that some value listed begins with
it; every other demand holds as it is for a whole value, so what ``pattern`` or ``url_allow`` speaks of is completed
late. Of a URI template they hold for what is completed, and for every value that the URI of a resource may give to its
variables (``content.template_values``): a URI that can be read in too many ways is refused. So is more SQL in one
message than one text may have, since each is parsed.

Does not protect against an argument that nobody demanded anything of, nor against what a server does with a value that
fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from doorward.content.arguments import (
    OF_VALUES,
    Constraint,
    begins,
    outside,
    path_readings,
    select,
    select_empty,
    text_of,
    texts_inside,
    violates,
)
from doorward.content.credentials import sensitive_kind
from doorward.content.pointers import split
from doorward.content.sql import MAX_SQL_BYTES
from doorward.content.template_values import TooManyReadings, values
from doorward.judge.vocabulary import MAX_EVIDENCE, Context, Effect, Finding
from doorward.policy.model import ServerPolicy
from doorward.protocol.actions import Action, CallTool, Complete, GetPrompt, ReadResource

CONTROL: Final = "argument-constraints"
_LEAST_QUERY: Final = 200  # characters in the time in which the shortest is parsed


class Demanded(NamedTuple):
    """One value that a constraint speaks of, and where it stands. ``begun``: it is still being written."""

    pointer: str
    constraint: Constraint
    leaf: object
    begun: bool = False


def require_constraints(action: Action, context: Context) -> Finding | None:
    if not isinstance(action, CallTool | GetPrompt | Complete | ReadResource):
        return None
    try:
        demanded = list(constrained(action, context.server))
    except TooManyReadings as found:
        reason = "a URI that gives values to a template in too many ways to judge them"
        return Finding(CONTROL, Effect.DENY, reason, str(found)[:MAX_EVIDENCE])
    queries = [text_of(one.leaf) for one in demanded if one.constraint.kind == "read_only_sql"]
    if len(queries) > 1 and sum(_LEAST_QUERY + len(query) for query in queries) > MAX_SQL_BYTES:
        return Finding(CONTROL, Effect.DENY, "more SQL than is judged in one message", f"{len(queries)} texts")
    for pointer, constraint, leaf, begun in demanded:
        if begun and leaf == "":
            continue
        text = text_of(leaf)
        why = begins(constraint, text) if begun else violates(constraint, leaf)
        why = why or _misplaced(constraint, text, context)
        if why is not None:
            evidence = f"{constraint.kind}: {_shown(pointer, text)}"[:MAX_EVIDENCE]
            return Finding(CONTROL, Effect.DENY, f"{pointer} {why}", evidence)
    return None


def _shown(pointer: str, text: str) -> str:
    """``text`` as evidence. What stands below a sensitive name is told by that name, which evidence does not have."""
    return "(not shown)" if any(map(sensitive_kind, split(pointer))) else text


def constrained(action: Action, server: ServerPolicy) -> Iterator[Demanded]:
    """Everything in ``action`` that a constraint speaks of. Raises TooManyReadings of a URI."""
    if isinstance(action, CallTool):
        yield from _in(action.arguments, server.tool(action.name).arguments)
    elif isinstance(action, GetPrompt):
        yield from _in(action.arguments, server.prompt(action.name).arguments)
    elif isinstance(action, Complete):
        for said in (server.prompt(action.reference), server.template(action.reference)):
            yield from _in(action.others, said.arguments)
            for demanded in _in({action.argument: action.value}, said.arguments):
                yield demanded._replace(begun=True)
    elif isinstance(action, ReadResource) and action.verb != "unsubscribe":
        for template, said in server.templates.items():
            for uri in action.uris if said.arguments else ():
                given: dict[str, object] = {name: list(listed) for name, listed in values(template, uri).items()}
                yield from _in(given, said.arguments)


def _in(arguments: dict[str, object], demands: dict[str, tuple[Constraint, ...]]) -> Iterator[Demanded]:
    for key, constraints in demands.items():
        for pointer, leaf in select(arguments, key):
            for constraint in constraints:
                yield Demanded(pointer, constraint, leaf)
                for text in texts_inside(constraint, leaf):
                    yield Demanded(pointer, constraint, text)
        of_values = [constraint for constraint in constraints if constraint.kind in OF_VALUES]
        for pointer in select_empty(arguments, key) if of_values else ():
            yield Demanded(pointer, of_values[0], {})


def _misplaced(constraint: Constraint, text: str, context: Context) -> str | None:
    if constraint.kind != "path_below":
        return None
    found = path_readings(constraint, text, context.folders)
    if found.problem:
        return f"is no path to trust: {found.problem}"
    real = [context.facts.real_path(path) for path in found.paths]
    return outside(constraint, real, context.folders)

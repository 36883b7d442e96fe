"""Check: every path that a message names lies below a folder of its server (threat ``path-traversal``).

Judged are ``file:`` URIs of resources, and strings among the arguments of tools and prompts whose property name is
path-like. For a server with folders each is taken in every way that a server might read it (``content.uris``), the
doors resolve each reading with symbolic links (``relay.foresee``), and all must come out below a folder. A reading
that nobody resolved refuses. Of a server elsewhere the operator may name the folders (``below``): then every reading
must lie in one by its text. With no folder known, a path that climbs (``..`` in any spelling) is refused, and a
``file:`` URI that canonicalisation changes.

Does not protect against a link that is swapped after this judgment (the sandbox does), nor against links on another
machine, nor, with no folder known, against a path that is written properly; nor against a path in a property that is
not named like one (a constraint ``path_below`` does).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from doorward.content import schemes, uris
from doorward.content.climbing import climbs
from doorward.content.path_names import walk_path_arguments
from doorward.judge.vocabulary import MAX_EVIDENCE, Context, Effect, Finding
from doorward.protocol.actions import Action, CallTool, Complete, GetPrompt, ReadResource

CONTROL: Final = "path-confinement"


def confine_paths(action: Action, context: Context) -> Finding | None:
    for where, text in named_paths(action):
        finding = _judge(where, text, context)
        if finding is not None:
            return finding
    return None


def named_paths(action: Action) -> Iterator[tuple[str, str]]:
    """(where it stands, the text) of every path in ``action``."""
    if isinstance(action, CallTool):
        yield from walk_path_arguments(action.arguments)
    elif isinstance(action, ReadResource):
        for uri in action.uris:
            if schemes.may_open_a_file(uri):
                yield "uri", uri
    elif isinstance(action, Complete) and schemes.scheme_of(action.reference) == "file":
        yield action.argument, action.value  # whatever it is called, it becomes part of the path
        yield from ((name, text) for name, text in action.others.items() if isinstance(text, str))
        beginning = action.reference.partition("{")[0]
        if beginning.rstrip("/\\").rpartition(":")[2]:  # or what the path is relative to, only the server knows
            yield "ref", beginning
            yield "ref", beginning + action.value
    elif isinstance(action, Complete) and not schemes.scheme_of(action.reference):
        yield from walk_path_arguments({**action.others, action.argument: action.value})
    elif isinstance(action, GetPrompt):
        yield from walk_path_arguments(action.arguments)


def _judge(where: str, text: str, context: Context) -> Finding | None:
    below = context.server.below
    if below:
        finding = _by_text(where, text, below)
        if finding is not None:
            return finding
    if not context.folders:
        return None if below else _without_folders(where, text)
    found = uris.readings(text, context.folders[0])
    if found.problem:
        return _deny(f"a path refused: {found.problem}", where, text)
    for path in found.paths:
        real = context.facts.real_path(path)
        if real is None:
            return _deny("a path that could not be resolved", where, text)
        if not any(uris.is_below(real, folder) for folder in context.folders):
            return _deny("a path outside the folders of this server", where, f"{text} → {real}")
    return None


def _by_text(where: str, text: str, below: tuple[str, ...]) -> Finding | None:
    """What the text alone says. A reading that keeps a ``..`` is below nothing: a link may stand before it."""
    found = uris.readings(text, below[0])
    if found.problem:
        return _deny(f"a path refused: {found.problem}", where, text)
    if all(any(uris.is_below(path, folder) for folder in below) for path in found.paths):
        return None
    return _deny("a path outside the folders that policy names for this server", where, text)


def _without_folders(where: str, text: str) -> Finding | None:
    if not schemes.scheme_of(text) or not schemes.may_open_a_file(text):
        why = climbs(text)
        return _deny(f"a path that {why}", where, text) if why else None
    form = uris.canonical(text)
    if form.problems:
        return _deny(f"a file URI refused: {form.problems[0]}", where, text)
    if form.changed:
        return _deny("a file URI that is not in its canonical form", where, f"{text} ({', '.join(form.changes)})")
    return None


def _deny(reason: str, where: str, evidence: str) -> Finding:
    return Finding(CONTROL, Effect.DENY, reason, f"{where}: {evidence}"[:MAX_EVIDENCE])

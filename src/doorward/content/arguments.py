"""What an operator may demand of one argument of one tool, whatever the server's schema says.

Four constraints, written in ``doorward.toml`` and judged by ``judge.checks`` (``constraints`` has the predicates):

``path_below``               the text names a file below a folder (see ``uris``; the door asks the kernel)
``identifier``               a plain name: letters, digits, ``_ . -``, not beginning with a dot or a dash
``no_leading_dash``          cannot be taken for an option
``no_shell_metacharacters``  cannot end, chain, redirect or expand anything in a shell line

A constraint on a container holds for every string in it and for every member name, so that nesting hides nothing.
They guard a server that builds command lines carelessly; they do not make such a server good, and a space still
separates words: where a value must be one word, ask for ``identifier``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from doorward.content import uris
from doorward.content.constraints import identifier, no_leading_dash, no_shell_metacharacters
from doorward.content.pointers import children, leaves, split

KINDS = ("path_below", "identifier", "no_leading_dash", "no_shell_metacharacters")


class Constraint(msgspec.Struct, frozen=True, gc=False):
    """One demand on one argument. ``value`` is the folder of ``path_below``; empty means any folder of the server."""

    kind: str
    value: str = ""


def violates(constraint: Constraint, text: str) -> str | None:
    """Why ``text`` breaks ``constraint``, or None. An unknown kind is always broken.

    For ``path_below`` this answers only what can be known without the file system; ``path_readings`` and
    ``outside`` do the rest.
    """
    match constraint.kind:
        case "identifier":
            return identifier(text)
        case "no_leading_dash":
            return no_leading_dash(text)
        case "no_shell_metacharacters":
            return no_shell_metacharacters(text)
        case "path_below":
            return path_readings(constraint, text, ("/",)).problem or None
    return f"no such constraint: {constraint.kind}"


def path_readings(constraint: Constraint, text: str, folders: Sequence[str]) -> uris.Readings:
    """Every absolute path that a server might take ``text`` for, to be resolved by the kernel (see ``uris.readings``).

    A relative path is joined to the folder of the constraint, else to the first of the server's ``folders``.
    """
    base = constraint.value or (folders[0] if folders else "")
    return uris.readings(text, base)


def outside(constraint: Constraint, real_paths: Sequence[str | None], folders: Sequence[str]) -> str | None:
    """Why the resolved readings break ``path_below``, or None. A reading that could not be resolved breaks it."""
    allowed = (constraint.value,) if constraint.value else tuple(folders)
    for real in real_paths:
        if real is None:
            return "the path could not be resolved"
        if not any(uris.is_below(real, folder) for folder in allowed):
            return "the path leaves the folder"
    return None if real_paths else "the path could not be resolved"


def select(arguments: object, key: str) -> Iterator[tuple[str, str]]:
    """``(pointer, text)`` of everything in ``arguments`` that a constraint on ``key`` must hold for.

    ``key`` is the name of a top-level property, or a JSON pointer (RFC 6901) in which ``*`` stands for every item of an
    array (and every member of an object). A name that meets an array holds for each of its items. Names are compared
    without case, since some servers bind them so. A number, boolean or null is taken as its JSON text: a server that
    builds a command line would print it. An absent property yields nothing.
    """
    tokens = split(key) if key.startswith("/") else (key,)
    for pointer, value in _descend(arguments, "", tuple(token.casefold() for token in tokens)):
        for place, leaf, _ in leaves(value, pointer):
            yield place, leaf if isinstance(leaf, str) else msgspec.json.encode(leaf).decode()


def _descend(value: object, pointer: str, tokens: tuple[str, ...]) -> Iterator[tuple[str, object]]:
    if not tokens:
        yield pointer, value
        return
    for place, token, child in children(value, pointer):
        if isinstance(token, str):
            if tokens[0] in ("*", token.casefold()):
                yield from _descend(child, place, tokens[1:])
        elif tokens[0] in ("*", str(token)):
            yield from _descend(child, place, tokens[1:])
        elif not tokens[0].isdigit():
            yield from _descend(child, place, tokens)

"""What an operator may demand of one argument of one tool or prompt, whatever the server's own schema says.

Written in ``doorward.toml`` and judged by ``judge.checks`` (``constraints`` has the predicates):

``enum``                     one of the values listed
``minimum``, ``maximum``     a number within bounds, which are included
``integer``                  a whole number
``max_length``               at most so many characters
``single_line``              no line break, no control
``identifier``               a plain name: letters, digits, ``_ . -``, not beginning with a dot or a dash
``no_leading_dash``          cannot be taken for an option
``no_shell_metacharacters``  cannot end, chain, redirect or expand anything in a shell line
``pattern``                  the whole of it fits a regular expression that is searched in linear time
``url_allow``                a URL of one of the places listed
``path_below``               names a file below a folder (see ``uris``; the door asks the kernel)
``read_only_sql``            one query of SQL that only reads

A constraint on a container holds for every value in it and for every member name, so that nesting hides nothing. What
says of a text what it may not be (``ALSO_INSIDE``) holds for the texts in JSON that a string holds as well. They
guard a server that uses its arguments carelessly; they do not make such a server good, and a space still separates
words: where a value must be one word, ask for ``identifier``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from doorward.content import constraints, uris
from doorward.content.embedded import embedded, may_embed
from doorward.content.pointers import empty_objects, join, leaves, split

Value = str | int | float | tuple[str | int | float | bool, ...]


class Constraint(msgspec.Struct, frozen=True, gc=False):
    """One demand on one argument. ``value`` is what it is measured by: a bound, an expression, the values or places
    listed, the dialect of SQL (empty: any), the folder of ``path_below`` (empty: any folder of the server).
    """

    kind: str
    value: Value = ""


_JUDGED: Final[dict[str, Callable[[object, Any], str | None]]] = {
    "enum": constraints.one_of,
    "minimum": lambda leaf, bound: constraints.number_range(leaf, minimum=bound),
    "maximum": lambda leaf, bound: constraints.number_range(leaf, maximum=bound),
    "integer": lambda leaf, _: constraints.number_range(leaf, integer=True),
    "max_length": lambda leaf, bound: constraints.max_length(text_of(leaf), bound),
    "single_line": lambda leaf, _: constraints.single_line(text_of(leaf)),
    "identifier": lambda leaf, _: constraints.identifier(text_of(leaf)),
    "no_leading_dash": lambda leaf, _: constraints.no_leading_dash(text_of(leaf)),
    "no_shell_metacharacters": lambda leaf, _: constraints.no_shell_metacharacters(text_of(leaf)),
    "pattern": lambda leaf, expression: constraints.pattern(text_of(leaf), expression),
    "url_allow": lambda leaf, places: constraints.url_allow(text_of(leaf), places),
    "path_below": lambda leaf, folder: uris.readings(text_of(leaf), folder or "/").problem or None,
    "read_only_sql": lambda leaf, dialect: constraints.read_only_sql(text_of(leaf), dialect),
}
KINDS: Final = tuple(_JUDGED)
"""In the order in which they are judged: what costs least comes first."""

OF_VALUES: Final = frozenset({"enum", "minimum", "maximum", "integer"})
"""Those that are about one value, and not about all the text in it."""


ALSO_INSIDE: Final = frozenset({"no_leading_dash", "path_below", "single_line"})
"""What must hold for texts inside of a string that is JSON too: others say what the whole must be, or let no bracket
pass."""


def texts_inside(constraint: Constraint, leaf: object) -> list[str]:
    """The texts in ``leaf``, member names among them, that a server has of it that parses JSON in strings."""
    if not isinstance(leaf, str) or not may_embed(leaf) or constraint.kind not in ALSO_INSIDE:
        return []
    held = embedded(leaf)
    return [] if held is None else [one for _, one, _ in leaves(held) if isinstance(one, str)]


def violates(constraint: Constraint, leaf: object) -> str | None:
    """Why ``leaf``, a scalar, breaks ``constraint``, or None. An unknown kind is always broken.

    For ``path_below`` this answers only what can be known without the file system; ``path_readings`` and
    ``outside`` do the rest.
    """
    judged = _JUDGED.get(constraint.kind)
    return judged(leaf, constraint.value) if judged is not None else f"no such constraint: {constraint.kind}"


def begins(constraint: Constraint, text: str) -> str | None:
    """Why no whole value that ``text`` begins can be told to fit, or None: what ``violates`` says, except that the
    beginning of a value listed by ``enum`` passes.
    """
    if constraint.kind == "enum" and isinstance(constraint.value, tuple):
        if any(text_of(one).startswith(text) for one in constraint.value):
            return None
        return "begins none of the values allowed"
    return violates(constraint, text)


def text_of(leaf: object) -> str:
    """A scalar as a server that builds text of it would print it: a number, boolean or null is its JSON text."""
    return leaf if isinstance(leaf, str) else msgspec.json.encode(leaf).decode()


def path_readings(constraint: Constraint, text: str, folders: Sequence[str]) -> uris.Readings:
    """Every absolute path that a server might take ``text`` for, to be resolved by the kernel (see ``uris.readings``).

    A relative path is joined to the folder of the constraint, else to the first of the server's ``folders``.
    """
    return uris.readings(text, _folder(constraint) or (folders[0] if folders else ""))


def outside(constraint: Constraint, real_paths: Sequence[str | None], folders: Sequence[str]) -> str | None:
    """Why the resolved readings break ``path_below``, or None. A reading that could not be resolved breaks it."""
    own = _folder(constraint)
    allowed = (own,) if own else tuple(folders)
    for real in real_paths:
        if real is None:
            return "the path could not be resolved"
        if not any(uris.is_below(real, folder) for folder in allowed):
            return "the path leaves the folder"
    return None if real_paths else "the path could not be resolved"


def _folder(constraint: Constraint) -> str:
    return constraint.value if isinstance(constraint.value, str) else ""


def select(arguments: object, key: str) -> Iterator[tuple[str, object]]:
    """``(pointer, leaf)`` of every scalar and member name in ``arguments`` that a constraint on ``key`` must hold for.

    ``key`` is the name of a top-level property, or a JSON pointer (RFC 6901) in which ``*`` stands for every item of an
    array (and every member of an object). A name that meets an array holds for each of its items, and one that meets a
    string for what that holds as JSON. Names are compared without case, since some servers bind them so. An absent
    property yields nothing.
    """
    for pointer, value in _of(arguments, key):
        for place, leaf, _ in leaves(value, pointer):
            yield place, leaf


def select_empty(arguments: object, key: str) -> Iterator[str]:
    """Pointers of the objects without members that a constraint on ``key`` must hold for: whatever wants one value of
    some kind is broken by an object (``OF_VALUES``), and ``select`` tells of those only by what is in them.
    """
    for pointer, value in _of(arguments, key):
        yield from empty_objects(value, pointer)


def _of(arguments: object, key: str) -> Iterator[tuple[str, object]]:
    tokens = split(key) if key.startswith("/") else (key,)
    return _descend(arguments, "", tuple(token.casefold() for token in tokens))


def _descend(value: object, pointer: str, tokens: tuple[str, ...]) -> Iterator[tuple[str, object]]:
    if not tokens:
        yield pointer, value
        return
    if isinstance(value, str) and may_embed(value):
        value = embedded(value)
    wanted, further = tokens[0], tokens[1:]
    if isinstance(value, dict):
        for name, child in value.items():
            if wanted in ("*", str(name).casefold()):
                yield from _descend(child, join(pointer, str(name)), further)
    elif isinstance(value, list | tuple):
        for index, child in enumerate(value):
            if wanted in ("*", str(index)):
                yield from _descend(child, join(pointer, index), further)
            elif not wanted.isdigit():
                yield from _descend(child, join(pointer, index), tokens)

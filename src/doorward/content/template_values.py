"""The values that a URI gives to the variables of a template (RFC 6570): every way to read it, since servers differ.

``notes://{a}-{b}`` read backwards from ``notes://x-y-z`` has two answers, and a comma in a value is a text to one
server and a list to another. So all are given, each value without its escapes; whoever demands something of a value
demands it of each. A URI that can be read in more ways than are looked for has too many.

It does not know in what other way a server reads its own template.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from doorward.content.templates import Part, parts

MAX_STEPS: Final = 2_000
"""Places at which a value may end that are looked at; a usual template has one or two. A long value counts more."""
_CHARACTERS_PER_STEP: Final = 64

_LISTS: Final = {"": ",", "+": ",", "#": ",", ".": ".", "/": "/"}
_PAIRS: Final = {";": ";", "?": "&", "&": "&"}
_NEVER: Final = {"": "/?#", ".": "/?#", "/": "?#", ";": "/?#", "?": "#", "&": "#", "+": "", "#": ""}
"""Characters that no expansion of this kind has in it."""


class TooManyReadings(ValueError):  # noqa: N818 - it is what it says
    """A URI can be read in more ways than are looked for; of it, the rest where that was seen."""


def values(template: str, uri: str) -> dict[str, tuple[str, ...]]:
    """Each variable of ``template`` with every value that ``uri`` may give it; empty where ``uri`` is none of it.

    Raises TooManyReadings where there are too many to look at.
    """
    found: dict[str, dict[str, None]] = {}
    expressions, last = parts(template)
    if expressions:
        first = expressions[0]._replace(literal=_with_small_scheme(expressions[0].literal))
        for reading in _readings((first, *expressions[1:]), last, _with_small_scheme(uri), [MAX_STEPS]):
            for name, value in reading:
                found.setdefault(name, {})[value] = None
    return {name: tuple(listed) for name, listed in found.items()}


def _with_small_scheme(uri: str) -> str:
    scheme, colon, rest = uri.partition(":")
    return scheme.lower() + colon + rest


def _readings(rest: tuple[Part, ...], last: str, uri: str, steps: list[int]) -> Iterator[tuple[tuple[str, str], ...]]:
    if not rest:
        if uri == last:
            yield ()
        return
    here, *further = rest
    if not uri.startswith(here.literal):
        return
    uri = uri[len(here.literal) :]
    for end in _ends(uri, here.operator, further[0].literal if further else last, is_last=not further):
        steps[0] -= 1 + end // _CHARACTERS_PER_STEP
        if steps[0] < 0:
            raise TooManyReadings(uri)
        given = tuple(_given(uri[:end], here))
        for others in _readings(tuple(further), last, uri[end:], steps):
            yield (*given, *others)


def _ends(uri: str, operator: str, following: str, *, is_last: bool) -> Iterator[int]:
    """Where an expansion at the beginning of ``uri`` may end."""
    most = next((place for place, char in enumerate(uri) if char in _NEVER[operator]), len(uri))
    if is_last:
        if 0 <= len(uri) - len(following) <= most:
            yield len(uri) - len(following)
        return
    end = uri.find(following)
    while 0 <= end <= most:
        yield end
        end = uri.find(following, end + 1) if end < len(uri) else -1


def _given(text: str, part: Part) -> Iterator[tuple[str, str]]:
    """The values that ``text``, the expansion of ``part``, may give to its names."""
    if part.operator in _PAIRS:
        yield from _paired(text, part)
        return
    if part.operator != "+":
        text = text.removeprefix(part.operator)
    if not text:
        return  # a variable without a value
    pieces = text.split(_LISTS[part.operator])
    if len(part.names) > 1 and len(pieces) == len(part.names):
        yield from zip(part.names, map(unquote, pieces), strict=True)
        return
    whole = () if part.is_list or len(part.names) > 1 else (text,)
    for name in part.names:
        yield from ((name, unquote(one)) for one in dict.fromkeys((*whole, *pieces)))


def _paired(text: str, part: Part) -> Iterator[tuple[str, str]]:
    for pair in text.removeprefix(part.operator).split(_PAIRS[part.operator]):
        written, _, value = pair.partition("=")
        for name in part.names:
            if unquote(written).casefold() == unquote(name).casefold():
                yield name, unquote(value)
                if "+" in value:
                    yield name, unquote(value.replace("+", " "))  # as a form has it

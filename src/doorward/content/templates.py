"""URI templates (RFC 6570, all four levels) read backwards: whether a URI is one that a template describes.

What stands in the place of a variable must stay where the template put it. Refused are: a segment ``.`` or ``..``, a
slash where the expansion has none, also escaped (``%2F``, ``%5C``), an escaped dot, an escaped escape, a control; and a
slash at the beginning, which makes a path of its own of what is joined. In a query an escaped slash inside a value is
ordinary and passes.

A template becomes an expression that is searched in linear time, since the template is the server's and the URI the
client's. What is not of the form of RFC 6570, or is too long, describes nothing. It does not protect where a server
means more by a harmless value than its template says.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from doorward.content import constraints

MAX_TEMPLATE: Final = 2048
MAX_EXPRESSIONS: Final = 16

_EXPRESSION: Final = re.compile(r"\{([+#./;?&]?)([^{}]*)\}")
_VARIABLE: Final = re.compile(r"((?:[A-Za-z0-9_.]|%[0-9A-Fa-f]{2})+)(?:\*|:[1-9][0-9]{0,3})?")

# Escapes without controls, %2E, %2F, %5C and %25; and with the slashes.
_ESCAPE: Final = r"%(?:2[0-46-9A-Da-d]|[346][0-9A-Fa-f]|5[0-9ABD-Fabd-f]|7[0-9A-Ea-e]|[89A-Fa-f][0-9A-Fa-f])"
_SLASHES: Final = r"%(?:2[Ff]|5[Cc])"
_BARE: Final = r"[^\x00-\x20\x7f-\x9f/?#%\\\"<>{}\x2e\u2028\u2029]"  # no dot either
_PLAIN: Final = rf"(?:{_BARE}|{_ESCAPE})"
_ANY: Final = rf"(?:{_PLAIN}|\x2e)"
_SEGMENT: Final = rf"(?:\x2e{{0,2}}{_PLAIN}{_ANY}*|\x2e{{3}}{_ANY}*)"
"""One step of a path that is neither ``.`` nor ``..``."""
_PATH: Final = rf"{_SEGMENT}(?:/{_SEGMENT})*/?"
_IN_QUERY: Final = r"[^\x00-\x20\x7f-\x9f#&%\\\"<>{}/\u2028\u2029]"
_QUERY_VALUE: Final = rf"(?:(?:{_IN_QUERY}|{_ESCAPE})(?:{_IN_QUERY}|{_ESCAPE}|{_SLASHES}|/)*)?"


class Part(NamedTuple):
    """One expression of a template: the text before it, its operator, the names of its values, and whether it is a list
    that is written out (``{name*}``).
    """

    literal: str
    operator: str
    names: tuple[str, ...]
    is_list: bool


def expression(template: str) -> str | None:
    """The expression that a whole URI must fit to be described by ``template``, or None if it describes nothing.

    It is text; ``compiles`` says whether it can be used, which takes a thousand times as long.
    """
    if len(template) > MAX_TEMPLATE or not 0 < template.count("{") <= MAX_EXPRESSIONS:
        return None
    literals, *rest = _EXPRESSION.split(template)
    found = _literal(literals)
    for operator, listed, literal in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        names = _names(listed)
        if names is None:
            return None
        literals += literal
        found += _expanded(operator, names) + _literal(literal)
    return None if "{" in literals or "}" in literals else found


def compiles(expression: str) -> bool:
    """Whether URIs can be held against it, in time that grows with their length."""
    return constraints.pattern_problem(expression) is None


def beginning(template: str) -> str:
    """What every URI begins with that ``template`` describes."""
    return template.partition("{")[0]


def variables(template: str) -> tuple[str, ...]:
    """The names of the values that ``template`` takes; none if it describes nothing."""
    return tuple(name for part in parts(template)[0] for name in part.names)


def parts(template: str) -> tuple[tuple[Part, ...], str]:
    """The expressions of ``template``, and the text behind the last; none if it describes nothing."""
    found = expression(template)
    if found is None or not compiles(found):
        return (), ""
    *split, last = _EXPRESSION.split(template)
    each = zip(split[::3], split[1::3], split[2::3], strict=True)
    return tuple(Part(text, operator, _names(listed) or (), "*" in listed) for text, operator, listed in each), last


def fits(uri: str, expression: str) -> bool:
    """Whether ``uri`` is one that the template of ``expression`` describes."""
    return constraints.pattern(uri, expression) is None


def _names(listed: str) -> tuple[str, ...] | None:
    found = [_VARIABLE.fullmatch(one) for one in listed.split(",")]
    return tuple(one[1] for one in found if one is not None) if all(found) else None


def _expanded(operator: str, names: tuple[str, ...]) -> str:
    if operator in ("", "."):
        return rf"(?:\x2e{_SEGMENT})*" if operator else f"(?:{_SEGMENT})?"
    if operator == "/":
        return f"(?:/{_SEGMENT})*"
    if operator in ("+", "#"):
        return rf"(?:\x23?{_PATH})?" if operator == "#" else f"(?:{_PATH})?"
    name = "(?:" + "|".join(map(_literal, names)) + ")"
    if operator == ";":
        return f"(?:;{name}(?:={_SEGMENT})?)*"
    pair = f"{name}(?:={_QUERY_VALUE})?"
    return rf"(?:\x3f{pair}(?:&{pair})*)?" if operator == "?" else f"(?:&{pair})*"


def _literal(text: str) -> str:
    return "".join(char if char.isalnum() or not char.isascii() else rf"\x{ord(char):02x}" for char in text)

"""What can be demanded of one value: pure predicates, each of which answers why the demand does not hold, or None.

The gateway judges with them what the operator wrote in ``doorward.toml`` (``arguments`` finds the values), and
``doorward.guard`` what an author demands in a server. A reason begins with a verb and never repeats the value: it may
go to whoever sent it.

They judge one value as text. They do not know what a program does with it: a space still separates words in a shell
line, so where a value must be one word, ask for ``identifier``. Whoever writes an expression, a list or a folder is
trusted, the value is not: every search is linear in the value, whatever the expression.

This module imports nothing slow, since authors pay for it at the start of every server.
"""

from __future__ import annotations

import math
import posixpath
import re
import unicodedata
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Final

from doorward.content.folding import folded

MAX_IDENTIFIER: Final = 128
MAX_PATTERN_BYTES: Final = 1 << 20
"""What one compiled expression may take."""
MAX_URL: Final = 8 << 10
"""As long as Doorward lets a URI be."""

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}")

# What a POSIX shell gives a meaning to, and every control: a newline ends a command, NUL ends the string in C, an
# escape speaks to the terminal. The separators of Unicode count as line breaks to some runtimes.
_SHELL: Final = re.compile(r"[;&|<>$`\\\"'(){}\[\]*?~!#^\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Look-alikes that normalisation does not map to the character they imitate, but best-fit conversions do.
_LOOKALIKE: Final = re.compile("[\u2223\u01c0\u2216\u29f5\u204f\u02cb\u02b9\u2032\u2035\u201a]")
_DASHES: Final = frozenset(
    "\u002d\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\u02d7\u058a\ufe58\ufe63\uff0d\u2e3a\u2e3b"
)
_BREAKS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,39})(?:\.[0-9]{1,40})?(?:[eE][+\-]?[0-9]{1,3})?")
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,39})")

# Printable ASCII without what one reader of URLs drops, turns or cuts at, and another does not.
_URL: Final = re.compile(
    r"([A-Za-z][A-Za-z0-9+.\-]{0,31})://([A-Za-z0-9.\-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?"
    r"(/[!#-;=?-\[\]_a-z~]*)?"
)
_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
_ESCAPED_SEPARATOR: Final = re.compile(r"%(?:2[fF]|5[cC]|00|25)")


def identifier(text: str) -> str | None:
    """A plain name: letters, digits, ``_ . -`` of ASCII, at most 128, not beginning with a dot or a dash, no ``..``.

    Does not say that anything of that name exists, or that whoever asks may have it.
    """
    if _IDENTIFIER.fullmatch(text) is None:
        return "not an identifier: letters, digits, '_', '.', '-', at most 128, first no dot or dash"
    return "an identifier holds no '..'" if ".." in text else None


def no_leading_dash(text: str) -> str | None:
    """Cannot be taken for an option, also where a server strips blanks, quotes and escapes; look-alikes count.

    Does not protect where a program takes options in another form (``/x``, ``+x``, ``key=value``, ``@file``).
    """
    # What a careless server strips, and what no screen shows, does not count as a beginning.
    for char in text:
        if char in _DASHES:
            return "begins with a dash" if char == "-" else f"begins with a look-alike of a dash, U+{ord(char):04X}"
        if not (char.isspace() or char in "\"'`\\" or unicodedata.category(char) in ("Cc", "Cf")):
            return None
    return None


def no_shell_metacharacters(text: str) -> str | None:
    """Cannot end, chain, redirect or expand anything in a POSIX shell line; look-alikes and controls count.

    Does not protect against a second word (a space passes), nor in a language other than the shell's: SQL, ``cmd.exe``
    and ``awk`` give other characters a meaning. It is a second wall: the first is not to build a line at all.
    """
    found = _SHELL.search(text)
    if found:
        return f"holds the shell metacharacter {_name(found[0])}"
    if text.isascii():
        return None
    found = _LOOKALIKE.search(text)
    if found:
        return f"holds a look-alike of a shell metacharacter, {_name(found[0])}"
    # A server, a database or a terminal that normalises turns these into the real thing.
    found = _SHELL.search(folded(text))
    return f"holds a character that normalises to the shell metacharacter {_name(found[0])}" if found else None


def single_line(text: str) -> str | None:
    """One line in every runtime's sense: no control but a tab, none of the separators of Unicode.

    Does not protect against what a terminal or a reader does not show (``guard.reveal`` does).
    """
    found = _BREAKS.search(text)
    return f"holds a line break or control character, {_name(found[0])}" if found else None


def max_length(text: str, characters: int) -> str | None:
    """At most so many characters (code points, as JSON Schema counts them; UTF-8 may take four times the bytes)."""
    return f"longer than {characters} characters" if len(text) > characters else None


def one_of(value: object, allowed: Collection[object]) -> str | None:
    """One of the values allowed, exactly: case counts, nothing is trimmed, ``true`` is not ``1``."""
    if any(type(value) is type(one) and value == one for one in allowed):
        return None
    return "not one of the values allowed"


def number_range(
    value: object, minimum: float | None = None, maximum: float | None = None, *, integer: bool = False
) -> str | None:
    """A number, or the text of one as JSON writes it, within both bounds (which are included).

    ``integer`` demands a whole one, written as such. A boolean is no number; nor are NaN, infinities, blanks around,
    ``+1``, ``0x1`` and ``1_000``, which only some readers take. Text of more than about eighty characters is none.
    """
    number: float
    if isinstance(value, str):
        if (_INTEGER if integer else _NUMBER).fullmatch(value) is None:
            return "not a whole number" if integer else "not a number"
        number = int(value) if _INTEGER.fullmatch(value) else float(value)
    elif isinstance(value, bool) or not isinstance(value, int if integer else int | float):
        return "not a whole number" if integer else "not a number"
    else:
        number = value
    if isinstance(number, float) and not math.isfinite(number):
        return "not a finite number"
    if minimum is not None and not number >= minimum:
        return f"less than {minimum}"
    if maximum is not None and not number <= maximum:
        return f"more than {maximum}"
    return None


def pattern(text: str, expression: str) -> str | None:
    r"""The whole text fits the regular expression.

    The dialect is that of JSON Schema (ECMA 262) without look-around and back-references, so that a search is linear in
    the text: the engine is ``jsonschema-rs``, which is loaded at the first use (50 ms). ``$`` is the very end, not the
    place before a last newline.

    Raises ValueError for an expression that cannot be compiled: an author's mistake, found with ``pattern_problem``.
    Does not protect against an expression that says less than its author meant: ``\d`` and ``\w`` are ASCII, but a full
    stop and ``[^x]`` are any character of any script (the latter a line break too).
    """
    try:
        fits = _compiled(expression)(text)
    except UnicodeEncodeError:
        fits = False  # a lone surrogate is no character
    return None if fits else f"does not fit {expression[:100]}"


def pattern_problem(expression: str) -> str | None:
    """Why ``pattern`` cannot use the expression, or None: to be asked where it is written, not where it is used."""
    try:
        _compiled(expression)
    except ValueError as problem:
        return str(problem)
    return None


def path_below(text: str, folder: str) -> str | None:
    """Every way of reading the text as a path or ``file:`` URI ends below the absolute ``folder``, by its text alone.

    Readings are those of ``uris``: escapes, back-slashes, look-alikes, ``..``. Does not protect against symbolic links,
    which only the kernel knows, nor against what is swapped between this and the opening: open with ``guard.Root``,
    which needs no check before. Raises ValueError where ``folder`` is not absolute.
    """
    from doorward.content import uris  # msgspec, which only this needs

    if not folder.startswith("/"):
        raise ValueError("a folder is written as an absolute path")
    read = uris.readings(text, folder)
    if read.problem:
        return f"no path to trust: {read.problem}"
    base = posixpath.normpath(folder)
    if not all(uris.is_below(posixpath.normpath(path), base) for path in read.paths):
        return "leads out of the folder"
    return None


def url_allow(text: str, allowed: Collection[str]) -> str | None:
    """A URL of one of the places allowed: ``https://api.example.com``, or with a folder, ``https://x.example/v1/``.

    Scheme, host and port are compared exactly (case aside, and a scheme's own port may be left out): there are no
    patterns, and a place speaks for no host below it. With a folder the path must begin with it; ``..``, written or
    escaped, escaped slashes and doubly escaped characters are then refused. Refused anywhere: user names, back-slashes,
    blanks, controls, everything outside ASCII, and a query without a path before it: readers of URLs disagree on them.

    Does not protect against what the host's name resolves to (DNS rebinding), nor against redirects: whoever fetches
    must check the address when it connects, and follow nothing unasked. Raises ValueError for a place that is no URL.
    """
    places = [_place(one) for one in allowed]
    parts = _split_url(text)
    if parts is None:
        return "not a plain URL: scheme://host/path, ASCII only, no user name, no back-slash"
    origin, rest = parts
    path = re.split(r"[?#]", rest, maxsplit=1)[0]
    for place, folder in places:
        if place == origin and (folder in ("", "/") or (path.startswith(folder) and _stays(path))):
            return None
    return "not one of the addresses allowed"


def place_problem(text: str) -> str | None:
    """Why ``url_allow`` cannot use the place, or None: to be asked where it is written, not where it is used."""
    try:
        _place(text)
    except ValueError as problem:
        return str(problem)
    return None


def read_only_sql(text: str, dialect: str = "") -> str | None:
    """One query of SQL that only reads, for ``sqlite``, ``postgres`` or ``mysql``; without a dialect, what all three
    read alike. At most 16 KiB; the parser is loaded at the first use (250 ms), and takes a millisecond for an ordinary
    query, a tenth of a second for the longest (see ``content.sql``).

    Does not protect where the database makes more of a name than it says (a view, a function of its owner's), nor
    against a query that takes long or reads what its caller should not: the login's rights are the first wall. Raises
    ValueError for a dialect that is not known.
    """
    from doorward.content.sql import why_not_read_only

    return why_not_read_only(text, dialect)


@lru_cache(maxsize=256)
def _place(text: str) -> tuple[tuple[str, str, int], str]:
    parts = _split_url(text)
    if parts is None or "?" in parts[1] or "#" in parts[1]:
        raise ValueError(f"not an address to allow: {text}")
    origin, folder = parts
    return origin, folder if folder.endswith("/") or not folder else f"{folder}/"


def _split_url(text: str) -> tuple[tuple[str, str, int], str] | None:
    found = _URL.fullmatch(text) if len(text) <= MAX_URL else None
    if found is None:
        return None
    scheme, host = found[1].lower(), found[2].lower()
    port = int(found[3]) if found[3] else _PORTS.get(scheme, 0)
    return (scheme, host, port), found[4] or ""


def _stays(path: str) -> bool:
    from urllib.parse import unquote  # and ipaddress, which only this needs

    if _ESCAPED_SEPARATOR.search(path):
        return False
    plain = folded(unquote(path, errors="replace"))  # no slash comes of it: escaped ones are refused
    return not any(part.strip() in (".", "..") for part in re.split(r"[/\\;]", plain))


@lru_cache(maxsize=256)
def _compiled(expression: str) -> Callable[[str], bool]:
    import jsonschema_rs

    options = jsonschema_rs.RegexOptions(size_limit=MAX_PATTERN_BYTES, dfa_size_limit=MAX_PATTERN_BYTES)
    try:
        # Alone first: a parenthesis too many must not close the one that is put around it.
        jsonschema_rs.validator_for({"pattern": expression}, pattern_options=options)
        validator = jsonschema_rs.validator_for({"pattern": f"^(?:{expression})$"}, pattern_options=options)
    except (ValueError, jsonschema_rs.ValidationError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise ValueError(f"not an expression that can be searched in linear time: {reason}") from None
    return validator.is_valid


def _name(char: str) -> str:
    return f"'{char}'" if char.isascii() and char.isprintable() else f"U+{ord(char):04X}"

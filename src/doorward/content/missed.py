"""Files that a program says it could not open: paths beside the kernel's own words for that.

``ENOENT: no such file or directory, open '/srv/x'``, ``cat: /srv/x: Permission denied``, ``[Errno 30] Read-only file
system: '/srv/x'``: runtimes spell it differently, and all of them keep the words of strerror(3) or the names of errno.
Only the beginning of a text is looked at, and the first few of its paths: whoever wrote it may be hostile.

Does not understand a program's own words ("not found"), other languages, relative paths, nor a path and its reason in
two lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

MAX_TEXT: Final = 8 * 1024
MAX_PATHS: Final = 8
_MAX_PATH: Final = 512

How = Literal["missing", "denied", "read-only"]

_SIGNS: Final[tuple[tuple[How, tuple[str, ...]], ...]] = (
    ("read-only", ("erofs", "read-only file system")),
    ("denied", ("eacces", "eperm", "permission denied", "operation not permitted")),
    ("missing", ("enoent", "no such file")),
)
_ANY_SIGN: Final = tuple(sign.encode() for _, signs in _SIGNS for sign in signs)

_QUOTED: Final = re.compile(r"'(/[^'\n]+)'|\"(/[^\"\n]+)\"|`(/[^`\n]+)`")
_BARE: Final = re.compile(r"(?<![^\s:=(\[])/(?!/)[^\s:,;'\"`()\[\]{}<>|]+")


class Missed(NamedTuple):
    """One path, and how it was refused."""

    path: str
    how: How


def may_name_missed(text: bytes) -> bool:
    """Whether it is worth looking: cheap, for every line that a server writes."""
    beginning = text[:MAX_TEXT].lower()
    return any(sign in beginning for sign in _ANY_SIGN)


def find_missed(text: str) -> tuple[Missed, ...]:
    """The first few that are named, each path once. What holds characters that show nothing is left out."""
    found: dict[str, Missed] = {}
    for line in text[:MAX_TEXT].splitlines():
        lower = line.lower()
        for how, sign in ((how, sign) for how, signs in _SIGNS for sign in signs):
            if (at := lower.find(sign)) >= 0:
                for path in _paths(line, at):
                    if len(path) <= _MAX_PATH and path.isprintable() and len(found) < MAX_PATHS:
                        found.setdefault(path, Missed(path, how))
                break
    return tuple(found.values())


def _paths(line: str, at: int) -> Iterator[str]:
    """Those in quotes; the one that ends in ``: `` right before the words, white space and all; what looks like one."""
    for match in _QUOTED.finditer(line):
        yield next(filter(None, match.groups()))
    before, colon, _ = line[:at].rpartition(": ")
    if colon and before + colon == line[:at]:
        _, _, last = before.rpartition(": ")
        start = 0 if last.startswith("/") else last.find(" /") + 1
        if last[start : start + 1] == "/":
            yield last[start:]
    for match in _BARE.finditer(_QUOTED.sub(" ", line)):
        yield match[0].rstrip(".")

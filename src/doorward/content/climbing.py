"""Whether a text climbs out of where it stands: a segment ``..``, however it is spelt.

For places of which Doorward knows no folder: a server behind a URL, and URIs of a scheme that only their server
understands. There no kernel can be asked, so a text is judged by itself, in every way that a server might read it: as
it is, without tabs and line breaks, decoded until nothing changes, with backslashes as slashes, look-alikes as what
they imitate.

It does not say where a path leads: one that is written properly, of a folder that nobody may see, does not climb.
Sources: RFC 3986 section 5.2.4, THREATS ``path-traversal``.
"""

from __future__ import annotations

import re
from typing import Final

from doorward.content.folding import folded

MAX_ROUNDS: Final = 3
"""So often a text is decoded. One that has escapes even then is a puzzle and not an address."""

_ESCAPES: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
# What begins a character of one byte with more than one: no writer does that, and lenient readers take it for a dot.
_OVERLONG: Final = re.compile(rb"[\xc0\xc1]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]")
_IN_A_PATH: Final = re.compile(r"(?:^|[/\\])[ \t]*\.\.[ \t]*(?:[/\\]|$)")
_IN_A_URI: Final = re.compile(r"(?:^|[/\\?#&=;,:])[ \t]*\.\.[ \t]*(?:[/\\?#&=;,]|$)")
_AROUND: Final = " \t\r\n\"'`<>"
_HARMLESS: Final = re.compile(r"[^%\x00\t\r\n]*")
_LEFT_OUT: Final = re.compile(r"[\t\r\n]+")
"""By readers of URLs (WHATWG, and Python's), before they look at the segments."""


def climbs(text: str, *, as_uri: bool = False) -> str:
    """Why ``text`` is refused as a path (or a URI) below some place that is not known; empty if it is not.

    Refused are a segment ``..`` in any spelling, a NUL, overlong UTF-8, and more than ``MAX_ROUNDS`` of escapes. In a
    URI a segment also ends at what separates in a query, since servers make paths of that as well.
    """
    if text.isascii() and ".." not in text and _HARMLESS.fullmatch(text):
        return ""
    return _climbs(text, as_uri=as_uri) or _climbs(_LEFT_OUT.sub("", text), as_uri=as_uri)


def _climbs(level: str, *, as_uri: bool) -> str:
    for _ in range(MAX_ROUNDS + 1):
        if problem := _judged(level, _IN_A_URI if as_uri else _IN_A_PATH):
            return problem
        if any(_OVERLONG.search(_bytes(run[0])) for run in _ESCAPES.finditer(level)):
            return "has overlong UTF-8 in its escapes"
        decoded = _ESCAPES.sub(lambda run: _bytes(run[0]).decode("utf-8", "replace"), level)
        if decoded == level:
            return ""
        level = decoded
    return "is percent-encoded too often"


def _judged(level: str, climbing: re.Pattern[str]) -> str:
    if "\0" in level:
        return "holds a NUL"
    forms = [level, level.strip(_AROUND)]
    if not level.isascii():
        seen = folded(level)
        if _ESCAPES.search(seen) and not _ESCAPES.search(level):
            return "hides an escape in look-alikes"
        forms.append(seen)
    return "climbs with '..'" if any(climbing.search(form) for form in forms) else ""


def _bytes(run: str) -> bytes:
    return bytes.fromhex(run.replace("%", ""))

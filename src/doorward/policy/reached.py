"""Where what was asked for lies: beginnings of URIs, and the folder of paths on another machine, for ``learning``.

Only what all have in common is kept. What climbs out of its place, or cannot be read in one way, is not learnt.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Final

from doorward.content import schemes, uris
from doorward.content.climbing import climbs
from doorward.protocol.shown import allowed, beginning_problem

MAX_ORIGINS: Final = 8

_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:(?://[^/?#]*/?)?")
_SOMEWHERE: Final = "/some/where"
"""A folder that no reading leaves, for paths that are relative to one that is not known."""


class Beginnings:
    """The deepest beginning of all URIs of each origin: scheme and authority, or the scheme alone."""

    def __init__(self) -> None:
        self.unlearnt = 0
        self._of: dict[str, str] = {}

    def add(self, uri: str) -> None:
        """``uri`` was asked for."""
        origin = _ORIGIN.match(uri)
        known = self._of.get(origin[0]) if origin else None
        if origin is None or climbs(uri, as_uri=True) or (known is None and len(self._of) >= MAX_ORIGINS):
            self.unlearnt += 1
            return
        found = uri if known is None else _both(known, uri, origin[0])
        if beginning_problem(found) or not allowed(uri, (found,)):
            self.unlearnt += 1
            return
        self._of[origin[0]] = found

    def found(self) -> tuple[str, ...]:
        """What may be written as ``uris``."""
        return tuple(self._of.values())


def _both(one: str, other: str, origin: str) -> str:
    if one == other or (one[-1] in ":/" and other.startswith(one)):
        return one
    common = os.path.commonprefix((one, other))  # noqa: RUF071 - cut at a slash below; `//` must stay
    return max(common[: common.rfind("/") + 1], origin, key=len)


class Folder:
    """The deepest folder in which every path lies by its text, in each of its readings."""

    def __init__(self) -> None:
        self._common: str | None = ""  # None: there is none

    def add(self, texts: Iterable[str]) -> None:
        """Paths and ``file:`` URIs were named."""
        for text in texts:
            absolute = text.startswith("/") or schemes.scheme_of(text) == "file"
            found = uris.readings(text, _SOMEWHERE)
            if found.problem or self._common is None:
                self._common = None
            elif not absolute:
                if not all(uris.is_below(path, _SOMEWHERE) for path in found.paths):
                    self._common = None
            else:
                parents = [os.path.dirname(path.rstrip("/")) or "/" for path in found.paths]
                stays = all(map(uris.is_below, found.paths, parents))
                known = [self._common] if self._common else []
                self._common = os.path.commonpath([*known, *parents]) if stays else None

    def found(self) -> str | None:
        """What may be written as ``below``; None if that would be everywhere, or nothing was named."""
        return self._common if self._common and uris.is_below(self._common, "/") and self._common != "/" else None

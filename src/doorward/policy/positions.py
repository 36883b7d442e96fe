"""Where in a TOML text a key stands, so that a problem can name its line.

A scanner of lines, not a parser: the text was parsed before. It may miss a key (inside an inline table, say), and then
the line of the nearest table or key around it is named.
"""

from __future__ import annotations

import re

KeyPath = tuple[str, ...]

_PART = re.compile(r"""[ \t]*(?:"((?:[^"\\\n]|\\.)*)"|'([^'\n]*)'|([A-Za-z0-9_-]+))[ \t]*""")


class Positions:
    """The line, counted from 1, of every key path that a line of ``text`` names."""

    def __init__(self, text: str) -> None:
        self._lines: dict[KeyPath, int] = {}
        table: KeyPath = ()
        for number, line in enumerate(text.splitlines(), start=1):
            stripped = line.lstrip()
            if stripped.startswith("["):
                table = _key(stripped.lstrip("["), "]") or table
                self._note(table, number)
            elif key := _key(stripped, "="):
                self._note(table + key, number)

    def line(self, path: KeyPath) -> int:
        """The line of ``path``, or of the nearest key above it; 1 for the whole text."""
        for end in range(len(path), 0, -1):
            if number := self._lines.get(path[:end]):
                return number
        return 1

    def _note(self, path: KeyPath, number: int) -> None:
        for end in range(1, len(path) + 1):
            self._lines.setdefault(path[:end], number)


def _key(text: str, end: str) -> KeyPath:
    """The parts of a key at the start of ``text`` that is followed by ``end``; empty if there is none."""
    parts: list[str] = []
    position = 0
    while match := _PART.match(text, position):
        parts.append(next(part for part in match.groups() if part is not None))
        position = match.end()
        if text.startswith(end, position):
            return tuple(parts)
        if not text.startswith(".", position):
            break
        position += 1
    return ()

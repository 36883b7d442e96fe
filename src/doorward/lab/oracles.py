"""Where planted secrets may show up, and in which dress.

An oracle looks for a canary and nothing else: a value that is random per stage, planted where the attack must not
reach. It finds the canary in the dresses that a careless program puts on it (JSON, URL, base64, hexadecimal, Unicode
tags), and has no opinion on anything else that it reads.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}){8,}")
_TAGS = re.compile("[\U000e0020-\U000e007e]+")
_DRESSES = 3
"""A value may be dressed more than once: JSON in JSON, base64 in a URL."""


def carries(text: str, canary: str) -> str | None:
    """The dress in which ``text`` carries ``canary``: ``plain``, ``base64`` … or None where it does not."""
    seen, layer = {text}, [("plain", text)]
    for _ in range(_DRESSES):
        for dress, candidate in layer:
            if canary in candidate:
                return dress
        fresh: list[tuple[str, str]] = []
        for _, candidate in layer:
            for dress, undressed in _undressed(candidate):
                if undressed not in seen:
                    seen.add(undressed)
                    fresh.append((dress, undressed))
        layer = fresh
    return next((dress for dress, candidate in layer if canary in candidate), None)


def arrived(lines: Iterable[bytes], canary: str, *, method: str | None = None) -> str | None:
    """How ``canary`` arrived in one of ``lines``: a short description, or None.

    With ``method`` only notifications of that name count.
    """
    for line in lines:
        message = _parsed(line)
        if method is not None and (not isinstance(message, dict) or message.get("method") != method):
            continue
        # The line itself too: of two members with one name, only the last is in the message.
        for text in (*strings(message), line.decode("utf-8", "replace")):
            if dress := carries(text, canary):
                where = f"{method} " if method else ""
                return f"{where}carried the planted value ({dress})"
    return None


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with every string in it changed; keys stay as they are."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: mapped(item, change) for key, item in value.items()}
    return [mapped(item, change) for item in value] if isinstance(value, list | tuple) else value


def strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value, keys included."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _undressed(text: str) -> Iterator[tuple[str, str]]:
    if "%" in text:
        yield "URL-encoded", unquote(text)
    if "\\" in text:
        yield "JSON-escaped", _unescaped(text)
    for tags in _TAGS.findall(text):
        yield "Unicode tags", "".join(chr(ord(c) - 0xE0000) for c in tags)
    for run in _HEX.findall(text):
        yield "hexadecimal", bytes.fromhex(run).decode("utf-8", "replace")
    for run in _BASE64.findall(text):
        yield from (("base64", plain) for plain in _base64(run))


def _base64(run: str) -> Iterator[str]:
    """Decoded from each of four starts, since a match may begin with letters that are not part of the value."""
    body = run.rstrip("=").replace("-", "+").replace("_", "/")
    for start in range(4):
        part = body[start:]
        part = part[: len(part) - (len(part) % 4 == 1)]
        try:
            yield base64.b64decode(part + "=" * (-len(part) % 4)).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            continue


def _unescaped(text: str) -> str:
    simple = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}

    def undo(match: re.Match[str]) -> str:
        code = match.group(1)
        return chr(int(code[1:], 16)) if len(code) > 1 else simple.get(code, code)

    return re.sub(r"\\(u[0-9A-Fa-f]{4}|.)", undo, text)

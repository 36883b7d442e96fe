"""JSON in a string, where a list, an object or a text was meant: what a lenient server makes of it.

Models write a list into a string, and servers help: ``MCPServer`` (FastMCP) of the Python SDK parses a string whose
parameter is not plainly a string. Whoever looks only at the string sees one name that begins with a bracket.

One level is looked into. A string in another notation (YAML, lists with commas) is not.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Final

_OPENS: Final = re.compile(r'[ \t\r\n]*+[\[{"]')
_MOST_DIGITS: Final = 40  # of more, Python takes none at all, and one number would hide what stands beside it
_TEXT: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


may_embed: Final = _OPENS.match
"""Whether it is worth asking: cheap, since every path and every demand asks."""


def embedded(text: str) -> object:
    """What ``text`` holds as JSON if that is a list, an object or a text; else None. Of an object that names a member
    twice both are there, each in an object of its own.
    """
    if not may_embed(text):
        return None
    try:
        return json.loads(text, object_pairs_hook=_members, parse_int=_number)
    except RecursionError:
        return _texts(text)  # nested too deeply for Python, and not for others
    except ValueError:
        return None


def _texts(text: str) -> list[str]:
    found = []
    for quoted in _TEXT.findall(text):
        with suppress(ValueError):
            found.append(json.loads(quoted))
    return found


def _number(digits: str) -> float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _members(pairs: list[tuple[str, object]]) -> object:
    members = dict(pairs)
    return members if len(members) == len(pairs) else [{name: value} for name, value in pairs]

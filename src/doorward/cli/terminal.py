r"""The rules of output, and the only functions that print.

* Results go to stdout, everything else to stderr: a pipe gets the result and nothing but.
* ``doorward: error: …`` and ``doorward: hint: …``, ``doorward: note: …``: lower case, one sentence, no full stop. An
  error says what is wrong; a hint says what to type. No stack trace, unless DOORWARD_DEBUG is set.
* Text may come from a server, a lock file or a command line. What a terminal would obey or an eye would miss (control
  characters, escape sequences, invisible and bidirectional characters) is written as ``\x1b``, never sent.
* Colour only adds: on a terminal, without NO_COLOR, with TERM other than ``dumb``. No meaning is in colour alone.
* ``--json`` writes one JSON document, keys sorted, and no other word on stdout.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final, TextIO

BOLD: Final = "1"
RED: Final = "31"
GREEN: Final = "32"
YELLOW: Final = "33"

_DEL: Final = 0x7F


def write(text: str = "", *, style: str = "") -> None:
    """One line (or several) of the result, on stdout."""
    _line(sys.stdout, text, style)


def write_json(value: Any) -> None:
    """The result as one JSON document, on stdout. Everything beyond ASCII is escaped."""
    import json

    sys.stdout.write(json.dumps(value, indent=2, sort_keys=True) + "\n")


def say_json(value: Any) -> None:
    """One JSON document on stderr, in one line: for a verb whose stdout is somebody else's."""
    import json

    sys.stderr.write(json.dumps(value, sort_keys=True) + "\n")


def say(text: str) -> None:
    """Something the person should know, on stderr; nothing is wrong."""
    _line(sys.stderr, f"doorward: note: {text}")


def error(text: str, hint: str = "") -> None:
    """What is wrong and, if there is something to do about it, what; on stderr."""
    _line(sys.stderr, f"doorward: error: {text}", RED)
    if hint:
        _line(sys.stderr, f"doorward: hint: {hint}")


def visible(text: str) -> str:
    """``text`` with everything escaped that a terminal would obey or an eye would miss, line ends excepted."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else _escaped(one) for one in text)


def has_colour(stream: TextIO) -> bool:
    """Whether to colour what goes to ``stream`` (no-color.org: NO_COLOR counts when it is not empty)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Columns to wrap text at: those of the terminal, between 60 and 120; 100 elsewhere."""
    import shutil

    return max(60, min(120, shutil.get_terminal_size((100, 24)).columns))


def columns(stream: TextIO) -> int:
    """How many characters a line on the terminal behind ``stream`` holds; 80 where that is none, or hides it."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def _line(stream: TextIO, text: str, style: str = "") -> None:
    text = visible(text)
    if style and has_colour(stream):
        text = f"\x1b[{style}m{text}\x1b[0m"
    stream.write(text + "\n")


def _escaped(character: str) -> str:
    return (
        character.encode("ascii", "backslashreplace").decode() if ord(character) > _DEL else f"\\x{ord(character):02x}"
    )

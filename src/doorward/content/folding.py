"""Unicode normalisation in time that grows with the text.

``unicodedata.normalize`` sorts a run of combining marks by moving each past all that came before: half a megabyte of
them takes minutes. So where more than 32 characters beyond ASCII follow one another, these are normalised in pieces of
as many. That is what the whole would be, except where a piece ends inside of what belongs together: there a mark may
stay apart from its letter. Whoever looks for what a text turns into still finds it, since what one character stands for
does not depend on its neighbours.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, Literal

_PIECE: Final = 32
_LONG: Final = re.compile(rf"([\x00-\x7f]?[^\x00-\x7f]{{{_PIECE + 1},}})")  # with what a mark may belong to


def folded(text: str, form: Literal["NFC", "NFKC"] = "NFKC") -> str:
    """``text`` in a normal form of Unicode (UAX 15); the very same object if it is ASCII."""
    if text.isascii():
        return text
    shorts_and_longs = _LONG.split(text)
    for place, part in enumerate(shorts_and_longs):
        pieces = (part[at : at + _PIECE] for at in range(0, len(part), _PIECE)) if place % 2 else (part,)
        shorts_and_longs[place] = "".join(unicodedata.normalize(form, piece) for piece in pieces)
    return "".join(shorts_and_longs)

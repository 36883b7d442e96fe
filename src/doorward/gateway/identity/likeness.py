"""When one name passes for another: slips of the pen, letters that look like others, and their encoded form.

Does not see names that merely mean the same, nor pictures.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from doorward.gateway.identity.hosts import display

# What the eye takes for a Latin letter: Cyrillic, Greek and others that may stand in a host (Unicode TS 39).
_LOOK_ALIKES: Final = {
    "a": "\u0430\u03b1\u0251", "b": "\u0432\u044c", "c": "\u0441", "d": "\u0501", "e": "\u0435\u04bd",
    "g": "\u0261\u0581", "h": "\u04bb\u043d", "i": "\u0456\u0131\u03b9\u0269", "j": "\u0458", "k": "\u043a\u03ba",
    "l": "1\u04cf\u01c0", "m": "\u043c", "n": "\u0578\u03b7", "o": "0\u043e\u03bf\u1d0f\u0585", "p": "\u0440\u03c1",
    "q": "\u051b", "r": "\u0433", "s": "\u0455", "t": "\u0442\u03c4", "u": "\u03c5\u057d", "v": "\u03bd\u0475",
    "w": "\u051d\u026f", "x": "\u0445\u03c7", "y": "\u0443\u04af",
}  # fmt: skip
_AS_LATIN: Final = str.maketrans({other: letter for letter, others in _LOOK_ALIKES.items() for other in others})
_PAIRS: Final = (("rn", "m"), ("vv", "w"), ("cl", "d"))

# By the length of the shorter text, and from the last on: how many slips still make one name of another.
_SLIPS: Final = (0, 0, 0, 1, 1, 2)


def alike(one: str, other: str) -> bool:
    """Whether two different texts look alike: equal once folded, or at most two slips of a pen apart.

    One slip only where the shorter has three or four characters and none below: ``git`` is not a misspelt ``fs``.
    """
    plain, other_plain = _folded(one), _folded(other)
    if plain == other_plain:
        return one != other
    slips = _SLIPS[min(len(plain), len(other_plain), len(_SLIPS) - 1)]
    if abs(len(plain) - len(other_plain)) > slips:
        return False
    # Imported here: only the first use of a server beside others comes this far, and it costs milliseconds.
    from rapidfuzz.distance import DamerauLevenshtein

    return DamerauLevenshtein.distance(plain, other_plain, score_cutoff=slips) <= slips


def _folded(text: str) -> str:
    """``text`` without what the eye does not see: width, case, invisible characters, marks above and below."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(one for one in folded if unicodedata.category(one) not in ("Cf", "Cc", "Mn", "Me"))


def as_seen(host: str) -> str:
    """A host or a name as a hasty eye reads it: decoded, without marks, in the Latin letters that its own resemble."""
    folded = unicodedata.normalize("NFKD", display(host)).casefold()
    text = "".join(one for one in folded if unicodedata.category(one) not in ("Mn", "Me", "Cf")).translate(_AS_LATIN)
    for pair, letter in _PAIRS:
        text = text.replace(pair, letter)
    return text

"""The quick look: may a text, or an encoded message, hold something to mask? False is certain; True means that it is
worth looking (``content.redaction``). Every message is looked at, and nearly none holds anything.

Two engines answer. The patterns of ``re`` are there at once and take 5 µs for 200 bytes, but a millisecond for 64 KiB.
``jsonschema-rs``, with which calls are judged anyway, brings an automaton that searches many literals at a time: 1 µs
and 60 µs. It is used once it is loaded, and a large text loads it (40 ms, once). Either may say True where the other
says False; neither says False of anything that would be masked.

All of it is about bytes; what is not ASCII looks like one control character to the automaton, byte for byte.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, Final

from doorward.content.credentials import EDGES, SHAPES

_WORTH_LOADING: Final = 16 * 1024

Look = Callable[[str], bool]


def maybe_sensitive(body: bytes) -> bool:
    """Whether ``body`` may hold a sensitive name with a value, or a credential."""
    return by_automaton(body, names=True) if _is_worth_it(body) else by_patterns(body, names=True)


def maybe_credential(body: bytes) -> bool:
    """Whether ``body`` may hold a credential that is one by its shape alone."""
    return by_automaton(body, names=False) if _is_worth_it(body) else by_patterns(body, names=False)


def maybe_named(body: bytes) -> bool:
    """Whether ``body`` may hold a sensitive name with a value."""
    if not _is_worth_it(body):
        return _finds(_NAMES_IN_LOWERED, body.lower())
    _, for_names = _loaded()
    return _named(for_names, _readable(body))


def _is_worth_it(body: bytes) -> bool:
    return len(body) >= _WORTH_LOADING or "jsonschema_rs" in sys.modules


# A look at a part sees so much before and after it, which is more than a name with its separator takes.
_PART: Final = 16 * 1024
_BEFORE: Final = 128
_BEHIND: Final = 256


def parts_with_names(text: str) -> Iterator[tuple[int, int]]:
    """``(start, end)`` of the parts of ``text`` in which a sensitive name with a value may begin, in order.

    Together they are all of a text that is not large. Of a large one most go: where nothing is named, a look costs a
    fifth of a search.
    """
    if len(text) < 2 * _PART:
        yield 0, len(text)
        return
    _, for_names = _loaded()
    for start in range(0, len(text), _PART):
        seen = text[max(0, start - _BEFORE) : start + _PART + _BEHIND]
        if _named(for_names, _readable(seen.encode("utf-8", "surrogatepass"))):
            yield start, start + _PART


# --- with re ---------------------------------------------------------------------------------------------------------

_TAIL = (
    rb"(?:[_-]?(?:value|string|text|plaintext|pem|base64|b64|data|raw))?[_-]?\d{0,2}[\\\"'`\]\s]{0,8}(?:\\[nt])?[:=>]"
)


def _by_letter(*patterns: bytes) -> tuple[tuple[bytes, re.Pattern[bytes]], ...]:
    """Each pattern turns on one letter that is rare or decisive: a search that begins with a single literal is several
    times faster than one alternation of all words. The rest is looked at backwards.
    """
    return tuple((pattern.lstrip(b"\\")[:1], re.compile(pattern)) for pattern in patterns)


_NAMES_IN_LOWERED = _by_letter(
    rb"z(?<=authoriz)ation" + _TAIL,
    rb"k(?:en(?<=token)(?<!progresstoken)|ey(?<=[a-z0-9_ \-]key)s?|ie(?<=cookie)s?)" + _TAIL,
    rb"w(?:(?<=passw)(?:or)?ds?|(?<=pw)d|(?<=jw)t)" + _TAIL,
    rb"p(?:ass(?:phrases?)?|(?<=otp))" + _TAIL,
    rb"b(?:earer)" + _TAIL,
    rb"c(?:(?<=sec)rets?|red(?:ential)?s?|(?<=passc)odes?|onnection[_ -]?strings?)" + _TAIL,
    rb"-(?<=--)(?=\w)(?:\w|-(?!-)){0,40}?(?:pass|token|secret|key|cred|pwd|jwt|cookie|otp|bearer|auth|connection)",
)
_SHAPES_IN_LOWERED = _by_letter(
    rb"b(?:earer(?:\\[nrtf]|\\u00[01][0-9a-f]|[^!-~]|[\\\"':=>]){1,16}[a-z0-9._~+/-]|"
    rb"asic(?:\\[nrtf]|\\u00[01][0-9a-f]|[^!-~]){1,16}[a-z0-9+/]{4})"
)
_SHAPES_AS_IS = _by_letter(
    rb"J(?<=eyJ)[A-Za-z0-9_-]{8,}+\.",
    rb"I(?:(?<=AKI)A|(?<=ASI)A|(?<=AI)za)",
    rb"K(?:EY(?<=PRIVATE KEY)|EY(?<=SECRET-KEY)|(?<=SK)[0-9a-f]{32})",
    rb"=(?:(?<=sig=)|(?<=ignature=))",
    rb"_(?:[A-Za-z0-9+/]{16}|(?<=r_[op]at_))",
    rb"-(?:(?<=sk-)[A-Za-z0-9_-]{16}|(?<=glpat-)|(?<=pypi-)|(?<=xox[abeoprs]-)|(?<=xapp-)|(?<=xai-))",
    rb"\.(?:(?<=SG\.)|(?<=ya29\.)|(?<=hvs\.)|(?<=hooks\.)slack|com/api/webhooks/)",
    rb":AA[A-Za-z0-9_-]{30}",
)
_USERINFO = re.compile(rb"//[^\s/?#@\"'<>:]{0,128}:[^\s/?#\"'<>]{1,256}@")


def by_patterns(body: bytes, *, names: bool) -> bool:
    """The look without anything to load."""
    if b"@" in body and _USERINFO.search(body):
        return True
    lowered = body.lower()
    return (
        _finds(_SHAPES_IN_LOWERED, lowered)
        or _finds(_SHAPES_AS_IS, body)
        or (names and _finds(_NAMES_IN_LOWERED, lowered))
    )


def _finds(patterns: tuple[tuple[bytes, re.Pattern[bytes]], ...], body: bytes) -> bool:
    for letter, pattern in patterns:  # noqa: SIM110 -- a generator per pattern would cost more than the search
        if letter in body and pattern.search(body):
            return True
    return False


# --- with an automaton -----------------------------------------------------------------------------------------------

# A group has at most as many beginnings as the engine can search for in one go, and each begins with a literal.
_SHAPE_GROUPS: Final = 3
_MEMORY: Final = 1 << 20
_AS_ASCII: Final = bytes(range(128)) + b"\x7f" * 128
_KIND_WORDS: Final = "value string text plaintext pem base64 b64 data raw"
_OPTIONS: Final = "pass token secret key cred pwd jwt cookie otp bearer auth connection"


def by_automaton(body: bytes, *, names: bool) -> bool:
    """The look with the engine, which is loaded now at the latest."""
    text = _readable(body)
    for_shapes, for_names = _loaded()
    return for_shapes(text) or (names and _named(for_names, text))


def _readable(body: bytes) -> str:
    return (body if body.isascii() else body.translate(_AS_ASCII)).decode("ascii")


@cache
def _loaded() -> tuple[Look, Look]:
    return _look(_shapes()), _look(_names())


def words_in(text: bytes, words: Iterable[str]) -> list[str]:
    """Those of ``words``, all ASCII, that ``text`` holds. Where it is large the engine is twelve times faster than
    ``in``.
    """
    if len(text) < _WORTH_LOADING:
        return [word for word in words if word.encode() in text]
    readable = _readable(text)
    return [word for word in words if _holds(word)(readable)]


@cache
def _holds(word: str) -> Look:
    return _look([re.escape(word)])


def _named(look: Look, text: str) -> bool:
    if not look(text):
        return False
    # Half of all requests may carry this member, and its value is no secret.
    return "progressToken" not in text or look(text.replace("progressToken", "progressMark"))


def _look(patterns: Iterable[str]) -> Look:
    import jsonschema_rs

    options = jsonschema_rs.RegexOptions(dfa_size_limit=_MEMORY)
    any_of: dict[str, Any] = {"anyOf": [{"pattern": pattern} for pattern in patterns]}
    found: Look = jsonschema_rs.validator_for(any_of, pattern_options=options).is_valid
    return found


def _any_case(word: str) -> str:
    """``word`` in any mixture of cases. Not ``(?i)``: letters beyond ASCII that fold to ours would cost the speed."""
    return "".join(f"[{char}{char.upper()}]" if char.isalpha() else char for char in word)


def _one_of(words: str) -> str:
    return f"(?:{'|'.join(map(_any_case, words.split()))})"


def _names() -> list[str]:
    tail = rf"(?:[_-]?{_one_of(_KIND_WORDS)})?[_-]?[0-9]{{0,2}}[\\\"'`\] \t\n\r\x0b\x0c]{{0,8}}(?:\\[nt])?[:=>]"
    passes = f"{_any_case('pass')}(?:[wW](?:[oO][rR])?[dD][sS]?|{_any_case('phrase')}[sS]?|{_any_case('code')}[sS]?)?"
    secrets = rf"{_any_case('secret')}[sS]?|{_any_case('cred')}(?:{_any_case('ential')})?[sS]?"
    strings = rf"{_any_case('connection')}[_ \-]?{_any_case('string')}[sS]?"
    return [
        rf"(?:{_any_case('cookie')}[sS]?|{_one_of('token authorization')}){tail}",
        rf"{_one_of('pwd jwt otp bearer')}{tail}",
        rf"(?:{passes}|{secrets}|{strings}){tail}",
        rf"[A-Za-z0-9_ \-]{_any_case('key')}[sS]?{tail}",
        rf"--(?:[0-9A-Za-z_](?:-?[0-9A-Za-z_]){{0,40}}?-?)?{_one_of(_OPTIONS)}",
    ]


def _shapes() -> list[str]:
    """All shapes, a little wider: they are looked for in encoded messages as well, by an engine without look-around."""
    blank = r"(?:\\[nrtf]|\\u00[01][0-9a-f]|[^!-~])"
    spaced = [
        rf"{_any_case('bearer')}(?:{blank}|[\\\"':=>]){{1,16}}[A-Za-z0-9._~+/\-]",
        rf"{_any_case('basic')}{blank}{{1,16}}[A-Za-z0-9+/]{{4}}",
    ]
    patterns = sorted(_wider(shape.pattern) for shape in SHAPES if shape.kind not in ("bearer", "basic-auth"))
    groups = ["|".join(patterns[start::_SHAPE_GROUPS]) for start in range(_SHAPE_GROUPS)]
    return [*groups, *spaced, "PRIVATE KEY"]


def _wider(pattern: str) -> str:
    """``pattern`` without what stands around it and without upper bounds."""
    for edge in EDGES:
        pattern = pattern.replace(edge, "")
    pattern = re.sub(r"\(\?<?!\[[^\]]*\]\)", "", pattern)
    pattern = re.sub(r"\{(\d+),\d*\}", r"{\1,}", pattern)
    pattern = re.sub(r"([+*}])\+", r"\1", pattern)
    digit, blanks = r"[0-9\x7f]", r" \t\n\r\x0b\x0c"
    return pattern.removeprefix(r"\d{8,}").replace(r"\d", digit).replace(r"[^\s", f"[^{blanks}")

"""Making visible what a text hides, and pointing out what in it looks like an attempt to steer a model or a reader.

``reveal`` is what every screen and log line uses on text that a peer wrote: what a person sees is then all there is.
The marks cannot be forged: the bracket that opens one is itself always marked, so two different texts never look the
same. It does not protect against letters that look like other letters (Cyrillic and Latin ``a``): both are visible,
and names are compared elsewhere.

``signals`` are hints for a person who is about to agree, never a decision: whoever wants to avoid them can.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from doorward.content.folding import folded

# str.isprintable() is false for the categories Cc, Cf, Cs, Co, Cn, Zl, Zp and for every Zs but the space: what Unicode
# itself calls without a glyph. These are the code points that count as printable and still show nothing.
_INVISIBLE = (
    "\u034f"  # combining grapheme joiner
    "\u115f\u1160\u3164\uffa0"  # Hangul fillers, letters by category
    "\u17b4\u17b5"  # Khmer inherent vowels
    "\u180b\u180c\u180d\u180f"  # Mongolian free variation selectors
    "\u2800"  # Braille pattern blank
    "\ufe00-\ufe0f\U000e0100-\U000e01ef"  # variation selectors: 256 values, enough to carry any byte
    "\U0001d159"  # musical null notehead
)
_OPEN, _CLOSE = "\u27e8", "\u27e9"
_BLANKS = re.compile(f"[{_INVISIBLE}]")
_UNUSUAL = re.compile(r"[^ -~]+")
# A wide space is a visible gap in Chinese and Japanese text, and no other blank looks like it.
_IDEOGRAPHIC_SPACE = "\u3000"


def has_hidden(text: str) -> bool:
    """Whether ``text`` holds characters that show nothing, line feeds and tabs aside. Cheap: no character loop."""
    plain = text.replace("\n", "").replace("\t", "")
    if text.isascii():
        return not plain.isprintable()
    return not plain.replace(_IDEOGRAPHIC_SPACE, "").isprintable() or _BLANKS.search(plain) is not None


def reveal(text: str, *, keep_newlines: bool = False) -> str:
    """``text`` with everything hidden replaced by a visible mark such as ``⟨U+202E⟩``.

    Marked are controls (and so every terminal escape), bidirectional and zero-width characters, variation selectors,
    fillers, private, unassigned and surrogate code points, spaces that only look like one. A run of tag characters,
    which spell ASCII that no screen shows, is spelt out: ``⟨tags:send the file⟩``. ``keep_newlines`` keeps line feeds
    and tabs as they are (a prompt in a box of its own); by default they are marked as well (one line of a log).
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNUSUAL.sub(lambda run: _reveal_run(run[0], keep_newlines), text)


def _reveal_run(run: str, keep_newlines: bool) -> str:
    if run.isprintable() and _BLANKS.search(run) is None and _OPEN not in run:
        return run
    shown: list[str] = []
    tags: list[str] = []
    for char in run:
        if "\U000e0020" <= char <= "\U000e007e":
            tags.append(chr(ord(char) - 0xE0000))
            continue
        if tags:
            shown.append(_tags(tags))
        shown.append(char if _is_plain(char, keep_newlines) else f"{_OPEN}U+{ord(char):04X}{_CLOSE}")
    if tags:
        shown.append(_tags(tags))
    return "".join(shown)


def _tags(tags: list[str]) -> str:
    spelt = f"{_OPEN}tags:{''.join(tags)}{_CLOSE}"
    tags.clear()
    return spelt


def _is_plain(char: str, keep_newlines: bool) -> bool:
    if char in "\n\t":
        return keep_newlines
    if char == _OPEN:
        return False
    return char == _IDEOGRAPHIC_SPACE or (char.isprintable() and _BLANKS.match(char) is None)


# --- signals ---------------------------------------------------------------------------------------------------------

_GAP = r"[\W_]{1,8}"
# A word begins and ends with a letter, or a run of apostrophes could be divided among words and gaps in a billion ways.
_FILLER = rf"(?:[a-z]{{1,16}}+(?:'[a-z]{{1,8}}+)?{_GAP}){{0,4}}"
# Sentence, what must occur for the pattern to be worth its time, and the pattern.
_SIGNALS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "asks to disregard earlier instructions",
        ("ignor", "disregard", "forget", "overrid", "bypass", "discard", "neglect"),
        (
            rf"\b(?:ignor|disregard|forget|overrid|bypass|discard|neglect)(?:e|es|ing|s)?{_GAP}{_FILLER}"
            rf"(?:previous|prior|earlier|above|preceding|existing|original|initial|system|safety|former){_GAP}{_FILLER}"
            r"(?:instruction|prompt|rule|guideline|direction|context|message|order|polic)"
        ),
    ),
    (
        "asks to keep something from the user",
        ("do not", "don't", "never", "without", "secretly", "hide this", "keep this"),
        (
            rf"\b(?:(?:do not|don't|never|without){_GAP}(?:tell|inform|mention|notify|show|ask|reveal|alert)(?:ing)?"
            rf"{_GAP}{_FILLER}(?:user|human|operator|person)|secretly\b|hide this from|keep this (?:secret|hidden))"
        ),
    ),
    (
        "speaks as the system or as another role",
        ("<|", "inst", "sys", "import", "assist", "develop", "you are now"),
        (
            r"<\|[a-z_]{2,20}\|>|\[/?inst\]|<</?sys>>|</?(?:system|important|instructions?|assistant)>|"
            r"(?m:^)[#*\s]{0,6}(?:system|assistant|developer)(?: prompt| message)?\s{0,4}:|\byou are now\b|"
            r"\bnew (?:system )?instructions?\b"
        ),
    ),
    (
        "asks to send something to an address",
        ("send", "forward", "post", "upload", "mail", "exfiltrat", "transmit", "leak", "deliver"),
        (
            rf"\b(?:send|forward|post|upload|e-?mail|exfiltrat|transmit|leak|deliver)(?:e|s|ing)?{_GAP}"
            r"[^\n]{0,200}?\bto:? (?:[\w'-]{1,20}[:,]? ){0,3}[\"'`<(]?"
            r"(?:https?://|[\w.+-]{1,64}@[\w-]{1,63}\.|[\w-]{1,63}\.(?:com|net|org|io|dev|ru|cn|xyz|site|app|info)\b)"
        ),
    ),
    (
        "pushes text out of view with blank lines or spaces",
        ("\n" * 2, "\n ", "\n\t", "\n\r", " " * 60, "\t" * 30, " \t", "\t "),
        (r"(?:\n[ \t\r]{0,80}){12}|[ \t]{120}"),
    ),
    (
        "hides text in markup",
        ("<", "[//]", "display", "visib", "font", "opacity"),
        (
            r"<!--|\[//\]: ?#|display\s{0,4}:\s{0,4}none|visibility\s{0,4}:\s{0,4}hidden|font-size\s{0,4}:\s{0,4}0|"
            r"opacity\s{0,4}:\s{0,4}0(?!\.)|<[a-z]{1,12} [^>]{0,200}\bhidden\b"
        ),
    ),
    (
        "loads an image from an address",
        ("![", "<img"),
        (r"!\[[^\]\n]{0,200}\]\(\s{0,4}https?://|<img\b[^>]{0,200}\bsrc\s{0,4}="),
    ),
)
_SEARCHED = 64 * 1024  # characters; what is made for it takes three microseconds for each
_HIDDEN = "contains characters that no screen shows"
_ANSI = "contains terminal control sequences"
# An emoji may carry one presentation selector, and joiners between its parts: that hides nothing.
_EMOJI_GLUE = re.compile("(?<=[\u2190-\u3299\U0001f000-\U0001faff])\ufe0f|(?<=[\ufe0f\U0001f000-\U0001faff])\u200d")


def signals(text: str) -> tuple[str, ...]:
    """What in ``text`` a person should look at before agreeing, as short sentences; empty when nothing was noticed.

    Judged on the text as a model may read it: hidden characters dropped, tag characters as the letters they spell,
    compatibility forms folded, case ignored. For display only. It knows English and a few tricks; an attacker who
    knows this list writes around it, so that an empty answer means nothing. Of a long text the beginning and the end
    are searched: nobody reads more before agreeing.
    """
    found: list[str] = []
    if has_hidden(text) and has_hidden(_EMOJI_GLUE.sub("", text)):
        found.append(_HIDDEN)
    if "\x1b" in text or "\x9b" in text:
        found.append(_ANSI)
    if len(text) > 2 * _SEARCHED:
        text = f"{text[:_SEARCHED]}\n{text[-_SEARCHED:]}"
    read = _as_read(text)
    found.extend(
        sentence
        for sentence, needles, pattern in _compiled_signals()
        if any(needle in read for needle in needles) and pattern.search(read)
    )
    return tuple(found)


@cache
def _compiled_signals() -> tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...]:
    return tuple((sentence, needles, re.compile(pattern)) for sentence, needles, pattern in _SIGNALS)


def _as_read(text: str) -> str:
    if text.isascii():
        return text.lower()
    return folded(_UNUSUAL.sub(lambda run: _spelt(run[0]), text)).lower()


def _spelt(run: str) -> str:
    return run if run.isprintable() and _BLANKS.search(run) is None else "".join(map(_spelling, run))


def _spelling(char: str) -> str:
    if "\U000e0020" <= char <= "\U000e007e":
        return chr(ord(char) - 0xE0000)
    if char in "\n\t\r" or unicodedata.category(char) == "Zs":
        return char
    return "" if not char.isprintable() or _BLANKS.match(char) else char

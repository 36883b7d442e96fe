"""Names with values in running text: log lines, JSON in a string, command lines, headers, configuration, markup.

Nobody says which of these a text is, so each sensitive name is looked at where it stands: is it followed by a
separator, is a quote opened, what ends the value? A quoted value, a value glued to its name, and whatever stands in a
header is taken; a bare word after a colon or a spaced ``=`` is taken unless a sentence goes on after it or it reads as
code. Every name that was taken moves the search past its value, which keeps the whole linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from doorward.content.credentials import (
    AUTH_SCHEME,
    NOT_A_SECRET,
    is_excused,
    names_kind,
    reads_as_identifier,
    sensitive_kind,
)
from doorward.content.quick import parts_with_names, words_in

# Where a name in running text may end. Each starts with a literal, which the engine finds fast.
_NAME_ENDS = {
    stem: re.compile(pattern)
    for stem, pattern in (
        ("pass", r"pass(?:w(?:or)?ds?|phrases?|codes?)?"),
        ("pwd", r"pwd"),
        ("secret", r"secrets?"),
        ("token", r"token"),
        ("key", r"keys?"),
        ("authorization", r"authorization"),
        ("cookie", r"cookies?"),
        ("cred", r"cred(?:ential)?s?"),
        ("otp", r"otp"),
        ("jwt", r"jwt"),
        ("bearer", r"bearer"),
        ("connection", r"connection[ _-]?strings?"),
    )
}
_AFTER = re.compile(
    r"(?:[_-]?(?:value|string|text|plaintext|pem|base64|b64|data|raw))?[_-]?\d{0,2}(?![A-Za-z0-9_])", re.IGNORECASE
)
_NAME_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_LONGEST_NAME = 80
_LONGEST_END = 32
# People write these apart: API key, access token, private key.
_APART = ("api ", "access ", "private ", "secret ", "signing ", "encryption ", "account ", "auth ")


def names_in(text: str, first: int = 0, last: int | None = None) -> Iterator[tuple[int, int, str]]:
    """``(start, end, kind)`` of every sensitive name in running text, in no particular order; with ``first`` and
    ``last`` of those whose end begins between them.
    """
    found = _looked_at(text, first, len(text) if last is None else last)
    yield from ((start, end, kind) for start, end, kind in found if kind is not None)


def _looked_at(text: str, first: int, last: int) -> Iterator[tuple[int, int, str | None]]:
    """The same of every name that may be one; of what is none without a kind."""
    encoded = text[first : last + _LONGEST_END].encode("utf-8", "surrogatepass").lower()
    lowered = encoded.decode("utf-8", "surrogatepass")
    for stem in words_in(encoded, _NAME_ENDS):
        for found in _NAME_ENDS[stem].finditer(lowered):
            if found.start() >= last - first:
                break
            after = _AFTER.match(text, first + found.end())
            if after is None:
                yield first, first, None
                continue
            start = _start_of_name(text, first + found.start())
            yield start, after.end(), sensitive_kind(text[start : after.end()])


def _start_of_name(text: str, end: int) -> int:
    window = max(0, end - _LONGEST_NAME)
    before = text[window:end]
    stripped = before.rstrip(_NAME_CHARS)
    if len(stripped) == len(before):
        if not before.endswith(" "):
            return end
        apart = before.lower()
        return end - next((len(word) for word in _APART if apart.endswith(word)), 0)
    return window + len(stripped)


# --- values ----------------------------------------------------------------------------------------------------------

# What a colon says of a secret in prose, the types of several languages, and the keywords that open an expression.
_WORDS = NOT_A_SECRET | frozenset(
    "required optional invalid missing expired ok valid incorrect wrong denied empty unknown hidden set unset changed "
    "reset redacted masked revoked accepted rejected failed mismatch disabled enabled present absent auto default nil "
    "string str strings bytes bytearray buffer uint8array number int integer float bool boolean any object array "
    "list dict map option secretstr await new yield not lambda async function typeof self this require import return "
    "if else for and or in is the a an it to of".split()
)
_SEPARATOR = re.compile(
    r"(?P<quoted>\\*[\"'`])?\]?(?:"
    r"(?P<xml>>)|"
    r"(?P<sign>[ \t]{0,8}(?:\\[nt])?(?:=>|:=|=(?![=~])|:(?!:))\s{0,8}))"
)
_OPTION = re.compile(r"[\"']?(?:,\s{0,4}|\s{1,4}|=)")
_DASHED = re.compile(r"(?:^|[\s\"'\[(=,])--?$")
_OPENER = re.compile(r"(?:[ubfrUBFR]{1,2})?(\\*(?:\"\"\"|'''|[\"'`]))")
_DOUBLE = re.compile(r"(?:[^\"\\]++|\\.)*+\"", re.DOTALL)
_SINGLE = re.compile(r"(?:[^'\\]++|\\.)*+'", re.DOTALL)
_LINE = re.compile(r"[^\r\n]*+")
_XML_VALUE = re.compile(r"[^<>\u2039\u203a]++(?=</)")
_COOKIES = re.compile(r"[\w!#$%&*+.^|~\-]{1,128}=[^\r\n\"'\\\u2039\u203a]++")
_PARAMETERS = re.compile(r"(?i:digest|aws4-hmac-sha256|hawk|scram-sha-256)\s+([^\r\n\u2039\u203a]++)")
_ITEM = re.compile(r"[\s,]*+")
# A word of anything but blanks and quotes. Separators end it only where something else visibly begins.
_BARE = re.compile(
    r"(?:[^\s\"'`<>\u2039\u203a,;&|\\]|\\(?![nrt\"'\\])|[,;&|](?![\s,;&|\"'<>\u2039]|$|[A-Za-z_][\w.\-]{0,40}=))++",
    re.MULTILINE,
)
_PLACEHOLDER = re.compile(
    r"\$\{|\$\(|\$[A-Za-z_]+$|%[sdvqr]|%\(|\{[\w.!:\[\]]*\}|\(|\[|(?:\*+|x{3,}|X{3,}|\.{2,}|\u2026|-{2,}|_{2,})$"
)
_EXPRESSION = re.compile(r"&?[A-Za-z_$][\w$]*(?:(?:\??\.|::|->)[A-Za-z_$][A-Za-z_$]*)*(?:[(\[]|(?:\??\.|::|->)?$)")
_PROSE_FOLLOWS = re.compile(r"[ \t]+[A-Za-z(]")
_LETTERS = re.compile(r"[A-Za-z_$.]+")
_SHORTEST_VALUE = 3
_LONG_VALUE = 256
_LONGEST_QUOTED = 256 * 1024
_MOST_QUOTES = 200
MOST_NAMES = 20_000
"""That are looked at in one text; one with more is masked whole. To look at one takes five microseconds."""
_LONGEST_IDENTIFIER = 20
_MACHINE_MADE = frozenset(("token", "key", "secret"))


def named_values(text: str) -> Iterator[tuple[int, int, str]]:
    """``(start, end, kind)`` of the values that stand beside sensitive names in ``text``."""
    done: dict[str, int] = {}
    parts = parts_with_names(text)
    found = list(islice((one for first, last in parts for one in _looked_at(text, first, last)), MOST_NAMES + 1))
    if len(found) > MOST_NAMES:
        yield 0, len(text), "too-many"
        return
    for start, end, kind in sorted((start, end, kind) for start, end, kind in found if kind is not None):
        if end <= done.get("value", 0):
            continue  # a name inside of what is masked already
        for first, last in _values_after(text, start, end, kind):
            if last > first:
                yield first, last, kind
                done["value"] = max(done.get("value", 0), last)


def _values_after(text: str, start: int, end: int, kind: str) -> Iterator[tuple[int, int]]:
    name = text[start:end]
    option = name.startswith("--") or _DASHED.search(text[max(0, start - 4) : start])
    separator = _SEPARATOR.match(text, end)
    if separator is None:
        gap = _OPTION.match(text, end) if option else None
        if gap:
            yield from _option_value(text, gap.end(), kind)
        return
    at = separator.end()
    if separator["xml"]:
        value = _XML_VALUE.match(text, at)
        if value and text[max(0, start - 1) : start] == "<":
            yield value.span()
        return
    opener = _OPENER.match(text, at)
    if opener:
        # In "Password: " + x the quote closes what stands before it.
        if separator["quoted"] or not _closes(text, opener.end()):
            first, last = _quoted(text, opener, kind)
            if not is_excused(text[first:last], kind):
                yield first, last
    elif text.startswith("[", at):
        yield from _listed(text, at + 1)
    elif kind in ("authorization", "cookie") and ":" in separator["sign"]:
        yield from _header(text, at, kind)
    else:
        yield from _bare(text, at, separator["sign"], kind)


def _closes(text: str, after: int) -> bool:
    return after >= len(text) or text[after] in ")]},;+. \t\r\n%"


def _quoted(text: str, opener: re.Match[str], kind: str) -> tuple[int, int]:
    start = opener.end()
    quote = opener[1]
    scheme = AUTH_SCHEME.match(text, start) if kind == "authorization" else None
    if scheme:
        start = scheme.end()
    if quote in ('"', "'"):
        closed = (_DOUBLE if quote == '"' else _SINGLE).match(text, start)
        if closed:
            return start, closed.end() - 1
    else:
        end = _closing(text, start, quote)
        if end >= 0:
            return start, end
    # Cut off before the quote closed: the rest of the line is the value.
    rest = _LINE.match(text, start)
    return start, rest.end() if rest else len(text)


def _closing(text: str, start: int, quote: str) -> int:
    """Where ``quote`` stands again, itself escaped as in JSON within JSON, or in three; -1 where it does not. Where it
    is not among the next few hundred quotes the end of the text: whoever begins many that never close would have all of
    it searched for each.

    With n backslashes before the quote, one of the value's own takes 2n + 2 and a quote in the value n + 1 more.
    """
    plain = quote.lstrip("\\")
    escapes = len(quote) - len(plain)
    last, end = start, start + _LONGEST_QUOTED
    for _ in range(_MOST_QUOTES):
        at = text.find(plain, last, end)
        if at < 0:
            return -1 if end >= len(text) else len(text)
        between = text[last:at]
        run = len(between) - len(between.rstrip("\\"))
        if run % (2 * escapes + 2) == escapes:
            return at - escapes
        last = at + 1
    return len(text)


def _listed(text: str, at: int) -> Iterator[tuple[int, int]]:
    while True:
        gap = _ITEM.match(text, at)
        opener = _OPENER.match(text, gap.end() if gap else at)
        if opener is None:
            return
        start, end = _quoted(text, opener, "")
        yield start, end
        at = end + len(opener[1])


def _option_value(text: str, at: int, kind: str) -> Iterator[tuple[int, int]]:
    opener = _OPENER.match(text, at)
    if opener:
        yield _quoted(text, opener, kind)
        return
    value = _bare_value(text, at)
    if value and not value[0].startswith("-"):
        yield value.start(), _trimmed(value)


def _bare_value(text: str, at: int) -> re.Match[str] | None:
    """The bare word at ``at``, unless a placeholder stands there. Only the head of a long one is looked at for that:
    whoever repeats names inside of one word would have all of it read again for each.
    """
    if _PLACEHOLDER.match(text[at : _head_end(text, at)]):
        return None
    return _BARE.match(text, at)


def _head_end(text: str, at: int) -> int:
    head = _BARE.match(text, at, at + _LONG_VALUE)
    return head.end() if head else at


def _header(text: str, at: int, kind: str) -> Iterator[tuple[int, int]]:
    if kind == "cookie":
        value = _COOKIES.match(text, at)
        if value:
            yield value.start(), value.start() + len(value[0].rstrip())
        return
    parameters = _PARAMETERS.match(text, at)
    if parameters:
        yield parameters.start(1), parameters.start(1) + len(parameters[1].rstrip())
        return
    scheme = AUTH_SCHEME.match(text, at)
    value = _bare_value(text, scheme.end() if scheme else at)
    if value and (scheme or not _reads_on(text, value)):
        yield value.start(), _trimmed(value)


def _bare(text: str, at: int, sign: str, kind: str) -> Iterator[tuple[int, int]]:
    if _head_end(text, at) - at >= _LONG_VALUE:
        yield from _long_bare(text, at, kind)
        return
    found = _BARE.match(text, at)
    if found is None:
        return
    end = _trimmed(found)
    value = text[at:end]
    if (
        len(value) < _SHORTEST_VALUE
        or value.lower() in _WORDS
        or is_excused(value, kind)
        or _PLACEHOLDER.match(value)
        or _is_name_of_one(value, kind)
    ):
        return
    spaced = sign[-1:].isspace()
    if spaced and (_reads_on(text, found) if ":" in sign else _reads_as_code(value, kind)):
        return
    if _is_expression(text, value, end, spaced):
        return
    yield at, end


def _long_bare(text: str, at: int, kind: str) -> Iterator[tuple[int, int]]:
    """A word too long to be one of a sentence. What it is not, its head tells."""
    head = text[at : at + _LONG_VALUE]
    expression = _EXPRESSION.match(head)
    is_code = expression is not None and expression[0][-1:] in "(["
    if is_code or is_excused(head, kind) or _PLACEHOLDER.match(head):
        return
    found = _BARE.match(text, at)
    if found:
        yield at, _trimmed(found)


def _trimmed(value: re.Match[str]) -> int:
    return value.start() + len(value[0].rstrip(")]}.,:;"))


def _reads_on(text: str, value: re.Match[str]) -> bool:
    """A plain word followed by another: a sentence goes on, no value stands here."""
    word = value[0].rstrip(".,:;!?")
    return word.isalpha() and (word.islower() or word.istitle()) and _PROSE_FOLLOWS.match(text, value.end()) is not None


def _reads_as_code(value: str, kind: str) -> bool:
    """``token = result``: an identifier. What a machine made has a digit, or is long."""
    is_letters = kind in _MACHINE_MADE and len(value) < _LONGEST_IDENTIFIER and _LETTERS.fullmatch(value) is not None
    return is_letters and reads_as_identifier(value)


def _is_expression(text: str, value: str, end: int, spaced: bool) -> bool:
    """A call, an index, or an attribute without digits: ``get_token()``, ``env[0]``, ``process.env.API_KEY``."""
    found = _EXPRESSION.match(value)
    if found is None:
        return False
    if found[0][-1:] in "([":
        return True
    is_whole = found.end() == len(value)
    return is_whole and (
        "." in value or "::" in value or "->" in value or (text[end : end + 1] in ("(", "[") and spaced)
    )


def _is_name_of_one(value: str, kind: str) -> bool:
    """``api_key=my_api_key``, ``password: HTTPPassword``: the value is a name, of the same kind of thing."""
    word = value.strip(":@&*$#?!.,;()[]{}")
    return (
        word.isidentifier()
        and len(word) > _SHORTEST_VALUE
        and names_kind(word, kind)
        and not any(map(str.isdigit, word))
    )

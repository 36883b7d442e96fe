"""Masking: what is written, shown to operators, exported, and logs on the wire pass through here first.

Masked are the values under names that announce a secret, text that has the shape of a credential, and the secrets that
Doorward itself holds, given literally. A mask is visible and stable, ``masked:KIND:fingerprint`` between single angle
quotes: the same value gets the same fingerprint as long as the process lives, so that two log lines can be compared,
and the fingerprint is keyed, so that a short secret cannot be found by trying. Masking masked text changes nothing.

Where names and shapes disagree about the extent, the union is masked. A bare value after a name (``password: x``) is
told from prose and code by what follows it; where that is not possible, the value is masked.

Not protected against: a server that means to leak (any encoding of its own passes), a passphrase of several words
without quotes, a bare secret that reads like the next word of a sentence, code that stands where a value is expected.
Taint (a value that arrived under a sensitive name, wherever it shows up later) comes with issue I and belongs beside
``secrets``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from typing import Any

import msgspec

from doorward.content.credentials import AUTH_SCHEME, is_excused, sensitive_kind, shapes_in
from doorward.content.pointers import join, strings
from doorward.content.quick import maybe_credential, maybe_named, maybe_sensitive

_OPEN, _CLOSE = "\u2039", "\u203a"
MASK = re.compile(rf"{_OPEN}masked:[a-z0-9\-]{{1,32}}:[0-9a-f]{{10}}{_CLOSE}")
_MASK_BYTES = f"{_OPEN}masked:".encode()
# What a text of less than twenty characters must hold to be worth looking at: no shape is that short.
_PAIR_HINT = re.compile(r"[:=>]|--|(?i:basic|bearer)")
_SHORTEST_SHAPE = 20
_SHORTEST_SECRET = 6
_SHORTEST_KEY = 16
_LARGE = 64 * 1024
_AS_IT_IS = re.compile(r"[A-Za-z0-9_.~\-]*")  # what nobody writes in another way
_DEEPEST = 200
_MOST_ROUNDS = 4
MOST_HITS = 2_000
"""Each takes thirty microseconds: a text with more is masked whole, and so is what else there is to mask in a tree."""
_TOO_MANY = "too-many"


class Hit(msgspec.Struct, frozen=True, gc=False):
    """One thing that was masked: its kind, where it stood (JSON pointer; empty in a plain text), and its
    fingerprint.
    """

    kind: str
    where: str
    fingerprint: str


class _Walk:
    """What one walk through a tree found so far, and whether shapes may be in it."""

    __slots__ = ("hits", "shapes")

    def __init__(self, shapes: bool) -> None:
        self.hits: list[Hit] = []
        self.shapes = shapes


def contains_mask(value: object) -> bool:
    """Whether any string or member name in ``value`` holds a mask, ours or one that looks like ours.

    An argument that does is refused: the caller means a value that it never saw.
    """
    return any(_OPEN in text and MASK.search(text) for text in strings(value))


def maybe_masked(body: bytes) -> bool:
    """Whether an encoded message may hold a mask; False is certain. The prefilter of ``contains_mask``."""
    # A search for one byte comes first: it is many times faster, and nearly always the last.
    return (_MASK_BYTES[:1] in body and _MASK_BYTES in body) or (b"\\" in body and b"\\u2039masked" in body)


class Masker:
    """Masks text and trees with one key and one set of known secrets, both for the life of a process.

    ``key`` is random, 16 to 64 bytes, given by the door; it never leaves the process. ``secrets`` are values to mask
    wherever they appear, literally or as JSON, Python and URLs write them within a text; those shorter than six
    characters are left out, since they would mask ordinary words.

    Raises ``ValueError`` if the key has another length.
    """

    __slots__ = ("_key", "_needles", "_secrets")

    def __init__(self, key: bytes, secrets: Iterable[str] = ()) -> None:
        if not _SHORTEST_KEY <= len(key) <= blake2b.MAX_KEY_SIZE:
            raise ValueError("a masking key has 16 to 64 bytes")
        self._key = key
        known = {form for secret in secrets if len(secret) >= _SHORTEST_SECRET for form in _written(secret)}
        self._secrets = tuple(sorted(known, key=lambda form: (-len(form), form)))
        self._needles = tuple(form.encode("utf-8", "surrogatepass") for form in self._secrets)

    def maybe_sensitive(self, body: bytes) -> bool:
        """Whether an encoded message or text may hold something to mask; False is certain."""
        return maybe_sensitive(body) or self._may_hold_known(body)

    def maybe_credential(self, body: bytes) -> bool:
        """The same of what ``mask_text`` masks with ``names`` false."""
        return maybe_credential(body) or self._may_hold_known(body)

    def maybe_named(self, body: bytes) -> bool:
        """The same of what stands after a sensitive name."""
        return maybe_named(body)

    def _may_hold_known(self, body: bytes) -> bool:
        return self._needles != () and any(needle in body for needle in self._needles)

    def fingerprint(self, value: str) -> str:
        """Ten hexadecimal digits that stand for ``value`` in this process, and tell nothing about it elsewhere."""
        return blake2b(
            value.encode("utf-8", "surrogatepass"), digest_size=5, key=self._key, person=b"doorward-mask"
        ).hexdigest()

    def mask_text(
        self, text: str, *, where: str = "", names: bool = True, shapes: bool = True
    ) -> tuple[str, tuple[Hit, ...]]:
        """``text`` with everything sensitive masked, and what that was; the very same object when nothing was.

        With ``names`` false only known secrets and the shapes of credentials count, not what stands after a sensitive
        name: for content that somebody asked for, such as a file with settings, rather than for a log. ``shapes`` is
        false where the caller knows, by ``maybe_credential``, that there are none: that is not looked for again.
        """
        if self._is_harmless(text):
            return text, ()
        if not self._may_hold(text, names=names):
            return text, ()
        hits: list[Hit] = []
        # A mask is an edge where there was none, beside which something more may be seen: hence more than one round.
        for _ in range(_MOST_ROUNDS):
            text, found = self._mask_once(text, where, names=names, shapes=shapes)
            hits += found
            shapes = True
            if not found:
                break
        return text, tuple(hits)

    def mask_tree(self, value: Any, *, shapes: bool = True) -> tuple[Any, tuple[Hit, ...]]:
        """``value`` (decoded JSON) with everything sensitive masked, and what that was.

        Under a sensitive name every string and number is masked, in lists and objects below it too, unless the object
        is a JSON Schema of such a value. Parts that did not change are shared with ``value``, which is not modified.
        Below 200 levels a part is masked whole rather than walked. ``shapes`` as for ``mask_text``.
        """
        walk = _Walk(shapes)
        return self._tree(value, "", None, 0, walk), tuple(walk.hits)

    def mask_whole(self, text: str, *, where: str = "", names: bool = True) -> tuple[str, tuple[Hit, ...]]:
        """``text`` as one mask where it may hold something to mask: for what comes after ``MOST_HITS``."""
        if self._is_harmless(text) or not self._may_hold(text, names=names):
            return text, ()
        mask, hit = self._mask(text, _TOO_MANY, where)
        return mask, (hit,)

    def _mask_once(self, text: str, where: str, *, names: bool, shapes: bool) -> tuple[str, list[Hit]]:
        # A mask must not be taken for a name with a value; as many opening brackets are in no pattern.
        hushed = MASK.sub(lambda mask: _OPEN * len(mask[0]), text) if _OPEN in text else text
        parts: list[str] = []
        hits: list[Hit] = []
        done = 0
        spans = list(islice(self._spans(hushed, names=names, shapes=shapes), MOST_HITS + 1))
        if len(spans) > MOST_HITS:
            spans = [(0, len(text), _TOO_MANY)]
        for start, end, kind in _merge(spans, hushed):
            mask, hit = self._mask(text[start:end], kind, where)
            parts += (text[done:start], mask)
            hits.append(hit)
            done = end
        return ("".join((*parts, text[done:])) if hits else text), hits

    def _mask(self, value: str, kind: str, where: str) -> tuple[str, Hit]:
        fingerprint = self.fingerprint(value)
        return f"{_OPEN}masked:{kind}:{fingerprint}{_CLOSE}", Hit(kind, where, fingerprint)

    def _is_harmless(self, text: str) -> bool:
        """Whether a text is too short for a shape and neither names nor holds anything. Most names and ids are."""
        return len(text) < _SHORTEST_SHAPE and _PAIR_HINT.search(text) is None and not self._holds_known(text)

    def _may_hold(self, text: str, *, names: bool) -> bool:
        if names and len(text) >= _LARGE:
            return True  # what follows looks for itself, for shapes and, part by part, for names
        look = self.maybe_sensitive if names else self.maybe_credential
        return look(text.encode("utf-8", "surrogatepass"))

    def _holds_known(self, text: str) -> bool:
        return self._secrets != () and any(secret in text for secret in self._secrets)

    def _spans(self, text: str, *, names: bool, shapes: bool) -> Iterator[tuple[int, int, str]]:
        for secret in self._secrets:
            start = text.find(secret)
            while start >= 0:
                yield start, start + len(secret), "known"
                start = text.find(secret, start + len(secret))
        # Forty searches of a large text, to be saved where it was names that brought us here.
        if shapes and (not names or maybe_credential(text.encode("utf-8", "surrogatepass"))):
            yield from shapes_in(text)
        if names:
            # Most processes never see a hit; compiling that grammar is a tenth of what a start may cost.
            from doorward.content.pairs import named_values

            yield from named_values(text)

    def _tree(self, value: Any, where: str, kind: str | None, depth: int, walk: _Walk) -> Any:
        if isinstance(value, str):
            return self._string(value, where, kind, walk)
        if isinstance(value, dict | list):
            if depth >= _DEEPEST:
                return self._note(repr(type(value)), "too-deep", where, walk)
            if isinstance(value, dict):
                return self._object(value, where, kind, depth, walk)
            items = [self._tree(item, join(where, i), kind, depth + 1, walk) for i, item in enumerate(value)]
            return value if all(map(_same, items, value)) else items
        if kind not in (None, "pass") and isinstance(value, int | float) and not isinstance(value, bool):
            return self._note(msgspec.json.encode(value).decode(), kind, where, walk)
        return value

    def _object(self, value: dict[str, Any], where: str, kind: str | None, depth: int, walk: _Walk) -> dict[str, Any]:
        inherited = None if kind is None or _is_schema(value) else kind
        changed = False
        masked: dict[str, Any] = {}
        for name, item in value.items():
            place = join(where, name)
            shown = self._string(name, place, None, walk)
            # The word ``token`` in a mask announces nothing.
            named = sensitive_kind(MASK.sub(" ", shown) if _OPEN in shown else shown)
            masked[shown] = below = self._tree(item, place, named or inherited, depth + 1, walk)
            changed = changed or below is not item or shown is not name
        return masked if changed else value

    def _string(self, text: str, where: str, kind: str | None, walk: _Walk) -> str:
        if kind is None:
            if len(walk.hits) > MOST_HITS:
                masked, found = self.mask_whole(text, where=where)
            else:
                masked, found = self.mask_text(text, where=where, shapes=walk.shapes)
            walk.hits.extend(found)
            return masked
        if is_excused(text, kind) or _is_masked(text):
            return text
        scheme = AUTH_SCHEME.match(text) if kind == "authorization" else None
        kept = scheme[0] if scheme else ""
        return kept + self._note(text[len(kept) :], kind, where, walk)

    def _note(self, text: str, kind: str, where: str, walk: _Walk) -> str:
        mask, hit = self._mask(text, kind, where)
        walk.hits.append(hit)
        return mask


def _written(secret: str) -> set[str]:
    """A secret as it stands in a text, in a string of JSON or of Python, and in a URL."""
    if _AS_IT_IS.fullmatch(secret):
        return {secret}
    from json import dumps
    from urllib.parse import quote

    quoted = {text[1:-1] for text in (dumps(secret), dumps(secret, ensure_ascii=False), repr(secret))}
    in_url = secret.encode("utf-8", "surrogatepass")
    return {secret, *quoted, quote(in_url), quote(in_url, "")}


def _same(one: object, other: object) -> bool:
    return one is other


_JSON_TYPES = frozenset(("string", "number", "integer", "boolean", "object", "array", "null"))
_SCHEMA_NAMES = frozenset(("$ref", "anyOf", "oneOf", "allOf", "enum", "const", "properties"))


def _is_schema(value: dict[str, Any]) -> bool:
    declared = value.get("type")
    if isinstance(declared, list):
        return all(isinstance(item, str) and item in _JSON_TYPES for item in declared)
    return (isinstance(declared, str) and declared in _JSON_TYPES) or not _SCHEMA_NAMES.isdisjoint(value)


def _is_masked(text: str) -> bool:
    """Whether nothing but masks, an authentication scheme and punctuation is left of ``text``."""
    if _OPEN not in text:
        return False
    rest = MASK.sub("", text).replace(_OPEN, "")
    scheme = AUTH_SCHEME.match(rest)
    return not (rest[scheme.end() :] if scheme else rest).strip(" \t,;")


def _merge(spans: Iterable[tuple[int, int, str]], hushed: str) -> list[tuple[int, int, str]]:
    """Disjoint spans in order; overlapping ones become their union, named after the longest."""
    merged: list[tuple[int, int, str]] = []
    longest = 0
    for start, end, kind in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start >= end or _is_masked(hushed[start:end]):
            continue
        if merged and start < merged[-1][1]:
            first, last, known = merged[-1]
            if end - start > longest:
                longest, known = end - start, kind
            merged[-1] = (first, max(last, end), known)
        else:
            merged.append((start, end, kind))
            longest = end - start
    return merged

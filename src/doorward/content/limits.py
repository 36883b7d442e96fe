"""How large one part of a message may be.

``wire`` bounds the whole message (bytes, depth, nodes) before it is built; this page bounds its parts, which only
somebody who knows what they mean can judge: a URI, an id, an argument. The numbers of DESIGN section 7 stand in
``policy.profiles``, which may differ by profile; those that hold in every profile stand here. Sizes are bytes of
UTF-8, because that is what a peer has to hold and what an attacker pays for.

What is written as base64 is counted as what it decodes to, by arithmetic: nobody here decodes it.

Not protected against: many parts that are each within their limit (the message limit does that), and a small part
that a server expands by itself (a compressed bomb; the sandbox's memory cap does that).
"""

from __future__ import annotations

from typing import Final

from doorward.content.pointers import leaves, strings

NAME_BYTES: Final = 512
"""Tools, prompts and arguments: the specification recommends at most 128 characters for a tool's name."""

_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_CLEAN_ENDS: Final = {1: frozenset("AEIMQUYcgkosw048"), 2: frozenset("AQgw")}
"""By how many ``=`` follow it: the last character of an encoding whose unused bits are zero, as they must be."""

CURSOR_BYTES: Final = 4 << 10
"""Opaque; some servers put a signed token or a serialised query into one, as large as a cookie."""


def utf8_bytes(text: str) -> int:
    """The size of ``text`` as UTF-8. A lone surrogate counts three bytes, as it would if it could be encoded."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def exceeds(text: str, max_bytes: int) -> bool:
    """Whether ``text`` is more than ``max_bytes`` long; encodes only when the number of characters leaves it open."""
    length = len(text)
    if length > max_bytes:
        return True
    return length * 4 > max_bytes and utf8_bytes(text) > max_bytes


def decoded_bytes(base64: str) -> int:
    """How many bytes ``base64`` decodes to if it is what it says; of anything else at most so many, to the quartet."""
    return len(base64) // 4 * 3 - (base64.endswith("=") + base64.endswith("=="))


def base64_problem(base64: str) -> str | None:
    """Why ``base64`` is no encoding by RFC 4648 section 4, or None. One pass, and nothing is decoded.

    Padding is whole and the bits that it leaves over are zero, as section 3.5 demands of whoever encodes: decoders
    differ in what they make of anything else. Line breaks and the alphabet of URLs are no part of it.
    """
    if len(base64) % 4:
        return "its length is no multiple of four"
    padded = base64.endswith("=") + base64.endswith("==")
    if not base64.isascii() or base64.encode().translate(None, _BASE64) != b"=" * padded:
        return "it has characters that are none of base64"
    if padded and base64[-1 - padded] not in _CLEAN_ENDS[padded]:
        return "bits beyond its end are set"
    return None


def first_oversized_string(value: object, max_bytes: int, *, encoded_bytes: int | None = None) -> str | None:
    """The JSON pointer of the first string in ``value`` (member names included) that is larger than ``max_bytes``.

    ``encoded_bytes`` is the size of ``value`` as JSON where the caller knows it: no string in a message of that size
    can be larger, so the walk is saved for all but the largest messages.
    """
    if encoded_bytes is not None and encoded_bytes <= max_bytes:
        return None
    if not any(exceeds(text, max_bytes) for text in strings(value)):
        return None  # the same question without the place, which is most of the work
    for pointer, leaf, _ in leaves(value):
        if isinstance(leaf, str) and exceeds(leaf, max_bytes):
            return pointer
    return None

"""How large one part of a message may be.

``wire`` bounds the whole message (bytes, depth, nodes) before it is built; this page bounds its parts, which only
somebody who knows what they mean can judge: a URI, an id, an argument. The numbers are DESIGN section 7; each argues
itself below. Sizes are bytes of UTF-8, because that is what a peer has to hold and what an attacker pays for.

Not protected against: many parts that are each within their limit (the message limit does that), and a small part
that a server expands by itself (a compressed bomb; the sandbox's memory cap does that).
"""

from __future__ import annotations

import msgspec

from doorward.content.pointers import leaves


class PartLimits(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The largest allowed size of each part, in bytes of UTF-8. The defaults are the profile ``standard``."""

    # A source file or a document that a model writes is far below 1 MiB; JSON-RPC is not a file transfer, and a model
    # that means to move more has resources for it.
    argument_string_bytes: int = 1 << 20
    # A member name is written by a programmer. The longest names of real tool schemas stay below 64 bytes.
    argument_name_bytes: int = 1 << 10
    # RFC 9110 section 4.1 asks for at least 8,000 octets; what is longer does not survive the proxies of the HTTP
    # doors.
    uri_bytes: int = 8 << 10
    # Ids are integers or UUIDs (36 bytes) in every SDK. They are kept while a request is open, so they must be cheap.
    # Progress tokens and task ids are the same kind of thing.
    id_bytes: int = 256
    # clientInfo and serverInfo hold names, a version and a few icons; an icon as a data: URI of some KiB fits.
    peer_info_bytes: int = 16 << 10
    # The longest method of both eras, notifications/subscriptions/acknowledged, has 39 bytes. Method names reach logs,
    # counters and hints, and a quarter of 512 still leaves room for the prefixed names of extensions.
    method_bytes: int = 512
    # The specification recommends at most 128 characters for a tool name; a quarter of 512 is just that.
    name_bytes: int = 512
    # A cursor is opaque; some servers put a signed token or a serialised query into it, as large as a cookie (4,096).
    cursor_bytes: int = 4 << 10
    # requestState of 2026-07-28 carries the server's state through the client, and our seal around it.
    request_state_bytes: int = 64 << 10
    # The logger's name in a log notification: a dotted module path.
    logger_bytes: int = 1 << 10


STANDARD = PartLimits()
STRICT = PartLimits(**{field: getattr(STANDARD, field) // 4 for field in STANDARD.__struct_fields__})
"""The profile ``strict``: a quarter of everything (DESIGN section 7)."""


def utf8_bytes(text: str) -> int:
    """The size of ``text`` as UTF-8. A lone surrogate counts three bytes, as it would if it could be encoded."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def exceeds(text: str, max_bytes: int) -> bool:
    """Whether ``text`` is more than ``max_bytes`` long; encodes only when the number of characters leaves it open."""
    length = len(text)
    if length > max_bytes:
        return True
    return length * 4 > max_bytes and utf8_bytes(text) > max_bytes


def first_oversized_string(value: object, max_bytes: int, *, encoded_bytes: int | None = None) -> str | None:
    """The JSON pointer of the first string in ``value`` (member names included) that is larger than ``max_bytes``.

    ``encoded_bytes`` is the size of ``value`` as JSON where the caller knows it: no string in a message of that size
    can be larger, so the walk is saved for all but the largest messages.
    """
    if encoded_bytes is not None and encoded_bytes <= max_bytes:
        return None
    if not _holds_oversized(value, max_bytes):
        return None
    for pointer, leaf, _ in leaves(value):
        if isinstance(leaf, str) and exceeds(leaf, max_bytes):
            return pointer
    return None


def _holds_oversized(value: object, max_bytes: int) -> bool:
    """The same question without the place, which is most of the work."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if exceeds(item, max_bytes):
                return True
        elif isinstance(item, dict):
            stack.extend(item)
            stack.extend(item.values())
        elif isinstance(item, list | tuple):
            stack.extend(item)
    return False


def oversized_id(request_id: str | int | None, limits: PartLimits = STANDARD) -> bool:
    """Whether an id, progress token or task id is too long. A number counts as its decimal digits."""
    if isinstance(request_id, int):
        # A limit of n bytes allows n digits; comparing bits first avoids printing a number of a million digits.
        return request_id.bit_length() > limits.id_bytes * 4 or len(str(request_id)) > limits.id_bytes
    return request_id is not None and exceeds(request_id, limits.id_bytes)


def oversized_uri(uri: str, limits: PartLimits = STANDARD) -> bool:
    """Whether a URI is too long, before anything parses it."""
    return exceeds(uri, limits.uri_bytes)


def oversized_peer_info(info: object, limits: PartLimits = STANDARD) -> bool:
    """Whether ``clientInfo`` or ``serverInfo``, as JSON, is too large to keep, show and record."""
    return len(msgspec.json.encode(info)) > limits.peer_info_bytes

"""One frame of bytes to one JSON-RPC message, within limits, without a parser differential.

The rules that this file must keep:

* Nothing is built before it was counted: length first, then nodes (by their delimiters), then the tree.
* The whole tree is decoded and checked; nothing is skipped, so nothing can hide in what was skipped.
* What is sent on is our own encoding of that tree, never the received bytes. Two parsers that disagree about the
  received bytes (duplicate keys, byte order marks, odd numbers) cannot disagree about ours.
* An object member may be named once. msgspec keeps the last silently, so a lost member is found by re-encoding: equal
  bytes lost nothing; otherwise the colons outside strings must be as many as the keys in the tree.
* ``true`` is not ``1`` and ``1.0`` is not an id.
* A number is one that a double can hold: 1e400 is refused, and more than 309 digits in a row.

Sources: JSON-RPC 2.0; RFC 8259, section 6 for what numbers may be refused; RFC 7493, section 2.2; MCP "Base protocol"
(ids are strings or integers and never null, params and result are objects; batches exist in 2025-03-26 only).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final, final

import msgspec

from doorward.errors import MalformedMessageError

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600

Id = str | int


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError("out of range")
    return value


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode
_decode_by_python: Final = msgspec.json.Decoder(float_hook=_finite).decode

_DEAR_NUMBER: Final = re.compile(rb"[eE][+-]?0*[2-9][0-9]{2}")
_MANY_NUMBERS: Final = 2_000
_MAX_DIGITS: Final = 309  # of the largest double
_STEP: Final = 31  # so many digits more have ten at every 31st byte, wherever they begin
_AS_ZEROS: Final = bytes.maketrans(b"123456789", b"0" * 9)
_PAIR_OR_LONE: Final = re.compile(
    rb"\\u([dD][89abAB][0-9a-fA-F]{2})(\\u[dD][c-fC-F][0-9a-fA-F]{2})?|\\u([dD][c-fC-F]..)"
)
_COUNT_FIRST_ABOVE: Final = 64 * 1024  # below this the delimiters cannot be many enough to matter before decoding
_ORDERS: Final = frozenset(
    {
        ("jsonrpc", "id", "method", "params"),
        ("jsonrpc", "id", "method"),
        ("jsonrpc", "method", "params"),
        ("jsonrpc", "method"),
        ("jsonrpc", "id", "result"),
        ("jsonrpc", "id", "error"),
    }
)
"""The members of a message in the order in which we encode them."""
_SMALL: Final = 4 * 1024
_ASKING: Final = frozenset({"jsonrpc", "id", "method", "params"})
_ANSWERING: Final = frozenset({"jsonrpc", "id", "result", "error"})
_MAX_METHOD: Final = 256  # the longest method of any revision has 46 characters


_OUTLINE: Final = re.compile(
    rb'\{"jsonrpc":"2\.0",(?:"id":("[^"\\]*+(?:\\.[^"\\]*+)*+"|-?\d+|null),)?"(method|result|error)":'
)
_WITH_ID: Final = b'{"jsonrpc":"2.0","id":'


class FrameLimits(msgspec.Struct, frozen=True):
    """What one frame may hold. Bytes are UTF-8 bytes as received.

    Defaults are DESIGN §7, direction *to server*. Nodes matter more than bytes: a list of empty lists costs 23-26
    times its size in memory, plain text once (DESIGN §8).
    """

    max_bytes: int = 4 * 1024 * 1024
    max_depth: int = 64
    max_nodes: int = 20_000


class Request(msgspec.Struct, frozen=True):
    """A message that wants an answer."""

    id: Id
    method: str
    params: dict[str, Any] | None = None


class Notification(msgspec.Struct, frozen=True):
    """A message that wants none."""

    method: str
    params: dict[str, Any] | None = None


@final
class Response(msgspec.Struct, frozen=True):
    """An answer: exactly one of ``result`` and ``error`` is not None. ``id`` is None only for an error whose request
    could not be read (JSON-RPC 2.0 §5).
    """

    id: Id | None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


Message = Request | Notification | Response


class Decoded(msgspec.Struct, frozen=True):
    """A message, our encoding of it (``body``: what ``encode`` makes of it), and how many values its tree has (an upper
    bound when ``body`` is small enough for the bound not to matter).
    """

    message: Message
    body: bytes
    nodes: int


def key_of(request_id: Id) -> str:
    """The id as JSON text: the one form in which ids are compared, so that ``1`` and ``"1"`` stay two."""
    return str(request_id) if type(request_id) is int else _encode(request_id).decode()


def key_or_nothing(value: object) -> str:
    """The same of an id or token that a peer wrote into params; empty for what is neither a string nor an integer."""
    return key_of(value) if type(value) is str or type(value) is int else ""


def encode_value(value: object) -> bytes:
    """Our encoding of any JSON value: compact, member order kept."""
    return _encode(value)


def decode_value(body: bytes) -> Any:
    """The tree of bytes that we encoded ourselves. Not for bytes from a peer: those go through :func:`decode`."""
    return (_decoder_for(_outside_strings(body)) if _has_exponents(body) else _decode)(body)


def encode(message: Message) -> bytes:
    """Our encoding of a message, without a trailing newline."""
    tree: dict[str, Any] = {"jsonrpc": "2.0"}
    if not isinstance(message, Notification):
        tree["id"] = message.id
    if isinstance(message, Response):
        if message.error is not None:
            tree["error"] = message.error
        else:
            tree["result"] = message.result
        return _encode(tree)
    tree["method"] = message.method
    if message.params is not None:
        tree["params"] = message.params
    return _encode(tree)


class Outline(msgspec.Struct, frozen=True):
    """What our own encoding of a message shows without being decoded: ``part`` is its first member after the id, ``id``
    the id as JSON text (empty: none), ``rest`` where the text after the id begins.
    """

    part: str  # "method" | "result" | "error"
    id: bytes
    rest: int

    @property
    def answers(self) -> bool:
        return self.part != "method"


def outline(body: bytes) -> Outline:
    """The outline of bytes that we encoded ourselves (:func:`encode`). Raises ValueError for any others."""
    found = _OUTLINE.match(body)
    if found is None:
        raise ValueError("not a message of our own encoding")
    return Outline(found[2].decode(), found[1] or b"", found.end(1))


def with_id(body: bytes, seen: Outline, key: str) -> bytes:
    """``body`` with another id, given as JSON text. Ids are hop by hop: everything behind it stays as it is."""
    return b"".join((_WITH_ID, key.encode(), body[seen.rest :]))


def decode(frame: bytes, limits: FrameLimits) -> Decoded:
    """The one message in ``frame``.

    Raises MalformedMessageError: with ``rpc_code`` -32700 when the bytes are not JSON within the limits, -32600
    when the JSON is not one JSON-RPC message. ``request_id`` is set where an id could be read, so that the peer can
    be told.

    Does not protect against anything that depends on meaning: methods, arguments and states are judged later.
    """
    if len(frame) > limits.max_bytes:
        raise _malformed("frame-bytes", f"{len(frame)} bytes in one message, at most {limits.max_bytes}")
    nodes, containers = _bounds(frame, limits)
    read: Callable[[bytes], Any] = _decode
    if nodes > _MANY_NUMBERS:  # or they are commas in a text
        outside = _outside_strings(frame)
        if nodes > limits.max_nodes and len(frame) > _COUNT_FIRST_ABOVE:
            nodes = _values(outside)
            if nodes > limits.max_nodes:
                raise _malformed("frame-nodes", f"about {nodes} values in one message, at most {limits.max_nodes}")
        read = _decoder_for(outside)
    if _has_long_number(frame):
        raise _malformed("number-range", f"a number of more than {_MAX_DIGITS} digits, which no double can hold")
    try:
        tree = read(frame)
        ours = _encode(tree)
    except (ValueError, OverflowError, RecursionError):
        tree = _parse(frame, read)  # which says what is wrong
        ours = _encode_back(tree)
    keys = -1
    if nodes > limits.max_nodes or containers > limits.max_depth:
        nodes, keys = _walk(tree, limits)
    if ours != frame and _colons(frame) != (keys if keys >= 0 else _walk(tree, limits)[1]):
        raise _malformed("duplicate-member", "an object names one member twice", tree=tree, code=INVALID_REQUEST)
    message = _message(tree)
    return Decoded(message, ours if tuple(tree) in _ORDERS else encode(message), nodes)


def _decoder_for(outside: bytes) -> Callable[[bytes], Any]:
    """The decoder takes nine microseconds for a number beyond 1e288 or below 1e-294, and half of one where Python reads
    it; twenty nanoseconds for any other. So where thousands of the former stand ``outside`` strings, Python reads all.
    """
    many = _has_exponents(outside) and len(_DEAR_NUMBER.findall(outside)) > _MANY_NUMBERS
    return _decode_by_python if many else _decode


def _has_exponents(text: bytes) -> bool:
    """Whether there may be thousands."""
    return text.count(b"e") + text.count(b"E") > _MANY_NUMBERS


def _has_long_number(frame: bytes) -> bool:
    """Whether more digits stand in a row, outside strings, than the largest double has. Reading an integer takes the
    square of its length (75 ms for a megabyte of 4,300 digits each), and many readers would make it infinite.
    """
    if b"0" * (_MAX_DIGITS // _STEP + 1) not in frame[::_STEP].translate(_AS_ZEROS):
        return False
    return b"0" * (_MAX_DIGITS + 1) in _outside_strings(frame).translate(_AS_ZEROS)


def count_values(body: bytes) -> int:
    """How many values encoded JSON has, by the delimiters outside its strings (an empty container counts once more)."""
    return _values(_outside_strings(body))


def _values(outside: bytes) -> int:
    return outside.count(b",") + outside.count(b"[") + outside.count(b"{") + 1


def _bounds(frame: bytes, limits: FrameLimits) -> tuple[int, int]:
    """No fewer than the values, and than the lists and objects, in ``frame``, unless both are beyond the limits."""
    if len(frame) < _SMALL and len(frame) < limits.max_nodes * 2:  # a value and what divides it from the next
        return len(frame) // 2 + 1, frame.count(b"[") + frame.count(b"{")
    most = max(limits.max_nodes, limits.max_depth) + 1
    containers = _up_to(most, b"[", frame) + _up_to(most, b"{", frame)
    return _up_to(most, b",", frame) + containers + 1, containers


def _up_to(most: int, delimiter: bytes, frame: bytes) -> int:
    """How many there are of one delimiter, counted up to ``most``. Jumps from one to the next where ``bytes.count``
    looks at every byte.
    """
    return len(frame) - len(frame.replace(delimiter, b"", most))


def _outside_strings(frame: bytes) -> bytes:
    """``frame`` without its strings. It may not be JSON yet: as far as it is, the answer is right, and a string without
    an end is passed over once.
    """
    if b"\\" in frame:
        frame = frame.replace(b"\\\\", b"__").replace(b'\\"', b"__")  # as long as before: nothing has to move
    return b"".join(frame.split(b'"')[::2])


def _colons(frame: bytes) -> int:
    return _outside_strings(frame).count(b":")


def _parse(frame: bytes, read: Callable[[bytes], Any]) -> Any:
    try:
        return read(frame)
    except RecursionError:
        raise _malformed("frame-depth", "nested too deeply to read") from None
    except UnicodeDecodeError as error:
        raise _malformed("utf-8", f"not UTF-8 at byte {error.start}") from None
    except ValueError as error:  # msgspec.DecodeError and ValidationError are ValueErrors
        raise _not_json(frame, error) from None


def _not_json(frame: bytes, error: ValueError) -> MalformedMessageError:
    lone = _lone_surrogate(frame)
    if lone:
        return _malformed(
            "lone-surrogate",
            f"half of a surrogate pair ({lone}) is not a character",
            hint="some JavaScript servers cut strings inside a character; cut them by code point instead",
        )
    if "out of range" in str(error):
        return _malformed("number-range", "a number too large to be carried without changing it")
    return _malformed("json", "not JSON")


def _lone_surrogate(frame: bytes) -> str:
    """The first escaped surrogate without its other half, or an empty string."""
    for match in _PAIR_OR_LONE.finditer(frame):
        if match[2] is None:
            return "\\u" + (match[1] or match[3]).decode("ascii", "replace")
    return ""


def _encode_back(tree: Any) -> bytes:
    try:
        return _encode(tree)
    except (ValueError, OverflowError):
        raise _malformed("number-range", "a number too large to be carried without changing it", tree=tree) from None


def _walk(tree: Any, limits: FrameLimits) -> tuple[int, int]:
    """Count values and keys level by level, so that depth needs no recursion."""
    nodes, keys, depth = 1, 0, 0
    level = [tree]
    while level:
        below: list[Any] = []
        for value in level:
            if type(value) is dict:
                keys += len(value)
                nodes += len(value)
                below.extend(v for v in value.values() if type(v) is dict or type(v) is list)
            elif type(value) is list:
                nodes += len(value)
                below.extend(v for v in value if type(v) is dict or type(v) is list)
        depth += 1
        if below and depth >= limits.max_depth:
            raise _malformed("frame-depth", f"nested deeper than {limits.max_depth} levels", tree=tree)
        if nodes > limits.max_nodes:
            raise _malformed("frame-nodes", f"more than {limits.max_nodes} values in one message", tree=tree)
        level = below
    return nodes, keys


def _message(tree: Any) -> Message:
    if type(tree) is list:
        raise _malformed("batch", "a batch of messages, which this connection does not carry", code=INVALID_REQUEST)
    if type(tree) is not dict:
        raise _malformed("not-an-object", "a JSON-RPC message is an object", code=INVALID_REQUEST)
    if tree.get("jsonrpc") != "2.0":
        raise _malformed("jsonrpc-version", 'the member "jsonrpc" is not "2.0"', tree=tree, code=INVALID_REQUEST)
    if "method" in tree:
        return _request_or_notification(tree)
    return _response(tree)


def _request_or_notification(tree: dict[str, Any]) -> Request | Notification:
    _only(tree, _ASKING)
    method, params = tree["method"], tree.get("params")
    if type(method) is not str or not method or len(method) > _MAX_METHOD:
        raise _malformed("method", "a method is a short string", tree=tree, code=INVALID_REQUEST)
    if "params" in tree and type(params) is not dict:
        raise _malformed("params", "params is an object", tree=tree, code=INVALID_REQUEST)
    if "id" not in tree:
        return Notification(method, params)
    if type(tree["id"]) is not str and type(tree["id"]) is not int:
        raise _malformed("id", "an id is a string or an integer", tree=tree, code=INVALID_REQUEST)
    return Request(tree["id"], method, params)


def _response(tree: dict[str, Any]) -> Response:
    _only(tree, _ANSWERING)
    if ("result" in tree) == ("error" in tree):
        raise _malformed("response", "a response has either a result or an error", tree=tree, code=INVALID_REQUEST)
    request_id = tree.get("id")
    if "result" in tree:
        if type(request_id) is not str and type(request_id) is not int:
            raise _malformed("id", "an id is a string or an integer", tree=tree, code=INVALID_REQUEST)
        if type(tree["result"]) is not dict:
            raise _malformed("result", "a result is an object", tree=tree, code=INVALID_REQUEST)
        return Response(request_id, result=tree["result"])
    if request_id is not None and type(request_id) is not str and type(request_id) is not int:
        raise _malformed("id", "an id is a string or an integer", tree=tree, code=INVALID_REQUEST)
    error = tree["error"]
    if type(error) is not dict or type(error.get("code")) is not int or type(error.get("message")) is not str:
        raise _malformed("error-object", "an error has an integer code and a message", tree=tree, code=INVALID_REQUEST)
    return Response(request_id, error=error)


def _only(tree: dict[str, Any], allowed: frozenset[str]) -> None:
    if not tree.keys() <= allowed:
        extra = sorted(tree.keys() - allowed)
        raise _malformed("extra-member", f"a message has no member {extra[0][:40]!r}", tree=tree, code=INVALID_REQUEST)


def _malformed(
    rule: str, message: str, *, tree: Any = None, code: int = PARSE_ERROR, hint: str = ""
) -> MalformedMessageError:
    request_id = tree.get("id") if type(tree) is dict else None
    readable = type(request_id) is int or (type(request_id) is str and len(request_id) <= _MAX_METHOD)
    if rule.startswith("frame-"):
        code = INVALID_REQUEST
    return MalformedMessageError(rule, message, rpc_code=code, request_id=request_id if readable else None, hint=hint)

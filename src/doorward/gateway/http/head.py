"""A request's head: one reading, or a refusal. The head is complete before any of it is read.

The rules that this file must keep:

* Where a body ends is decided here and nowhere else: by exactly one Content-Length of digits, by exactly one
  ``Transfer-Encoding: chunked``, never by both; without either there is none. Two readings of that are two requests
  where another server saw one (request smuggling).
* Lines end with CRLF. A bare CR or LF, a folded line, a control character, a name with white space refuse the request;
  so does anything that llhttp's strict mode, which reads the same bytes a second time, does not understand.
* Exactly one Host, also in HTTP/1.0, and a target in origin-form: who is asked for is in one place. The other forms are
  for proxies, which this is not.
* No header of which HTTP knows only one occurs twice, so nobody can believe another one than we do.
* A refusal says what is wrong and never shows what was sent.

HTTP/1.0 is served, one request for each connection, because reverse proxies speak it to what is behind them (nginx did
by default until 2026). A wish to change to h2c is ignored, as RFC 9110 §7.8 allows: Java's client sends it with each
first request. Every other upgrade is refused. Bytes above 127 in a value are carried as Latin-1 and mean nothing (RFC
9110 §5.5).

Sources: RFC 9110, RFC 9112. What this does not judge: which Host, Origin, path or method is allowed; that is the
door's.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from doorward.gateway.http.limits import HttpLimits

CHUNKED: Final = -1
_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~]+) HTTP/([0-9])\.([0-9])")
_ORIGIN_FORM: Final = re.compile(rb"/[!-\"$-~]*")
_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_END: Final = b"\r\n\r\n"
_END_BYTES: Final = 4
_LINE_SLACK: Final = 64  # a method and a version
_ALLOWED: Final = bytes((*b"\t\r\n", *range(0x20, 0x7F), *range(0x80, 0x100)))
# HTTP's own fields that are no lists (RFC 9110, RFC 6454): a second one has no meaning that two servers share.
_SINGLE: Final = frozenset(
    "host content-length content-type content-encoding transfer-encoding authorization origin expect referer "
    "user-agent content-range if-modified-since if-unmodified-since max-forwards".split()
)

Address = tuple[str, int]


class Refused(msgspec.Struct, frozen=True):
    """Why a request is not served: the status of the answer, the broken rule, and what is wrong with it in words."""

    status: int
    rule: str
    detail: str


class Head(msgspec.Struct, eq=False):
    """A request without its body. ``path`` and ``query`` are as they came: ASCII, nothing decoded or resolved.

    ``peer`` and ``local`` are the two ends of the connection. ``meaning`` is for the application: what it makes of a
    head, and of nothing else, it may keep here, since one that comes again is the same object (``again``). So there is
    no Content-Length among ``fields``, which may be another one then.
    """

    method: str
    path: str
    query: str
    peer: Address
    local: Address
    http_10: bool
    close: bool
    expects: bool
    fields: dict[str, str]
    repeated: dict[str, tuple[str, ...]]
    meaning: Any = None

    def get(self, name: str) -> str | None:
        """The value of a header that occurs exactly once. None also where it occurs twice: whoever takes a missing
        header for consent names it in ``HttpLimits.single``, or looks at :meth:`all`.
        """
        key = name.lower()
        return None if key in self.repeated else self.fields.get(key)

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a header, in order."""
        key = name.lower()
        if key not in self.fields:
            return ()
        return self.repeated[key] if key in self.repeated else (self.fields[key],)

    def starting(self, prefix: str) -> dict[str, tuple[str, ...]]:
        """Every header whose name begins with ``prefix`` (lower case): its values, in order."""
        return {
            name: self.repeated.get(name, (value,)) for name, value in self.fields.items() if name.startswith(prefix)
        }


class _Fields:
    """What llhttp found, by names in lower case."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self.repeated: dict[str, tuple[str, ...]] = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.lower().decode("ascii"), value.strip(b" \t").decode("latin-1")
        if key in self.fields:
            self.repeated[key] = (*self.repeated.get(key, (self.fields[key],)), text)
        else:
            self.fields[key] = text


def end_of_head(data: bytes, seen: int, limits: HttpLimits) -> int | Refused | None:
    """Where the head ends in ``data``, of which ``seen`` bytes were looked at before; None: not yet.

    What cannot become a head is refused before its end comes: it might never come.
    """
    start = seen - _END_BYTES + 1 if seen >= _END_BYTES else 0
    end = data.find(_END, start, limits.headers_bytes)
    if end >= 0:
        return end + _END_BYTES
    lines = data.find(b"\r\n", 0, limits.target_bytes + _LINE_SLACK)
    if lines < 0 and len(data) >= limits.target_bytes + _LINE_SLACK:
        return Refused(414, "target-bytes", f"the request line is longer than {limits.target_bytes} bytes")
    if len(data) >= limits.headers_bytes:
        return Refused(431, "headers-bytes", f"the head is longer than {limits.headers_bytes} bytes")
    piece = data[start:]
    if piece.endswith(b"\r"):
        piece = piece[:-1]
    return _controls(piece[1:] if start and piece[:1] == b"\n" else piece)


def read_head(head: bytes, peer: Address, local: Address, limits: HttpLimits) -> tuple[Head, int] | Refused:
    """One reading of a whole head, with its last empty line, and the bytes of body that follow (or ``CHUNKED``)."""
    refused = _controls(head)
    if refused is not None:
        return refused
    if head.count(b"\r\n") - 2 > limits.headers_count:
        return Refused(431, "headers-count", f"more than {limits.headers_count} header lines")
    line = _REQUEST_LINE.fullmatch(head, 0, head.index(b"\r\n"))
    if line is None:
        return Refused(400, "request-line", "not a method, a target and a version with one space between them")
    refused = _version(line) or _target(line[1], line[2], limits)
    if refused is not None:
        return refused
    found = _Fields()
    try:
        HttpRequestParser(found).feed_data(head)
    except HttpParserUpgrade:
        pass  # it is our answer that says whether the protocol changes, and it never does
    except HttpParserError as problem:
        known = line[1].decode()
        if "method" in str(problem):
            return Refused(501, "method", f"no method of HTTP ({len(known)} characters)")
        return Refused(400, "head-syntax", f"llhttp: {problem}")
    return _meaning(line, found, peer, local, limits)


def _controls(data: bytes) -> Refused | None:
    if data.translate(None, _ALLOWED):
        return Refused(400, "control-character", "a control character in the head")
    if not data.count(b"\n") == data.count(b"\r") == data.count(b"\r\n"):
        return Refused(400, "line-end", "a line that does not end with CR LF")
    if b"\r\n " in data or b"\r\n\t" in data:
        return Refused(400, "folded-line", "a header line that is continued on the next one")
    return None


def _version(line: re.Match[bytes]) -> Refused | None:
    if line[3] != b"1":
        return Refused(505, "version", "another major version of HTTP")
    return None if line[4] in (b"0", b"1") else Refused(505, "version", "a minor version of HTTP that does not exist")


def _target(method: bytes, target: bytes, limits: HttpLimits) -> Refused | None:
    if method == b"CONNECT":
        return Refused(501, "method", "CONNECT: this is no proxy")
    if len(target) > limits.target_bytes:
        return Refused(414, "target-bytes", f"the target is longer than {limits.target_bytes} bytes")
    if _ORIGIN_FORM.fullmatch(target) is None:
        return Refused(400, "target-form", "the target does not have the form /PATH or /PATH?QUERY")
    return None


def _meaning(
    line: re.Match[bytes], found: _Fields, peer: Address, local: Address, limits: HttpLimits
) -> tuple[Head, int] | Refused:
    fields = found.fields
    http_10 = line[4] == b"0"
    if found.repeated:
        for name in found.repeated:
            if name in _SINGLE or name in limits.single:
                return Refused(400, "repeated-header", f"{name} occurs more than once")
    if not fields.get("host"):
        return Refused(400, "host", "no Host")
    body = _body(fields, http_10=http_10, limits=limits)
    if isinstance(body, Refused):
        return body
    close, expects = http_10, False
    if "connection" in fields:
        values = found.repeated.get("connection", (fields["connection"],))
        close = close or any(token.strip(" \t").lower() == "close" for v in values for token in v.split(","))
    if "upgrade" in fields and ("upgrade" in found.repeated or fields["upgrade"].lower() != "h2c"):
        return Refused(501, "upgrade", "a change to another protocol")
    if "expect" in fields:
        if fields["expect"].lower() != "100-continue":
            return Refused(417, "expect", "an expectation other than 100-continue")
        expects = not http_10
    path, _, query = line[2].decode("ascii").partition("?")
    method = line[1].decode("ascii")
    return Head(method, path, query, peer, local, http_10, close, expects, fields, found.repeated), body


def _body(fields: dict[str, str], *, http_10: bool, limits: HttpLimits) -> int | Refused:
    if fields.get("content-encoding", "identity").lower() != "identity":
        return Refused(415, "content-encoding", "a compressed body: what it becomes cannot be bounded before")
    length, coding = fields.pop("content-length", None), fields.get("transfer-encoding")
    if coding is not None:
        if length is not None or http_10:
            return Refused(400, "framing", "Transfer-Encoding together with Content-Length or in HTTP/1.0")
        if coding.lower() != "chunked":
            return Refused(501, "transfer-encoding", "a transfer coding other than chunked")
        return CHUNKED
    if length is None:
        return 0
    if _DIGITS.fullmatch(length) is None:
        return Refused(400, "framing", "a Content-Length that is not 1 to 18 digits")
    return announced(length, limits)


def announced(digits: str | bytes, limits: HttpLimits) -> int | Refused:
    """What a Content-Length of 1 to 18 digits means, which is what it was found to be."""
    size = int(digits)
    if size > limits.body_bytes:
        return Refused(413, "body-bytes", f"a body of {size} bytes, at most {limits.body_bytes}")
    return size

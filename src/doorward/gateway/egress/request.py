"""What a server's program asks its proxy for: one reading of a head, or a refusal, and the head that goes on.

Two forms (RFC 9112 section 3.2): ``CONNECT HOST:PORT`` for a tunnel, and an absolute ``http://`` URL, which goes on in
origin-form with our own Host, without hop-by-hop headers (RFC 9110 section 7.6.1) and all that begins with ``proxy-``.
Lines end with CRLF; folded lines, control characters and names with white space are refused. A host has one reading
(``policy.addresses``), or none.
"""

from __future__ import annotations

import re
from typing import Final

import httptools
import msgspec

from doorward.confine.network import Target, spelt
from doorward.policy.addresses import split_target

_LINE: Final = re.compile(r"([A-Z][A-Z-]{0,31}) ([!-~]+) HTTP/1\.([01])")
_FIELD: Final = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t -~\x80-\xff]*)")
_URL: Final = re.compile(r"http://([^/?#]+)(/[^#]*)?(\?[^#]*)?", re.IGNORECASE)
_HTTP_PORT: Final = 80
_HOP_BY_HOP: Final = frozenset(("connection", "keep-alive", "te", "upgrade", "host"))
_FRAMING: Final = frozenset(("content-length", "transfer-encoding"))


class RefusedError(Exception):
    """Why there is no connection: the status of the answer, and what it says to the server's program."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Request(msgspec.Struct, frozen=True):
    """``head`` is what is sent to ``target`` first; empty for a tunnel, in which everything is the program's own."""

    target: Target
    head: bytes = b""


def read_request(head: bytes) -> Request:
    """One reading of a whole head, with its last empty line. Raises RefusedError."""
    first, *lines = head[: -len(b"\r\n\r\n")].decode("latin-1").split("\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise RefusedError(400, "not a request of HTTP/1.1 to a proxy")
    method, asked, version = line.groups()
    fields = [_FIELD.fullmatch(one) for one in lines]
    if None in fields:
        raise RefusedError(400, "a header line is malformed")
    if method == "CONNECT":
        return Request(_target(asked))
    url = _URL.fullmatch(asked)
    if url is None:
        raise RefusedError(400, "this is a proxy: it takes CONNECT HOST:PORT, or a whole http:// URL")
    target = _target(url[1], _HTTP_PORT)
    named = [(one[1], one[2].strip(" \t")) for one in fields if one is not None]
    if version == "0" and any(name.lower() == "transfer-encoding" for name, _ in named):
        raise RefusedError(400, "HTTP/1.0 has no Transfer-Encoding")  # RFC 9112 section 6.1
    return Request(target, _origin_form(f"{method} {url[2] or '/'}{url[3] or ''} HTTP/1.{version}", target, named))


def _origin_form(line: str, target: Target, fields: list[tuple[str, str]]) -> bytes:
    nominated = {
        name.strip().lower() for key, value in fields if key.lower() == "connection" for name in value.split(",")
    }
    dropped = _HOP_BY_HOP | (nominated - _FRAMING)
    kept = [
        f"{name}: {value}" for name, value in fields if name.lower() not in dropped and name.lower()[:6] != "proxy-"
    ]
    host = spelt(target).removesuffix(f":{_HTTP_PORT}")
    return "\r\n".join((line, f"Host: {host}", *kept, "Connection: close", "", "")).encode("latin-1")


def _target(authority: str, usual_port: int | None = None) -> Target:
    target = split_target(authority, usual_port)
    if target is None:
        raise RefusedError(400, "what it asks for is not HOST:PORT")
    return target


class Body:
    """Counts the body of one request, so that nothing goes to its server after it: what follows was meant for us."""

    def __init__(self, head: bytes) -> None:
        self.complete = False
        self._parser = httptools.HttpRequestParser(self)
        self.take(head)

    def take(self, data: bytes) -> None:
        """Raises RefusedError where ``data`` does not belong to the request."""
        try:
            if self.complete:
                raise RefusedError(400, "there is one request for each connection")
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            raise RefusedError(400, "not a request of HTTP/1.1") from None

    def on_message_complete(self) -> None:
        self.complete = True

"""The heads of answers. Each says how long its body is and that nobody may guess its type or keep it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Final

Headers = Sequence[tuple[str, str]]

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_BODILESS: Final = (204, 304)


@lru_cache(maxsize=256)
def _begin(status: int, content_type: str, close: bool) -> bytes:
    known = {each.value: each.phrase for each in HTTPStatus}
    lines = [f"HTTP/1.1 {status} {known.get(status, '')}"]
    if status not in _BODILESS and content_type:
        lines.append(f"Content-Type: {_sound(content_type)}")
    lines += ["X-Content-Type-Options: nosniff", "Cache-Control: no-store"]
    if close:
        lines.append("Connection: close")
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


def _sound(value: str) -> str:
    """A value that is one line. Anything else is our own mistake, and would let its author write our answers."""
    if not value.isprintable():
        raise ValueError("a header of an answer has a character that cannot be printed")
    return value


def _more(headers: Headers) -> bytes:
    return "".join(f"{_sound(name)}: {_sound(value)}\r\n" for name, value in headers).encode("latin-1")


def whole(status: int, content_type: str, length: int, headers: Headers, *, close: bool) -> bytes:
    """The head of an answer whose length is known."""
    head = _begin(status, content_type if length else "", close)
    if headers:
        head += _more(headers)
    return b"%b\r\n" % head if status in _BODILESS else b"%bContent-Length: %d\r\n\r\n" % (head, length)


def streamed(status: int, content_type: str, headers: Headers, *, close: bool, chunked: bool) -> bytes:
    """The head of an answer whose length is not known; not ``chunked``, it ends with the connection."""
    head = _begin(status, content_type, close) + _more(headers)
    return head + (b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"\r\n")


def refusal(status: int, *, retry_after_s: int = 0) -> bytes:
    """A whole answer that repeats nothing of the request and ends the connection."""
    body = f"{HTTPStatus(status).phrase}\n".encode()
    headers = (("Retry-After", str(retry_after_s)),) if retry_after_s else ()
    return whole(status, "text/plain; charset=utf-8", len(body), headers, close=True) + body

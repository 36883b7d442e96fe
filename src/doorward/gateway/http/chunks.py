"""A chunked body, read strictly and bounded in what is not body.

Sizes are one to eight hexadecimal digits, lines end with CRLF, a chunk ends where it said. Extensions and trailers are
read and dropped, as RFC 9112 §7.1 asks, and never reach anybody. What frames the body may be 64 KiB and once the body
itself: a client that sends a byte in each chunk is a client that wants to be expensive.
"""

from __future__ import annotations

import re
from typing import Final

from doorward.gateway.http.head import Refused

_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[\t\x20-\x7e]*)?")
_TRAILER: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
_END: Final = b"\r\n"
_LINE_BYTES: Final = 1024
_FRAMING_BYTES: Final = 64 * 1024


class ChunkedBody:
    """Takes bytes as they come; :attr:`pieces` collects the body, :attr:`rest` what came after its end."""

    __slots__ = ("_framing", "_left", "_line", "_sum", "_trailing", "ended", "pieces", "rest")

    def __init__(self) -> None:
        self.ended = False
        self.pieces: list[bytes] = []
        self.rest = b""
        self._left = 0  # of this chunk, with the line end behind it
        self._line = b""  # the beginning of a line
        self._trailing = False
        self._framing = 0
        self._sum = 0

    def feed(self, data: bytes) -> Refused | None:
        """Take in the next bytes; after a refusal nothing more can be told from them."""
        at = 0
        while at < len(data):
            if self._left > len(_END):
                piece = data[at : at + self._left - len(_END)]
                self.pieces.append(piece)
                self._sum += len(piece)
                self._left -= len(piece)
                at += len(piece)
            elif self._left:
                if data[at] != _END[-self._left]:
                    return Refused(400, "chunk-end", "a chunk that is longer than it said")
                self._left -= 1
                self._framing += 1
                at += 1
            else:
                end = data.find(b"\n", at) + 1 or len(data)
                refused = self._take_line(data[at:end])
                at = end
                if refused is not None:
                    return refused
                if self.ended:
                    self.rest = data[at:]
                    return None
        return None

    def _take_line(self, piece: bytes) -> Refused | None:
        self._line += piece
        self._framing += len(piece)
        if len(self._line) > _LINE_BYTES or self._framing > _FRAMING_BYTES + self._sum:
            return Refused(400, "chunk-framing", "more bytes around the chunks than a client needs")
        if not self._line.endswith(b"\n"):
            return None
        line, self._line = self._line, b""
        if not line.endswith(b"\r\n"):
            return Refused(400, "line-end", "a line that does not end with CR LF")
        if self._trailing:
            return self._take_trailer(line[:-2])
        size = _SIZE_LINE.fullmatch(line, 0, len(line) - 2)
        if size is None:
            return Refused(400, "chunk-size", "a chunk size that is not 1 to 8 hexadecimal digits")
        count = int(size[1], 16)
        self._trailing = not count
        self._left = count + len(_END) if count else 0
        return None

    def _take_trailer(self, line: bytes) -> Refused | None:
        if line and _TRAILER.fullmatch(line) is None:
            return Refused(400, "trailer", "a trailer that is no header line")
        self.ended = not line
        return None

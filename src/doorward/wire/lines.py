"""Newline-delimited frames (the stdio transport of both eras), counted while they arrive.

A line longer than the limit is never collected: its first and last bytes are kept as evidence, the rest is dropped as
it comes in, and reading goes on behind it. One that is `ENDLESS` times as long is told of before its end, which may
never come.
"""

from __future__ import annotations

from typing import Final

import msgspec

_KEEP: Final = 512  # bytes kept of either end of a line that was dropped: enough for an id in every SDK's member order


ENDLESS: Final = 4
"""How many times longer than it may be a frame is when nobody waits for its end any more. Below it, waiting is worth
it: the id of the request that it answers may stand at its end.
"""


class Overlong(msgspec.Struct, frozen=True):
    """A line that was dropped: how long it was, and its two ends. ``endless``: so far, and there is no end in sight."""

    size: int
    head: bytes
    tail: bytes
    endless: bool = False


class LineSplitter:
    r"""Bytes in, lines out. Holds at most ``max_bytes`` of an unfinished line.

    A line is what stands before a ``\\n``; a ``\\r`` before it and blank lines are dropped. Bytes after the last
    newline are not a line: a message that was cut off is no message.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._scanned = 0
        self._dropped = 0
        self._told = False  # of the line that is being dropped, before its end
        self._head = b""
        self._tail = b""

    @property
    def pending(self) -> int:
        """Bytes of an unfinished line that are held now."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes | Overlong]:
        lines: list[bytes | Overlong] = []
        self._buffer += data
        while True:
            end = self._buffer.find(b"\n", self._scanned)
            if end < 0:
                break
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._scanned = 0
            self._finish(line, lines)
        self._scanned = len(self._buffer)
        endless = not self._told and self._dropped + len(self._buffer) > ENDLESS * self._max_bytes
        if endless or len(self._buffer) > self._max_bytes + 1:  # one more may be a carriage return
            self._drop(bytes(self._buffer))
            self._buffer.clear()
            self._scanned = 0
        if endless:
            self._told = True
            lines.append(Overlong(self._dropped, self._head, self._tail, endless=True))
        return lines

    def _finish(self, line: bytes, lines: list[bytes | Overlong]) -> None:
        if self._dropped or len(line.removesuffix(b"\r")) > self._max_bytes:
            self._drop(line)
            if not self._told:
                lines.append(Overlong(self._dropped, self._head, self._tail))
            self._dropped, self._told, self._head, self._tail = 0, False, b"", b""
            return
        line = line.removesuffix(b"\r")
        if line.strip():
            lines.append(line)

    def _drop(self, part: bytes) -> None:
        if not self._dropped:
            self._head = part[:_KEEP]
        self._dropped += len(part)
        self._tail = (self._tail + part[-_KEEP:])[-_KEEP:]

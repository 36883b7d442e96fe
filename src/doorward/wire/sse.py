r"""Server-sent events (the frames of Streamable HTTP and of HTTP+SSE), counted while they arrive.

An event's data longer than the limit is never collected: its first and last bytes are kept as evidence, the rest is
dropped as it comes in, and reading goes on behind the event. How the bytes were cut into pieces makes no difference.

Source: WHATWG HTML "Server-sent events" §9.2.5-9.2.6 (lines end by ``\n``, ``\r`` or ``\r\n``; one byte order mark;
what stands before the stream's end without a blank line is no event). Beyond it: an id or name longer than 1 KiB is
ignored.
"""

from __future__ import annotations

from typing import Final

import msgspec

from doorward.wire.lines import Overlong

KEEP_ALIVE: Final = b":\n\n"
"""A comment: what a server writes into a quiet stream so that nothing between takes it for dead."""

_KEEP: Final = 512  # bytes kept of either end of an event that was dropped, as wire.lines does
_MAX_FIELD: Final = 1024
_SMALL: Final = 1024  # a line of its own costs some fifty bytes: an event of tiny ones would cost twenty times its size
_MAX_RETRY_DIGITS: Final = 9
_BOM: Final = b"\xef\xbb\xbf"


class Event(msgspec.Struct, frozen=True):
    """One event. ``data`` is empty where there was none (a priming event has an id only); ``id`` is None where the
    event named none, and empty where it took the last one back; ``retry_ms`` is None where it did not say.
    """

    data: bytes | Overlong = b""
    event: str = "message"
    id: str | None = None
    retry_ms: int | None = None


class EventParser:
    """Bytes in, events out. Holds at most ``max_bytes`` of an unfinished event, and as much of an unfinished line."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lead: bytes | None = b""  # the stream's first bytes, until it is known whether they are a mark
        self._after_return = False
        self._line = bytearray()
        self._dropping = ""  # of an unfinished line that was too long: "data", or "other"
        self._data: list[bytes | bytearray] = []  # joined by newlines; small lines share a piece
        self._size = -1  # of the data joined by newlines; -1: there is none
        self._overlong = False
        self._head = b""
        self._tail = b""
        self._event = "message"
        self._id: str | None = None
        self._retry_ms: int | None = None
        self._said = False

    @property
    def pending(self) -> int:
        """Bytes of an unfinished event that are held now."""
        return len(self._line) + sum(map(len, self._data))

    def endless(self) -> Overlong | None:
        """What is known of an unfinished event that was too long, for whoever does not wait for its end."""
        return Overlong(self._size, self._head, self._tail, endless=True) if self._overlong else None

    def feed(self, data: bytes) -> list[Event]:
        if self._lead is not None:
            self._lead += data
            if len(self._lead) < len(_BOM) and _BOM.startswith(self._lead):
                return []
            data, self._lead = self._lead.removeprefix(_BOM), None
        if self._after_return and data:
            data = data.removeprefix(b"\n")
            self._after_return = False
        if b"\r" in data:
            self._after_return = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        events: list[Event] = []
        *lines, rest = data.split(b"\n")
        for line in lines:
            if self._line or self._dropping:
                self._finish_line(line)
            elif line:
                self._take(line)
            elif self._said:
                events.append(self._dispatch())
            else:
                self._event = "message"
        if rest:
            self._add(rest)
        return events

    # -- one line -----------------------------------------------------------------------------------------------------

    def _finish_line(self, end: bytes) -> None:
        """The end of a line whose beginning came before."""
        if self._dropping:
            if self._dropping == "data":
                self._drop(end)
            self._dropping = ""
            return
        line = bytes(self._line) + end
        self._line.clear()
        self._take(line)

    def _take(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._take_data(line[6:] if line[5:6] == b" " else line[5:])
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._take_data(value)
        elif name == b"event" and len(value) <= _MAX_FIELD:
            self._event = value.decode("utf-8", "replace") or "message"
        elif name == b"id" and len(value) <= _MAX_FIELD and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
            self._said = True
        elif name == b"retry" and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
            self._retry_ms = int(value)
            self._said = True

    def _take_data(self, value: bytes) -> None:
        self._said = True
        if self._overlong or self._size + 1 + len(value) > self._max_bytes:
            self._begin_drop()
            if self._size >= 0:
                self._drop(b"\n")
            self._size = max(self._size, 0)
            self._drop(value)
            return
        self._size += 1 + len(value)
        if not self._data or len(value) > _SMALL:
            self._data.append(value)
        elif isinstance(last := self._data[-1], bytearray):
            last += b"\n" + value
        else:
            self._data.append(bytearray(value))

    def _add(self, rest: bytes) -> None:
        """The beginning or middle of a line."""
        if self._dropping:
            if self._dropping == "data":
                self._drop(rest)
            return
        self._line += rest
        if len(self._line) <= len(b"data: ") + _MAX_FIELD:
            return
        is_data = self._line.startswith(b"data:")
        if is_data and not self._overlong and self._size + 1 + len(self._line) - len(b"data: ") <= self._max_bytes:
            return
        line = bytes(self._line)
        self._line.clear()
        self._dropping = "data" if is_data else "other"
        if is_data:
            self._take(line)

    # -- an event that is too long ------------------------------------------------------------------------------------

    def _begin_drop(self) -> None:
        if self._overlong:
            return
        self._overlong = True
        whole = b"\n".join(self._data)
        self._head, self._tail = whole[:_KEEP], whole[-_KEEP:]
        self._data.clear()

    def _drop(self, part: bytes) -> None:
        self._size += len(part)
        if len(self._head) < _KEEP:
            self._head += part[: _KEEP - len(self._head)]
        self._tail = (self._tail + part[-_KEEP:])[-_KEEP:]

    # -- one event ----------------------------------------------------------------------------------------------------

    def _dispatch(self) -> Event:
        if self._overlong:
            data: bytes | Overlong = Overlong(self._size, self._head, self._tail)
        else:
            data = bytes(self._data[0]) if len(self._data) == 1 else b"\n".join(self._data)
        event = Event(data, self._event, self._id, self._retry_ms)
        self._data.clear()
        self._size, self._overlong, self._said = -1, False, False
        self._head = self._tail = b""
        self._event, self._id, self._retry_ms = "message", None, None
        return event


def encode_event(data: bytes, *, event_id: str = "", event: str = "", retry_ms: int | None = None) -> bytes:
    """One event as bytes. Raises ValueError where a line end (or a NUL in the id) would end it early: JSON of our own
    encoding has none.
    """
    names = f"{event_id}{event}"
    if b"\n" in data or b"\r" in data or any(c in names for c in "\n\r\0"):
        raise ValueError("an event is one line of data")
    lines = [
        f"id: {event_id}\n" if event_id else "",
        f"event: {event}\n" if event else "",
        f"retry: {retry_ms}\n" if retry_ms is not None else "",
    ]
    return "".join(lines).encode() + b"data: " + data + b"\n\n"

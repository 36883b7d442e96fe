"""Events out of bytes, however they are cut, against the most trivial parser there is."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doorward.wire.lines import Overlong
from doorward.wire.sse import Event, EventParser, encode_event

MAX = 40
PIECES = [
    *(b"data:", b"data: ", b"data", b"id: 7\n", b"id\n", b"id: \0\n", b"event: x\n", b"retry: 12\n", b"retry: 1x\n"),
    *(b": c", b"\n", b"\r", b"\r\n", b"\n\n", b"abc", b"x" * 30, b"\xef\xbb\xbf", b"\xff", b"data: " + b"z" * 1200),
    *(b"id: " + b"i" * 1025 + b"\n", b"unknown: field\n"),
]
streams = st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join)


def trivial(data: bytes, max_bytes: int) -> list[Event]:
    """The events of ``data``, as the standard tells it: all lines first, then all events."""
    lines = re.split(rb"\r\n|\n|\r", data.removeprefix(b"\xef\xbb\xbf"))[:-1]
    events, block = [], list[bytes]()
    for line in lines:
        if line:
            block.append(line)
            continue
        event = _event(block, max_bytes)
        if event is not None:
            events.append(event)
        block = []
    return events


def _event(block: list[bytes], max_bytes: int) -> Event | None:
    data: list[bytes] = []
    name, event_id, retry = "message", None, None
    for line in block:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode() or "message"
        elif field == b"id" and b"\0" not in value and len(value) <= 1024:
            event_id = value.decode("utf-8", "replace")
        elif field == b"retry" and value.isdigit():
            retry = int(value)
    if not data and event_id is None and retry is None:
        return None
    whole = b"\n".join(data)
    kept = whole if len(whole) <= max_bytes else Overlong(len(whole), whole[:512], whole[-512:])
    return Event(kept, name, event_id, retry)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


@given(streams, st.lists(st.integers(0, 5000), max_size=20))
@example(b"data: a\r\ndata: b\r\r\n", [8])
@example(b"\xef\xbb\xbfdata: a\n\n", [1, 2])
def test_events_are_the_same_however_the_bytes_are_cut(data: bytes, at: list[int]) -> None:
    parser = EventParser(MAX)
    events: list[Event] = []
    for chunk in cut(data, at):
        events += parser.feed(chunk)
        assert parser.pending <= MAX + 1024 + 6
    assert events == trivial(data, MAX)


def test_an_event_too_long_is_dropped_while_it_comes_and_the_next_one_is_read() -> None:
    parser = EventParser(1000)
    parser.feed(b"data: begin")
    for _ in range(1000):
        assert parser.feed(b"x" * 10_000) == []
        assert parser.pending <= 1024 + 1000
    (long, short) = parser.feed(b"end\n\ndata: next\n\n")
    assert isinstance(long.data, Overlong)
    assert long.data.size == 10_000_008
    assert long.data.head.startswith(b"beginxx")
    assert long.data.tail.endswith(b"xxend")
    assert short.data == b"next"


def test_an_endless_comment_holds_no_memory() -> None:
    parser = EventParser(1000)
    for _ in range(100):
        assert parser.feed(b":" + b"x" * 10_000) == []
        assert parser.pending <= 2100


def test_what_stands_before_the_end_without_a_blank_line_is_no_event() -> None:
    assert EventParser(MAX).feed(b"data: {}\n") == []


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=3), st.sampled_from(["", "7", "s/1"]))
def test_what_is_encoded_comes_back(tree: dict[str, str], event_id: str) -> None:
    import msgspec

    data = msgspec.json.encode(tree)
    (event,) = EventParser(10_000).feed(encode_event(data, event_id=event_id, retry_ms=5))
    assert (event.data, event.id or "", event.retry_ms) == (data, event_id, 5)


@pytest.mark.parametrize("fields", [{"event_id": "a\nb"}, {"event": "a\r"}, {"event_id": "\0"}])
def test_a_line_end_in_a_field_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="one line"):
        encode_event(b"{}", **fields)  # type: ignore[arg-type]  # each of them is text
    with pytest.raises(ValueError, match="one line"):
        encode_event(b"{\n}")

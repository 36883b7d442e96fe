"""Lines out of bytes, however they are cut, against the most trivial splitter there is."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from doorward.wire.lines import LineSplitter, Overlong

MAX = 12


def trivial(data: bytes, max_bytes: int) -> list[bytes | int]:
    """The lines of ``data``: each as it is, or how long it was if it is too long."""
    lines: list[bytes | int] = []
    *ended, rest = data.split(b"\n")
    for raw in ended:
        line = raw.removesuffix(b"\r")
        if len(line) > max_bytes:
            lines.append(min(len(raw), 4 * max_bytes + 1))
        elif line.strip():
            lines.append(line)
    return [*lines, 4 * max_bytes + 1] if len(rest) > 4 * max_bytes else lines


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


def split(chunks: list[bytes], max_bytes: int = MAX) -> list[bytes | int]:
    splitter = LineSplitter(max_bytes)
    lines: list[bytes | int] = []
    for chunk in chunks:
        found = splitter.feed(chunk)
        lines += [min(line.size, 4 * max_bytes + 1) if isinstance(line, Overlong) else line for line in found]
        assert splitter.pending <= max_bytes + 1
    return lines


pieces = st.sampled_from(
    [b"a", b"bc", b"\n", b"\r", b"\r\n", b" ", b"\x00", b"\xff", b"x" * (MAX - 1), b"y" * MAX, b"z" * 40]
)


@settings(max_examples=500)
@given(st.lists(pieces, max_size=14).map(b"".join), st.lists(st.integers(0, 500), max_size=12))
@example(b"y" * MAX + b"\r\n", [MAX + 1])
@example(b"y" * (MAX + 1) + b"\n", [MAX + 1])
@example(b"y" * (MAX + 1) + b"\n", [])
def test_lines_are_the_same_however_the_bytes_are_cut(data: bytes, at: list[int]) -> None:
    assert split(cut(data, at)) == trivial(data, MAX)
    assert split([bytes([byte]) for byte in data]) == trivial(data, MAX)


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_line_as_long_as_allowed_passes_and_a_longer_one_does_not(ending: bytes) -> None:
    assert split([b"x" * MAX + ending]) == [b"x" * MAX]
    assert split([b"x" * (MAX + 1) + ending]) == [MAX + len(ending)]


@given(st.integers(1, 3000), st.integers(1, 700))
def test_of_a_line_that_is_too_long_both_ends_are_kept(length: int, chunk: int) -> None:
    limit = 1000
    data = bytes(65 + place % 26 for place in range(limit + length))
    splitter = LineSplitter(limit)
    found = [line for start in range(0, len(data), chunk) for line in splitter.feed(data[start : start + chunk])]
    found += splitter.feed(b"\nnext\n")
    assert found == [Overlong(len(data), data[:512], data[-512:]), b"next"]


def test_what_has_no_end_is_no_line() -> None:
    splitter = LineSplitter(MAX)
    assert splitter.feed(b"abc") == []
    assert splitter.pending == 3
    assert splitter.feed(b"\n") == [b"abc"]
    assert splitter.pending == 0


def test_an_endless_line_is_never_collected_and_told_of_once_before_its_end() -> None:
    splitter = LineSplitter(1000)
    told = []
    for _ in range(1000):
        told += splitter.feed(b"x" * 1000)
        assert splitter.pending <= 1001
    assert told == [Overlong(5000, b"x" * 512, b"x" * 512, endless=True)]
    assert splitter.feed(b"\nnext\n") == [b"next"]

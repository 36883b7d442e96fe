"""Pieces of a ticket as rows of a terminal, so that no text of others can look like ours.

The rules of the drawing:

- a row of foreign text begins with a bar in the first column, ``│`` where a line of theirs begins and ``┆`` where we
  broke one; no row of ours begins with either, and no row of theirs begins without;
- every row is broken by us, never by the terminal, whose own wrapping would begin the next row without the bar. Widths
  are not trusted: whatever is not plain ASCII counts as two columns, which may break a row early but never late;
- a character that is not printable is written out, whatever the steps before this one let through; a tab is drawn as
  an arrow, so that it is as wide as we think;
- blank rows beyond three in a row are counted, not drawn: blank space must not push the rest out of sight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from doorward.gateway.consent.display import Kind, Piece

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MIN_COLUMNS = 40
_FIELD_COLUMNS = 17
_BLANKS_DRAWN = 3
_TAB = "⇥   "
_WIDE_BLANK = "\u3000"  # the blank of Chinese and Japanese text: Python calls it not printable, every screen shows it


class Row(NamedTuple):
    """One row of the screen, without line end and without colour. ``kind`` says which colour."""

    kind: Kind
    text: str


class Bars(NamedTuple):
    """What stands in the first column of foreign text, and what rules are drawn with."""

    begin: str
    go_on: str
    skipped: str
    rule: str


DRAWN = Bars("│ ", "┆ ", "⋮ ", "━")
ASCII = Bars("| ", ": ", "... ", "=")


def lay_out(pieces: Iterable[Piece], *, columns: int, bars: Bars = DRAWN) -> list[Row]:
    """All rows of all pieces.

    `columns` is at least MIN_COLUMNS; one of them stays free, since some terminals wrap when the last one is filled.
    """
    width = max(columns, MIN_COLUMNS) - 1
    rows: list[Row] = []
    for piece in pieces:
        rows += _draw(piece, width, bars)
    return rows


def rule(text: str, *, columns: int, bars: Bars = DRAWN) -> Row:
    """A heading across the whole width. Words of ours only."""
    head = f"{bars.rule * 2} {text} "
    return Row(Kind.HEADING, head + bars.rule * max(0, max(columns, MIN_COLUMNS) - 1 - len(head)))


def _draw(piece: Piece, width: int, bars: Bars) -> Iterator[Row]:
    if piece.kind in {Kind.BODY, Kind.STRONG}:
        yield from _body(piece, width, bars)
    elif piece.kind is Kind.FIELD:
        indent = " " * _FIELD_COLUMNS
        yield from _hanging(piece.kind, f"{piece.name + ' ':<{_FIELD_COLUMNS}}{piece.text}", width, indent)
    elif piece.kind is Kind.WARNING:
        yield from _hanging(piece.kind, f"! {piece.text}", width, "  ")
    elif piece.kind is Kind.GAP:
        yield Row(piece.kind, "")
    else:
        yield from _hanging(piece.kind, piece.text, width, "    ")


def _hanging(kind: Kind, text: str, width: int, indent: str) -> Iterator[Row]:
    first = True
    for part in broken(printable(text), width - len(indent)):
        yield Row(kind, part if first else indent + part)
        first = False


def _body(piece: Piece, width: int, bars: Bars) -> Iterator[Row]:
    blanks = 0
    for line in piece.text.split("\n"):
        bar = bars.begin
        for part in broken(printable(line), width - len(bars.begin)):
            if part and not part.isspace():
                if blanks > _BLANKS_DRAWN:
                    yield Row(Kind.WARNING, f"{bars.skipped}{blanks - _BLANKS_DRAWN:,} more blank rows")
                blanks = 0
                yield Row(piece.kind, bar + part)
            else:
                blanks += 1
                if blanks <= _BLANKS_DRAWN:
                    yield Row(piece.kind, bar + part)
            bar = bars.go_on
    if blanks > _BLANKS_DRAWN:
        yield Row(Kind.WARNING, f"{bars.skipped}{blanks - _BLANKS_DRAWN:,} more blank rows")


def printable(line: str) -> str:
    """`line` with every character written out that a terminal might obey instead of showing."""
    if line.isprintable():
        return line
    return "".join(map(_printed, line))


def _printed(character: str) -> str:
    if character.isprintable() or character == _WIDE_BLANK:
        return character
    return _TAB if character == "\t" else f"\\u{{{ord(character):x}}}"


def broken(line: str, width: int) -> Iterator[str]:
    """`line` in parts of at most `width` columns, at blanks where possible. Nothing is dropped: joined, they are it."""
    start = 0
    while (end := _reach(line, start, width)) < len(line):
        blank = line.rfind(" ", start, end)
        # A word longer than half a row is cut: it is no prose, and holes would make it harder to read.
        if blank >= start + (end - start) // 2:
            end = blank + 1
        yield line[start:end]
        start = end
    yield line[start:]


def _reach(line: str, start: int, width: int) -> int:
    """How far a row that begins at `start` may go."""
    end = min(start + width, len(line))
    if line.isascii():
        return end
    used = 0
    for index in range(start, end):
        used += 1 if line[index].isascii() else 2
        if used > width:
            return index
    return end

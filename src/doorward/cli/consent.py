"""`doorward consent`: the person's side of a question, in a terminal of its own.

Rules of this page, because a server writes most of what stands on it:

- the whole message is shown, page by page; only after its last page can it be approved;
- the question stands in the first column, where no text of others ever stands;
- `y` or `yes`, typed after the question appeared, approves. Everything else refuses: another word, an empty line, the
  end of the input. Leaving with ctrl-c answers nothing, and what is not answered is refused when it expires;
- a ticket that is withdrawn or expires takes its question with it, and keys that were meant for it are thrown away.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TextIO

import msgspec

from doorward.cli.places import runtime_directories, runtime_directory, state_directory
from doorward.cli.terminal import has_colour
from doorward.confine.closing import close_to_others
from doorward.errors import UsageError
from doorward.gateway.consent import attendance, layout
from doorward.gateway.consent.display import Kind, compose, plain
from doorward.gateway.consent.key import load_key
from doorward.gateway.consent.keyboard import Keyboard

if TYPE_CHECKING:
    import argparse
    from typing import Any

    from doorward.gateway.consent.layout import Row
    from doorward.judge.vocabulary import Ticket

QUESTION = "approve? [y/N] "
TURN = "space: more, n: refuse "

_ENTER, _END, _ERASE, _BLANK = b"\r\n", 0x04, b"\x08\x7f", 0x20
_MORE, _NO = b" \r\n", b"nNqQ\x04"
_LONGEST_ANSWER = 16
# Below a page: the countdown, the question, and one row that keeps the page from scrolling off.
_FOOTER_ROWS = 3
# A hand that was typing an answer when the ticket was withdrawn needs about this long to stop.
_QUIET_S = 0.7

_COLOURS = {
    Kind.HEADING: "1",
    Kind.LABEL: "1",
    Kind.WARNING: "1;33",
    Kind.STRONG: "1;4",
}


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "consent",
        parents=[common],
        help="show what servers ask for, and answer it",
        description="Shows every question of every running `doorward wrap` and `doorward serve`, completely, and "
        "sends your answer.\n"
        "Keep it open in a terminal of its own: while none is open, what needs your consent is refused.",
    )
    parser.add_argument("--once", action="store_true", help="leave after one answer")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit 0 when the person leaves, or with ``--once`` after one answer; UsageError without a terminal."""
    screen = sys.stderr if args.json else sys.stdout
    if not (sys.stdin.isatty() and screen.isatty()):
        raise UsageError(
            "consent must come from a person at a terminal, and this is none",
            hint="run `doorward consent` in a terminal window of its own, without pipes",
        )
    close_to_others()
    state = state_directory(args)
    key = load_key(state)
    runtime_directory(state)  # made, so that a wrap that starts later finds us announced there
    clerk = _Clerk(_Screen(screen), once=args.once, report=args.json)
    found = attendance.Attendance(directories=lambda: runtime_directories(state), key=key, on_event=clerk.hear)
    try:
        return asyncio.run(_serve(clerk, found))
    except KeyboardInterrupt:
        return 0


async def _serve(clerk: _Clerk, found: attendance.Attendance) -> int:
    """Both ends at once, the gateways and the person, until the person leaves or we are told to end."""
    loop, main = asyncio.get_running_loop(), asyncio.current_task()
    ended: list[int] = []

    def end(number: int) -> None:
        ended.append(number)
        if main is not None:
            main.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    try:
        with Keyboard(sys.stdin.fileno(), clerk.wake) as keyboard:
            both = [asyncio.create_task(found.attend()), asyncio.create_task(clerk.work(keyboard))]
            try:
                done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # a failure of either one ends us, with its own error
            finally:
                for task in both:
                    task.cancel()
                await asyncio.gather(*both, return_exceptions=True)
    except asyncio.CancelledError:
        if not ended:
            raise  # ctrl-c: asyncio.run makes it a KeyboardInterrupt
        return 128 + ended[0]
    else:
        return 0


class _Screen:
    """The terminal that tickets are drawn on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._encoding = stream.encoding or "ascii"
        unicode = self._encoding.lower().replace("-", "") == "utf8"
        self.bars = layout.DRAWN if unicode else layout.ASCII
        self.moves = os.environ.get("TERM", "dumb") != "dumb"
        self._colours = has_colour(stream)

    def size(self) -> os.terminal_size:
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except OSError:
            return os.terminal_size((80, 24))
        # A terminal that does not know its size says 0.
        return size if size.columns and size.lines else shutil.get_terminal_size()

    def write(self, text: str) -> None:
        self._stream.flush()
        data = text.encode(self._encoding, "backslashreplace")
        while data:
            data = data[os.write(self._stream.fileno(), data) :]

    def row(self, row: Row) -> None:
        self.write(self._painted(row) + "\n")

    def say(self, text: str, kind: Kind = Kind.BODY) -> None:
        """A line of ours, broken like everything else. Foreign words in it come through `plain`."""
        for part in layout.broken(layout.printable(text), max(self.size().columns, layout.MIN_COLUMNS) - 1):
            self.write(self._coloured(kind, part) + "\n")

    def _painted(self, row: Row) -> str:
        if row.kind not in {Kind.BODY, Kind.STRONG}:
            return self._coloured(row.kind, row.text)
        bar, text = row.text[: len(self.bars.begin)], row.text[len(self.bars.begin) :]
        return (f"\x1b[36m{bar}\x1b[0m" if self._colours else bar) + self._coloured(row.kind, text)

    def _coloured(self, kind: Kind, text: str) -> str:
        colour = _COLOURS.get(kind)
        return f"\x1b[{colour}m{text}\x1b[0m" if colour and self._colours else text

    def footer(self, left_s: int, prompt: str) -> None:
        self.write(f"{_left(left_s)}\n{prompt}")

    def count_down(self, left_s: int) -> None:
        """Rewrite the line above the question, and nothing else: the question itself is on the screen once."""
        if self.moves:
            self.write(f"\x1b7\x1b[1A\r\x1b[2K{_left(left_s)}\x1b8")

    def lift_footer(self) -> None:
        """Take countdown and question away, so that the rows of the message follow each other.

        The line end comes first: a program that reads what is written, without drawing it, still sees rows.
        """
        self.write("\n\x1b[1A\x1b[2K\x1b[1A\x1b[2K\r" if self.moves else "\n")


def _left(left_s: int) -> str:
    return f"expires in {left_s} s, then it is refused"


class _VoidError(Exception):
    """The ticket on the screen is none any more."""


class _ResizedError(Exception):
    """The window has another width: what is drawn may be broken by the terminal, so it is drawn anew."""


class _Shown(NamedTuple):
    line: attendance.Line
    ticket: Ticket

    @property
    def left_s(self) -> float:
        return self.ticket.expires / 1_000_000 - time.time()


class _Clerk:
    """Shows one ticket at a time and carries the answer back."""

    def __init__(self, screen: _Screen, *, once: bool, report: bool) -> None:
        self._screen = screen
        self._once = once
        self._report = report
        self._open: dict[tuple[int, str], _Shown] = {}
        self._current: tuple[int, str] | None = None
        self._why = ""
        self._notices: list[str] = []
        self._lines: list[attendance.Line] = []
        self._wake = asyncio.Event()
        self._keyboard: Keyboard

    # -- what gateways say, at any moment -------------------------------------------------------------------------

    def wake(self) -> None:
        self._wake.set()

    def hear(self, event: attendance.Event) -> None:
        match event:
            case attendance.Connected(line):
                self._lines.append(line)
                self._notices.append(f"connected: {_name(line)}")
            case attendance.Gone(line):
                self._lines.remove(line)
                self._notices.append(f"gone: {_name(line)}")
                for key in [key for key, shown in self._open.items() if shown.line is line]:
                    self._withdraw(key, "its gateway is gone")
            case attendance.Asked(line, ticket):
                self._open[id(line), ticket.id] = _Shown(line, ticket)
            case attendance.Withdrawn(line, ticket_id, why):
                self._withdraw((id(line), ticket_id), why)
            case attendance.Impostor(path, why):
                self._notices.append(f"ignored: {path.name} is no gateway of yours: {plain(why)}")
        self._wake.set()

    def _withdraw(self, key: tuple[int, str], why: str) -> None:
        shown = self._open.pop(key, None)
        if key == self._current:
            self._why = plain(why)
        elif shown is not None:
            self._notices.append(f"not shown, since it was withdrawn ({plain(why)}): {plain(shown.ticket.title)}")
        else:
            self._notices.append(f"about ticket {plain(key[1])}: {plain(why)}")

    # -- one ticket after the other -------------------------------------------------------------------------------

    async def work(self, keyboard: Keyboard) -> None:
        self._keyboard = keyboard
        self._screen.say("waiting for questions; while this is closed, what needs your consent is refused")
        self._screen.say("leave with ctrl-c")
        while True:
            self._wake.clear()
            self._tell_notices()
            key = next(iter(self._open), None)
            if key is not None:
                if await self._handle(key) and self._once:
                    return
            elif self._nothing_more():
                return
            else:
                await self._wake.wait()

    def _nothing_more(self) -> bool:
        """Between tickets no key means anything, except that the end of the input ends us."""
        while (keys := self._keyboard.take()) is not None:
            if _END in keys:
                return True
        return self._keyboard.ended

    def _tell_notices(self) -> None:
        for notice in self._notices:
            self._screen.say(notice)
        self._notices.clear()

    async def _handle(self, key: tuple[int, str]) -> bool:
        """Show one ticket; True when it got an answer."""
        shown = self._open[key]
        self._current = key
        try:
            approved = await self._decide(key, shown)
        except _VoidError as void:
            self._screen.say(f"{void}: {plain(shown.ticket.title)}", Kind.WARNING)
            await self._hands_off()
            return False
        except asyncio.CancelledError:
            with suppress(OSError):  # a terminal that hung up
                self._screen.write("\n")  # the prompt stands at the end of a line that was begun
                self._screen.say("not answered: it is refused when it expires")
            raise
        finally:
            self._current = None
            self._open.pop(key, None)
        await shown.line.give(shown.ticket, approved=approved)
        self._screen.say(f"{'approved' if approved else 'refused'}: {plain(shown.ticket.title)}", Kind.HEADING)
        self._screen.write("\n")
        if self._report:
            _report(shown, approved=approved)
        return True

    async def _decide(self, key: tuple[int, str], shown: _Shown) -> bool:
        while True:
            try:
                return await self._show(key, shown)
            except _ResizedError:
                self._screen.write("\n")
                self._screen.say("the window has another width now, so again from the top:", Kind.WARNING)

    async def _show(self, key: tuple[int, str], shown: _Shown) -> bool:
        self._require_open(key, shown)
        size = self._screen.size()
        if size.columns < layout.MIN_COLUMNS:
            self._screen.say(f"something is asked; make the window {layout.MIN_COLUMNS} columns wide to read it")
            while True:  # until the window has another width, or the ticket is void
                await self._keys(key, shown, size.columns)
        rows = self._rows(shown, size.columns)
        height = max(size.lines - _FOOTER_ROWS, 1)
        pages = [rows[start : start + height] for start in range(0, len(rows), height)]
        self._screen.write("\a\n")
        for number, page in enumerate(pages, start=1):
            for row in page:
                self._screen.row(row)
            prompt = f"page {number} of {len(pages)}; {TURN}"
            if number < len(pages) and not await self._turn(key, shown, size.columns, prompt):
                return False
        self._ask(key, shown, QUESTION)
        answer = await self._line(key, shown, size.columns)
        return answer in {b"y", b"yes"}

    def _rows(self, shown: _Shown, columns: int) -> list[Row]:
        others = len(self._open) - 1
        head = f"{shown.ticket.kind}, {others} more waiting" if others else shown.ticket.kind
        gateway = f"doorward wrap {_name(shown.line)}"
        return [
            layout.rule(plain(head), columns=columns, bars=self._screen.bars),
            *layout.lay_out(compose(shown.ticket, gateway=gateway), columns=columns, bars=self._screen.bars),
            layout.rule("end of the message", columns=columns, bars=self._screen.bars),
        ]

    # -- questions ------------------------------------------------------------------------------------------------

    def _ask(self, key: tuple[int, str], shown: _Shown, prompt: str) -> None:
        self._require_open(key, shown)
        self._keyboard.forget()
        self._screen.footer(int(shown.left_s), prompt)

    async def _turn(self, key: tuple[int, str], shown: _Shown, columns: int, prompt: str) -> bool:
        self._ask(key, shown, prompt)
        while True:
            keys = await self._keys(key, shown, columns)
            # The first key that means something counts; what was pasted behind it does not.
            meant = next((one for one in keys if one in _MORE + _NO), None) if keys else _END
            if meant is not None:
                self._screen.lift_footer()
                return meant in _MORE

    async def _line(self, key: tuple[int, str], shown: _Shown, columns: int) -> bytes:
        """One typed line; the end of the input counts as an empty one."""
        typed = bytearray()
        while True:
            keys = await self._keys(key, shown, columns)
            if not keys:
                return b""
            for byte in keys:
                if byte in _ENTER or byte == _END:
                    self._screen.write("\n")
                    return bytes(typed) if byte in _ENTER else b""
                if byte in _ERASE:
                    if typed:
                        typed.pop()
                        self._screen.write("\b \b")
                elif byte == _BLANK and not typed:
                    pass  # one page too many was turned: that is no answer yet
                elif chr(byte).isascii() and chr(byte).isprintable() and len(typed) < _LONGEST_ANSWER:
                    typed.append(byte)
                    self._screen.write(chr(byte))

    async def _keys(self, key: tuple[int, str], shown: _Shown, columns: int) -> bytes:
        """The next keys for this ticket, empty at the end of the input. Raises _VoidError when it is none any more."""
        said_s = int(shown.left_s)
        while True:
            self._wake.clear()
            self._require_open(key, shown)
            if self._screen.size().columns != columns:
                raise _ResizedError
            keys = self._keyboard.take()
            if keys is not None:
                return keys
            if self._keyboard.ended:
                return b""
            if int(shown.left_s) < said_s:
                said_s = int(shown.left_s)
                self._screen.count_down(said_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(shown.left_s - said_s, 1.0)) + 0.01):
                    await self._wake.wait()

    def _require_open(self, key: tuple[int, str], shown: _Shown) -> None:
        if key not in self._open:
            self._screen.write("\n")
            raise _VoidError(f"withdrawn, so it needs no answer ({self._why})")
        if shown.left_s <= 0:
            self._screen.write("\n")
            raise _VoidError("expired, so it is refused")

    async def _hands_off(self) -> None:
        """Wait until nobody types: what was meant for the ticket that vanished must not answer the next one."""
        clock = asyncio.get_running_loop().time
        until = clock() + _QUIET_S
        while not self._keyboard.ended and (left_s := until - clock()) > 0:
            self._wake.clear()
            if self._keyboard.take() is not None:
                until = clock() + _QUIET_S
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._wake.wait()


def _name(line: attendance.Line) -> str:
    return f"{plain(line.label)} (process {line.pid})"


def _report(shown: _Shown, *, approved: bool) -> None:
    ticket = shown.ticket
    line: dict[str, Any] = {
        "ticket": ticket.id,
        "digest": ticket.digest,
        "kind": ticket.kind,
        "server": ticket.server.name,
        "fingerprint": ticket.server.fingerprint,
        "approved": approved,
    }
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()

"""The lab's person: sits at a pseudo-terminal, runs ``doorward consent``, reads the screen and nothing else.

The person knows what the benign flow announced (which server, which prompt) and how the consent screen is drawn:
words of others stand behind a bar, under a label of ours, and warnings begin with an exclamation mark. They approve
exactly when every word of others belongs to what was announced and nothing warns, and refuse otherwise. They know no
attack.
"""

from __future__ import annotations

import os
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import msgspec

from doorward.lab import terminal
from doorward.lab.scenario import Glance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

SEATED_LIMIT_SECONDS = 10.0
"""How long ``doorward consent`` may take until it waits for questions, and then until it is connected."""

_WAITING = "waiting for questions"
_CONNECTED = "connected: "
_QUESTION = "approve? [y/N]"
_NEXT_PAGE = re.compile(r"^page \d+ of \d+;.*$", re.MULTILINE)
_BEGIN, _GO_ON, _SKIPPED = ("│ ", "| "), ("┆ ", ": "), ("⋮ ", "... ")
_WARNING = "! "
_RULES = ("━", "=")

# What belongs to every message of the protocol and was not chosen to be read by anybody: label → what may stand there.
BOOKKEEPING: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = tuple(
    (re.compile(label), re.compile(value))
    for label, value in (
        (r"method", r"sampling/createMessage"),
        (r"also in the message: jsonrpc", r"2\.0"),
        (r"also in the message: id( \(number\))?", r"[\w-]{1,64}"),
        (r"also in the message: result\.resultType", r"input_required"),
        (r"also in the message: result\.requestState", r"[\w.=~-]+"),
        (r"also in the message: result\._meta\..*serverInfo\"\.(name|version)( \(empty\))?", r"[\w.-]*"),
        (r"also in the message: params\._meta\..*/protocolVersion\"", r"\d{4}-\d\d-\d\d"),
        (r"also in the message: params\._meta\..*/clientInfo\"\.(name|version)", r"[\w.-]{1,16}"),
        (r"also in the message: params\._meta\..*/clientCapabilities\" \(object\)", r"\{\}"),
        (r"at most this many tokens \(number\)", r"\d{1,4}"),
    )
)

# A label in which a word of others stands as well: what a form asks for.
FIELD = re.compile(r'asks you for "(.*)"(?:, required)?: ?\w*')


class Reading(msgspec.Struct, frozen=True):
    """A screen as a person takes it in: words of others, each with the label above it; warnings; who asks."""

    foreign: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    server: str


class Person:
    """Someone who answers questions on one terminal. ``glances`` are the questions so far, each with its screen.

    ``seated`` is set once the program waits for questions, ``connected`` once it shows the server's gateway (which is
    called ``gateway``, or like the server if that is empty), ``left`` once it has ended.
    """

    def __init__(self, ours: int, server: str, announced: tuple[str, ...], gateway: str = "") -> None:
        self.glances: list[Glance] = []
        self.seated, self.connected, self.left = anyio.Event(), anyio.Event(), anyio.Event()
        self._terminal, self._server, self._announced = ours, server, announced
        self._gateway = gateway or server
        self._screen = ""

    async def attend(self) -> None:
        """Read and answer until the terminal closes."""
        while True:
            chunk = await terminal.read(self._terminal)
            if not chunk:
                self.left.set()
                return
            self._screen += chunk.decode("utf-8", "replace")
            if _WAITING in self._screen:
                self.seated.set()
            if f"{_CONNECTED}{self._gateway} " in self._screen:
                self.connected.set()
            self._look()

    @property
    def screen(self) -> str:
        """What stands there now, since the last answer."""
        return terminal.plain(self._screen)

    async def wait(self, event: anyio.Event) -> bool:
        """Wait for one of the events; False if the program ended or took too long."""
        with anyio.move_on_after(SEATED_LIMIT_SECONDS):
            async with anyio.create_task_group() as either:
                for first in (event, self.left):
                    either.start_soon(_first, first, either.cancel_scope)
        return event.is_set()

    def _look(self) -> None:
        screen = terminal.plain(self._screen)
        last = screen.rpartition("\n")[2]
        if last.rstrip() == _QUESTION:
            self._screen = ""
            why = objection(read(screen), self._server, self._announced)
            self.glances.append(Glance(screen, not why, why or "everything shown was announced"))
            os.write(self._terminal, b"n\r" if why else b"y\r")
        elif _NEXT_PAGE.fullmatch(last):
            # What was read stays read; the prompt itself is not looked at twice.
            self._screen = screen.removesuffix(last)
            os.write(self._terminal, b" ")


def read(screen: str) -> Reading:
    """Sort the rows of a screen into words of others, under their labels, and what the screen itself says."""
    foreign: list[list[str]] = []
    warnings: list[str] = []
    label = server = ""
    under = ""
    for row in screen.split("\n"):
        if row.startswith(_BEGIN):
            if under is label and foreign:
                foreign[-1][1] += "\n" + row[2:]
            else:
                foreign.append([label, row[2:]])
                under = label
        elif row.startswith(_GO_ON) and foreign:
            foreign[-1][1] += row[2:]
        elif row.startswith(_SKIPPED) and foreign:
            foreign[-1][1] += f"\n{row}"
        elif row.startswith(_WARNING):
            warnings.append(row.removeprefix(_WARNING))
        elif row.strip() and not row.startswith(_RULES):
            name, _, value = row.partition("  ")
            server = value.strip() if name == "server" else server
            label, under = row, ""
    return Reading(tuple((above, text) for above, text in foreign), tuple(warnings), server)


def objection(reading: Reading, server: str, announced: tuple[str, ...]) -> str:
    """Why a person would not approve this; empty if they would."""
    if reading.server.partition(",")[0] != server:
        return f"it is asked by {reading.server!r}, not by {server!r}"
    if not reading.foreign:
        return "nothing is shown"
    for label, text in reading.foreign:
        if text not in announced and not _is_bookkeeping(label, text):
            return f"nobody announced what stands under {label!r}: {' '.join(text.split())[:80]!r}"
        if (field := FIELD.fullmatch(label)) and field[1] not in announced:
            return f"nobody announced that a form asks for {field[1][:80]!r}"
    if reading.warnings:
        return f"the screen warns: {reading.warnings[0]}"
    return ""


def _is_bookkeeping(label: str, text: str) -> bool:
    return any(known.fullmatch(label) and value.fullmatch(text) for known, value in BOOKKEEPING)


async def _first(event: anyio.Event, others: anyio.CancelScope) -> None:
    await event.wait()
    others.cancel()


@asynccontextmanager
async def attending(
    argv: tuple[str, ...],
    *,
    env: Mapping[str, str],
    cwd: Path,
    server: str,
    announced: tuple[str, ...],
    gateway: str = "",
) -> AsyncIterator[Person]:
    """A person at a fresh terminal on which ``argv`` runs, gone after the block.

    ``Person.seated`` says whether the program got as far as waiting for questions in time.
    """
    async with terminal.started(argv, env=env, cwd=cwd) as (ours, _process):
        person = Person(ours, server, announced, gateway)
        async with anyio.create_task_group() as life:
            life.start_soon(person.attend)
            await person.wait(person.seated)
            yield person
            life.cancel_scope.cancel()

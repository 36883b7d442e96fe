"""Performs what the relay decided: the counterpart of ``relay.commands``, and the one place where both meet asyncio.

The commands of one event are one unit. The archive writes units in order, many in one commit, and each is sent once it
is written. If the records of a unit cannot be written, nothing of it is sent and the relay hears ``NotRecorded``.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from msgspec import structs

from doorward.audit.entry import AlreadySpent, Entry, FindingRecord
from doorward.errors import StorageError
from doorward.gateway.archive import Archive
from doorward.gateway.consent.desk import Asks
from doorward.gateway.ports import Port
from doorward.judge.filters.usable_tools import CONTROL as USABLE
from doorward.judge.vocabulary import Answer, Answers, Facts, Finding, Principal, Side, VerifiedIdentity
from doorward.relay.commands import (
    Answered,
    AskConsent,
    Close,
    Command,
    End,
    Event,
    NotRecorded,
    Record,
    Send,
    Tick,
    Undelivered,
    Withdraw,
)
from doorward.relay.relay import Relay
from doorward.wire.jsonrpc import Decoded

MAX_WAITING_UNITS = 1024  # beyond either the readers wait; one unit is one message
MAX_WAITING_BYTES = 32 * 1024 * 1024


class Performer:
    """Feeds events to one relay and performs its commands.

    ``outlets`` are the two peers; ``notice`` gets each refused or lost entry once it is recorded, for the operator;
    ``on_close`` is called when the relay ends the link, or fails (which ends it as well); ``on_end`` with an exchange
    of the client's on which a request ended without an answer.
    """

    def __init__(  # noqa: PLR0913 - the pieces of one link, given once
        self,
        relay: Relay,
        *,
        archive: Archive,
        consent: Asks,
        outlets: Mapping[Side, Port],
        clock: Callable[[], int],
        principal: Principal,
        server: VerifiedIdentity,
        notice: Callable[[Entry], None],
        on_close: Callable[[str], None],
        on_end: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._relay = relay
        self._archive = archive
        self._consent = consent
        self._outlets = outlets
        self._clock = clock
        self._principal = principal
        self._server = server
        self._notice = notice
        self._on_close = on_close
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._waiting_units = 0
        self._waiting_bytes = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: int | None = None

    @property
    def relay(self) -> Relay:
        return self._relay

    def facts(
        self,
        answers: Answers | None = None,
        headers: Mapping[str, tuple[str, ...]] | None = None,
        too_much: Finding | None = None,
    ) -> Facts:
        """What is true right now, gathered for one event."""
        return Facts(
            principal=self._principal,
            server=self._server,
            fresh=_FRESH.take(),
            consent=self._consent.attached,
            answers=answers or {},
            headers=headers,
            too_much=too_much,
        )

    def feed(self, event: Event) -> None:
        """One event into the relay; its commands take their place in the queue."""
        try:
            self._enqueue(self._relay.handle(event, self._clock()))
        except Exception as crash:  # noqa: BLE001 - if the relay fails, nothing passes any more
            self._on_close(f"the relay failed: {type(crash).__name__}: {crash}")

    def counted(self, frame: Decoded, sender: Side, exchange: int, found: Finding) -> bool:
        """Whether ``frame``, which came too often, was one of many: counted with them and answered, with no record of
        its own to wait for.
        """
        try:
            answers = self._relay.count(frame, sender, exchange, found)
            for send in answers or ():
                self._deliver(send)
        except Exception as crash:  # noqa: BLE001 - if the relay fails, nothing passes any more
            self._on_close(f"the relay failed: {type(crash).__name__}: {crash}")
            return True
        return answers is not None

    def begin(self) -> None:
        self._enqueue(self._relay.start(self.facts(), self._clock()))

    def answered(self, answer: Answer) -> None:
        self.feed(Answered(answer, self.facts()))

    def full(self) -> Awaitable[None] | None:
        """What a reader must wait for before it takes more in, or None."""
        return self._room() if self.is_full else None

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be fed for now."""
        if self._waiting_units >= MAX_WAITING_UNITS or self._waiting_bytes >= MAX_WAITING_BYTES:
            return True
        return self._outlets["client"].is_full or self._outlets["server"].is_full

    async def _room(self) -> None:
        while self.is_full:
            if self._waiting_units >= MAX_WAITING_UNITS or self._waiting_bytes >= MAX_WAITING_BYTES:
                await self._idle.wait()
            for outlet in self._outlets.values():
                await outlet.room()

    async def settled(self) -> None:
        """Everything that was decided so far is recorded and handed to its peer."""
        await self._idle.wait()
        for outlet in self._outlets.values():
            await outlet.drained()

    async def close(self) -> None:
        await self._idle.wait()
        if self._timer is not None:
            self._timer.cancel()

    def _enqueue(self, commands: list[Command]) -> None:
        records: list[Record] = []
        size = 0
        for command in commands:
            if isinstance(command, Record):
                records.append(command)
            elif isinstance(command, Send):
                size += len(command.body)
        if records or self._waiting_units:
            self._waiting_units += 1
            self._waiting_bytes += size
            self._idle.clear()
            self._archive.append(records, functools.partial(self._written, commands, records, size))
        else:
            self._send(commands)
        self._set_timer()

    def _set_timer(self) -> None:
        due = self._relay.deadline
        if due == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        self._timer = None
        if due is not None:
            self._timer = self._loop.call_later(max(0.0, (due - self._clock()) / 1e6), self._tick)

    def _tick(self) -> None:
        self._timer = self._timer_at = None
        self.feed(Tick(self.facts()))

    # -- one unit after another ---------------------------------------------------------------------------------------

    def _written(self, unit: list[Command], records: list[Record], size: int, problem: StorageError | None) -> None:
        """The records of a unit are written, or cannot be. Units come in the order in which they were decided."""
        self._waiting_units -= 1
        self._waiting_bytes -= size
        try:
            if problem is None:
                self._send(unit)
            else:
                self._not_recorded(records, problem)
        except Exception as crash:  # noqa: BLE001 - a message that got lost on the way must not leave its link waiting
            self._on_close(f"what was decided could not be performed: {type(crash).__name__}: {crash}")
        finally:
            if not self._waiting_units:
                self._idle.set()

    def _not_recorded(self, records: list[Record], problem: StorageError) -> None:
        why = str(problem) if isinstance(problem, AlreadySpent) else f"the archive cannot be written: {problem}"
        commands = self._relay.handle(NotRecorded(tuple(records), why), self._clock())
        self._send(commands)
        entry = records[0].entry
        unwritten = FindingRecord("archive", "DENY", why)
        self._notice(structs.replace(entry, findings=(*entry.findings, unwritten), reference=""))  # which leads nowhere
        self._set_timer()

    def _send(self, unit: list[Command]) -> None:
        for command in unit:
            match command:
                case Send():
                    self._deliver(command)
                case Record():
                    if worth_telling(command.entry):
                        self._notice(command.entry)
                case AskConsent():
                    self._consent.ask(command.ticket)
                case Withdraw():
                    self._consent.withdraw(command.ticket, command.why)
                case End():
                    self._on_end(command.exchange)
                case Close():
                    self._on_close(command.reason)

    def _deliver(self, send: Send) -> None:
        outlet = self._outlets[send.to]
        if outlet.broken:
            return  # the link is ending; that it broke is on record
        if not outlet.put(send):
            self.feed(Undelivered(send, "nobody reads", self.facts()))


def worth_telling(entry: Entry) -> bool:
    """Whether the operator hears of it: what was refused, what is lost, and what a list was shortened by."""
    if entry.decision == "DENY" or entry.outcome == "unknown":
        return True
    return entry.findings != () and any(finding.control == USABLE for finding in entry.findings)


class _Fresh:
    """The operating system's randomness, fetched for many events at once; each byte is handed out once."""

    def __init__(self) -> None:
        self._pool = b""
        self._at = 0

    def take(self) -> bytes:
        if self._at >= len(self._pool):
            self._pool, self._at = os.urandom(64 * _FRESH_BYTES), 0
        self._at += _FRESH_BYTES
        return self._pool[self._at - _FRESH_BYTES : self._at]


_FRESH_BYTES: Final = 64
_FRESH = _Fresh()

"""One consent channel for many links: each asks through its own seat, and an answer goes to the link that asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from doorward.judge.vocabulary import Answer, Ticket


class Asks(Protocol):
    """Whoever shows tickets to people: a channel, or a seat at one."""

    @property
    def attached(self) -> bool: ...
    def ask(self, ticket: Ticket) -> None: ...
    def withdraw(self, ticket_id: str, why: str) -> None: ...


class Desk:
    """Hands out seats. ``answered`` is what the channel is given as its ``on_answer``."""

    def __init__(self) -> None:
        self._channel: Asks | None = None
        self._asked: dict[str, Callable[[Answer], None]] = {}

    def use(self, channel: Asks) -> None:
        """The channel that is asked from now on."""
        self._channel = channel

    def answered(self, answer: Answer) -> None:
        """To the link that asked. An answer to a ticket that nobody waits for is dropped: its link is gone."""
        waiting = self._asked.pop(answer.ticket, None)
        if waiting is not None:
            waiting(answer)

    @property
    def attached(self) -> bool:
        return self._channel is not None and self._channel.attached

    def ask(self, ticket: Ticket, on_answer: Callable[[Answer], None]) -> None:
        if self._channel is not None:
            self._asked[ticket.id] = on_answer
            self._channel.ask(ticket)

    def withdraw(self, ticket_id: str, why: str) -> None:
        self._asked.pop(ticket_id, None)
        if self._channel is not None:
            self._channel.withdraw(ticket_id, why)


class Seat:
    """One link's place at the desk."""

    def __init__(self, desk: Desk, on_answer: Callable[[Answer], None]) -> None:
        self._desk = desk
        self._on_answer = on_answer

    @property
    def attached(self) -> bool:
        return self._desk.attached

    def ask(self, ticket: Ticket) -> None:
        self._desk.ask(ticket, self._on_answer)

    def withdraw(self, ticket_id: str, why: str) -> None:
        self._desk.withdraw(ticket_id, why)

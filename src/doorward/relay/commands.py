"""What goes into the relay and what comes out of it. The counterpart of both is ``gateway.perform``.

The commands of one ``handle`` are one unit: its records are written first, together; if they cannot be, none of its
sends happen and the unit comes back as :class:`NotRecorded`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from doorward.audit.entry import Entry
from doorward.errors import MalformedMessageError
from doorward.judge.vocabulary import Answer, Facts, Side, Ticket
from doorward.wire.jsonrpc import Decoded

Grade = Literal["durable", "written"]


class Arrived(msgspec.Struct, frozen=True):
    """A frame was decoded within its limits. ``exchange`` is the carriage that it came in."""

    frame: Decoded
    sender: Side
    exchange: int
    facts: Facts


class Unreadable(msgspec.Struct, frozen=True):
    """A frame was not one message within its limits. ``sample`` is the evidence: its first bytes."""

    problem: MalformedMessageError
    sender: Side
    exchange: int
    facts: Facts
    sample: bytes


class Closed(msgspec.Struct, frozen=True):
    """One side is gone (``exchange`` 0: the client left, or the server ended), or one exchange with it: a modern client
    closed its stream, which takes the request back; or a server's answer will not come. ``cause`` is for the operator.
    """

    side: Side
    exchange: int
    cause: str
    facts: Facts


class Unproven(msgspec.Struct, frozen=True):
    """Whoever answered where the server should be did not prove to be it, and got nothing. ``Closed`` follows for the
    exchange, if somebody waits on it.
    """

    why: str
    exchange: int
    facts: Facts


class Answered(msgspec.Struct, frozen=True):
    """A person answered a ticket. ``facts`` are gathered anew: identity, principal and policy are checked again."""

    answer: Answer
    facts: Facts


class NotRecorded(msgspec.Struct, frozen=True):
    """The records of one unit could not be written, so nothing of it was sent."""

    records: tuple[Record, ...]
    why: str


class Undelivered(msgspec.Struct, frozen=True):
    """A recorded message could not be handed to its peer."""

    send: Send
    why: str
    facts: Facts


class Tick(msgspec.Struct, frozen=True):
    """Time passed: ``Relay.deadline`` was reached."""

    facts: Facts


Event = Arrived | Unreadable | Closed | Unproven | Answered | NotRecorded | Undelivered | Tick


class Record(msgspec.Struct, frozen=True):
    """Write an entry. ``salt`` opens its commitment and is kept beside the tree; ``body`` is set when the masked
    body is too long to stand in the entry (over 64 KiB). ``otherwise`` is what leaves, unrecorded, if it cannot be
    written; an ``owed`` record is an outcome that could not be written before.
    """

    entry: Entry
    grade: Grade
    salt: bytes = b""
    body: bytes = b""
    otherwise: Send | End | None = None
    owed: bool = False


class Send(msgspec.Struct, frozen=True):
    """Hand bytes to a side, on one of its exchanges."""

    to: Side
    exchange: int
    body: bytes


class AskConsent(msgspec.Struct, frozen=True):
    """Show a ticket to whoever can be asked."""

    ticket: Ticket


class Withdraw(msgspec.Struct, frozen=True):
    """A ticket died before it was answered: its request was cancelled, expired, or the link ended."""

    ticket: str
    why: str


class End(msgspec.Struct, frozen=True):
    """A request of the client's ended without an answer: it was taken back. Whatever carries it need not wait."""

    exchange: int


class Close(msgspec.Struct, frozen=True):
    """End the link."""

    reason: str


Command = Record | Send | AskConsent | Withdraw | End | Close

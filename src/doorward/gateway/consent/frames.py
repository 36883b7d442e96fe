"""What the two ends of the consent channel say to each other, and how much of it they accept.

Frames are msgpack, because a ticket holds bytes that are shown exactly as they are, and text formats would inflate
them. The sizes argue their numbers: a server's message may have 16 MiB (DESIGN §7), so a ticket may show 17 MiB and
its frame 18; a person says yes or no, which fits into 4 KiB; a stranger gets 1 KiB before it has proven itself.
"""

from __future__ import annotations

import msgspec

from doorward.judge.vocabulary import Ticket

MAX_SHOWN_BYTES = 17 * 1024 * 1024
MAX_TO_PERSON_BYTES = 18 * 1024 * 1024
MAX_TO_GATEWAY_BYTES = 4 * 1024
MAX_UNPROVEN_BYTES = 1024


class Welcome(msgspec.Struct, frozen=True, tag="welcome", gc=False):
    """First of the gateway: which `wrap` this is."""

    label: str
    pid: int


class Asked(msgspec.Struct, frozen=True, tag="asked"):
    """Here is a ticket: please show all of it."""

    ticket: Ticket


class Withdrawn(msgspec.Struct, frozen=True, tag="withdrawn", gc=False):
    """That ticket needs no answer any more, or the answer to it was not taken."""

    ticket: str
    why: str


class Present(msgspec.Struct, frozen=True, tag="present", gc=False):
    """First of the person's program: it is here and shows tickets."""


class Given(msgspec.Struct, frozen=True, tag="given", gc=False):
    """What the person said about the ticket with exactly this digest."""

    ticket: str
    digest: str
    approved: bool


ToPerson = Welcome | Asked | Withdrawn
ToGateway = Present | Given

_to_person: msgspec.msgpack.Decoder[ToPerson] = msgspec.msgpack.Decoder(ToPerson)
_to_gateway: msgspec.msgpack.Decoder[ToGateway] = msgspec.msgpack.Decoder(ToGateway)


def encode(frame: ToPerson | ToGateway) -> bytes:
    """One frame as bytes."""
    return msgspec.msgpack.encode(frame)


def decode_to_person(data: bytes) -> ToPerson:
    """Raises msgspec.MsgspecError when it is no such frame."""
    return _to_person.decode(data)


def decode_to_gateway(data: bytes) -> ToGateway:
    """Raises msgspec.MsgspecError when it is no such frame."""
    return _to_gateway.decode(data)

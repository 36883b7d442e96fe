"""A server's first use that must be agreed to: asked before anything of it runs, or anything is sent to it.

There is no link yet, so no relay: the ticket is made here, its question and its answer are recorded here, and the
answer releases exactly one thing, the start of this command or the use of this URL.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from doorward.audit.entry import Entry, FindingRecord, Kind
from doorward.errors import ConsentError
from doorward.gateway.archive import Archive
from doorward.gateway.consent.channel import ConsentChannel
from doorward.judge.vocabulary import Answer, Principal, Ticket, VerifiedIdentity
from doorward.policy.model import Policy
from doorward.relay.commands import Record
from doorward.relay.consent import action_digest, ticket_digest
from doorward.wire.jsonrpc import encode_value

_ATTACH_S: Final = 2.0


class Asked(msgspec.Struct, frozen=True):
    """What a person must know to agree to a server: who it is, why it is asked, and what it would be given.

    A command has ``command``, ``folders`` and ``network``. A URL has ``url``, ``known_by`` (how whoever answers is
    known, whose socket it is) and ``looks_like`` (the known server that it could be taken for, if there is one).
    """

    server: VerifiedIdentity
    principal: Principal
    policy: Policy
    why: str
    hint: str
    command: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    url: str = ""
    known_by: str = ""
    looks_like: str = ""


async def ask(asked: Asked, *, runtime: Path, state: Path, archive: Archive, clock: Callable[[], int]) -> Answer:
    """The answer of a person who agreed.

    Raises ConsentError when nobody is attached, nobody answers in ``consent.hold_seconds``, or somebody refuses.
    """
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def take(answer: Answer) -> None:
        if not answered.done():
            answered.set_result(answer)

    channel = ConsentChannel(runtime=runtime, state=state, label=asked.server.name, on_answer=take)
    await channel.open()
    try:
        if not await channel.wait_attached(_ATTACH_S):
            await _record(archive, _refused(asked, clock(), "nobody can be asked"))
            raise ConsentError(
                f"{asked.server.name} must be agreed to before its first use, and nobody can be asked: {asked.why}",
                hint=f"run `doorward consent` in another terminal and start this again, or: {asked.hint}",
            )
        return await _decide(asked, channel, answered, archive, clock)
    finally:
        await channel.close()


async def _decide(
    asked: Asked, channel: ConsentChannel, answered: asyncio.Future[Answer], archive: Archive, clock: Callable[[], int]
) -> Answer:
    ticket = _ticket(asked, clock())
    await _record(archive, _entry("ask", asked, clock(), ticket=ticket.id, body=ticket.shown.decode(), decision="ASK"))
    channel.ask(ticket)
    try:
        async with asyncio.timeout(asked.policy.hold_seconds):
            answer = await answered
    except TimeoutError:
        await _record(archive, _refused(asked, clock(), "nobody answered in time", ticket.id))
        raise ConsentError(f"nobody agreed to {asked.server.name} within {asked.policy.hold_seconds} s") from None
    if not answer.approved or answer.digest != ticket.digest:
        await _record(archive, _refused(asked, clock(), "a person did not agree", ticket.id))
        raise ConsentError(f"{asked.server.name} was refused by {answer.by}")
    detail = {"by": answer.by, "how": answer.how, "digest": answer.digest}
    await _record(
        archive, _entry("answer", asked, clock(), ticket=ticket.id, spends=ticket.id, decision="ALLOW", detail=detail)
    )
    return answer


def _ticket(asked: Asked, now: int) -> Ticket:
    shown = encode_value(_shown(asked))
    nonce, action = os.urandom(16).hex(), action_digest(shown)
    return Ticket(
        id=os.urandom(16).hex(),
        exchange=0,
        kind="first-use",
        title=f"{'use' if asked.url else 'start'} the server {asked.server.name} for the first time",
        shown=shown,
        action_digest=action,
        digest=ticket_digest(nonce, action),
        nonce=nonce,
        principal=asked.principal.id,
        session="",
        server=asked.server,
        policy=asked.policy.digest,
        definitions="",
        reasons=(asked.why,),
        expires=now + asked.policy.hold_seconds * 1_000_000,
    )


def _shown(asked: Asked) -> dict[str, Any]:
    identity = dict(asked.server.evidence)
    if not asked.url:
        given = {"folders": asked.folders, "network": asked.network}
        return {"command": asked.command, **given, "identity": identity}
    told = {"url": asked.url, "known by": asked.known_by, "looks like": asked.looks_like}
    return {label: text for label, text in told.items() if text} | {"identity": identity}


def _refused(asked: Asked, now: int, why: str, ticket: str = "") -> Entry:
    finding = FindingRecord("first-use", "DENY", why, asked.why)
    return _entry("answer" if ticket else "refusal", asked, now, ticket=ticket, decision="DENY", findings=(finding,))


def _entry(kind: Kind, asked: Asked, now: int, **more: Any) -> Entry:
    return Entry(
        kind=kind,
        at=now,
        link="first-use",
        principal=asked.principal.id,
        server=asked.server.line,
        sender="doorward",
        policy=asked.policy.digest,
        **more,
    )


async def _record(archive: Archive, entry: Entry) -> None:
    problem = await archive.write([Record(entry, "durable")])
    if problem is not None:
        raise problem

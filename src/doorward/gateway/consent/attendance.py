"""The person's end of the consent channel: stays connected to every gateway that there is, now and later.

It announces itself in every runtime directory, finds gateways by looking there ten times a second, proves the key to
each, lets each prove it in return, and hands on what they say as events. A gateway that cannot prove the key is never
shown: a process that may not read the user's key has no business asking the user for anything.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from doorward.errors import ConsentError
from doorward.gateway.consent import frames, sockets
from doorward.gateway.consent.key import tag_of
from doorward.gateway.consent.presence import announced
from doorward.gateway.consent.sealed import PROOF_DEADLINE_S, SealedStream, greet
from doorward.relay.consent import action_digest, ticket_digest

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from doorward.judge.vocabulary import Ticket

POLL_S = 0.1
_STREAM_LIMIT_BYTES = 1024 * 1024
_RETRY_AFTER_S = 1.0
_PATIENCE_S = 2


class Line:
    """An open, proven connection to one gateway."""

    def __init__(self, stream: SealedStream, welcome: frames.Welcome) -> None:
        self.label = welcome.label
        self.pid = welcome.pid
        self._stream = stream

    async def give(self, ticket: Ticket, *, approved: bool) -> None:
        """Answer. A gateway that is gone does not get it, and a `Gone` event says so."""
        with suppress(OSError):
            await self._stream.say(frames.encode(frames.Given(ticket.id, ticket.digest, approved)))

    async def hear(self) -> frames.ToPerson:
        """What the gateway says next, under the seal that it proved itself with."""
        return frames.decode_to_person(await self._stream.hear(max_bytes=frames.MAX_TO_PERSON_BYTES))


class Connected(NamedTuple):
    """A gateway proved itself."""

    line: Line


class Gone(NamedTuple):
    """A gateway went away, and all its tickets with it."""

    line: Line


class Asked(NamedTuple):
    """A gateway asks."""

    line: Line
    ticket: Ticket


class Withdrawn(NamedTuple):
    """A gateway no longer wants that answer, or did not take it."""

    line: Line
    ticket_id: str
    why: str


class Impostor(NamedTuple):
    """Something listens in the runtime directory and is no gateway of ours. Said once for each socket."""

    path: Path
    why: str


Event = Connected | Gone | Asked | Withdrawn | Impostor


class Attendance:
    """Run :meth:`attend` as a task; ``on_event`` is called in the event loop with each event, in order.

    ``directories`` is asked each time which runtime directories there are: clients start servers with a short
    environment, so gateways of one user may have chosen different ones, and some appear later.

    Its bound: a proven gateway is trusted to keep its own limits (256 open tickets of at most 17 MiB).
    """

    def __init__(
        self, *, directories: Callable[[], Iterable[Path]], key: bytes, on_event: Callable[[Event], None]
    ) -> None:
        self._on_event = on_event
        self._directories = directories
        self._announced: dict[tuple[Path, int], ExitStack] = {}
        self._key = key
        self._tag = tag_of(key)
        self._connections: dict[Path, asyncio.Task[None]] = {}
        self._not_before: dict[Path, float] = {}
        self._impostors: set[Path] = set()

    async def attend(self) -> None:
        """Look for gateways until cancelled; then let go of all of them."""
        try:
            while True:
                self._look()
                await asyncio.sleep(POLL_S)
        finally:
            tasks = list(self._connections.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for presence in self._announced.values():
                presence.close()

    def _announce(self) -> set[Path]:
        """Be known in every directory. One that was removed and made again has another inode, and no lock of ours."""
        found: dict[tuple[Path, int], ExitStack] = {}
        for directory in self._directories():
            with suppress(OSError, ConsentError):
                identity = directory, directory.stat().st_ino
                if identity not in self._announced:
                    sockets.sweep(directory)
                    with ExitStack() as entered:
                        entered.enter_context(announced(directory, self._tag))
                        self._announced[identity] = entered.pop_all()
                found[identity] = self._announced[identity]
        for identity in self._announced.keys() - found.keys():
            self._announced[identity].close()
        self._announced = found
        return {directory for directory, _ in found}

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        present = {path for directory in self._announce() for path in sockets.listening(directory, self._tag)}
        self._impostors &= present
        self._not_before = {path: at for path, at in self._not_before.items() if path in present and at > now}
        for path in sorted(present - self._connections.keys() - self._not_before.keys()):
            task = asyncio.get_running_loop().create_task(self._serve(path))
            self._connections[path] = task
            task.add_done_callback(partial(self._forget, path))

    def _forget(self, path: Path, _task: asyncio.Task[None]) -> None:
        self._connections.pop(path, None)

    async def _serve(self, path: Path) -> None:
        connection = sockets.connect(path)
        if connection is None:  # gone, or busy, perhaps by somebody's intention
            connection = await asyncio.to_thread(sockets.connect, path, patience_s=_PATIENCE_S)
        if connection is None:
            return
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=_STREAM_LIMIT_BYTES)
        try:
            line = await self._prove(reader, writer, connection)
            self._on_event(Connected(line))
            try:
                await self._listen(line)
            finally:
                self._on_event(Gone(line))
        except (EOFError, OSError):
            pass  # it ended, or it is too busy to answer: we come back
        except (ConsentError, msgspec.MsgspecError) as problem:
            if path not in self._impostors:
                self._impostors.add(path)
                self._on_event(Impostor(path, str(problem)))
            self._not_before[path] = asyncio.get_running_loop().time() + _RETRY_AFTER_S
        finally:
            writer.transport.abort()

    async def _prove(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: socket.socket
    ) -> Line:
        _pid, uid = sockets.peer_of(connection)
        if uid != os.geteuid():
            raise ConsentError(f"it belongs to another user (uid {uid})")
        async with asyncio.timeout(PROOF_DEADLINE_S):
            stream = await greet(reader, writer, role="person", key=self._key)
            await stream.say(frames.encode(frames.Present()))
            welcome = frames.decode_to_person(await stream.hear(max_bytes=frames.MAX_UNPROVEN_BYTES))
        if not isinstance(welcome, frames.Welcome):
            raise ConsentError("it began with something else than a welcome")
        return Line(stream, welcome)

    async def _listen(self, line: Line) -> None:
        while True:
            heard = await line.hear()
            if isinstance(heard, frames.Withdrawn):
                self._on_event(Withdrawn(line, heard.ticket, heard.why))
            elif isinstance(heard, frames.Asked):
                _require_bound(heard.ticket)
                self._on_event(Asked(line, heard.ticket))


def _require_bound(ticket: Ticket) -> None:
    """What is shown is what the digest is about: computed here again, from the bytes that will be on the screen."""
    action = action_digest(ticket.shown)
    if ticket.action_digest != action or ticket.digest != ticket_digest(ticket.nonce, action):
        raise ConsentError(f"the digest of ticket {ticket.id} is not about the message that came with it")

"""The gateway's end of the consent channel: shows tickets to every `doorward consent` that proves itself.

It decides nothing. It carries a ticket to people and at most one answer back; whether that answer still counts (request
alive, same policy, not expired) the relay checks again. Whatever goes wrong here ends in *no* answer or in a refusal:
nobody there, a frame too long, a lost connection, an answer about another digest.

Strangers may knock, since file permissions do not stop a confined process of the same user from connecting. So they are
bounded in number, bytes and time; when the room is full, the oldest stranger of the process with the most of them has
to leave, and a person's program that was turned out comes back a tenth of a second later.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from doorward.confine.tree import parent
from doorward.errors import ConsentError
from doorward.gateway.consent import frames, sockets
from doorward.gateway.consent.key import load_key, tag_of
from doorward.gateway.consent.presence import is_announced
from doorward.gateway.consent.sealed import PROOF_DEADLINE_S, SealedStream, greet
from doorward.judge.vocabulary import Answer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection
    from pathlib import Path

    from doorward.judge.vocabulary import Ticket

HOW = "doorward consent, terminal"

# A handshake takes about a millisecond and 10 kB, so this many at once are either an attack or a very slow machine.
MAX_STRANGERS = 128
# People with a terminal open; each one costs a task.
MAX_PEOPLE = 16
# More open questions than anybody reads; the relay's own table is bounded too. Beyond it the answer is no.
MAX_PENDING = 256
_PRESENCE_POLL_S = 0.05
# A person's program has few ancestors; who has more is only treated as any other stranger.
_ANCESTORS = 64


class _Person:
    """One authenticated consent program, and what is still to be told to it.

    Tickets wait here by id only: a program that is stopped while holding its connection costs ids, not messages.
    """

    def __init__(self, by: str) -> None:
        self.by = by
        self.shown: set[str] = set()
        self._tell: deque[str | frames.Withdrawn] = deque()
        self._something = asyncio.Event()

    def tell(self, item: str | frames.Withdrawn) -> None:
        self._tell.append(item)
        self._something.set()

    def withdraw(self, notice: frames.Withdrawn) -> None:
        if notice.ticket in self.shown:
            self.shown.discard(notice.ticket)
            self.tell(notice)
        else:
            with suppress(ValueError):
                self._tell.remove(notice.ticket)

    async def next(self) -> str | frames.Withdrawn:
        while not self._tell:
            self._something.clear()
            await self._something.wait()
        return self._tell.popleft()


class ConsentChannel:
    """Asks people who are at a terminal of the same OS user.

    ``runtime``: directory of the sockets, 0700. ``state``: where ``consent.key`` lies. ``label``: what people see as
    the name of this gateway. ``on_answer`` is called in the event loop, soon but never from within :meth:`ask`, at most
    once per ticket. ``on_notice`` gets one line for the operator when somebody tried something: a stranger without the
    key, an answer about a digest that was not shown; each wording at most once, so that a flood cannot fill a log.

    ``unheard`` are the supervisors of our own servers: whoever comes from below one is turned away at once, so that a
    server cannot keep people out by taking all places. It stays below, as the supervisor is its subreaper.

    It does NOT protect against an unconfined process of the same OS user, which can read the key.
    """

    def __init__(
        self,
        *,
        runtime: Path,
        state: Path,
        label: str,
        on_answer: Callable[[Answer], None],
        on_notice: Callable[[str], None] | None = None,
        unheard: Collection[int] = (),
    ) -> None:
        self._runtime = runtime
        self._state = state
        self._welcome = frames.encode(frames.Welcome(label, os.getpid()))
        self._on_answer = on_answer
        self._on_notice = on_notice
        self._unheard = unheard
        self._noticed: set[str] = set()
        self._key = b""
        self._path: Path | None = None
        self._server: asyncio.Server | None = None
        self._pending: dict[str, Ticket] = {}
        self._people: dict[asyncio.Task[None], _Person] = {}
        self._strangers: dict[asyncio.Task[None], int] = {}  # in order of arrival, with the process id
        self._arrived = asyncio.Event()

    async def open(self) -> None:
        """Listen on a socket of our own, mode 0600.

        Raises ConsentError when the directory is not private, the path is longer than 107 bytes, or there is no key.
        """
        self._key = load_key(self._state)
        sockets.prepare(self._runtime)
        sockets.sweep(self._runtime)
        listener, self._path = sockets.listen(self._runtime, tag_of(self._key))
        # The stream's own buffer stays small: whoever sends more than a stranger may is not read any further.
        self._server = await asyncio.start_unix_server(
            self._knock, sock=listener, backlog=sockets.BACKLOG, limit=frames.MAX_TO_GATEWAY_BYTES
        )

    @property
    def path(self) -> Path | None:
        """Where the socket is, while the channel is open."""
        return self._path

    @property
    def attached(self) -> bool:
        """Whether somebody who can read the key is connected right now, and would see a ticket."""
        return bool(self._people)

    async def wait_attached(self, timeout_s: float) -> bool:
        """Wait for a consent program that announces itself; with none running, return False at once."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not self.attached and is_announced(self._runtime, tag_of(self._key)):
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            self._arrived.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, _PRESENCE_POLL_S)):
                    await self._arrived.wait()
        return self.attached

    def ask(self, ticket: Ticket) -> None:
        """Show the ticket to everybody attached and to whoever attaches while it is open.

        One that cannot be shown completely, or comes when too many are open, is refused at once.
        """
        if len(ticket.shown) > frames.MAX_SHOWN_BYTES:
            self._refuse(ticket, f"not shown: {len(ticket.shown):,} bytes are more than a person can be shown")
        elif len(self._pending) >= MAX_PENDING:
            self._refuse(ticket, f"not shown: {MAX_PENDING} tickets are open already")
        else:
            self._pending[ticket.id] = ticket
            for person in self._people.values():
                person.tell(ticket.id)

    def withdraw(self, ticket_id: str, why: str) -> None:
        """Take a ticket back (expired, cancelled). One that is not open is none of our business any more."""
        if self._pending.pop(ticket_id, None) is not None:
            self._tell_withdrawn(frames.Withdrawn(ticket_id, why))

    async def close(self) -> None:
        """Remove the socket and let everybody go. Open tickets get no answer."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None
        if self._server is not None:
            self._server.close()
        self._pending.clear()
        tasks = [*self._people, *self._strangers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- one connection -------------------------------------------------------------------------------------------

    def _knock(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection: socket.socket = writer.get_extra_info("socket")
        pid, uid = sockets.peer_of(connection)
        if uid != os.geteuid():
            self._notice(f"a process of another user (uid {uid}) tried to reach the consent channel")
        if uid != os.geteuid() or self._path is None:
            writer.transport.abort()
            return
        if any(_is_below(pid, supervisor) for supervisor in self._unheard):
            self._notice("the server tried to reach the consent channel")
            writer.transport.abort()
            return
        if len(self._strangers) >= MAX_STRANGERS:
            self._turn_one_out()
        task = asyncio.get_running_loop().create_task(self._receive(reader, writer, uid))
        self._strangers[task] = pid
        task.add_done_callback(self._forget)

    def _turn_one_out(self) -> None:
        greediest, _ = Counter(self._strangers.values()).most_common(1)[0]
        oldest = next(task for task, pid in self._strangers.items() if pid == greediest)
        del self._strangers[oldest]
        oldest.cancel()

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._strangers.pop(task, None)
        self._people.pop(task, None)

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, uid: int) -> None:
        try:
            async with asyncio.timeout(PROOF_DEADLINE_S):
                stream = await greet(reader, writer, role="gateway", key=self._key)
                first = frames.decode_to_gateway(await stream.hear(max_bytes=frames.MAX_UNPROVEN_BYTES))
                if not isinstance(first, frames.Present):
                    raise ConsentError("a consent program began with something else than its presence")
                await stream.say(self._welcome)
            await self._attend(stream, writer.transport, uid)
        except (EOFError, OSError):
            pass  # left, or said nothing for too long (TimeoutError is an OSError)
        except (ConsentError, msgspec.MsgspecError) as problem:
            self._notice(f"somebody at the consent channel was turned away: {problem}")
        finally:
            writer.transport.abort()

    async def _attend(self, stream: SealedStream, transport: asyncio.WriteTransport, uid: int) -> None:
        """Serve one person from proof to goodbye."""
        task = asyncio.current_task()
        if task is None or len(self._people) >= MAX_PEOPLE:
            raise ConsentError(f"{MAX_PEOPLE} consent programs are attached already")
        person = _Person(_os_user(uid))
        self._strangers.pop(task, None)
        self._people[task] = person
        self._arrived.set()
        for ticket_id in self._pending:
            person.tell(ticket_id)
        telling = asyncio.get_running_loop().create_task(self._tell(stream, person))
        telling.add_done_callback(lambda _: transport.abort())  # who cannot be told is not attached
        try:
            while True:
                heard = frames.decode_to_gateway(await stream.hear(max_bytes=frames.MAX_TO_GATEWAY_BYTES))
                if isinstance(heard, frames.Given):
                    self._take(heard, person)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def _tell(self, stream: SealedStream, person: _Person) -> None:
        while True:
            item = await person.next()
            if isinstance(item, frames.Withdrawn):
                await stream.say(frames.encode(item))
            elif (ticket := self._pending.get(item)) is not None:
                person.shown.add(item)
                await stream.say(frames.encode(frames.Asked(ticket)))

    # -- answers --------------------------------------------------------------------------------------------------

    def _take(self, given: frames.Given, person: _Person) -> None:
        ticket = self._pending.get(given.ticket)
        if ticket is None:
            person.tell(frames.Withdrawn(given.ticket, "your answer came too late: it is not open any more"))
        elif given.ticket not in person.shown or given.digest != ticket.digest:
            self._notice(f"an answer by {person.by} about something else than what was shown was ignored")
            person.tell(frames.Withdrawn(given.ticket, "your answer was ignored: it was not about what is asked"))
        else:
            del self._pending[ticket.id]
            person.shown.discard(ticket.id)
            answer = Answer(ticket=ticket.id, digest=given.digest, approved=given.approved, by=person.by, how=HOW)
            asyncio.get_running_loop().call_soon(self._on_answer, answer)
            word = "approved" if given.approved else "refused"
            self._tell_withdrawn(frames.Withdrawn(ticket.id, f"{word} by {person.by} at another terminal"))

    def _tell_withdrawn(self, notice: frames.Withdrawn) -> None:
        for person in self._people.values():
            person.withdraw(notice)

    def _refuse(self, ticket: Ticket, why: str) -> None:
        answer = Answer(ticket=ticket.id, digest=ticket.digest, approved=False, by="doorward", how=why)
        asyncio.get_running_loop().call_soon(self._on_answer, answer)

    def _notice(self, line: str) -> None:
        if self._on_notice is not None and line not in self._noticed:
            self._noticed.add(line)
            self._on_notice(line)


def _is_below(pid: int, top: int) -> bool:
    """Whether a process is ``top`` or below it; one that is gone already counts, having nothing more to say.

    0 stands for a process outside of our namespace, or for what is above the first.
    """
    current: int | None = pid
    for _ in range(_ANCESTORS):
        if current is None or current == top:
            return True
        if current == 0:
            return False
        current = parent(current)
    return False


def _os_user(uid: int) -> str:
    import pwd

    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"

"""One link over HTTP: a relay, what performs its commands, and the two sides that it stands between.

    client ⇄ downstream ⇄ performer + relay ⇄ connector ⇄ server

A link belongs to one principal and one server. In the legacy era it is a session; modern requests of one principal
share one, on which each is known by the number of its exchange.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Final, Generic, Protocol, TypeVar

from doorward.audit.entry import Entry
from doorward.errors import MalformedMessageError
from doorward.gateway.archive import Archive
from doorward.gateway.arrivals import Arrivals, Headers
from doorward.gateway.consent.desk import Desk, Seat
from doorward.gateway.perform import Performer
from doorward.gateway.ports import Port
from doorward.gateway.upstream.connector import Connector
from doorward.judge.vocabulary import Answer, Principal, VerifiedIdentity
from doorward.policy.model import Policy
from doorward.relay.commands import Closed, Unproven
from doorward.relay.relay import Relay
from doorward.relay.state import Settings
from doorward.wire.jsonrpc import Decoded
from doorward.wire.lines import Overlong

_SETTLE_S: Final = 5.0


class ClientSide(Port, Protocol):
    """The port towards the client, and what only the doors know of it."""

    def full(self, exchange: int) -> Awaitable[None] | None:
        """What must be awaited before more is read of an exchange whose client does not take what it got."""

    def end(self, exchange: int) -> None:
        """A request on an exchange ended without an answer."""

    def drop(self, exchange: int) -> bool:
        """The client closed an exchange; whether that takes something back."""

    def close(self) -> None:
        """The link is over."""


D = TypeVar("D", bound=ClientSide)


class Link(Generic[D]):
    """See above; it is the ``Receiver`` of its connector. ``on_over`` is called once, when the server is gone or the
    relay ended the link: whoever keeps it closes it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        archive: Archive,
        desk: Desk,
        clock: Callable[[], int],
        principal: Principal,
        server: VerifiedIdentity,
        notice: Callable[[Entry], None],
        downstream: D,
    ) -> None:
        self.id = settings.link
        self.principal = principal
        self.downstream = downstream
        self.relay = Relay(settings)
        self.over = ""
        self.on_over: Callable[[str], None] = lambda _: None
        self._performer: Performer
        self._connector: Connector
        self._arrivals: Arrivals
        self._perform = functools.partial(
            Performer,
            self.relay,
            archive=archive,
            consent=Seat(desk, self._answered),
            clock=clock,
            principal=principal,
            server=server,
            notice=notice,
            on_close=self._end,
            on_end=downstream.end,
        )
        self._sizes = settings.policy.sizes
        self._behind: set[asyncio.Future[None]] = set()
        self._closing: asyncio.Task[None] | None = None

    def begin(self, connector: Connector) -> None:
        """The first record, and the way to the server: before it the link is nobody's. ``connector`` tells us."""
        self._connector = connector
        self._performer = self._perform(outlets={"client": self.downstream, "server": connector})
        self._arrivals = Arrivals(self._performer, self._sizes)
        self._performer.begin()

    @property
    def version(self) -> str:
        """The revision that was agreed on (legacy)."""
        return self.relay.state.link.version

    def schema_of(self, tool: str) -> bytes | None:
        """Our encoding of a tool's inputSchema, as listed; None where it is not known."""
        found = self.relay.state.definitions.tools.get(tool)
        return found.schema if found is not None else None

    def adopt(self, policy: Policy) -> None:
        """Judge by another policy from now on."""
        self.relay.state.adopt(policy)
        self._arrivals = Arrivals(self._performer, policy.sizes)

    def listen(self) -> None:
        """The client opened a standing stream, so we do the same where the transport has one."""
        self._connector.listen()

    # -- what the client says -----------------------------------------------------------------------------------------

    def take(self, frame: Decoded, exchange: int, headers: Headers | None) -> None:
        self._await(self._arrivals.decoded(frame, "client", exchange, headers))

    def unreadable(self, problem: MalformedMessageError, body: bytes, exchange: int) -> None:
        self._await(self._arrivals.unreadable(problem, body, "client", exchange))

    def leave(self, exchange: int) -> None:
        """The client closed an exchange before its answer: what it asked there is taken back (modern)."""
        if self.downstream.drop(exchange) and not self.over:
            closed = Closed("client", exchange, "the client closed its stream", self._performer.facts())
            self._performer.feed(closed)

    def _answered(self, answer: Answer) -> None:
        self._performer.answered(answer)

    def _await(self, waiting: Awaitable[None] | None) -> None:
        """The client's next request comes on a connection of its own; what this one waits for, it waits for alone."""
        if waiting is None:
            return
        task = asyncio.ensure_future(waiting)
        self._behind.add(task)
        task.add_done_callback(self._caught_up)

    def _caught_up(self, task: asyncio.Future[None]) -> None:
        self._behind.discard(task)
        if not task.cancelled() and (crash := task.exception()) is not None:  # a message is lost, and somebody waits
            self._end(f"a message could not be looked into: {type(crash).__name__}: {crash}")

    # -- what the server says (``Receiver``) --------------------------------------------------------------------------

    def arrive(self, frame: bytes, exchange: int) -> Awaitable[None] | None:
        return self._arrivals.take(frame, "server", exchange) or self.downstream.full(exchange)

    def overlong(self, frame: Overlong, exchange: int) -> Awaitable[None] | None:
        return self._arrivals.take(frame, "server", exchange)

    def unread(self, problem: MalformedMessageError, exchange: int) -> None:
        self._await(self._arrivals.unreadable(problem, b"", "server", exchange))

    def unproven(self, why: str, exchange: int) -> None:
        self._performer.feed(Unproven(why, exchange, self._performer.facts()))

    def lost(self, exchange: int, cause: str) -> None:
        self._performer.feed(Closed("server", exchange, cause, self._performer.facts()))

    def broke(self, cause: str) -> None:
        self._performer.feed(Closed("server", 0, cause, self._performer.facts()))
        self._end(cause)

    # -- the end ------------------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a request that was sent is still unanswered."""
        return self.relay.busy

    def _end(self, why: str) -> None:
        if not self.over:
            self.over = why
            self.on_over(why)

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be taken from the client for now."""
        return self._performer.is_full

    @property
    def busy_or_fetching(self) -> bool:
        """The same, or one that waits for an answer to a question of ours."""
        return self.relay.busy or self.relay.fetching

    def take_line(self, line: bytes | Overlong, exchange: int) -> Awaitable[None] | None:
        """One line of a client on one pipe, whose next one waits for what is returned."""
        waiting = self._arrivals.take(line, "client", exchange)
        if self.relay.state.link.phase == "ready":  # a pipe has no GET: whoever is on it listens
            self.listen()
        return waiting

    async def close(self, why: str) -> None:
        """End it: what waits is told, what is known is recorded, both sides are closed. Idempotent."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close(why))
        await asyncio.shield(self._closing)

    async def _close(self, why: str) -> None:
        server_gone = self.over != ""
        self.over = self.over or why
        for task in tuple(self._behind):  # what has not reached the relay until now never does
            task.cancel()
        if not server_gone:  # first, so that whoever waits for an answer gets the one that there is
            self._performer.feed(Closed("server", 0, why, self._performer.facts()))
        self._performer.feed(Closed("client", 0, why, self._performer.facts()))
        try:
            async with asyncio.timeout(_SETTLE_S):
                await self._performer.settled()
        except TimeoutError:
            pass  # a client that does not read its last answer does not keep the server alive
        finally:
            self.downstream.close()
            await self._connector.close()
        await self._performer.close()

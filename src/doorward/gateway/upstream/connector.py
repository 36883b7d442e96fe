"""What a link expects of a connector, and what a connector may tell its link.

A connector carries messages to one server on behalf of one link: one principal, and in the legacy era one session.
Connections, children and credentials are never shared between links. It never judges; it bounds, frames and carries.

*Exchange* (architecture §3): one carriage of messages. The number comes with each message that goes out, and what the
server says in answer to it comes back under the same number. 0 is the standing stream: the stdio pipe, the legacy GET
stream. Doorward's own questions have -1 (``relay.routes.OURS``), which can be lost like any other.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, Protocol

from doorward.errors import MalformedMessageError
from doorward.relay.commands import Send
from doorward.wire.lines import Overlong

MAX_ANSWER_S: Final = 30 * 60.0
"""How long one answer may take in all. The specification asks for a maximum that progress does not extend and leaves
the time to the client; SDKs end a call after 1 to 5 minutes unless told otherwise, and for what takes longer than half
an hour there are tasks. ``subscriptions/listen`` is exempt: it is a standing stream by its nature.
"""


class Receiver(Protocol):
    """The link, as its connector sees it. Called in the event loop; none of these raises."""

    def arrive(self, frame: bytes, exchange: int) -> Awaitable[None] | None:
        """One whole frame from the server (an SSE event's data, a JSON body, a line). What is returned, if anything,
        must be awaited before more is read from where it came from.
        """

    def overlong(self, frame: Overlong, exchange: int) -> Awaitable[None] | None:
        """A frame that exceeded the limit, and was dropped while it came in."""

    def unread(self, problem: MalformedMessageError, exchange: int) -> None:
        """What answers on this exchange was not read, for a reason of its carriage. ``lost`` follows."""

    def unproven(self, why: str, exchange: int) -> None:
        """Whoever answered where the server should be did not prove to be it: nothing was sent to them. ``lost`` or
        ``broke`` follows where somebody waits.
        """

    def lost(self, exchange: int, cause: str) -> None:
        """Nothing more will come on this exchange (never 0): the connection broke, or it ended without an answer, or
        with a status that carries none. Not called where a complete answer was handed over. Where several requests
        share an exchange (a batch), it is called once the last of them has ended: those without an answer are lost.
        """

    def broke(self, cause: str) -> None:
        """The whole upstream is gone: the session was ended, the child died. Called once, and nothing after it."""


class Connector(Protocol):
    """The server's side of a link. ``put`` never blocks: what cannot be sent yet is queued, bounded in bytes."""

    @property
    def broken(self) -> bool:
        """Whether nothing that is put will be read."""

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be put for now."""

    def put(self, send: Send) -> bool:
        """Queue one message; False when nobody will read it any more."""

    async def room(self) -> None:
        """Wait until it is not full any more."""

    async def drained(self) -> None:
        """Wait until all that was put has left, or cannot any more."""

    def listen(self) -> None:
        """The client listens to its standing stream. Opens the server's where the transport has one to open."""

    async def close(self) -> None:
        """End it: the session is deleted, connections are closed, a child ends with all that it started. Idempotent;
        nothing is told to the receiver afterwards.
        """

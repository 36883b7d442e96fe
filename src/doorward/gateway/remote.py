"""``doorward wrap --url``: a client on our own stdin and stdout, a server that is reached by its URL.

The counterpart of ``stdio`` for a server that is not our child. Each request of the client is an exchange of its own,
as a POST is; what the server says on any of them leaves on the one pipe.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable
from typing import Any, Final

import msgspec

from doorward.confine.closing import close_to_others
from doorward.gateway import defences
from doorward.gateway.app import principal
from doorward.gateway.archive import Archive
from doorward.gateway.arrivals import limits_of
from doorward.gateway.clock import Clock
from doorward.gateway.command_use import Places
from doorward.gateway.consent.channel import ConsentChannel
from doorward.gateway.consent.desk import Desk
from doorward.gateway.identity.settle import settle_url
from doorward.gateway.identity.url import UrlIdentity, identify_url
from doorward.gateway.link import Link
from doorward.gateway.places import connect
from doorward.gateway.ports import Intake, Outlet
from doorward.gateway.reporter import Reporter
from doorward.policy.model import Policy
from doorward.policy.profiles import weakened
from doorward.relay.commands import Send
from doorward.relay.state import Settings
from doorward.wire.lines import Overlong

_PATIENCE_BUSY_S: Final = 30.0  # as in gateway.stdio
_LOOK_S: Final = 0.02
_STDIN, _STDOUT = 0, 1


class WrapUrlOptions(msgspec.Struct, frozen=True):
    """What the operator wrote: the URL, the name for its server, and how it is spoken to."""

    url: str
    name: str = ""
    transport: str = "streamable"
    as_json: bool = False


class _Stdout:
    """The client's side: one pipe for every exchange."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    @property
    def broken(self) -> bool:
        return self._outlet.broken

    @property
    def is_full(self) -> bool:
        return self._outlet.is_full

    def put(self, send: Send) -> bool:
        return self._outlet.put(send)

    async def room(self) -> None:
        await self._outlet.room()

    async def drained(self) -> None:
        await self._outlet.drained()

    def full(self, exchange: int) -> Awaitable[None] | None:
        del exchange
        return None  # the port as a whole says it

    def end(self, exchange: int) -> None:
        """Nobody waits on a pipe for more than messages."""

    def drop(self, exchange: int) -> bool:
        del exchange
        return False  # a pipe has no streams to close

    def close(self) -> None:
        """Our stdout ends with us."""


def wrap_url(options: WrapUrlOptions, policy: Policy, places: Places) -> int:
    """One remote server for one stdio client. 0 when the client left, 1 when the server did.

    Raises DoorwardError where it cannot begin: the identity of the server, the archive, the consent channel.
    """
    return asyncio.run(_Door(options, policy, places).run())


class _Door:
    def __init__(self, options: WrapUrlOptions, policy: Policy, places: Places) -> None:
        self._options = options
        self._policy = policy
        self._places = places
        self._clock = Clock()
        self._reporter = Reporter(as_json=options.as_json)
        self._stopping = asyncio.Event()
        self._why = ""
        self._exchange = 0

    async def run(self) -> int:
        identity = identify_url(self._options.url, self._options.name, self._transport())
        if not identity.address.is_loopback:
            close_to_others()
        archive = Archive(self._places.state, label=identity.name, clock=self._clock.now, report=self._reporter.say)
        archive.start()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._crashed)
        stopping = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        for number in stopping:
            loop.add_signal_handler(number, self._stop, f"signal {number.name}")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stopping)
        try:
            settling = asyncio.ensure_future(self._settle(identity, archive))
            stopped = asyncio.ensure_future(self._stopping.wait())
            await asyncio.wait({settling, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not settling.done():
                settling.cancel()
                await asyncio.gather(settling, return_exceptions=True)
                return 1
            return await self._serve(await settling, archive)
        finally:
            await asyncio.to_thread(archive.close)

    def _transport(self) -> Any:
        return self._options.transport

    async def _settle(self, identity: UrlIdentity, archive: Archive) -> UrlIdentity:
        await asyncio.to_thread(archive.wait_open)
        return await settle_url(
            identity,
            principal=principal(),
            policy=self._policy,
            places=self._places,
            archive=archive,
            clock=self._clock.now,
            reporter=self._reporter,
        )

    async def _serve(self, identity: UrlIdentity, archive: Archive) -> int:
        for words in weakened(self._policy):
            self._reporter.say(f"unsafe: {words}")
        armed = defences.arm(self._policy)
        pipeline = armed.pipeline(os.urandom(32))
        self._reporter.mask_with(pipeline.masker)
        desk = Desk()
        consent = ConsentChannel(
            runtime=self._places.runtime,
            state=self._places.state,
            label=identity.name,
            on_answer=desk.answered,
            on_notice=self._reporter.say,
        )
        await consent.open()
        desk.use(consent)
        outlet = Outlet(_STDOUT, lambda why: self._stop(f"the client no longer reads: {why}"))
        link = Link(
            Settings(
                policy=self._policy,
                server=identity.name,
                pipeline=pipeline,
                link=os.urandom(8).hex(),
                session=os.urandom(16).hex(),
                seal_key=os.urandom(32),
            ),
            archive=archive,
            desk=desk,
            clock=self._clock.now,
            principal=principal(),
            server=identity.verified(),
            notice=self._reporter.refused,
            downstream=_Stdout(outlet),
        )
        link.on_over = self._stop
        try:
            link.begin(connect(identity, link, self._policy))
            return await self._carry(link)
        finally:
            await link.close(self._why or "the client closed its input")
            await consent.close()

    async def _carry(self, link: Link[_Stdout]) -> int:
        reading = asyncio.ensure_future(
            Intake(_STDIN, limits_of(self._policy.sizes)["client"].max_bytes, lambda line: self._take(line, link)).run()
        )
        stopped = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({reading, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not self._stopping.is_set():
            await self._finish(link)
        for task in (reading, stopped):
            task.cancel()
        if link.over:
            self._reporter.say(f"the link is closed: {link.over}")
        return 1 if link.over else 0

    async def _finish(self, link: Link[_Stdout]) -> None:
        """The client closed its input; what it asked before may still be answered."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _PATIENCE_BUSY_S
        while link.busy_or_fetching and loop.time() < until and not self._stopping.is_set():  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)

    def _take(self, line: bytes | Overlong, link: Link[_Stdout]) -> Awaitable[None] | None:
        self._exchange += 1
        return link.take_line(line, self._exchange)

    def _stop(self, why: str) -> None:
        self._why = self._why or why
        self._stopping.set()

    def _crashed(self, _: asyncio.AbstractEventLoop, what: dict[str, Any]) -> None:
        self._reporter.say(f"the door failed: {what.get('exception') or what.get('message')}")
        self._stop("the door failed")

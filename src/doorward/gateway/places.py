"""The servers of one gateway: each is settled before anybody can reach it, and gives links to principals.

A link never shares its connection or its child with another. What a link's server is was judged at the start; it is
looked at again each time that something is connected or started.
"""

from __future__ import annotations

import abc
import asyncio
import functools
import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from doorward.confine.process import boot
from doorward.confine.shortfalls import gaps
from doorward.errors import CapacityError, FetchError, IdentityError
from doorward.gateway.app import principal as process_principal
from doorward.gateway.arrivals import limits_of
from doorward.gateway.clock import Clock, written
from doorward.gateway.command_use import Places, WrapOptions, changed, executed, walls_of, wish_of
from doorward.gateway.egress.refusals import Refusals
from doorward.gateway.egress.server import Egress, way_out
from doorward.gateway.fetching.fetch import fetch, present
from doorward.gateway.http.downstream import Downstream, HttpLink
from doorward.gateway.identity import first_use_of_commands, judgment
from doorward.gateway.identity.command import CommandIdentity, identify_here
from doorward.gateway.identity.settle import settle_url
from doorward.gateway.identity.url import UrlIdentity, identify_url
from doorward.gateway.link import D, Link
from doorward.gateway.slowed import Slowed
from doorward.gateway.unshown import Unshown, tell_left_out
from doorward.gateway.upstream import address as addresses
from doorward.gateway.upstream.child import ChildConnector
from doorward.gateway.upstream.connector import Connector
from doorward.gateway.upstream.http_client import HttpClient
from doorward.gateway.upstream.restarts import Restarts, Starts
from doorward.gateway.upstream.sse_upstream import SseConnector
from doorward.gateway.upstream.streamable import StreamableConnector
from doorward.judge.vocabulary import Principal, VerifiedIdentity
from doorward.policy import known_servers, lock
from doorward.policy.model import Policy, ServerPolicy
from doorward.protocol.shown import Shown
from doorward.relay.state import Settings

if TYPE_CHECKING:
    from doorward.confine.process import Child
    from doorward.confine.profile import SandboxProfile
    from doorward.gateway.archive import Archive
    from doorward.gateway.consent.desk import Desk
    from doorward.gateway.defences import Defences
    from doorward.gateway.fetching.fetch import Wish
    from doorward.gateway.http.figures import Figures
    from doorward.gateway.reporter import Reporter
    from doorward.relay.pipeline import Pipeline

_STARTED_S: Final = 10.0


class House(Protocol):
    """What all servers of one gateway share. ``children`` counts those of each principal, ``starts`` paces them,
    ``outward`` is room for connections of servers that were started.
    """

    policy: Policy
    places: Places
    clock: Clock
    archive: Archive
    reporter: Reporter
    desk: Desk
    armed: Defences
    pipeline: Pipeline
    seal_key: bytes
    supervisors: set[int]
    figures: Figures
    children: Counter[str]
    starts: Starts
    outward: asyncio.Semaphore

    async def make_room(self, principal: Principal) -> bool: ...


class Server(abc.ABC):
    """One served server. ``settle`` comes first, once; ``open_link`` then as often as somebody comes."""

    def __init__(self, said: ServerPolicy, house: House) -> None:
        self.name = said.name
        self.path = said.served_path
        self._house = house
        self._tasks: dict[str, dict[str, str]] = {}  # by principal: what belongs to none of its sessions alone
        self._shown: dict[str, Shown] = {}

    @property
    def is_on_this_machine(self) -> bool:
        """Whether it is no child of ours and runs here: it may ask who calls it."""
        return False

    @abc.abstractmethod
    async def settle(self) -> None:
        """Who the server is: known, recorded at its first use, or agreed to. Raises DoorwardError where it is not."""

    @abc.abstractmethod
    async def open_link(self, principal: Principal, legacy: bool) -> HttpLink:
        """A link of ``principal`` to this server. Raises DoorwardError where there can be none."""

    async def _warm(self, server: VerifiedIdentity) -> None:
        """Load what the first call will need, before anybody waits for it."""
        known = known_servers.of_identity(server)
        demanded = self._house.policy.for_server(self.name, known.said if known is not None else None)
        await asyncio.to_thread(self._house.armed.warm, demanded)

    def _link(
        self,
        principal: Principal,
        server: VerifiedIdentity,
        *,
        legacy: bool,
        one_pipe: bool,
        folders: tuple[str, ...] = (),
    ) -> HttpLink:
        house = self._house
        known = known_servers.of_identity(server)
        settings = Settings(
            policy=house.policy,
            server=self.name,
            pipeline=house.pipeline,
            link=os.urandom(8).hex(),
            session=os.urandom(16).hex(),
            seal_key=house.seal_key,
            folders=folders,
            era="" if legacy else "modern",
            tasks=self._tasks.setdefault(principal.id, {}),
            known=known.said if known is not None else None,
            shown=self._shown.setdefault(principal.id, Shown()),
        )
        return HttpLink(
            settings,
            archive=house.archive,
            desk=house.desk,
            clock=house.clock.now,
            principal=principal,
            server=server,
            notice=house.reporter.refused,
            downstream=Downstream(legacy=legacy, one_pipe=one_pipe),
        )


class UrlServer(Server):
    """A server that is reached by a URL: Streamable HTTP, or the HTTP+SSE of 2024-11-05."""

    def __init__(self, said: ServerPolicy, house: House) -> None:
        super().__init__(said, house)
        self._said = said
        self._identity: UrlIdentity | None = None
        self._verified: VerifiedIdentity | None = None

    @property
    def is_on_this_machine(self) -> bool:
        return self._identity is not None and self._identity.address.is_loopback

    async def settle(self) -> None:
        transport: Any = self._said.transport
        house = self._house
        self._identity = await settle_url(
            identify_url(self._said.url, self.name, transport),
            principal=process_principal(),
            policy=house.policy,
            places=house.places,
            archive=house.archive,
            clock=house.clock.now,
            reporter=house.reporter,
        )
        self._verified = self._identity.verified()
        await self._warm(self._verified)

    async def open_link(self, principal: Principal, legacy: bool) -> HttpLink:
        if self._identity is None or self._verified is None:
            raise IdentityError(f"{self.name} was not settled")
        link = self._link(principal, self._verified, legacy=legacy, one_pipe=self._said.transport == "sse")
        link.begin(connect(self._identity, link, self._house.policy))
        return link


def connect(identity: UrlIdentity, link: Link[D], policy: Policy) -> Connector:
    """A connector of ``link``'s own to the server at a URL, whose identity is looked at on each connection."""

    def verify(transport: asyncio.Transport) -> str | None:
        return identity.verify_connected(transport.get_extra_info("peername"), transport.get_extra_info("sockname"))

    address = addresses.parse(identity.url)
    client = HttpClient(address, verify=verify)
    limits = limits_of(policy.sizes)["server"]
    if identity.transport == "sse":
        return SseConnector(client, address, link, limits=limits)
    return StreamableConnector(client, address, link, limits=limits, schema_of=link.schema_of)


class CommandServer(Server):
    """A server that is started by a command, once for each link, inside its walls."""

    def __init__(self, said: ServerPolicy, house: House, options: WrapOptions) -> None:
        super().__init__(said, house)
        self._options = options
        self._identity: CommandIdentity | None = None
        self._walls: SandboxProfile | None = None
        self._wish: Wish | None = None
        self._argv = options.command
        self._restarts = Restarts()
        self._told: set[str] = set()
        self._unshown: Unshown | None = None

    def _identify(self) -> CommandIdentity:
        """Who the command is now, with what was fetched for it."""
        if self._wish is None:
            return identify_here(self._options.command, self.name)
        fetched = present(self._wish)
        if fetched is None:
            raise FetchError(f"what was fetched for {self.name} is gone", hint="start doorward again")
        return identify_here(self._options.command, self.name, fetched.package)

    async def settle(self) -> None:
        house = self._house
        identity = self._identify()
        self._wish = wish_of(self._options, identity, house.policy, house.places)
        fetched = None
        if self._wish is not None:
            fetched = await fetch(self._wish, house.reporter.say)
            identity = self._identify()
            self._argv = executed(self._options, identity, fetched)
        walls = walls_of(self._options, identity, house.policy, house.places, fetched)
        verdict = judgment.judge(identity, lock.read(house.places.lock), house.policy.profile)
        if isinstance(verdict, judgment.First) and not verdict.asks:
            at = written(house.clock.now())
            verdict = judgment.record_first_use(house.places.lock, identity, house.policy.profile, at=at)
            if isinstance(verdict, judgment.First) and not verdict.asks:
                proof = identity.verified().fingerprint[:16]
                house.reporter.say(f"first use of {self.name} ({proof}), recorded", hint="doorward pin list")
        if isinstance(verdict, judgment.Changed):
            raise changed(identity, verdict, house.places)
        if isinstance(verdict, judgment.NearMiss) or (isinstance(verdict, judgment.First) and verdict.asks):
            await asyncio.to_thread(house.archive.wait_open)
            await first_use_of_commands.ask(
                identity,
                verdict,
                walls,
                principal=process_principal(),
                policy=house.policy,
                places=house.places,
                archive=house.archive,
                clock=house.clock.now,
                reporter=house.reporter,
            )
        for note in identity.notes:
            house.reporter.say(note)
        if names := " ".join(name for name in walls.withheld if not name.startswith("DOORWARD_")):
            house.reporter.say(f"not passed on to {self.name}: {names}", hint='env = ["NAME"] passes one on')
        tell_left_out(walls, house.reporter.say, _allowing)
        if self._options.unsafe_no_sandbox:
            house.reporter.say(f"unsafe: {self.name} runs without a sandbox (--unsafe-no-sandbox)")
        if self._options.unsafe_install_scripts:
            house.reporter.say(f"unsafe: install scripts of what {self.name} needs are run (--unsafe-install-scripts)")
        self._identity, self._walls = identity, walls
        await self._warm(identity.verified())

    async def open_link(self, principal: Principal, legacy: bool) -> HttpLink:
        if self._identity is None or self._walls is None:
            raise IdentityError(f"{self.name} was not settled")
        await self._pause(principal)
        most = self._house.policy.limits.children
        children = self._house.children
        if children[principal.id] >= most and not await self._house.make_room(principal):
            raise CapacityError(f"{most} child processes are running, and all are in use")
        children[principal.id] += 1
        try:
            return await self._start(principal, self._identity, self._walls, legacy=legacy)
        except BaseException:
            self._gone(principal)
            raise

    async def _start(
        self, principal: Principal, identity: CommandIdentity, walls: SandboxProfile, *, legacy: bool
    ) -> HttpLink:
        house = self._house
        launcher = boot()  # comes up meanwhile
        try:
            found = await asyncio.to_thread(self._identify)  # what is started now, not what was there when we began
            if found.verified().fingerprint != identity.verified().fingerprint:
                raise IdentityError(
                    f"{self.name} is not what it was when doorward started", hint="start doorward again"
                )
            unconfined = self._options.unsafe_no_sandbox
            child = house.armed.confine(self._argv, walls, unsafe_no_sandbox=unconfined, launcher=launcher)
        except BaseException:
            await asyncio.to_thread(launcher.abandon)
            raise
        house.supervisors.add(child.supervisor)
        try:
            await asyncio.to_thread(child.started, _STARTED_S)
        except BaseException:
            self._died(principal)
            house.supervisors.discard(child.supervisor)
            await asyncio.to_thread(child.close)
            for descriptor in (child.stdin, child.stdout, child.stderr, *(one.descriptor for one in child.listeners)):
                os.close(descriptor)
            raise
        self._tell_gaps(child, walls)
        folders = tuple(folder.path for folder in walls.folders)
        link = self._link(principal, identity.verified(), legacy=legacy, one_pipe=True, folders=folders)

        if self._unshown is None and child.mechanism:
            self._unshown = self._hears(walls)
        unshown = self._unshown

        def pass_on(line: bytes, source: str) -> None:
            house.reporter.pass_on(line, house.clock.now(), source)
            if unshown is not None:
                unshown.hear_line(line)

        limits = limits_of(house.policy.sizes)["server"]
        ended = functools.partial(self._ended, principal, child.supervisor)
        died = functools.partial(self._died, principal)
        egress = self._way_out(child, walls, identity.verified(), principal)
        connector = ChildConnector(
            child,
            link,
            pass_on,
            egress=egress,
            overhear=unshown.hear_message if unshown is not None else None,
            limits=limits,
            on_closed=ended,
            on_ended=died,
        )
        link.begin(connector)
        house.figures.watch(child, self.name, link.id)
        Slowed(child, self.name, walls.processor_percent, self._say_once)
        return link

    def _tell_gaps(self, child: Child, walls: SandboxProfile) -> None:
        """They are the machine's, and the same for all that are started."""
        for gap in gaps(child.mechanism or "", child.abi or 0, walls):
            self._say_once(f"{self.name}: {gap}", hint="doorward doctor")

    def _say_once(self, text: str, hint: str = "") -> None:
        if text not in self._told:
            self._told.add(text)
            self._house.reporter.say(text, hint=hint)

    def _hears(self, walls: SandboxProfile) -> Unshown:
        """One for all that are started: what one says need not be said again of the next."""
        house = self._house
        return Unshown(
            self.name,
            walls,
            own=house.places.own(),
            masker=house.pipeline.masker,
            say=house.reporter.say,
            hint=_allowing,
        )

    def _way_out(
        self, child: Child, walls: SandboxProfile, server: VerifiedIdentity, principal: Principal
    ) -> Egress | None:
        if not child.listeners:
            return None
        house = self._house
        refusals = Refusals(
            server,
            principal.id,
            policy=house.policy.digest,
            masker=house.pipeline.masker,
            archive=house.archive,
            clock=house.clock.now,
            say=house.reporter.say,
            hint='connect = ["{}"] in its table',
        )
        egress = way_out(walls, refusals.refuse, self._say_once, shared=house.outward)
        egress.open(child.listeners)
        return egress

    async def _pause(self, principal: Principal) -> None:
        """Wait, where many children of ``principal`` were started lately, or ended again and again."""
        await asyncio.sleep(self._house.starts.pause(principal.id, asyncio.get_running_loop().time()))
        pause = self._restarts.pause(principal.id, asyncio.get_running_loop().time())
        if pause:
            self._house.reporter.say(f"{self.name} ended again and again; it is started again in {pause:.1f} s")
            await asyncio.sleep(pause)

    def _died(self, principal: Principal) -> None:
        self._restarts.ended(principal.id, asyncio.get_running_loop().time())

    def _ended(self, principal: Principal, supervisor: int) -> None:
        self._house.supervisors.discard(supervisor)
        self._house.figures.forget(supervisor)
        self._gone(principal)

    def _gone(self, principal: Principal) -> None:
        children = self._house.children
        children[principal.id] -= 1
        if children[principal.id] <= 0:
            del children[principal.id]


def _allowing(access: str, path: str) -> str:
    """What gives a path to a server, in its table of the policy."""
    return f"{access} = [{json.dumps(path, ensure_ascii=False)}] in its table"

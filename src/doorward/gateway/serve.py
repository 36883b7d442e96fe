"""``doorward serve``: many servers behind one HTTP listener, for many principals.

The order: read the policy, open the archive, settle who every server is (asking where that must be asked), listen, say
so. It ends the other way round: nobody new, calls in flight finish or are told, links close with their records, the
archive is signed.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

from doorward.confine import process
from doorward.confine.closing import close_to_others
from doorward.confine.profile import Mechanism
from doorward.errors import DoorwardError, PolicyError, UsageError
from doorward.gateway import defences
from doorward.gateway.archive import Archive
from doorward.gateway.clock import Clock
from doorward.gateway.command_use import Places, WrapOptions
from doorward.gateway.consent.channel import ConsentChannel
from doorward.gateway.consent.desk import Desk
from doorward.gateway.egress.server import shared_room
from doorward.gateway.http.callers import Callers
from doorward.gateway.http.door import HttpDoor
from doorward.gateway.http.figures import Figures
from doorward.gateway.http.front import Front
from doorward.gateway.http.limits import HttpLimits
from doorward.gateway.http.names import Names
from doorward.gateway.http.server import Server as HttpServer
from doorward.gateway.http.server import listen
from doorward.gateway.http.traffic import Place
from doorward.gateway.identity import owners
from doorward.gateway.identity.token import StartToken
from doorward.gateway.places import CommandServer, Server, UrlServer
from doorward.gateway.reporter import Reporter
from doorward.gateway.sessions import Sessions
from doorward.gateway.upstream.restarts import Starts
from doorward.judge.vocabulary import Principal
from doorward.policy.addresses import is_loopback, listen_problem, split_listen
from doorward.policy.amounts import CAPS
from doorward.policy.model import Policy, ServerPolicy
from doorward.policy.profiles import weakened

_KEEP_ALIVE_S: Final = 15.0
_SWEEP_S: Final = 5.0
_LOOK_S: Final = 0.05
_SETTLED: Final = (
    *("url", "command", "path", "transport", "read", "write", "env", "network", "hosts", "connect"),
    *CAPS,
)
"""What is said of a server and settled when it is first looked at."""
_STOP: Final = (signal.SIGINT, signal.SIGTERM)


class ServeOptions(msgspec.Struct, frozen=True):
    """What the operator wrote on the command line of ``doorward serve``. Empty: as policy says."""

    listen: str = ""
    upstream: ServerPolicy | None = None
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    sandbox: Mechanism = "auto"
    allowed_hosts: tuple[str, ...] = ()
    as_json: bool = False
    unsafe_no_sandbox: bool = False
    unsafe_install_scripts: bool = False


def serve(options: ServeOptions, load: Callable[[int], Policy], places: Places) -> int:
    """Serve until a signal; the exit code. ``load`` reads the policy anew, given when this process started.

    Raises DoorwardError where it cannot begin: the policy, the listener, or the identity of a server.
    """
    process.become_subreaper()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_Gateway(options, load, places).run())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # no wheel for this machine: slower, not different
        return asyncio.new_event_loop
    return uvloop.new_event_loop


class _Gateway:
    """Everything of one ``serve``."""

    def __init__(self, options: ServeOptions, load: Callable[[int], Policy], places: Places) -> None:
        self._options = options
        self._load = load
        self.places = places
        self.clock = Clock()
        self._started_us = self.clock.now()
        self.policy = load(self._started_us)
        self.reporter = Reporter(as_json=options.as_json)
        self.archive = Archive(places.state, label="serve", clock=self.clock.now, report=self.reporter.say)
        self.desk = Desk()
        self.armed = defences.arm(self.policy)
        self.pipeline = self.armed.pipeline(os.urandom(32))
        self.reporter.mask_with(self.pipeline.masker)
        self.seal_key = os.urandom(32)
        self.supervisors: set[int] = set()
        self.figures = Figures()
        self.starts = Starts()
        self.children: Counter[str] = Counter()  # of each principal, whichever server they are
        self.outward = shared_room()
        self._servers = self._make_servers()
        settings = self.policy.serve
        self._sessions = Sessions(time.monotonic, idle_s=settings.idle_seconds, max_s=settings.max_seconds)
        self._door: HttpDoor | None = None  # until we listen
        self._stopping = asyncio.Event()
        self._why = ""

    async def make_room(self, principal: Principal) -> bool:
        """End the child of a principal that was idle longest, if one is idle."""
        commands = frozenset(server.name for server in self._servers if isinstance(server, CommandServer))
        return await self._sessions.make_room(principal, commands)

    # -- what is served -----------------------------------------------------------------------------------------------

    def _make_servers(self) -> list[Server]:
        said = [server for server in self.policy.servers.values() if server.served]
        if self._options.upstream is not None:
            said.append(self._options.upstream)
        if not said:
            raise UsageError(
                "there is no server to serve", hint='--upstream URL|"COMMAND…", or [servers.NAME] url = … in the policy'
            )
        paths: dict[str, str] = {}
        for server in said:
            if server.served_path in paths:
                raise UsageError(f"{server.name} and {paths[server.served_path]} have one path: {server.served_path}")
            paths[server.served_path] = server.name
        return [self._make(server) for server in said]

    def _make(self, said: ServerPolicy) -> Server:
        if said.url:
            return UrlServer(said, self)
        options = self._options
        ours = said is options.upstream
        return CommandServer(
            said,
            self,
            WrapOptions(
                command=said.command,
                name=said.name,
                read=options.read if ours else (),
                write=options.write if ours else (),
                env=options.env if ours else (),
                network=options.network if ours else (),
                sandbox=options.sandbox,
                unsafe_no_sandbox=options.unsafe_no_sandbox,
                unsafe_install_scripts=options.unsafe_install_scripts,
            ),
        )

    # -- from the beginning to the end --------------------------------------------------------------------------------

    async def run(self) -> int:
        host, port = self._where()
        self._watch_signals()
        asyncio.get_running_loop().set_exception_handler(self._crashed)
        self.archive.start()
        try:
            await asyncio.to_thread(self.archive.wait_open)
            await self._until_stopped(self._settle())
            if not any(server.is_on_this_machine for server in self._servers):
                close_to_others()
            if not self._stopping.is_set():
                await self._serve(host, port)
        finally:
            await asyncio.to_thread(self.archive.close)
        return 0

    def _where(self) -> tuple[str, int]:
        where = self._options.listen or self.policy.serve.listen
        if problem := listen_problem(where):
            raise UsageError(f"--listen {problem[0]}", hint=problem[1])
        host, port = split_listen(where)
        return ("127.0.0.1" if host.lower() == "localhost" else host), port

    async def _settle(self) -> None:
        for words in weakened(self.policy):
            self.reporter.say(f"unsafe: {words}")
        for server in self._servers:
            await server.settle()

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Do ``work``, unless we are stopped before."""
        doing = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({doing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not doing.done():
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
            return
        await doing

    async def _serve(self, host: str, port: int) -> None:
        consent = ConsentChannel(
            runtime=self.places.runtime,
            state=self.places.state,
            label="serve",
            on_answer=self.desk.answered,
            on_notice=self.reporter.say,
            unheard=self.supervisors,
        )
        await consent.open()
        self.desk.use(consent)
        token = StartToken(self.places.state)
        front = Front(
            self.archive, clock=self.clock.now, policy=lambda: self.policy.digest, notice=self.reporter.refused
        )
        try:
            await self._listen(host, port, token, front)
        finally:
            front.close()
            token.remove()
            await consent.close()

    async def _listen(self, host: str, port: int, token: StartToken, front: Front) -> None:
        can_tell = owners.capable()
        callers = Callers(token, can_tell=can_tell, has_children=lambda: self.supervisors)
        names = Names((host, port), self._options.allowed_hosts)
        self._door = door = HttpDoor(
            {server.path: Place(server.name, server.open_link) for server in self._servers},
            policy=self.policy,
            names=names,
            callers=callers,
            sessions=self._sessions,
            front=front,
            figures=self.figures,
        )
        limits = HttpLimits(headers_bytes=self.policy.sizes.headers_bytes, body_bytes=self.policy.sizes.to_server_bytes)
        try:
            server = await listen(door, host, port, limits)
        except OSError as problem:
            # Each loop says it in other words, around those of the kernel.
            words = os.strerror(problem.errno) if problem.errno and problem.errno > 0 else str(problem)
            reason = "another program does" if problem.errno == errno.EADDRINUSE else words.lower()
            raise DoorwardError(
                f"cannot listen on {host} port {port}: {reason}",
                hint="--listen HOST:PORT chooses another; port 0 takes any that is free",
            ) from None
        if not is_loopback(server.address[0]):
            server.abort()
            raise UsageError(f"{host} is not loopback", hint="listen on 127.0.0.1")
        names.bind(server.address)
        names.adopt(self.policy.serve)
        self._introduce(server, token, can_tell=can_tell)
        gc.freeze()
        timers = asyncio.ensure_future(self._keep_time())
        try:
            await self._stopping.wait()
        finally:
            timers.cancel()
            await self._drain(server, door)

    def _introduce(self, server: HttpServer, token: StartToken, *, can_tell: bool) -> None:
        host, port = server.address
        shown = f"[{host}]" if ":" in host else host
        for one in self._servers:
            self.reporter.serving(one.name, f"http://{shown}:{port}{one.path}")
        settings = self.policy.serve
        if not can_tell or settings.trusted_proxies:
            why = "the kernel does not say who connects" if not can_tell else "a proxy forwards for others"
            self.reporter.say(
                f"callers need the start-up token, since {why}", hint=f"Authorization: Bearer (in {token.path})"
            )

    async def _keep_time(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + _KEEP_ALIVE_S
        while True:
            await asyncio.sleep(min(_SWEEP_S, self._sessions.idle_s / 4))
            try:
                self._sessions.sweep()
                if loop.time() >= due:
                    due = loop.time() + _KEEP_ALIVE_S
                    for link in self._sessions.links:
                        link.downstream.keep_alive()
            except Exception as crash:  # noqa: BLE001 - time goes on, or no session would ever end again
                loop.call_exception_handler({"message": "a sweep failed", "exception": crash})

    async def _drain(self, server: HttpServer, door: HttpDoor) -> None:
        """Nobody new; what is in flight may finish for a while; then everybody is told."""
        door.draining = True
        server.stop_accepting()
        self.reporter.say(f"stopping: {self._why or 'the gateway ends'}")
        loop = asyncio.get_running_loop()
        until = loop.time() + self.policy.serve.drain_seconds
        while loop.time() < until and any(link.busy_or_fetching for link in self._sessions.links):  # noqa: ASYNC110 (at the end)
            await asyncio.sleep(_LOOK_S)
        await door.close()
        await self._sessions.close(self._why or "the gateway ends")
        await door.close()  # a body that came in meanwhile
        await server.close(1.0)

    def _crashed(self, _: asyncio.AbstractEventLoop, what: dict[str, Any]) -> None:
        """Something failed where nobody waits for it. Whoever it was for was answered; the operator hears of it."""
        crash = what.get("exception")
        found = f"{type(crash).__name__}: {crash}" if crash is not None else ""
        self.reporter.say(f"unexpected, please report it: {what.get('message')} {found}".rstrip())

    # -- signals ------------------------------------------------------------------------------------------------------

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _STOP:
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_STOP, signal.SIGHUP))

    def _stop(self, number: signal.Signals) -> None:
        self._why = f"signal {number.name}"
        self._stopping.set()

    def _reload(self) -> None:
        """Read the policy anew. One that cannot be enforced is refused, and the old one stays."""
        try:
            policy = self._load(self._started_us)
        except PolicyError as refused:
            for problem in refused.problems:
                self.reporter.say(f"the new policy is refused: {problem.where}: {problem.what}", hint=problem.hint)
            self.reporter.say("the old policy stays in force")
            return
        except (DoorwardError, OSError) as problem:
            self.reporter.say(f"the new policy cannot be read: {problem}; the old one stays in force")
            return
        for name in _needs_restart(self.policy, policy):
            self.reporter.say(f"{name} changed: that takes effect when doorward is started again")
        self.policy = policy
        self._sessions.idle_s, self._sessions.max_s = policy.serve.idle_seconds, policy.serve.max_seconds
        for link in self._sessions.links:
            link.adopt(policy)
        if self._door is not None:
            self._door.adopt(policy)
        for words in weakened(policy):
            self.reporter.say(f"unsafe: {words}")
        self.reporter.say(f"the policy was read anew ({policy.digest[:16]})")


def _needs_restart(old: Policy, new: Policy) -> list[str]:
    """What a running gateway cannot take over: where it listens, and which servers there are."""
    found = ["serve.listen"] if old.serve.listen != new.serve.listen else []
    carried = ("headers_bytes", "to_server_bytes")  # less than before is demanded at once of bodies, by the door
    found += [f"sizes.{key}" for key in carried if getattr(old.sizes, key) != getattr(new.sizes, key)]
    for name in sorted(old.servers.keys() | new.servers.keys()):
        one, other = (policy.servers.get(name, ServerPolicy(name)) for policy in (old, new))
        if (one.served or other.served) and any(getattr(one, key) != getattr(other, key) for key in _SETTLED):
            found.append(f"servers.{name}")
    return found

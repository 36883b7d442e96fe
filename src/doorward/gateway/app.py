"""Puts one gateway together. The order is the start-up budget's: verify what is pinned, start the child, and import the
rest while the child boots (DESIGN §6).
"""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from doorward.confine import process, profile, shortfalls
from doorward.gateway import defences
from doorward.gateway.clock import Clock, written
from doorward.gateway.command_use import Places, WrapOptions, changed, executed, walls_of, wish_of
from doorward.gateway.identity import judgment
from doorward.gateway.identity.command import CommandIdentity, identify_here
from doorward.policy import lock
from doorward.policy.identity import Principal
from doorward.policy.model import Policy
from doorward.policy.profiles import weakened

if TYPE_CHECKING:
    from doorward.content.redaction import Masker
    from doorward.gateway.archive import Archive
    from doorward.gateway.egress.server import Egress
    from doorward.gateway.fetching.fetch import Fetched
    from doorward.gateway.reporter import Reporter
    from doorward.gateway.unshown import Unshown


_SOON_S = 10.0
_FIRST_OF_SIGNALS = 128
_WARM_AFTER_S = 0.2  # once `initialize` is answered; the budget of start-up is 100 to 200 ms


def wrap(options: WrapOptions, policy: Policy, places: Places, launcher: process.Launcher) -> int:
    """One server for one stdio client. Returns the exit code: the child's, once it ran.

    ``launcher`` was booted first of all, so that its interpreter comes up while the rest is loaded; it is used up.

    Raises DoorwardError where Doorward itself could not start it: the identity changed, nobody agreed, no sandbox.
    """
    clock = Clock()
    armed = defences.arm(policy)
    identity = identify_here(options.command, options.name)
    fetched = _fetched(options, identity, policy, places)
    if fetched is not None:
        identity = identify_here(options.command, options.name, fetched.package)
    verdict = judgment.judge(identity, lock.read(places.lock), policy.profile)
    walls = walls_of(options, identity, policy, places, fetched)
    argv = options.command if fetched is None else executed(options, identity, fetched)
    session = _Session(options, policy, places, identity, clock, armed, walls, argv)
    if isinstance(verdict, judgment.Changed):
        raise changed(identity, verdict, places)
    if isinstance(verdict, judgment.NearMiss) or (isinstance(verdict, judgment.First) and verdict.asks):
        session.ask_first(verdict)
    child = session.start_child(launcher)
    try:
        return session.run(child, first_use=isinstance(verdict, judgment.First) and not verdict.asks)
    finally:
        child.close()
        for descriptor in (child.stdout, child.stderr):
            os.close(descriptor)


def _fetched(options: WrapOptions, identity: CommandIdentity, policy: Policy, places: Places) -> Fetched | None:
    """What the command needs that is not there yet, fetched before anything of it runs; None where it needs nothing."""
    wish = wish_of(options, identity, policy, places)
    if wish is None:
        return None
    import signal

    from doorward.gateway.fetching.fetch import have, present
    from doorward.gateway.reporter import Reporter

    if present(wish) is None:
        process.become_subreaper()
    stopping = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stopping)  # a registry may be slow, and whoever waits may stop waiting
    try:
        return have(wish, Reporter(as_json=options.as_json).say)
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, stopping)


class _Session:
    """The pieces of one wrap, in the order in which they are needed."""

    def __init__(
        self,
        options: WrapOptions,
        policy: Policy,
        places: Places,
        identity: CommandIdentity,
        clock: Clock,
        armed: defences.Defences,
        walls: profile.SandboxProfile,
        argv: tuple[str, ...],
    ) -> None:
        self._options = options
        self._argv = argv
        self._policy = policy
        self._places = places
        self._identity = identity
        self._server = identity.verified()
        self._clock = clock
        self._armed = armed
        self._walls = walls
        self._archive: Archive | None = None
        self._reporter: Reporter | None = None

    def start_child(self, launcher: process.Launcher) -> process.Child:
        from doorward.confine.closing import close_to_others  # ctypes

        process.become_subreaper()
        close_to_others()
        unconfined = self._options.unsafe_no_sandbox
        return self._armed.confine(self._argv, self._walls, unsafe_no_sandbox=unconfined, launcher=launcher)

    def ask_first(self, verdict: judgment.First | judgment.NearMiss) -> None:
        """Nothing of the server runs before a person agreed to it."""
        import asyncio
        import signal

        from doorward.gateway.identity import first_use_of_commands

        archive, reporter = self._load()
        archive.wait_open()
        asking = first_use_of_commands.ask(
            self._identity,
            verdict,
            self._walls,
            principal=principal(),
            policy=self._policy,
            places=self._places,
            archive=archive,
            clock=self._clock.now,
            reporter=reporter,
        )
        stopping = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, stopping)  # whoever waits for a person may stop waiting
            asyncio.run(asking)
            signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
        except BaseException:  # an interrupt as well: the archive's thread ends before we do
            archive.close()
            raise

    def run(self, child: process.Child, *, first_use: bool) -> int:
        archive, reporter = self._load()
        if self._walls.left_out:  # before it is started, which that may be the end of
            from doorward.gateway.unshown import tell_left_out

            tell_left_out(self._walls, reporter.say, _allowing)
        try:
            child.started()
            if first_use:  # only now: what cannot be started is not known either
                self._record_first_use()
            self._introduce(reporter, child, first_use=first_use)
            import asyncio

            gc.freeze()
            gc.enable()
            began = time.monotonic()
            status = asyncio.run(self._serve(child, archive, reporter))
            if 0 < status < _FIRST_OF_SIGNALS and time.monotonic() - began < _SOON_S:
                self._suggest_learning(reporter, status)
            return status
        finally:
            archive.close()

    def _suggest_learning(self, reporter: Reporter, status: int) -> None:
        """It may be that its walls kept from it what it cannot do without, and its own words rarely say so."""
        if not self._options.unsafe_no_sandbox:
            reporter.say(
                f"{self._identity.name} ended with {status} soon after it began",
                hint="if its walls are the reason, doorward sandbox learn -- COMMAND… names what it wants",
            )

    def _record_first_use(self) -> None:
        at = written(self._clock.now())
        verdict = judgment.record_first_use(self._places.lock, self._identity, self._policy.profile, at=at)
        if isinstance(verdict, judgment.Changed):  # another wrap was first, with something else
            raise changed(self._identity, verdict, self._places)

    def _load(self) -> tuple[Archive, Reporter]:
        """The archive opens in its own thread while the rest is imported."""
        if self._archive is None or self._reporter is None:
            from doorward.gateway.archive import Archive
            from doorward.gateway.reporter import Reporter

            self._reporter = Reporter(as_json=self._options.as_json)
            self._archive = Archive(
                self._places.state, label=self._identity.name, clock=self._clock.now, report=self._reporter.say
            )
            self._archive.start()
        return self._archive, self._reporter

    def _introduce(self, reporter: Reporter, child: process.Child, *, first_use: bool) -> None:
        if first_use:
            reporter.say(
                f"first use of {self._identity.name} ({self._server.fingerprint[:16]}), recorded",
                hint="doorward pin list",
            )
            for note in self._identity.notes:
                reporter.say(note)
        # Doorward's own settings never pass, so there is nothing to advise about them.
        if names := " ".join(name for name in self._walls.withheld if not name.startswith("DOORWARD_")):
            reporter.say(f"not passed on to the server: {names}", hint="--env NAME passes one on")
        if unset := " ".join(sorted(set(self._options.env) - dict(self._walls.env).keys())):
            reporter.say(f"--env names what is not set here: {unset}")
        if self._options.unsafe_no_sandbox:
            reporter.say("unsafe: the server runs without a sandbox (--unsafe-no-sandbox)")
        if self._options.unsafe_install_scripts:
            reporter.say("unsafe: install scripts of what is fetched are run (--unsafe-install-scripts)")
        for gap in shortfalls.gaps(child.mechanism or "", child.abi or 0, self._walls):
            reporter.say(gap, hint="doorward doctor")
        for words in weakened(self._policy):
            reporter.say(f"unsafe: {words}")

    async def _serve(self, child: process.Child, archive: Archive, reporter: Reporter) -> int:
        import asyncio

        from doorward.gateway.consent.channel import ConsentChannel
        from doorward.gateway.perform import Performer
        from doorward.gateway.slowed import Slowed
        from doorward.gateway.stdio import StdioDoor
        from doorward.policy import known_servers
        from doorward.relay.relay import Relay
        from doorward.relay.state import Settings

        pipeline = self._armed.pipeline(os.urandom(32))
        reporter.mask_with(pipeline.masker)
        known = known_servers.of_identity(self._server)
        settings = Settings(
            policy=self._policy,
            server=self._identity.name,
            pipeline=pipeline,
            link=os.urandom(8).hex(),
            session=os.urandom(16).hex(),
            seal_key=os.urandom(32),
            folders=tuple(folder.path for folder in self._walls.folders),
            known=known.said if known is not None else None,
        )
        unshown = self._hears(reporter, pipeline.masker) if child.mechanism else None
        door = StdioDoor(child=child, policy=self._policy, reporter=reporter, unshown=unshown, clock=self._clock.now)
        performers: list[Performer] = []

        def close(why: str) -> None:
            reporter.say(f"the link is closed: {why}")
            door.stop(why)

        consent = ConsentChannel(
            runtime=self._places.runtime,
            state=self._places.state,
            label=self._identity.name,
            on_answer=lambda answer: performers[0].answered(answer),  # noqa: PLW0108 - it is not there yet
            on_notice=reporter.say,
            unheard=(child.supervisor,),
        )
        await consent.open()
        egress = self._way_out(child, archive, reporter, pipeline.masker)
        Slowed(child, self._identity.name, self._walls.processor_percent, reporter.say)
        try:
            await asyncio.to_thread(archive.wait_open)
            performer = Performer(
                Relay(settings),
                archive=archive,
                consent=consent,
                outlets={"client": door.to_client, "server": door.to_server},
                clock=self._clock.now,
                principal=principal(),
                server=self._server,
                notice=reporter.refused,
                on_close=close,
            )
            performers.append(performer)
            loop = asyncio.get_running_loop()
            demanded = self._policy.for_server(settings.server, settings.known)
            loop.call_later(_WARM_AFTER_S, loop.run_in_executor, None, self._armed.warm, demanded)
            try:
                return await door.run(performer)
            finally:
                await performer.close()
        finally:
            if egress is not None:
                await egress.close()
            await consent.close()

    def _hears(self, reporter: Reporter, masker: Masker) -> Unshown:
        from doorward.gateway.unshown import Unshown

        return Unshown(
            self._identity.name,
            self._walls,
            own=self._places.own(),
            masker=masker,
            say=reporter.say,
            hint=_allowing,
        )

    def _way_out(self, child: process.Child, archive: Archive, reporter: Reporter, masker: Masker) -> Egress | None:
        if not child.listeners:
            return None
        from doorward.gateway.egress.refusals import Refusals
        from doorward.gateway.egress.server import way_out

        refusals = Refusals(
            self._server,
            principal().id,
            policy=self._policy.digest,
            masker=masker,
            archive=archive,
            clock=self._clock.now,
            say=reporter.say,
            hint="--network {}",
        )
        egress = way_out(self._walls, refusals.refuse, reporter.say)
        egress.open(child.listeners)
        return egress


def _allowing(access: str, path: str) -> str:
    """The option that gives a path to the server."""
    import shlex

    return f"--{access} {shlex.quote(path)}"


def principal() -> Principal:
    """On stdio: the OS user we run as, and the program that started us."""
    from doorward.gateway.identity.owners import user_name  # sockets: not before the child boots

    user = os.geteuid()
    try:
        parent = str(Path(f"/proc/{os.getppid()}/exe").readlink())
    except OSError:
        parent = "an unreadable program"
    return Principal(f"user:{user_name(user)}", f"operating system user {user}, started by {parent}")

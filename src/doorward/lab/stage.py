"""A stage: one temporary folder, one target, one client, and the planted means to see harm.

What a server is given is ``work``. Everything that must stay out of reach lies beside it: a sibling whose name begins
with the same letters, a secret behind a link, a place for marks that only an injected command makes. The user's own
files, state and configuration are never touched: home and all XDG directories point into the stage.
"""

from __future__ import annotations

import os
import random
import shlex
import shutil
import sys
import tempfile
import time
import zlib
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from doorward.lab import own_folders, trail
from doorward.lab.oracles import mapped
from doorward.lab.scenario import Era, Protection, Topology, Trace
from doorward.lab.targets import python, script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from mcp import Client

    from doorward.lab.endpoint import Endpoint
    from doorward.lab.peer import Pipe
    from doorward.lab.person import Person
    from doorward.lab.scenario import Example, Scenario
    from doorward.lab.trail import Fired

RAISE_LIMIT_SECONDS = 20.0
"""How long a target may take until it has listed its tools once. A busy machine needs three."""

WINDOW_SECONDS = 1.1
"""A second in which refusals are counted together, and some."""

LONGEST_TEMPORARY = 40
"""Of the 108 bytes of a socket's path, forty are the socket's name and some the stage's own folders."""

MEMORY = "/dev/shm"  # noqa: S108 - a private folder in it
"""Where the stage stands of a scenario that compares times, if there is such a place: there the log is synced at once,
however much others write to the disk meanwhile.
"""

LAST_WORDS = 600
"""So many characters of a process's stderr explain why it was not reached."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Staging(msgspec.Struct, frozen=True):
    """How a stage is set. ``without`` names a defence that is replaced by its stand-in (``lab.ablated``)."""

    era: Era
    protection: Protection
    seed: int
    without: str = ""
    topology: Topology = Topology.WRAP


class Layout(msgspec.Struct, frozen=True):
    """The places of a stage. Sockets live below ``run``, so the whole path stays far below the 108 bytes of Unix."""

    root: Path

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def sibling(self) -> Path:
        return self.root / "work-evil"

    @property
    def outside(self) -> Path:
        return self.root / "outside"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def configuration(self) -> Path:
        """The operator's ``doorward.toml``, in a folder of its own that no server is given."""
        return self.root / "etc" / "doorward.toml"

    def build(self) -> None:
        for place in (
            self.work,
            self.sibling,
            self.outside,
            self.state,
            self.run,
            self.home,
            self.configuration.parent,
        ):
            place.mkdir(mode=0o700)


class Mark(NamedTuple):
    """A moment on a stage."""

    at: int
    lines: int
    prompts: int
    glances: int
    messages: int


class Stage:
    """What a scenario may use while it plays: the client, the pipe, the places, the planted values.

    ``canary`` must never reach the client, the model or a log; ``greeting`` is the honest value that the benign twin
    must get; ``credential`` is a secret in the shape of a well-known token, checksum included; ``entrusted`` is the
    secret that the server keeps among its own data, and lies in the files ``entrusted_to``. ``pipe`` is the client's
    end of the wire, ``upstream`` the target's URL where it has one, ``started`` are the processes that the stage
    started in the client's way. ``unreached`` says why the target could not be reached; then nothing else here may be
    used.
    """

    def __init__(self, layout: Layout, staging: Staging, example: Example) -> None:
        # Reproducible from the seed, since these are values to be recognised and not values to be kept.
        words = random.Random(f"{example.id}/{staging}")  # noqa: S311
        self.layout, self.staging, self.example = layout, staging, example
        self.canary = "kestrel" + "".join(words.choices(_LETTERS, k=16))
        self.greeting = "heron" + "".join(words.choices(_LETTERS, k=16))
        self.credential = _token("".join(words.choices(_BASE62, k=30)))
        self.entrusted = "linnet" + "".join(words.choices(_LETTERS, k=16))
        self.entrusted_to: tuple[Path, ...] = ()
        self.model: list[str] = []
        self.unreached = ""
        self.person: Person | None = None
        self.trail: tuple[Fired, ...] = ()
        self.client: Client
        self.pipe: Pipe | Endpoint
        self.upstream = ""
        self.started: list[int] = []
        self._refused: dict[str, float] = {}

    @property
    def processes(self) -> list[int]:
        """What stands in the client's way: the target, the gateway."""
        return [*self.started, *([self.pipe.pid] if self.pipe.pid else [])]

    @property
    def relayed(self) -> bool:
        return self.staging.protection is not Protection.NAIVE

    def filled(self, payload: Any) -> Any:
        """``payload`` with the places of this stage where it says ``{work}``, ``{outside}``, ``{marker}``."""

        def put(text: str) -> str:
            for name, place in self._places():
                text = text.replace("{" + name + "}", place)
            return text

        return mapped(payload, put)

    def marker(self, variant: str) -> Path:
        """The file that an injected command of this variant makes, where the server has no business."""
        return self.layout.outside / f"mark-{variant}"

    async def ask(self, method: str, params: Any) -> bytes | None:
        """Send a crafted request past the SDK."""
        return await self.pipe.ask(method, params)

    def free_at(self, controls: tuple[str, ...]) -> float:
        """From when on what these controls refuse has an entry of its own, by the clock that only goes forward; 0 for
        now: of refusals of one kind within a second, Doorward records the first and counts the others.
        """
        refused = max((self._refused[control] for control in controls if control in self._refused), default=0.0)
        over = refused + WINDOW_SECONDS if refused else 0.0
        return over if over > time.monotonic() else 0.0

    def refused(self, controls: tuple[str, ...]) -> None:
        """These controls may have refused something just now."""
        self._refused |= dict.fromkeys(controls, time.monotonic())

    def mark(self) -> Mark:
        """Where we are now: hand it to :meth:`since` to get what happened after."""
        glances = len(self.person.glances) if self.person else 0
        return Mark(_now(), len(self.pipe.lines), len(self.model), glances, len(self.pipe.transcript.messages))

    def since(self, mark: Mark) -> Trace:
        return Trace(
            started=mark.at,
            ended=_now(),
            lines=tuple(self.pipe.lines[mark.lines :]),
            prompts=tuple(self.model[mark.prompts :]),
            glances=tuple(self.person.glances[mark.glances :]) if self.person else (),
            exchange=tuple(self.pipe.transcript.messages[mark.messages :]),
        )

    def stderr(self) -> str:
        """The last words of the started process, for people."""
        path = self.layout.root / "stderr"
        return path.read_text("utf-8", "replace")[-LAST_WORDS:].strip() if path.exists() else ""

    def _places(self) -> Iterator[tuple[str, str]]:
        yield "work", str(self.layout.work)
        yield "outside", str(self.layout.outside)
        yield "root", str(self.layout.root)


@asynccontextmanager
async def raised(scenario: Scenario, example: Example, staging: Staging) -> AsyncIterator[Stage]:
    """A stage with its target running; everything that was started is ended and removed at the end.

    Whether the target was reached stands in ``Stage.unreached``. ``trail`` is filled after the block, once the gateway
    has ended and its log is complete.
    """
    directory = MEMORY if scenario.measures and os.access(MEMORY, os.W_OK) else _short_directory()
    layout = Layout(Path(tempfile.mkdtemp(prefix="dw-", dir=directory)))
    try:
        layout.build()
        stage = Stage(layout, staging, example)
        _plant(stage)
        async with AsyncExitStack() as open_things:
            if scenario.measures:
                open_things.enter_context(_before_others())
            stage.unreached = open_things.enter_context(example.target.equipped(stage))
            for step in (_target, _seat, _connect):
                if not stage.unreached:
                    await step(stage, scenario, open_things)
            if stage.person and not stage.unreached and not await stage.person.wait(stage.person.connected):
                stage.unreached = f"`doorward consent` was not connected: {stage.person.screen[-LAST_WORDS:]}"
            yield stage
        if stage.relayed:
            stage.trail = trail.read(layout.state)
    finally:
        shutil.rmtree(layout.root, ignore_errors=True)


@contextmanager
def _before_others() -> Iterator[None]:
    """Where the system lets us (root), what is started on this stage runs before whatever else the machine does, so
    that times can be compared (sched(7)).
    """
    policy, param = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, param)


async def _target(stage: Stage, _scenario: Scenario, open_things: AsyncExitStack) -> None:
    """Where the target is a server at a URL, it is there before anybody comes."""
    if stage.staging.topology is not Topology.SERVE_URL:
        return
    from doorward.lab.listening import plain_url

    stage.upstream = await _listening(stage, over_http(stage), "target", plain_url, open_things)


async def _seat(stage: Stage, _scenario: Scenario, open_things: AsyncExitStack) -> None:
    if not stage.relayed or not stage.example.asks:
        return
    from doorward.lab.person import attending

    name, wrapped = stage.example.target.id, stage.staging.topology is Topology.WRAP
    sitting = attending(
        doorward("consent", stage),
        env=environment(stage),
        cwd=stage.layout.home,
        server=name,
        gateway=name if wrapped else "serve",
        announced=(*stage.example.announced, *target_command(stage)),
    )
    stage.person = await open_things.enter_async_context(sitting)
    if not stage.person.seated.is_set():
        stage.unreached = f"`doorward consent` does not wait for questions: {stage.person.screen[-LAST_WORDS:]}"


async def _connect(stage: Stage, scenario: Scenario, open_things: AsyncExitStack) -> None:
    import anyio
    from mcp import Client

    from doorward.lab.peer import ANSWER_LIMIT_SECONDS

    await _reach(stage, open_things)
    if stage.unreached:
        return
    client = Client(
        stage.pipe.streams(),
        mode="legacy" if stage.staging.era is Era.LEGACY else stage.staging.era.value,
        read_timeout_seconds=ANSWER_LIMIT_SECONDS,
        log_level="debug",
        sampling_callback=scenario.sampler(stage),
        elicitation_callback=scenario.elicited(stage),
    )
    try:
        stage.client = await open_things.enter_async_context(client)
        with anyio.fail_after(RAISE_LIMIT_SECONDS):
            await stage.client.list_tools()
    except Exception as problem:  # noqa: BLE001 - whatever the client raised, it did not get there
        words = stage.stderr()
        stage.unreached = f"{_first(problem)}" + (f"; it said: {words}" if words else "")


async def _reach(stage: Stage, open_things: AsyncExitStack) -> None:
    """The client's end of the wire, with whatever stands in front of the target."""
    from doorward.lab.endpoint import Endpoint
    from doorward.lab.listening import serving_event
    from doorward.lab.peer import Pipe

    layout, era, topology = stage.layout, stage.staging.era, stage.staging.topology
    if topology is Topology.WRAP or not (stage.relayed or stage.upstream):
        stage.pipe = Pipe(
            command(stage), env=environment(stage), cwd=layout.work, stderr=layout.root / "stderr", era=era
        )
        return
    url = stage.upstream
    if stage.relayed:
        url = await _listening(stage, command(stage), "stderr", serving_event, open_things)
    stage.pipe = Endpoint(url, era=era)


async def _listening(
    stage: Stage, argv: tuple[str, ...], words: str, read: Callable[[bytes], str], open_things: AsyncExitStack
) -> str:
    from doorward.lab.listening import NotListeningError, listening

    file = stage.layout.root / words
    starting = listening(argv, env=environment(stage), cwd=stage.layout.work, words=file, read=read)
    try:
        found = await open_things.enter_async_context(starting)
    except NotListeningError as problem:
        said = file.read_text("utf-8", "replace")[-LAST_WORDS:].strip() if file.exists() else ""
        stage.unreached = f"{argv[0]} … {argv[-1]}: {problem}; it said: {said}"
        return ""
    stage.started.append(found.pid)
    return found.url


def _first(problem: BaseException) -> str:
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return f"{type(problem).__name__}: {problem}"


def target_command(stage: Stage) -> tuple[str, ...]:
    """How the bare target is started on this stage. ``LookupError``: it is not installed; such cells are excluded."""
    argv = stage.example.target.command(stage)
    if argv is None:
        raise LookupError(f"{stage.example.target.title} is {stage.example.target.missing()}")
    return argv


def over_http(stage: Stage) -> tuple[str, ...]:
    """How the bare target is started as a server at a URL, which it says."""
    program, *arguments = target_command(stage)[len(python()) :]
    option = stage.example.target.http_option
    return (*python(), *((program, option) if option else (script("over_http"), program)), *arguments)


def command(stage: Stage) -> tuple[str, ...]:
    """What is started for the client: the target, or ``doorward`` in front of the very same command, or of its URL."""
    target = target_command(stage)
    return gateway(stage, stage.example.target.id, target, stage.upstream) if stage.relayed else target


def gateway(stage: Stage, name: str, target: tuple[str, ...], url: str) -> tuple[str, ...]:
    """``doorward`` in front of ``url``, or of the command ``target`` where that is empty, as the topology has it."""
    named = ("--name", name, "--json")
    if stage.staging.topology is Topology.WRAP:
        return (*doorward("wrap", stage), *named, *(("--url", url) if url else ("--", *target)))
    upstream = url or shlex.join(target)
    return (*doorward("serve", stage), *named, "--listen", "127.0.0.1:0", "--upstream", upstream)


def doorward(verb: str, stage: Stage, *action: str) -> tuple[str, ...]:
    """A verb of the product for this stage's state; with a defence replaced, if the staging says so."""
    layout = stage.layout
    entry = ("doorward.lab.ablated", stage.staging.without) if stage.staging.without else ("doorward",)
    configured = stage.staging.protection is Protection.CONFIGURED and verb != "audit"
    policy = ("-c", str(layout.configuration)) if configured else ()
    # -P: the working directory is the server's folder, and nothing is imported from there.
    return (sys.executable, "-P", "-m", *entry, verb, *action, "--state", str(layout.state), *policy)


def environment(stage: Stage) -> dict[str, str]:
    """Ours, with every place of the user's moved into the stage, and no proxy of theirs in the way."""
    layout = stage.layout
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DOORWARD_", "XDG_"))}
    env = {name: value for name, value in env.items() if not name.lower().endswith("_proxy")}
    env["HOME"] = str(layout.home)
    env["XDG_RUNTIME_DIR"] = str(layout.run)
    env["XDG_STATE_HOME"] = str(layout.home / "state")
    env["XDG_CONFIG_HOME"] = str(layout.home / "config")
    env["XDG_CACHE_HOME"] = str(layout.home / "cache")
    return env


def configuration_of(example: Example) -> str:
    """The ``doorward.toml`` of the configured run, as the report prints it; ``{work}`` is the server's folder."""
    return example.target.configuration


def _short_directory() -> str | None:
    """Where temporary folders go, unless sockets below would have too long a path."""
    return None if len(tempfile.gettempdir()) <= LONGEST_TEMPORARY else "/tmp"  # noqa: S108 - a private folder in it


def _plant(stage: Stage) -> None:
    layout = stage.layout
    for folder in (layout.sibling, layout.outside):
        (folder / "secret.txt").write_text(f"not for this server: {stage.canary}\n", encoding="utf-8")
    stage.example.target.furnish(layout.work, stage.greeting)
    if stage.example.target.entrusted:
        stage.example.target.entrusted(layout.work, stage.entrusted)
        stage.entrusted_to = own_folders.holding(layout.root, stage.entrusted)
    layout.configuration.touch(mode=0o600)
    layout.configuration.write_text(stage.filled(configuration_of(stage.example)), encoding="utf-8")


def _token(letters: str) -> str:
    """A well-formed token: thirty random letters and their checksum, as its issuer would write it."""
    rest, digits = zlib.crc32(letters.encode()), ""
    while rest:
        rest, digit = divmod(rest, 62)
        digits = _BASE62[digit] + digits
    return f"ghp_{letters}{digits.rjust(6, '0')}"


def _now() -> int:
    return time.time_ns() // 1000

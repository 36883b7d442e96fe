"""The policy as everything else reads it: complete, with every default filled in, and frozen.

`doorward.policy.load` makes it from a file, `doorward.policy.profiles` knows the defaults. Nothing here reads a file
or a clock.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from doorward.content.rates import Rate
from doorward.policy.amounts import NO_SIZES, Caps, Limits, PartSizes, RateLimits, Sizes

if TYPE_CHECKING:  # a policy is built, never decoded: without a file, start-up does without the constraints
    from doorward.content.arguments import Constraint

EVERY_SERVER: Final = "*"
STREAMABLE: Final = "streamable"
TRANSPORTS: Final = (STREAMABLE, "sse")
HOLD_SECONDS: Final = 45  # clients give up after 60, and the answer must still reach them
_DOMAIN: Final = b"doorward/policy/1\0"
_T = TypeVar("_T")


class ProfileValues(msgspec.Struct, frozen=True):
    """What a profile decides, as values that controls read. `doorward.policy.profiles` says why each is what it is.

    ``ask_first_use``: the first use of a server asks, even a command that the operator wrote.
    ``ask_every_tool_call``: each ``tools/call`` asks unless the policy says ``ask = false`` for that tool.
    ``undeclared_always_refused``: an argument that the schema does not name is refused even where the schema is silent.
    ``official_extensions_pass``: extensions of the specification pass where both sides declared them.
    ``folders_from_arguments``: a server may touch the folders that its own command line names.
    ``safe_environment_only``: a server gets the SDK's short list of variables and what the policy adds, nothing else.
    ``log_floor``: the lowest level of log messages that reach the client.
    ``oldest_revision``: the oldest revision of the protocol that a client may ask for.
    """

    sizes: Sizes
    limits: Limits
    rates: RateLimits
    caps: Caps
    log_floor: str
    oldest_revision: str
    ask_first_use: bool
    ask_every_tool_call: bool
    undeclared_always_refused: bool
    official_extensions_pass: bool
    folders_from_arguments: bool
    safe_environment_only: bool


class ToolPolicy(msgspec.Struct, frozen=True):
    """What the operator says of one tool.

    ``ask`` true asks before each call. False lifts only a profile's rule to ask for every call, never the question for
    a tool whose definition says that it destroys. None says nothing. ``arguments`` maps an argument (its name, or a
    JSON pointer in which ``*`` stands for any one step) to what must hold for its value; ``secrets`` are those, written
    likewise, in which a credential may go to the server. ``rate`` is how often one principal may call it, beside what
    holds for every tool. ``sizes`` take the place of the server's.
    """

    ask: bool | None = None
    arguments: dict[str, tuple[Constraint, ...]] = {}
    secrets: tuple[str, ...] = ()
    rate: Rate | None = None
    sizes: PartSizes = NO_SIZES


class PromptPolicy(msgspec.Struct, frozen=True):
    """What the operator says of one prompt: what must hold for its arguments, as of a tool's. Or of one URI template:
    what must hold for its values, while they are completed and in the URI of a resource.
    """

    arguments: dict[str, tuple[Constraint, ...]] = {}


class StandingApproval(msgspec.Struct, frozen=True):
    """A yes in advance: what servers may ask of a client without a question to a person, and until when.

    ``asks`` names the client's capabilities that are meant: sampling, elicitation, roots. ``lasts`` is the end as it
    was written, a date or a time from the start of the process (``12h``). ``until_us`` is the instant that it means
    (microseconds since the epoch, UTC) and no part of the policy's digest, so that two processes and a reload under one
    file have one policy.
    """

    asks: tuple[str, ...]
    lasts: str
    until_us: int

    def covers(self, capability: str, now: int) -> bool:
        """Whether it speaks of ``capability`` and has not ended at ``now`` (microseconds since the epoch)."""
        return capability in self.asks and now < self.until_us


_NOTHING_SAID: Final = ToolPolicy()
_NOTHING_SAID_OF_A_PROMPT: Final = PromptPolicy()


class ServerPolicy(msgspec.Struct, frozen=True):
    """What the operator says of one server.

    Folders it may read or write (absolute), variables it gets, its tools and prompts, and its URI ``templates`` by
    their exact text; ``grants`` names capabilities that pass, exactly (``experimental/NAME``, ``extensions/NAME``, or
    one of the top level); ``standing`` are yeses in advance; ``rate`` is how often all principals together may send to
    it, beside what holds for every server. ``uris`` are beginnings of resources that may be asked for although the
    server did not name or describe them; ``below`` the folders, on the server's own machine, that every path must lie
    in as far as its text says.

    Where it is, for ``doorward serve``: at ``url`` or behind ``command``, never both, and behind none of them if the
    table only says what holds for it. ``path`` is the one under which clients reach it; empty means `served_path`.
    ``transport`` is how a URL is spoken to: ``streamable`` (Streamable HTTP) or ``sse`` (HTTP+SSE of 2024-11-05).
    ``unsafe_no_profile`` does without what Doorward itself demands of a well-known server. ``secrets``: credentials may
    go to it unasked.
    ``memory_bytes``, ``file_bytes``, ``processes`` and ``processor_percent`` take the place of the profile's caps; 0
    says nothing. So do ``sizes`` of the profile's, for its tools, prompts and resources. ``network`` is ``public`` or
    ``none``, of the former only ``hosts`` if there are any (``*.`` before a domain: all below it); empty says nothing.
    ``connect`` are HOST:PORT beside that.
    """

    name: str
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    tools: dict[str, ToolPolicy] = {}
    prompts: dict[str, PromptPolicy] = {}
    templates: dict[str, PromptPolicy] = {}
    grants: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    standing: tuple[StandingApproval, ...] = ()
    rate: Rate | None = None
    url: str = ""
    command: tuple[str, ...] = ()
    path: str = ""
    transport: str = STREAMABLE
    unsafe_no_profile: bool = False
    secrets: bool = False
    memory_bytes: int = 0
    file_bytes: int = 0
    processes: int = 0
    processor_percent: int = 0
    network: str = ""
    hosts: tuple[str, ...] = ()
    connect: tuple[str, ...] = ()
    sizes: PartSizes = NO_SIZES

    @property
    def served(self) -> bool:
        """Whether the table says where the server is, so that ``doorward serve`` serves it."""
        return bool(self.url or self.command)

    @property
    def served_path(self) -> str:
        """The path of the endpoint that clients use."""
        return self.path or f"/{self.name}/mcp"

    @property
    def reads_sql(self) -> bool:
        """Whether some argument is held to ``read_only_sql``."""
        tables = [tool.arguments for tool in self.tools.values()]
        tables += [one.arguments for one in (*self.prompts.values(), *self.templates.values())]
        return any(one.kind == "read_only_sql" for table in tables for demands in table.values() for one in demands)

    def tool(self, name: str) -> ToolPolicy:
        """What is said of the tool ``name``, exactly; nothing, if nothing is."""
        return self.tools.get(name) or _NOTHING_SAID

    def sizes_of(self, tool: str, usual: Sizes) -> PartSizes:
        """How large the parts of calls of ``tool`` may be, or with an empty name of anything else."""
        said = self.tool(tool).sizes.over(self.sizes)
        return said.over(
            PartSizes(usual.to_server_bytes, usual.string_argument_bytes, usual.from_server_bytes, usual.content_bytes)
        )

    def prompt(self, name: str) -> PromptPolicy:
        """The same of the prompt ``name``."""
        return self.prompts.get(name) or _NOTHING_SAID_OF_A_PROMPT

    def template(self, text: str) -> PromptPolicy:
        """The same of the URI template ``text``."""
        return self.templates.get(text) or _NOTHING_SAID_OF_A_PROMPT


class ServeSettings(msgspec.Struct, frozen=True):
    """How ``doorward serve`` is reached.

    ``listen`` is HOST:PORT of a loopback address: TLS is for a reverse proxy. ``allow_users`` are names or numbers of
    OS users beside our own that may connect over loopback; whether they exist is not looked up here. ``public_url`` is
    what clients call it behind a reverse proxy: its host is allowed as Host, its origin as Origin, beside
    ``allowed_hosts`` and ``allowed_origins``. ``trusted_proxies`` are networks whose word on the client is believed.
    A legacy session ends after ``idle_seconds`` without a message or an open stream, and after ``max_seconds`` at the
    latest. ``drain_seconds`` is how long calls in flight may take when we stop.
    """

    listen: str = "127.0.0.1:8484"
    allow_users: tuple[str, ...] = ()
    public_url: str = ""
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    idle_seconds: int = 1800
    max_seconds: int = 86_400
    drain_seconds: int = 10


class Policy(msgspec.Struct, frozen=True):
    """The effective policy of this process.

    ``values`` are those of ``profile`` after the overrides of the file. ``hold_seconds`` is how long a call waits for
    a person before its client hears that it waits. ``claim_seconds`` is how long
    an approval that came too late may still release one repeat. ``observe_until`` is an ISO date, or empty.
    ``standing`` holds the yeses in advance that are for every server. ``digest`` is the hexadecimal SHA-256 over all of
    this as it was written, except ``source``, the file it came from (empty: none).
    """

    profile: str
    values: ProfileValues
    hold_seconds: int = HOLD_SECONDS
    claim_seconds: int = 300
    servers: dict[str, ServerPolicy] = {}
    observe_until: str = ""
    serve: ServeSettings = ServeSettings()
    standing: tuple[StandingApproval, ...] = ()
    source: str = ""
    digest: str = ""

    @property
    def sizes(self) -> Sizes:
        return self.values.sizes

    @property
    def limits(self) -> Limits:
        return self.values.limits

    @property
    def rates(self) -> RateLimits:
        return self.values.rates

    @property
    def log_floor(self) -> str:
        return self.values.log_floor

    def caps_of(self, name: str) -> Caps:
        """What the server called ``name`` may use up, if Doorward starts it."""
        said, usual = self.for_server(name), self.values.caps
        return msgspec.structs.replace(
            usual,
            memory_bytes=said.memory_bytes or usual.memory_bytes,
            file_bytes=said.file_bytes or usual.file_bytes,
            processes=said.processes or usual.processes,
            processor_percent=said.processor_percent or usual.processor_percent,
        )

    def for_server(self, name: str, known: ServerPolicy | None = None) -> ServerPolicy:
        """What holds for the server called ``name``: the table ``"*"``, to which the table of exactly that name adds,
        both beside what is ``known`` of such servers (`doorward.policy.known_servers`).

        There are no patterns: a rule for ``git`` never reaches ``git-admin``. Where both speak of ``ask`` for one
        tool, of a rate, a size, the network or its hosts, the exact table decides; constraints of both must hold;
        grants, targets of ``connect`` and standing approvals of both count, and so do standing approvals of the whole
        policy. Where a server is, only its own table says.
        """
        every = self.servers.get(EVERY_SERVER, ServerPolicy(EVERY_SERVER))
        exact = self.servers.get(name, ServerPolicy(name))
        if name == EVERY_SERVER:
            exact = ServerPolicy(name)
        if known is not None and not exact.unsafe_no_profile:
            every = msgspec.structs.replace(
                every,
                tools=_tools(known, every),
                prompts=_joined(known.prompts, every.prompts),
            )
        return msgspec.structs.replace(
            exact,
            read=_both(every.read, exact.read),
            write=_both(every.write, exact.write),
            env=_both(every.env, exact.env),
            tools=_tools(every, exact),
            prompts=_joined(every.prompts, exact.prompts),
            templates=_joined(every.templates, exact.templates),
            grants=_both(every.grants, exact.grants),
            secrets=every.secrets or exact.secrets,
            uris=_both(every.uris, exact.uris),
            below=_both(every.below, exact.below),
            standing=_both(_both(self.standing, every.standing), exact.standing),
            rate=exact.rate or every.rate,
            memory_bytes=exact.memory_bytes or every.memory_bytes,
            file_bytes=exact.file_bytes or every.file_bytes,
            processes=exact.processes or every.processes,
            processor_percent=exact.processor_percent or every.processor_percent,
            network=exact.network or every.network,
            hosts=exact.hosts or every.hosts,
            connect=_both(every.connect, exact.connect),
            sizes=exact.sizes.over(every.sizes),
        )

    def observes(self, today: str) -> bool:
        """Whether on ``today`` (an ISO date) controls that may soften only report. The date named is the last day."""
        return bool(self.observe_until) and today <= self.observe_until


def sealed(policy: Policy) -> Policy:
    """``policy`` with the digest of what it says."""
    said = msgspec.structs.replace(
        policy,
        standing=_as_written(policy.standing),
        servers={
            name: msgspec.structs.replace(server, standing=_as_written(server.standing))
            for name, server in policy.servers.items()
        },
        source="",
        digest="",
    )
    encoded = msgspec.json.encode(said, order="sorted")
    return msgspec.structs.replace(policy, digest=hashlib.sha256(_DOMAIN + encoded).hexdigest())


def _as_written(standing: tuple[StandingApproval, ...]) -> tuple[StandingApproval, ...]:
    return tuple(msgspec.structs.replace(one, until_us=0) for one in standing)


def _tools(every: ServerPolicy, exact: ServerPolicy) -> dict[str, ToolPolicy]:
    return {tool: _join(every.tool(tool), exact.tool(tool)) for tool in every.tools | exact.tools}


def _joined(every: dict[str, PromptPolicy], exact: dict[str, PromptPolicy]) -> dict[str, PromptPolicy]:
    nothing = _NOTHING_SAID_OF_A_PROMPT
    return {
        name: PromptPolicy(_demands(every.get(name, nothing).arguments, exact.get(name, nothing).arguments))
        for name in every | exact
    }


def _join(every: ToolPolicy, exact: ToolPolicy) -> ToolPolicy:
    return ToolPolicy(
        ask=every.ask if exact.ask is None else exact.ask,
        arguments=_demands(every.arguments, exact.arguments),
        secrets=_both(every.secrets, exact.secrets),
        rate=exact.rate or every.rate,
        sizes=exact.sizes.over(every.sizes),
    )


_Demands = dict[str, "tuple[Constraint, ...]"]


def _demands(every: _Demands, exact: _Demands) -> _Demands:
    return {name: _both(every.get(name, ()), exact.get(name, ())) for name in every | exact}


def _both(first: tuple[_T, ...], second: tuple[_T, ...]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(first + second))

"""The two profiles: every default of Doorward, what it is and which control enforces it.

`ROWS` is what `doorward policy show` prints; its words are those of the table in ``docs/architecture.md`` §7, and a
test holds the two together. `values` is what controls read. A number that stands in both is written once, in
`values`, and rendered into the row.

A row without a control promises nothing yet, and is printed so; ``not_yet`` names a part of a row that its control
does not reach yet.
"""

from __future__ import annotations

from typing import Final

import msgspec

from doorward.errors import UsageError
from doorward.policy.amounts import CAPS, Caps, Limits, RateLimits, Sizes
from doorward.policy.model import EVERY_SERVER, Policy, ProfileValues, ServerPolicy, StandingApproval
from doorward.protocol.versions import LOG_LEVELS

STANDARD: Final = "standard"
STRICT: Final = "strict"
PROFILES: Final = (STANDARD, STRICT)

_KIB: Final = 1024
_MIB: Final = 1024 * 1024

# Answers hold images and files, so they may be larger than questions. Nodes bound memory more than bytes (DESIGN §8):
# 20,000 is a table of a thousand rows with twenty columns; lists carry whole schemas, hence five times that. 8 KiB is
# what web servers take for a URI by default; 256 bytes hold any UUID, hash or counter that serves as an id. One item of
# content may be all of an answer, as a file that is read; where a policy lowers it, what base64 decodes to counts.
_STANDARD_SIZES: Final = Sizes(
    to_server_bytes=4 * _MIB,
    from_server_bytes=16 * _MIB,
    string_argument_bytes=1 * _MIB,
    content_bytes=16 * _MIB,
    depth=64,
    nodes=20_000,
    list_nodes=100_000,
    uri_bytes=8 * _KIB,
    id_bytes=256,
    info_bytes=16 * _KIB,
    headers_bytes=32 * _KIB,
)
_QUARTER: Final = Sizes(**{name: size // 4 for name, size in msgspec.structs.asdict(_STANDARD_SIZES).items()})

# 2024-11-05 came before authorization, annotations and Streamable HTTP; 2025-03-26 is the only revision with batches.
# What came with a later revision cannot be demanded of a client that says it is older.

# One client keeps a session or two open and a handful of calls in flight; what runs away reaches these soon, a person
# never. In-flight bytes are of the whole process: sixteen of the largest answers at once.
_STANDARD_LIMITS: Final = Limits(sessions=32, concurrent=64, children=16, subscriptions=128, in_flight_bytes=256 * _MIB)
_TENTH: Final = msgspec.structs.replace(
    _STANDARD_LIMITS,
    **{name: getattr(_STANDARD_LIMITS, name) // 10 for name in ("sessions", "concurrent", "children", "subscriptions")},
)

# A client that works through a list makes some hundred calls a second, and one that runs away thousands. An address may
# stand for several principals, a server serves several. Lists are asked for at the start and once in a while, by page.
# A server that reports its progress or its log line by line reaches some hundred a second; a person is asked rarely.
_STANDARD_RATES: Final = RateLimits(
    address_per_second=2_000,
    address_burst=4_000,
    principal_per_second=1_000,
    principal_burst=2_000,
    server_per_second=2_000,
    server_burst=4_000,
    session_per_second=500,
    session_burst=1_000,
    method_per_second=50,
    method_burst=200,
    tool_per_second=300,
    tool_burst=600,
    notice_per_second=200,
    notice_burst=1_000,
    ask_per_second=10,
    ask_burst=100,
)
_TENTH_OF_RATES: Final = RateLimits(
    **{name: number // 10 for name, number in msgspec.structs.asdict(_STANDARD_RATES).items()}
)

# Node with its workers, a JVM or a browser's process stay well below 2 GiB, and a machine of 8 GiB survives one server
# that does not. 16 GiB is more than a server writes into one file unless something runs away; 65,536 descriptors are
# what a server of thousands of connections is usually given. Node has a dozen threads, a browser that a server drives
# some two hundred; a JVM or a numeric library has a few for each processor.
# Of the processors a quarter is left to everybody else, whatever a server does: to the gateway, which judges for others
# meanwhile, and to whoever wants to end that server. Of two processors a program with one thread never meets the bound.
_STANDARD_CAPS: Final = Caps(
    memory_bytes=2048 * _MIB, file_bytes=16 * 1024 * _MIB, descriptors=65_536, processes=512, processor_percent=75
)
_STRICT_CAPS: Final = Caps(
    memory_bytes=1024 * _MIB, file_bytes=1024 * _MIB, descriptors=4096, processes=128, processor_percent=50
)

_VALUES: Final = {
    STANDARD: ProfileValues(
        sizes=_STANDARD_SIZES,
        limits=_STANDARD_LIMITS,
        rates=_STANDARD_RATES,
        caps=_STANDARD_CAPS,
        log_floor="info",
        oldest_revision="2025-03-26",
        ask_first_use=False,
        ask_every_tool_call=False,
        undeclared_always_refused=False,
        official_extensions_pass=True,
        folders_from_arguments=True,
        safe_environment_only=False,
    ),
    STRICT: ProfileValues(
        sizes=_QUARTER,
        limits=_TENTH,
        rates=_TENTH_OF_RATES,
        caps=_STRICT_CAPS,
        log_floor="warning",
        oldest_revision="2025-06-18",
        ask_first_use=True,
        ask_every_tool_call=True,
        undeclared_always_refused=True,
        official_extensions_pass=False,
        folders_from_arguments=False,
        safe_environment_only=True,
    ),
}


def values(profile: str) -> ProfileValues:
    """What ``profile`` decides.

    Raises:
        UsageError: there is no such profile.
    """
    if profile not in _VALUES:
        raise UsageError(f"no profile is called {profile!r}", hint=f"the profiles are {' and '.join(PROFILES)}")
    return _VALUES[profile]


def weakened(policy: Policy) -> tuple[str, ...]:
    """What ``policy`` weakens of its profile, in words for whoever starts under it; nothing, as a rule."""
    usual = values(policy.profile)
    words = []
    if raised := _raised(policy.sizes, usual.sizes):
        words.append(f"limits are raised (unsafe_sizes): {raised}")
    if raised := _raised(policy.limits, usual.limits):
        words.append(f"limits are raised (unsafe_limits): {raised}")
    if raised := _raised(policy.rates, usual.rates):
        words.append(f"rates are raised (unsafe_rates): {raised}")
    if LOG_LEVELS.index(policy.log_floor) < LOG_LEVELS.index(usual.log_floor):
        words.append(f"log messages down to {policy.log_floor} reach the client (unsafe_floor)")
    if policy.values.oldest_revision < usual.oldest_revision:
        words.append(f"clients may ask for revisions down to {policy.values.oldest_revision} (unsafe_oldest)")
    if policy.observe_until:
        words.append(f"controls that may soften only observe until {policy.observe_until} (unsafe_observe_until)")
    words += [
        f"what is demanded of well-known servers is not of {server.name} (unsafe_no_profile)"
        for server in policy.servers.values()
        if server.unsafe_no_profile
    ]
    for server in policy.servers.values():
        words += [
            f"{_called(server)} may use more (unsafe_{name}): {_amount(name, getattr(server, name))}"
            for name in CAPS
            if getattr(server, name) > getattr(usual.caps, name)
        ]
    words += [_standing(one, "any server") for one in policy.standing]
    words += [_standing(one, _called(server)) for server in policy.servers.values() for one in server.standing]
    return tuple(words)


def _raised(present: Sizes | Limits | RateLimits, usual: Sizes | Limits | RateLimits) -> str:
    numbers: dict[str, int] = msgspec.structs.asdict(present)
    return ", ".join(name.replace("_", " ") for name, number in numbers.items() if number > getattr(usual, name))


def _standing(approval: StandingApproval, who: str) -> str:
    until = f"for {approval.lasts} from the start" if approval.lasts[-1] in "mh" else f"until {approval.lasts}"
    return f"{', '.join(approval.asks)} of {who} pass without a question {until} (unsafe_standing_approvals)"


def _called(server: ServerPolicy) -> str:
    return "any server" if server.name == EVERY_SERVER else f"server {server.name}"


class Row(msgspec.Struct, frozen=True):
    """One default. ``standard`` and ``strict`` are the words of DESIGN §7.

    ``strict_in_full`` stands where the words for strict only make sense beside those for standard. ``controls`` are ids
    of `doorward.controls.CONTROLS`; none means that nothing enforces this row yet.
    """

    id: str
    title: str
    standard: str
    strict: str
    controls: tuple[str, ...] = ()
    strict_in_full: str = ""
    not_yet: str = ""

    def words(self, profile: str) -> str:
        """What holds under ``profile``, to be read alone."""
        return self.standard if profile == STANDARD else self.strict_in_full or self.strict


def describe_sizes(sizes: Sizes) -> str:
    """All limits of ``sizes`` in one line."""
    return (
        f"to server {_size(sizes.to_server_bytes)}, from server {_size(sizes.from_server_bytes)}, "
        f"string argument {_size(sizes.string_argument_bytes)}, content item {_size(sizes.content_bytes)}, "
        f"depth {sizes.depth}, nodes {sizes.nodes:,} "
        f"(lists {sizes.list_nodes:,}), URI {_size(sizes.uri_bytes)}, id {_size(sizes.id_bytes)}, "
        f"client/serverInfo {_size(sizes.info_bytes)}, headers {_size(sizes.headers_bytes)}"
    )


def describe_limits(limits: Limits) -> str:
    """All limits of ``limits`` in one line."""
    return (
        f"{limits.concurrent} concurrent, {limits.sessions} sessions, {limits.children} child processes, "
        f"{limits.subscriptions} subscriptions, {_size(limits.in_flight_bytes)} in flight"
    )


def describe_rates(rates: RateLimits) -> str:
    """All rates of ``rates`` in one line."""
    whats = (name.removesuffix("_burst") for name in msgspec.structs.asdict(rates) if name.endswith("_burst"))
    told = ((what, rates.of(what)) for what in whats)
    return "; ".join(f"{what} {rate.per_second:,}/s burst {rate.burst:,}" for what, rate in told)


def describe_caps(caps: Caps) -> str:
    """All caps of ``caps`` in one line."""
    return (
        f"memory {_size(caps.memory_bytes)} and {caps.processes} processes (threads count), of the whole tree in a "
        f"control group, else of a process and by the user; {caps.processor_percent} % of the time of all processors, "
        f"in a control group, else it yields to others; {_size(caps.file_bytes)} a file, "
        f"{caps.descriptors:,} descriptors, no core dumps"
    )


def _amount(name: str, count: int) -> str:
    if name.endswith("_percent"):
        return f"{count} %"
    return _size(count) if name.endswith("_bytes") else f"{count:,}"


def _size(count: int) -> str:
    for unit, name in ((1024 * _MIB, "GiB"), (_MIB, "MiB"), (_KIB, "KiB")):
        if count >= unit and count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count} B"


_SAME: Final = "same"
_ASK_OR_REFUSE: Final = "ask; no channel: refuse (elicitation: decline)"
_IN_FLIGHT: Final = "256 MiB, then 503 + Retry-After"
_SECRETS: Final = (
    "what has the shape of a credential, or Doorward knows as a secret, asks, naming the verified server, unless "
    "policy says secrets; no channel, or in a legacy answer: refuse"
)
_RATES: Final = "1,000/s burst 2,000, 64 concurrent, 32 sessions, 16 child processes, 128 subscriptions"
_MASKED: Final = "credential shapes and Doorward's own secrets masked, visibly; an argument carrying a mask is refused"

ROWS: Final[tuple[Row, ...]] = (
    Row(
        "first-use-command",
        "first use, command the operator wrote",
        "recorded, said on stderr; a near-miss of a known name asks",
        "ask",
        ("first-use",),
    ),
    Row(
        "first-use-url",
        "first use, URL",
        "loopback URL the operator wrote: as a command (identity: the OS user owning the listening socket; another "
        "user's: ask). Any other: ask; no channel: refuse, the hint prints the exact doorward pin accept …",
        "ask; no channel: refuse",
        ("first-use",),
    ),
    Row(
        "definitions-first",
        "definitions at first use",
        "accepted with the server as one set; poisoning signals ask",
        "ask, shown whole",
    ),
    Row(
        "definitions-changed",
        "definitions added or changed later",
        "that item is quarantined, the rest works",
        "server refused until accepted",
    ),
    Row(
        "server-asks",
        "sampling, elicitation, roots, their input_required forms",
        _ASK_OR_REFUSE,
        _SAME,
        ("input-consent",),
        strict_in_full=_ASK_OR_REFUSE,
    ),
    Row(
        "tool-calls",
        "tools/call",
        "ask if the recorded definition says destructiveHint: true (an absent hint is not a yes) or policy says so; "
        "no channel: refuse (\N{MINUS SIGN}31002, hint); else pass, recorded",
        "ask unless policy says otherwise; never excused by readOnlyHint alone",
        ("destructive-consent",),
    ),
    Row(
        "secrets-to-servers",
        "credentials in arguments and answers to a server",
        _SECRETS,
        _SAME,
        ("held-secrets",),
        strict_in_full=_SECRETS,
    ),
    Row(
        "unknown",
        "unknown method; extension, experimental capability",
        "refuse; official extensions listed in versions.py pass when both sides declared them, others need a grant",
        "refuse; each needs a grant",
        ("known-methods", "capability-grants"),
    ),
    Row(
        "undeclared-argument",
        "undeclared argument",
        "refused if the schema gives properties and does not itself allow others",
        "always refused",
        ("definition-arguments",),
    ),
    Row(
        "sizes",
        "sizes",
        describe_sizes(_STANDARD_SIZES),
        "a quarter",
        ("frame-limits", "part-limits", "content-limits", "http-limits"),
        strict_in_full=describe_sizes(_QUARTER),
    ),
    Row("in-flight", "bytes in flight, whole process", _IN_FLIGHT, _SAME, ("in-flight",), strict_in_full=_IN_FLIGHT),
    Row(
        "rates",
        "per principal",
        _RATES,
        "a tenth",
        ("rates", "principal-limits"),
        strict_in_full=f"a tenth of: {_RATES}",
    ),
    Row(
        "child-files",
        "child: files",
        "reads system libraries, of /etc only ssl, ca-certificates, ld.so.cache, resolv.conf, hosts, nsswitch.conf, "
        "localtime, and its own installation (interpreter's prefix, script's folder, package root). Folders: every "
        "argument (or its part after =) naming an existing directory: read and write; an existing file: read, and its "
        "folder where the argument follows an option; --read/--write. /, a home, or an ancestor of state or "
        "configuration is refused with a hint. Its own temp. Rest of home unreadable (in a namespace: empty)",
        "folders only by --read/--write",
        ("confine-files",),
        strict_in_full="as standard, but folders only by --read/--write",
    ),
    Row(
        "child-network",
        "child: network",
        "public addresses through a filtering proxy (checked after resolution, at connect); loopback, private, "
        "metadata only by --network HOST:PORT",
        "none",
        ("confine-network",),
    ),
    Row(
        "child-environment",
        "child: environment",
        "what Doorward got, less handles to the user's agents and session (ssh, gpg, D-Bus, display, keyring) and "
        "credential-like variables that were merely inherited: same name and value in the environment of the nearest "
        "ancestor that is not a launcher (sh, env, uv, uvx, pipx, npx, npm); unreadable counts as inherited. Withheld "
        "names are said once, with --env NAME",
        "the SDK's safe list plus --env",
        ("confine-environment",),
    ),
    Row(
        "child-caps",
        "child: memory, processes, processors, files it writes, descriptors",
        describe_caps(_STANDARD_CAPS),
        describe_caps(_STRICT_CAPS),
        ("child-caps",),
    ),
    Row(
        "results",
        "results",
        _MASKED,
        "also personal data",
        ("result-masking",),
        strict_in_full=f"{_MASKED}; also personal data",
        not_yet="personal data (strict)",
    ),
    Row(
        "oldest-revision",
        "oldest revision that a client may ask for",
        _VALUES[STANDARD].oldest_revision,
        _VALUES[STRICT].oldest_revision,
        ("oldest-revision", "known-version"),
    ),
    Row("log-floor", "log floor to clients", _VALUES[STANDARD].log_floor, _VALUES[STRICT].log_floor, ("log-floor",)),
)

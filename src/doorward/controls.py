"""THE TABLE: every control that Doorward has, whatever its mechanism.

A control that is not here does not exist. ``gateway.defences`` arms the sandbox and the pipeline, whose order is
``relay.pipeline``; ``gateway.app`` puts pins, the gateway's channels and the archive together; limits and the relay's
own steps are part of the code that they guard. Tests hold the table against the pipeline, the profiles, the scenarios
and the documentation.

``mechanism``: "limit" acts while bytes come in, before there is a message; "gate", "rewrite", "filter" and "check" act
in the relay; "relay" is the relay's own order of steps; "pin" acts before there is a link; "sandbox" inside the
server's process; "channel" guards a way in; "rate" counts how often; "archive" acts around all of it. ``softens``:
whether ``unsafe_observe_until`` may turn its refusals into notes.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Control(NamedTuple):
    """One control: its permanent id, what it does, the threats it answers, how it acts and where it stands."""

    id: str
    title: str
    threats: tuple[str, ...]
    mechanism: str
    module: str
    softens: bool = False


_TABLE: Final = (
    Control(
        "frame-limits",
        "bytes, depth and values are counted before anything is built",
        ("oversized-payload",),
        "limit",
        "doorward.wire.jsonrpc",
    ),
    Control(
        "strict-decode",
        "one reading of every message: strict UTF-8 and JSON-RPC, no duplicate members, our own encoding goes on",
        ("message-tampering", "duplicate-keys", "bom", "batch-hides-a-call"),
        "limit",
        "doorward.wire.jsonrpc",
    ),
    Control(
        "http-syntax",
        "a request of HTTP has exactly one reading, with one host and one length, or is refused",
        ("message-tampering", "smuggling-cl-te", "bare-lf", "two-hosts"),
        "limit",
        "doorward.gateway.http.head",
    ),
    Control(
        "http-limits",
        "heads, bodies, times and connections of HTTP are bounded, each by a number that is argued",
        ("oversized-payload", "request-flooding"),
        "limit",
        "doorward.gateway.http.limits",
    ),
    Control(
        "solicited-only",
        "only answers that somebody asked for, one use of an id at a time",
        ("capability-forgery", "consent-bypass"),
        "gate",
        "doorward.judge.gates.solicited",
    ),
    Control(
        "envelope",
        "one era per link, and its whole envelope on each modern request",
        ("capability-forgery", "modern-meta-legacy-header"),
        "gate",
        "doorward.judge.gates.envelope",
    ),
    Control(
        "header-agreement",
        "the headers of a modern HTTP request say what its body says, and those that go on are ours",
        (
            "message-tampering",
            "capability-forgery",
            "header-body-split",
            "duplicate-header",
            "encoded-header",
            "parameter-header",
            "version-downgrade",
            "modern-meta-legacy-header",
            "header-injection",
        ),
        "gate",
        "doorward.judge.gates.headers",
    ),
    Control(
        "known-methods",
        "only methods that the revision names, in the direction it gives them",
        ("capability-forgery", "server-request-on-modern-stream"),
        "gate",
        "doorward.judge.gates.methods",
    ),
    Control(
        "lifecycle",
        "nothing before initialize, no server request where none may be",
        ("capability-forgery", "pre-initialize", "server-request-on-modern-stream"),
        "gate",
        "doorward.judge.gates.lifecycle",
    ),
    Control(
        "part-limits",
        "ids, URIs, names, peer information and string arguments are bounded",
        ("oversized-payload",),
        "gate",
        "doorward.judge.gates.parts",
    ),
    Control(
        "content-limits",
        "each text, image, sound and resource is bounded before anybody decodes it, and base64 is base64",
        ("oversized-payload",),
        "gate",
        "doorward.judge.gates.contents",
    ),
    Control(
        "sealed-state",
        "a retried request carries the state that was sealed for exactly it",
        ("consent-bypass", "capability-forgery", "request-state-swap"),
        "gate",
        "doorward.judge.gates.sealed",
    ),
    Control(
        "record-first",
        "nothing is sent that was not recorded; outcomes owed are bounded",
        ("disputed-execution",),
        "gate",
        "doorward.judge.gates.owed",
    ),
    Control(
        "asked-answers",
        "answers that nobody asked for are dropped from a retried request",
        ("consent-bypass", "capability-forgery"),
        "rewrite",
        "doorward.judge.rewrites.answers",
    ),
    Control(
        "capability-grants",
        "experimental and foreign capabilities do not pass without a grant",
        ("capability-forgery",),
        "rewrite",
        "doorward.judge.rewrites.capabilities",
    ),
    Control(
        "oldest-revision",
        "a client that asks for an older revision than the operator wants is answered with a newer one",
        ("capability-forgery", "version-downgrade"),
        "rewrite",
        "doorward.judge.rewrites.revision",
    ),
    Control(
        "log-masking",
        "secrets in log messages are masked",
        ("log-leakage",),
        "rewrite",
        "doorward.judge.rewrites.log_masking",
    ),
    Control(
        "result-masking",
        "credentials in results and errors are masked",
        ("log-leakage",),
        "rewrite",
        "doorward.judge.rewrites.result_masking",
    ),
    Control(
        "own-task-lists",
        "of the tasks that a server lists, only those of whoever asks",
        ("task-of-another",),
        "rewrite",
        "doorward.judge.rewrites.own_task_lists",
    ),
    Control(
        "usable-definitions",
        "a tool whose schema cannot be used does not appear in the list that a client gets",
        ("argument-injection", "oversized-payload", "schema-reference", "secret-in-header"),
        "filter",
        "doorward.judge.filters.usable_tools",
    ),
    Control(
        "recognised",
        "what is not understood does not pass",
        ("capability-forgery",),
        "check",
        "doorward.judge.checks.recognised",
    ),
    Control(
        "known-version",
        "only a revision that can be judged is agreed on, and none older than the operator wants",
        ("capability-forgery",),
        "check",
        "doorward.judge.checks.version",
    ),
    Control(
        "masked-arguments",
        "an argument that carries a mask is refused",
        ("log-leakage",),
        "check",
        "doorward.judge.checks.masked_arguments",
    ),
    Control(
        "definition-arguments",
        "arguments fit the schema that the server listed, and name nothing else",
        ("argument-injection", "privileged-tool"),
        "check",
        "doorward.judge.checks.argument_schema",
    ),
    Control(
        "definition-results",
        "structured content fits the output schema that the server listed",
        ("message-tampering",),
        "check",
        "doorward.judge.checks.result_schema",
    ),
    Control(
        "prompt-arguments",
        "a prompt is asked for with the arguments that the server listed for it, and no others",
        ("argument-injection",),
        "check",
        "doorward.judge.checks.prompt_arguments",
    ),
    Control(
        "argument-constraints",
        "what the operator demands of an argument holds",
        ("argument-injection", "path-traversal", "privileged-tool"),
        "check",
        "doorward.judge.checks.argument_constraints",
        softens=True,
    ),
    Control(
        "path-confinement",
        "every path that is named lies below a folder of the server",
        ("path-traversal", "argument-injection"),
        "check",
        "doorward.judge.checks.paths",
    ),
    Control(
        "resource-size",
        "a resource that no message from its server could carry is not asked for",
        ("oversized-payload",),
        "check",
        "doorward.judge.checks.resource_size",
    ),
    Control(
        "own-tasks",
        "a task belongs to the principal whose request began it",
        ("task-of-another",),
        "check",
        "doorward.judge.checks.own_tasks",
    ),
    Control(
        "known-resources",
        "a resource is asked for that the server named or describes, or that the operator allows, and nothing climbs",
        ("path-traversal",),
        "check",
        "doorward.judge.checks.known_resources",
    ),
    Control(
        "declared-inputs",
        "a server asks only for what the client declared",
        ("capability-forgery", "consent-bypass", "undeclared-capability"),
        "check",
        "doorward.judge.checks.input_consent",
    ),
    Control(
        "honoured-capabilities",
        "who declares a capability and does not honour it is treated as not having it",
        ("capability-forgery",),
        "check",
        "doorward.judge.checks.honoured",
    ),
    Control(
        "input-consent",
        "sampling, elicitation and roots pass only after a person saw all of it",
        ("consent-bypass", "elicitation-url", "elicitation-secret"),
        "check",
        "doorward.judge.checks.input_consent",
    ),
    Control(
        "destructive-consent",
        "a tool that says it destroys, or that policy names, is called only after a person agreed",
        ("disputed-execution", "batch-in-its-revision"),
        "check",
        "doorward.judge.checks.tool_consent",
    ),
    Control(
        "held-secrets",
        "a credential goes to a server only after a person agreed, or where policy says so",
        ("server-imitation", "log-leakage"),
        "check",
        "doorward.judge.checks.hold_secrets",
    ),
    Control(
        "log-floor",
        "log messages below the floor do not reach the client",
        ("log-leakage",),
        "check",
        "doorward.judge.checks.log_floor",
    ),
    Control(
        "ticket",
        "an approval is bound to bytes, single use, expiring, and checked again when used",
        ("consent-bypass", "disputed-execution"),
        "relay",
        "doorward.relay.asking",
    ),
    Control("crash", "a control that fails has refused", (), "relay", "doorward.relay.relay"),
    Control(
        "server-reached",
        "what is meant for a server that cannot be started or reached is refused, and nothing of it was sent",
        (),
        "channel",
        "doorward.gateway.http.traffic",
    ),
    Control(
        "own-requests",
        "what goes on to a server at a URL is a request of our own: nothing that a client's said in headers is in it",
        ("token-pass-through",),
        "channel",
        "doorward.gateway.upstream.streamable",
    ),
    Control(
        "http-host",
        "a request names this gateway, and no page of another origin sends one",
        ("server-imitation", "capability-forgery", "two-hosts", "dns-rebinding", "foreign-origin"),
        "channel",
        "doorward.gateway.http.names",
    ),
    Control(
        "caller",
        "who connects is known by the kernel or by the start-up token, or does not come in",
        (
            "server-imitation",
            "disputed-execution",
            "session-hijack",
            "session-fixation",
            "replay-of-another",
            "request-state-swap",
            "task-of-another",
            "listening-to-others",
        ),
        "channel",
        "doorward.gateway.http.callers",
    ),
    Control(
        "session-bound",
        "a session belongs to the principal who began it, and ends",
        ("capability-forgery", "session-hijack", "session-fixation", "replay-of-another"),
        "channel",
        "doorward.gateway.sessions",
    ),
    Control(
        "rates",
        "messages are counted by address, principal, session, server, method and tool; each session keeps a part",
        ("request-flooding",),
        "rate",
        "doorward.gateway.metering",
        softens=True,
    ),
    Control(
        "principal-limits",
        "sessions, requests in flight, subscriptions and child processes are counted for each principal",
        ("request-flooding",),
        "limit",
        "doorward.gateway.http.traffic",
    ),
    Control(
        "in-flight",
        "bytes that came in and were not passed on are bounded for the whole process",
        ("oversized-payload", "request-flooding"),
        "limit",
        "doorward.gateway.http.door",
    ),
    Control(
        "consent-channel",
        "only a program that can read the consent key is shown a question or believed",
        ("consent-bypass",),
        "channel",
        "doorward.gateway.consent.channel",
    ),
    Control(
        "consent-screen",
        "all of a message is shown, everything hidden made visible, before it can be approved",
        ("consent-bypass",),
        "channel",
        "doorward.gateway.consent.display",
    ),
    Control(
        "consent-keys",
        "only what was typed after a question appeared can approve it",
        ("consent-bypass",),
        "channel",
        "doorward.cli.consent",
    ),
    Control(
        "first-use",
        "a server is what it was pinned as, before its first MCP byte is believed",
        ("server-imitation",),
        "pin",
        "doorward.gateway.identity.judgment",
    ),
    Control(
        "package-fetch",
        "what a launcher would fetch is fetched without running it, pinned by its integrity, and not written again",
        ("server-imitation", "privileged-tool"),
        "pin",
        "doorward.gateway.fetching.fetch",
    ),
    Control(
        "server-proof",
        "nothing is sent to a server at a URL before its certificate, or the owner of its socket, proves it",
        ("server-imitation", "message-tampering"),
        "channel",
        "doorward.gateway.upstream.http_client",
    ),
    Control(
        "confine-files",
        "a server reads and writes its own folders and nothing else of the user's",
        ("path-traversal", "argument-injection", "privileged-tool"),
        "sandbox",
        "doorward.confine.landlock",
    ),
    Control(
        "confine-calls",
        "a server sets no limits on other processes and reaches no keyrings, sockets of others, modules or clock",
        ("privileged-tool",),
        "sandbox",
        "doorward.confine.seccomp",
    ),
    Control(
        "confine-environment",
        "a server does not inherit the user's agents and credentials",
        ("privileged-tool", "log-leakage"),
        "sandbox",
        "doorward.confine.environment",
    ),
    Control(
        "confine-network",
        "a server connects to public addresses through a proxy, or nowhere, and to what the operator names",
        ("privileged-tool",),
        "sandbox",
        "doorward.confine.network",
    ),
    Control(
        "confine-privileges",
        "a server gains no privilege that it was not started with",
        ("privileged-tool",),
        "sandbox",
        "doorward.confine.privileges",
    ),
    Control(
        "confine-processes",
        "no signal, trace or descriptor of a server's reaches another process",
        ("message-tampering",),
        "sandbox",
        "doorward.confine.namespaces",
    ),
    Control(
        "child-caps",
        "a server, with all that it starts, uses no more memory and processes than it may, and only it ends over that",
        ("oversized-payload",),
        "sandbox",
        "doorward.confine.caps",
    ),
    Control(
        "no-orphans",
        "a server and all that it started end with its link",
        ("orphaned-process",),
        "sandbox",
        "doorward.confine.supervise",
    ),
    Control(
        "child-output",
        "a server's stderr and junk lines pass masking and limits",
        ("log-leakage", "stdout-noise"),
        "channel",
        "doorward.gateway.stdio",
    ),
    Control(
        "archive",
        "every message is recorded before its effect in a tamper-evident log",
        ("disputed-execution",),
        "archive",
        "doorward.audit.stores.sqlite",
    ),
)

CONTROLS: Final = {control.id: control for control in _TABLE}

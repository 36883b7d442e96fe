"""Every line of the last section of docs/threats.md, and what plays it, or why nothing does yet."""

from __future__ import annotations

from doorward.lab.lines import Line, Unplayed, none

_ATTACKED = (
    Line("tool poisoning", ("tool-poisoning",)),
    Line("shadowing", ("shadowing",)),
    Line("rug pulls", ("rug-pull",)),
    none("confused deputy", Unplayed.NOT_BUILT, "Doorward is no client of an authorization server yet", "G"),
    Line("token pass-through", ("token-pass-through",)),
    Line(
        "metadata addresses",
        ("ssrf-inside",),
        missing="that of a cloud itself, which a loopback does not have; this machine stands for it",
    ),
    none(
        "rebinding at connect time",
        Unplayed.NO_PLACE,
        "it needs a resolver that changes its mind, which gateway/test_egress brings along",
        "E",
    ),
    none("icons", Unplayed.NOT_BUILT, "Doorward fetches none", "E"),
    Line("Host", ("dns-rebinding",)),
    Line("Origin", ("foreign-origin",)),
    Line("session hijacking", ("session-hijack",)),
    Line("session fixation", ("session-fixation",)),
    Line("`Last-Event-ID` of another session", ("replay-of-another",)),
    Line("`requestState` of another user or request", ("request-state-swap",)),
    Line("`taskId` of another user", ("task-of-another",)),
    Line("`x-mcp-header` to header injection", ("header-injection",)),
    none("response cache poisoning", Unplayed.NOT_BUILT, "nothing of Doorward's is cached between users", "G"),
    Line("CL+TE", ("smuggling-cl-te",)),
    Line("two Hosts", ("two-hosts",)),
    Line("bare LF", ("bare-lf",)),
    none(
        "authorization-server mix-up", Unplayed.NOT_BUILT, "Doorward is no client of an authorization server yet", "G"
    ),
    Line("`javascript:`", ("elicitation-url",)),
    Line("punycode", ("elicitation-url",)),
    Line("pre-authenticated", ("elicitation-url",)),
    Line("orphaned child processes", ("orphaned-process",)),
    Line(
        "runaway servers",
        ("runaway-server",),
        missing="descriptors, of which an ordinary user may not have so many",
    ),
)

_SPOKEN = (
    Line("a header/body split", ("header-body-split", "parameter-header")),
    Line("a duplicated header", ("duplicate-header",)),
    Line("a header in another encoding", ("encoded-header",)),
    Line("duplicate JSON keys", ("duplicate-keys",)),
    Line("a downgrade by leaving the version out", ("version-downgrade", "capability-forgery")),
    Line("a modern `_meta` under an old header", ("modern-meta-legacy-header",)),
    Line("a server request on a modern stream", ("server-request-on-modern-stream",)),
    Line("`input_required` for an undeclared capability", ("undeclared-capability",)),
    Line("a form that asks for a secret", ("elicitation-secret",)),
    Line("sampling hidden in `inputRequests`", ("consent-bypass",)),
    none("tool lists that differ by user", Unplayed.NOT_BUILT, "no list is filtered by user yet", "G"),
    Line("`subscriptions/listen` on resources of others", ("listening-to-others",)),
    Line("logs that nobody asked for", ("unasked-logs",)),
    none("resource metadata that points inward", Unplayed.NOT_BUILT, "Doorward fetches none yet", "G"),
    none("a token for another audience", Unplayed.NOT_BUILT, "Doorward takes no tokens of others yet", "G"),
    Line("`$ref` to the network", ("schema-reference",)),
    Line("deep and huge schemas", ("hostile-schema",), missing="depth and size, which harm no client of ours"),
    Line("icons with `file:` or SVG", ("icon-source",), missing="a script in SVG, which no client of ours would run"),
    Line(
        "`x-mcp-header` on a secret or in an invalid place",
        ("secret-in-header",),
        missing="an invalid place, for which clients drop the tool",
    ),
    Line("a batch that hides a call", ("batch-hides-a-call", "batch-in-its-revision")),
    Line(
        "a call before `initialize`",
        ("pre-initialize",),
        missing="over HTTP, where Doorward answers it with an error and records nothing",
    ),
    Line("large and deep bodies", ("oversized-payload",)),
    none("slow SSE", Unplayed.NO_TARGET, "no client of ours is harmed by it: each gives up by itself", "D"),
    Line("a line without its end", ("oversized-payload",)),
    Line("noise on stdout", ("stdout-noise",)),
    Line("a byte order mark", ("bom",)),
)

LINES: tuple[Line, ...] = _ATTACKED + _SPOKEN

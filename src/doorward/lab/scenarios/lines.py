"""Every variant that docs/threats.md names for a scenario, and what plays it, or why nothing does yet.

What stands in the text of a scenario only as a remedy is no variant. Names in ``runs`` are variants of that scenario;
``lab/generated`` draws many more of the same forms.
"""

from __future__ import annotations

from doorward.lab.lines import Line, Unplayed, none

_ALONE, _YET = Unplayed.NO_TARGET, Unplayed.NOT_WRITTEN

LINES: dict[str, tuple[Line, ...]] = {
    "server-imitation": (
        Line("typo", ("typo",)),
        Line("look-alike names", ("ascii-look-alike", "other-sign")),
        Line("Unicode confusables", ("confusable",)),
        Line("punycode", ("punycode",)),
        Line("zero-width character", ("zero-width",)),
        none("plain HTTP", Unplayed.NO_PLACE, "on loopback it is allowed, elsewhere it is refused at the start", "F"),
        Line("self-signed", ("self-signed",)),
        Line("valid certificate for another name", ("other-host",)),
        Line("other CA", ("other-authority",)),
        Line("same name with another key (DNS hijack)", ("other-key",)),
        Line("a re-pointed endpoint", ("re-pointed",)),
        Line("another executable first on PATH", ("first-on-path",)),
        Line("at another version or digest", ("other-digest",)),
        Line("changed arguments", ("other-arguments",)),
        Line("asks for credentials in tool arguments", ("typo",)),
        none('reads "sensitive" resources', _ALONE, "a server reads no resources of its client in MCP", "F"),
        Line("asks for sampling", ("then-sampling",)),
        Line("a change (also rename, remove and re-add)", ("description",), missing="remove and re-add"),
        none(
            "issuer checked (mix-up)", Unplayed.NOT_BUILT, "Doorward is no client of an authorization server yet", "G"
        ),
    ),
    "capability-forgery": (
        Line("`experimental/fast_updates`", ("experimental",)),
        Line("anything\nelse", ("extension",)),
        Line("per request in `_meta`", ("later",)),
        Line("a downgrade of the protocol\nversion", ("oldest",)),
        Line("a message that was never negotiated", ("not-negotiated",)),
        Line("no answers nobody asked for", ("in-first-request", "with-state")),
        Line("`FeatureGate`", ("experimental", "extension", "not-negotiated", "later", "oldest")),  # lab/guarded.py
    ),
    "message-tampering": (
        Line("`DROP TABLE …`", ("plain-http", "self-signed", "other-authority", "behind-tls")),
        Line("script and phishing links", ("plain-http", "other-authority", "behind-tls")),
        Line("`/proc/PID/fd`", ("neighbour",)),
        none(
            "another local user opens the pipe or socket",
            Unplayed.NO_PLACE,
            "only root can play it: redteam/test_taken_port",
            "F",
        ),
        none("`ptrace`, `process_vm_writev`", _ALONE, "confine/test_walls tries them on the gateway alone", "E"),
        none("message signatures (RFC 9421)", Unplayed.NOT_BUILT, "what they would stop is open as behind-tls", "G"),
    ),
    "argument-injection": (
        Line("`legit_script.py; rm -rf /tmp/*`", ("semicolon",)),
        Line("newlines", ("newline", "and", "pipe", "redirection")),
        Line("`$()`", ("substitution",)),
        Line("back-ticks", ("back-ticks",)),
        Line("option injection (`--upload-pack=…`)", ("option",)),
        none("NUL", _ALONE, "no program can be given one: starting it fails", "D"),
        none("Unicode look-alikes of\nseparators", _ALONE, "no shell takes them for separators", "D"),
        Line("SQL", ("sql-union", "sql-comment", "sql-stacked")),
        Line("nested objects and arrays", ("in-array", "in-object")),
    ),
    "disputed-execution": (
        Line(
            "edits, drops, reorders, truncates or back-dates log entries",
            ("edited-entry", "deleted-entry", "cut", "back-dated"),
            missing="reordered ones: audit/test_tampering",
        ),
        Line("the user denies an own act", ("own-act",)),
        Line("the user blames another's act", ("others-act",)),
        Line("the client's operator deletes,\n  edits, back-dates", ("deleted-entry", "edited-entry", "back-dated")),
        Line("the server's operator does", ("withheld",), missing="what two logs would tell apart (issue I)"),
        Line("consent forged", ("forged-entry", "forged-consent")),
        Line("consent moved to another request", ("moved-consent",)),
        Line("outcome denied", ("outcome",)),
        Line(
            "truncation before and after a\n  witness",
            ("cut", "cut-after-witness", "rewritten", "rewritten-after-witness"),
        ),
    ),
    "path-traversal": (
        Line("`file:///home/user/workspace/../../../../etc/passwd`", ("dot-dot",)),
        Line("percent-encoded", ("percent", "percent-slash")),
        Line("doubly encoded", ("double-percent",)),
        Line("overlong UTF-8", ("overlong",)),
        Line("back-slashed", ("backslash",)),
        none("drive and UNC forms", _ALONE, "on Linux they are names like any other: content/test_uris", "D"),
        Line("NUL", ("nul",)),
        Line("`file://host/`", ("host",)),
        Line("a sibling sharing the prefix (`workspace-evil`)", ("sibling-prefix", "tool-sibling")),
        Line("symbolic links inside the workspace", ("symlink", "symlinked-folder", "tool-symlink")),
        Line("swapped between check and use", ("swapped",)),
        Line("`/proc/self/root`", ("proc-root",)),
        Line("case and Unicode normalisation", ("full-width",), missing="case, which the file systems of Linux keep"),
        Line("template expansion", ("template", "template-root")),
        Line("paths inside tool arguments", ("tool-dot-dot", "other-repository", "init-anywhere")),
    ),
    "log-leakage": (
        Line("`apiKey=secret_key_value`", ("as-json",)),
        Line("that Doorward itself injected", ("own-key",)),
        Line("base64, hex, URL- or JSON-escaped", ("base64", "in-url"), missing="hex, which lab/generated draws"),
        none(
            "Personal data by checked shapes", Unplayed.NOT_BUILT, "only content/test_redaction knows shapes yet", "I"
        ),
        none("junk lines", _ALONE, "they never reach the client: stdout-noise among the neighbours", "I"),
        none("Logs go only to the session that caused them", _ALONE, "a child is never shared between sessions", "I"),
    ),
    "request-flooding": (
        Line("`ping` and `resources/list` in a tight loop", ("own-sessions", "same-session")),
        Line("separate addresses without\n  credentials", ("own-addresses",)),
        Line(
            "separate principals",
            ("separate-principals",),
            missing="more than two: over HTTP there are the users of this machine and the holder of the start-up token",
        ),
        none("notification floods from the server", _ALONE, "harm on the bare target was not reliable", "D"),
        Line("subscription storms", ("subscription-storm",)),
        none("slow-loris", _ALONE, "gateway/test_http_limits: the SDK's server is not harmed by it", "D"),
        none("half-open connections", _ALONE, "gateway/test_http_limits: the SDK's server is not harmed by them", "D"),
        none("a flood of consents", _ALONE, "redteam/test_answering_from_inside: bare there is nobody to ask", "H"),
        none("a flood of refused requests", _ALONE, "relay/test_recording: bare there is no log to fill", "D"),
    ),
    "oversized-payload": (
        Line("a multi-gigabyte string as a tool argument", ("string", "announced")),
        Line("`resources/read` of a multi-gigabyte file", ("sparse-file",)),
        none("100,000 levels of nesting", _ALONE, "gateway/test_serve_malformed: the SDK refuses them itself", "D"),
        Line("a million keys", ("many-values",)),
        none("huge\nnumbers", _ALONE, "wire/test_decode: the SDK takes them for what they are", "D"),
        Line("huge ids and URIs", ("huge-id",), missing="URIs, which no server of ours keeps"),
        Line("long header lists", ("header-list",)),
        Line("compressed bombs", ("compressed-bomb",)),
        none("base64 bombs", Unplayed.NOT_BUILT, "no item of content is bounded before it is decoded yet", "D"),
        Line("endless SSE events", ("event", "body")),
        Line("stdio lines\nwithout a newline", ("line",)),
        none("large batches", _ALONE, "the SDK's servers take no batches", "D"),
    ),
    "privileged-tool": (
        Line("`sudo systemctl start …; /bin/bash -c …`", ("semicolon",)),
        Line("a file only\n  root could write", ("opened", "newline", "substitution", "option", "action")),
        Line("the user's own rights allow", ("own-rights",)),
    ),
    "consent-bypass": (
        Line('"Summarize the\nprevious email"', ("after-first-sentence",)),
        Line('"always trust trusted.com"', ("after-first-sentence",)),
        Line("invisible characters", ("invisible",)),
        Line("by length", ("far-below",)),
        Line("by markup", ("comment", "hidden-element", "link-title"), missing="on a page of ours: there is none yet"),
        Line("in a second message", ("second-message",)),
        Line("in the system prompt", ("system-prompt",)),
        Line(
            "image's caption",
            ("caption", "caption-in-file"),
            missing="a picture that was announced: the screen says of its file only that nobody looked into it",
        ),
        none("prompt changed between showing and sending", _ALONE, "relay/test_digests: sent is what was shown", "H"),
        none("approval replayed", _ALONE, "relay/test_recording: a ticket is spent once", "H"),
        none("a consent flood", _ALONE, "redteam/test_answering_from_inside: people are not kept out", "H"),
        none("clickjacking of the page", Unplayed.NOT_BUILT, "there is no page yet", "H"),
        none("answers in the user's place", _ALONE, "doorward attack --client plays it on any client", "H"),
    ),
}
"""Scenario → its lines."""

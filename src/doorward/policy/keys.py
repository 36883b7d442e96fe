"""Every key that a policy file may have, table by table, and what each is for, in one line.

The reader knows no others, the JSON Schema has exactly these (``tools/policy_schema.py``), and the words are what an
editor shows beside a key. Tables whose keys are names (servers, tools, arguments) stand here by what is in them.
"""

from __future__ import annotations

from typing import Final

Keys = dict[str, str]

TOP: Final[Keys] = {
    "profile": "the defaults: standard asks where harm is likely, strict before every tool call",
    "consent": "how questions to a person are put",
    "log": "log messages of servers to their clients",
    "protocol": "which revisions of MCP are spoken",
    "sizes": "limits on messages and their parts; can only be lowered here",
    "unsafe_sizes": "limits on messages and their parts that are raised",
    "limits": "what one principal may have at once; can only be lowered here",
    "unsafe_limits": "what one principal may have at once, raised",
    "rates": "how often messages may come; can only be lowered here",
    "unsafe_rates": "how often messages may come, raised",
    "serve": "how `doorward serve` is reached",
    "servers": 'what holds for one server, by its exact name; "*" is every server',
    "unsafe_standing_approvals": "what any server may ask of a client without a question to a person, for a while",
    "unsafe_observe_until": "the last day, at most 14 ahead, on which controls that may soften only report",
}
CONSENT: Final[Keys] = {
    "hold_seconds": "how long a call waits for an answer before its client is told that it waits",
}
LOG: Final[Keys] = {
    "floor": "the lowest level that reaches a client; can only be raised here",
    "unsafe_floor": "a level below the profile's own",
}
PROTOCOL: Final[Keys] = {
    "oldest": "the oldest revision that a client may ask for; can only be raised here",
    "unsafe_oldest": "a revision older than the profile's own",
}
SIZES: Final[Keys] = {
    "to_server_bytes": "a message to a server, in bytes",
    "from_server_bytes": "a message from a server, in bytes",
    "string_argument_bytes": "a text among the arguments of a call, in bytes of UTF-8",
    "content_bytes": "one item of content (text, image, audio, resource), decoded, in bytes",
    "depth": "how deeply values may be nested",
    "nodes": "values in one message",
    "list_nodes": "values in a result that is a list of definitions, as of tools/list",
    "uri_bytes": "a URI, in bytes",
    "id_bytes": "the id of a request, in bytes",
    "info_bytes": "clientInfo and serverInfo each, in bytes",
    "headers_bytes": "the header section of one HTTP message, in bytes",
}
PART_SIZES: Final[Keys] = {
    "arguments_bytes": "all arguments of one call together, as JSON",
    "string_argument_bytes": "a text among the arguments of a call, in bytes of UTF-8",
    "result_bytes": "a whole result, as JSON",
    "content_bytes": "one item of content (text, image, audio, resource), decoded",
}
LIMITS: Final[Keys] = {
    "sessions": "open legacy sessions of one principal",
    "concurrent": "requests in flight of one principal",
    "children": "child processes of one principal",
    "subscriptions": "resources that one principal has subscribed to",
    "in_flight_bytes": "bytes of messages in flight in the whole process",
}
RATES: Final[Keys] = {
    f"{what}_{unit}": words.format(of)
    for what, of in {
        "address": "from one source address",
        "principal": "of one principal",
        "server": "to one server",
        "session": "of one session",
        "method": "of one method of one session, for lists and whatever does no work",
        "tool": "of calls of one tool of one session, and of each other method that does work",
        "notice": "of one kind of notification of one server",
        "ask": "of one kind of request of one server",
    }.items()
    for unit, words in {"per_second": "messages a second {}", "burst": "messages at once {}"}.items()
}
RATE: Final[Keys] = {
    "per_second": "so many a second in the long run",
    "burst": "so many at once after a pause",
}
SERVE: Final[Keys] = {
    "listen": "HOST:PORT to listen on; loopback only",
    "allow_users": "further OS users, by name or number, that may connect over loopback",
    "public_url": "what clients call the gateway behind a reverse proxy",
    "allowed_hosts": "further values of Host, as HOST or HOST:PORT",
    "allowed_origins": "further values of Origin, as https://HOST",
    "trusted_proxies": "networks whose Forwarded and X-Forwarded-For are believed",
    "idle_seconds": "a legacy session ends after so long without a message or an open stream",
    "max_seconds": "a legacy session ends after so long at the latest",
    "drain_seconds": "how long calls in flight may take when the gateway stops",
}
SERVER: Final[Keys] = {
    "url": "where the server is: https://, or http:// on this machine",
    "command": "how the server is started: a program and its arguments",
    "path": "the path under which clients reach it; /NAME/mcp unless said",
    "transport": "how the URL is spoken to: streamable (Streamable HTTP) or sse (HTTP+SSE of 2024-11-05)",
    "read": "folders it may read",
    "write": "folders it may read and write",
    "env": "variables it gets although they look like credentials",
    "network": "where it may connect to: public (addresses of the Internet, through Doorward's proxy) or none",
    "hosts": "of public addresses only these hosts, as api.example.com, or *.example.com for all names below it",
    "connect": "HOST:PORT that it may also connect to, whatever they are",
    "memory_bytes": "memory that all its processes may use together (each, without a control group); only lowered here",
    "unsafe_memory_bytes": "memory that all its processes may use together, raised",
    "file_bytes": "how large a file may be that it writes; can only be lowered here",
    "unsafe_file_bytes": "how large a file may be that it writes, raised",
    "processes": "how many processes it may have at one time, each thread counted; can only be lowered here",
    "unsafe_processes": "how many processes it may have at one time, raised",
    "processor_percent": "its share of the time of all processors, in percent; can only be lowered here",
    "unsafe_processor_percent": "its share of the time of all processors, in percent, raised",
    "sizes": "how large arguments and results may be, in bytes; can only be lowered here",
    "unsafe_sizes": "how large arguments and results may be, raised as far as a message goes",
    "grants": "capabilities that pass by name: experimental/NAME, extensions/NAME, or one of the top level",
    "secrets": "true: values that look like credentials may go to it without a question",
    "rate": "how often all principals together may send to it, at most",
    "uris": "beginnings of resources (not file:) that may be asked for although the server did not name them",
    "below": "folders on the server's own machine; every path and file: URI lies in one, by its text",
    "tools": "what holds for one tool, by its exact name",
    "prompts": "what holds for one prompt, by its exact name, and while its arguments are completed",
    "templates": "what holds for the values of one URI template, by its exact text: completed, or given by a URI",
    "unsafe_no_profile": "true: do without what Doorward itself demands of well-known servers",
    "unsafe_standing_approvals": "what this server may ask of a client without a question to a person, for a while",
}
WHERE: Final = ("url", "command", "path", "transport", "unsafe_no_profile")
"""Keys of one server, as of where it is: not for the table of every server."""

TOOL: Final[Keys] = {
    "ask": "true: ask before each call; false: do not ask only because the profile asks for every call",
    "arguments": "what must hold for an argument, by its name or a JSON pointer in which * is any one step",
    "secrets": "arguments, written likewise, in which a value that looks like a credential may go without a question",
    "rate": "how often one principal may call it, at most",
    "sizes": "how large its arguments and results may be, in bytes; can only be lowered here",
    "unsafe_sizes": "how large its arguments and results may be, raised as far as a message goes",
}
PROMPT: Final[Keys] = {
    "arguments": "what must hold for an argument, by its name, as for a tool",
}
TEMPLATE: Final[Keys] = {
    "arguments": "what must hold for a value, by the name of its variable, as for a tool",
}
CONSTRAINT: Final[Keys] = {
    "enum": "one of these values, exactly",
    "minimum": "a number, at least this",
    "maximum": "a number, at most this",
    "integer": "a whole number",
    "max_length": "at most so many characters",
    "single_line": "no line break and no control character",
    "identifier": "a plain name: letters, digits, '_', '.', '-', at most 128",
    "no_leading_dash": "cannot be taken for an option",
    "no_shell_metacharacters": "cannot end, chain, redirect or expand anything in a shell line",
    "pattern": "the whole of it fits this regular expression (no look-around, no back-references)",
    "url_allow": "a URL of one of these places: scheme://host, or with a folder",
    "path_below": "a path below this folder; true: below any folder of the server",
    "read_only_sql": "one query of SQL that only reads: sqlite, postgres or mysql; true: what all three read alike",
}
STANDING: Final[Keys] = {
    "sampling": "completions by the client's model",
    "elicitation": "answers of the client's user",
    "roots": "the folders that the client works in",
    "expires": "the last day (UTC), at most 14 ahead",
    "for": "how long from the start of the process: 30m, 12h; at most 336h",
}
ASKS: Final = ("sampling", "elicitation", "roots")

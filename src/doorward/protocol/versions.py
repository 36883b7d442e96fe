"""The table of revisions: which methods exist in which era, in which direction, and what needs a capability.

Words of the specification: *legacy* is every revision with ``initialize`` (2024-11-05 to 2025-11-25), *modern* is
2026-07-28, where each request is self-contained. Source: schema.json of each revision.
"""

from __future__ import annotations

from typing import Final, Literal

Era = Literal["legacy", "modern"]

LEGACY_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN_VERSIONS: Final = ("2026-07-28",)
KNOWN_VERSIONS: Final = LEGACY_VERSIONS + MODERN_VERSIONS

META_PREFIX: Final = "io.modelcontextprotocol/"
META_VERSION: Final = META_PREFIX + "protocolVersion"
META_CAPABILITIES: Final = META_PREFIX + "clientCapabilities"
META_CLIENT_INFO: Final = META_PREFIX + "clientInfo"
META_SERVER_INFO: Final = META_PREFIX + "serverInfo"
META_SUBSCRIPTION: Final = META_PREFIX + "subscriptionId"
META_RELATED_TASK: Final = META_PREFIX + "related-task"

TASKS: Final = META_PREFIX + "tasks"

# Extensions that the specification's owners publish. One passes when both sides declared it; every other needs a grant.
OFFICIAL_EXTENSIONS: Final = frozenset(
    {
        TASKS,
        "io.modelcontextprotocol/ui",
        "io.modelcontextprotocol/oauth-client-credentials",
        "io.modelcontextprotocol/enterprise-managed-authorization",
    }
)

# Capabilities that the revisions name. Anything else, and everything under "experimental", needs a grant.
CLIENT_CAPABILITIES: Final = frozenset({"roots", "sampling", "elicitation", "tasks", "extensions"})
SERVER_CAPABILITIES: Final = frozenset(
    {"tools", "resources", "prompts", "completions", "logging", "tasks", "extensions"}
)

_TASK_METHODS: Final = frozenset({"tasks/get", "tasks/result", "tasks/list", "tasks/cancel"})

_CLIENT_REQUESTS: Final = {
    "legacy": frozenset(
        {
            "initialize",
            "ping",
            "tools/list",
            "tools/call",
            "prompts/list",
            "prompts/get",
            "resources/list",
            "resources/read",
            "resources/templates/list",
            "resources/subscribe",
            "resources/unsubscribe",
            "completion/complete",
            "logging/setLevel",
        }
    )
    | _TASK_METHODS,
    "modern": frozenset(
        {
            "server/discover",
            "subscriptions/listen",
            "tools/list",
            "tools/call",
            "prompts/list",
            "prompts/get",
            "resources/list",
            "resources/read",
            "resources/templates/list",
            "completion/complete",
            "tasks/get",
            "tasks/update",
            "tasks/cancel",
        }
    ),
}
_CLIENT_NOTIFICATIONS: Final = {
    "legacy": frozenset(
        {
            "notifications/initialized",
            "notifications/cancelled",
            "notifications/progress",
            "notifications/roots/list_changed",
            "notifications/tasks/status",
        }
    ),
    "modern": frozenset({"notifications/cancelled"}),
}
_SERVER_REQUESTS: Final = {
    "legacy": frozenset({"ping", "roots/list", "sampling/createMessage", "elicitation/create"}) | _TASK_METHODS,
    "modern": frozenset[str](),
}
_SERVER_NOTIFICATIONS: Final = {
    "legacy": frozenset(
        {
            "notifications/cancelled",
            "notifications/progress",
            "notifications/message",
            "notifications/tools/list_changed",
            "notifications/prompts/list_changed",
            "notifications/resources/list_changed",
            "notifications/resources/updated",
            "notifications/elicitation/complete",
            "notifications/tasks/status",
        }
    ),
    "modern": frozenset(
        {
            "notifications/cancelled",
            "notifications/progress",
            "notifications/message",
            "notifications/tools/list_changed",
            "notifications/prompts/list_changed",
            "notifications/resources/list_changed",
            "notifications/resources/updated",
            "notifications/subscriptions/acknowledged",
            "notifications/tasks",
        }
    ),
}

METHODS: Final = frozenset().union(
    *(
        table[era]
        for table in (_CLIENT_REQUESTS, _CLIENT_NOTIFICATIONS, _SERVER_REQUESTS, _SERVER_NOTIFICATIONS)
        for era in ("legacy", "modern")
    )
)
"""Every method of every revision."""

# Results of these may carry `resultType: "input_required"` (modern); tasks/get carries inputs of its own.
MAY_REQUIRE_INPUT: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
# Results of these are lists of definitions or of items, under this member.
LISTS: Final = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}
# What a server may ask of a client, in either era. Each goes to a person first.
INPUT_METHODS: Final = frozenset({"sampling/createMessage", "elicitation/create", "roots/list"})
# Which client capability stands behind each.
INPUT_CAPABILITY: Final = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}
# Methods of a published extension: only where both sides declared it.
EXTENSION_METHODS: Final = {
    "tasks/update": TASKS,
    "notifications/tasks": TASKS,
}
# Notifications that something changed, or that a phase was reached.
ANNOUNCEMENTS: Final = frozenset(
    {
        "notifications/initialized",
        "notifications/roots/list_changed",
        "notifications/tools/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
        "notifications/resources/updated",
        "notifications/elicitation/complete",
        "notifications/tasks/status",
        "notifications/tasks",
        "notifications/subscriptions/acknowledged",
    }
)
TASK_ANNOUNCEMENTS: Final = frozenset({"notifications/tasks/status", "notifications/tasks"})
# A legacy error whose ``data.elicitations`` a client shows to its user (2025-11-25; clients accept it in either era).
URL_ELICITATION_REQUIRED: Final = -32042
LOG_LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


def known_request(era: str, sender: str, method: str) -> bool:
    """Whether this side may send this request in this era."""
    return method in (_CLIENT_REQUESTS if sender == "client" else _SERVER_REQUESTS)[era]


def known_notification(era: str, sender: str, method: str) -> bool:
    """Whether this side may send this notification in this era."""
    return method in (_CLIENT_NOTIFICATIONS if sender == "client" else _SERVER_NOTIFICATIONS)[era]


def era_of(version: str) -> Era | None:
    """The era of a known revision, else None."""
    if version in MODERN_VERSIONS:
        return "modern"
    return "legacy" if version in LEGACY_VERSIONS else None

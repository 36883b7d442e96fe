"""Messages that mean something, nearly mean something, or mean nothing: what the properties of this room draw from."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from doorward.protocol import versions
from doorward.wire.jsonrpc import Notification, Request, Response

METHODS = (
    "initialize", "ping", "server/discover", "subscriptions/listen", "tools/list", "tools/call", "prompts/list",
    "prompts/get", "resources/list", "resources/read", "resources/templates/list", "resources/subscribe",
    "resources/unsubscribe", "completion/complete", "logging/setLevel", "tasks/get", "tasks/result", "tasks/list",
    "tasks/cancel", "tasks/update", "roots/list", "sampling/createMessage", "elicitation/create",
    "notifications/initialized", "notifications/cancelled", "notifications/progress", "notifications/message",
    "notifications/roots/list_changed", "notifications/tools/list_changed", "notifications/prompts/list_changed",
    "notifications/resources/list_changed", "notifications/resources/updated", "notifications/elicitation/complete",
    "notifications/tasks/status", "notifications/tasks", "notifications/subscriptions/acknowledged",
)  # fmt: skip

MEMBERS = (
    "name", "arguments", "uri", "cursor", "_meta", "requestState", "inputResponses", "inputRequests", "resultType",
    "protocolVersion", "capabilities", "clientInfo", "serverInfo", "supportedVersions", "tools", "nextCursor", "ref",
    "argument", "value", "level", "logger", "data", "progressToken", "requestId", "taskId", "notifications",
    "resourceSubscriptions", "method", "params", "extensions", "path", "content", "message", "prompts",
    versions.META_VERSION, versions.META_CAPABILITIES, versions.META_CLIENT_INFO, versions.META_SUBSCRIPTION,
)  # fmt: skip

WORDS = (
    "", "a", "info", "debug", "complete", "input_required", "task", "2025-11-25", "2026-07-28", "file:///work/space/a",
    "file:///etc/passwd", "../..", "\x00", "é", "x:y", *METHODS[:6], "sampling/createMessage", "roots/list",
)  # fmt: skip

scalars = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS) | st.text(st.characters(codec="utf-8"), max_size=4)
)  # fmt: skip
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(MEMBERS) | st.text(st.characters(codec="utf-8"), max_size=3), inner, max_size=5
        )
    ),
    max_leaves=20,
)
params = st.dictionaries(st.sampled_from(MEMBERS), values, max_size=7)
ids = st.integers(-2, 9) | st.integers() | st.text(st.characters(codec="utf-8"), max_size=3)
methods = st.sampled_from(METHODS) | st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
errors = st.builds(lambda code, text: {"code": code, "message": text}, st.integers(-40000, 3), st.sampled_from(WORDS))

any_messages = st.one_of(
    st.builds(Request, ids, methods, st.none() | params),
    st.builds(Notification, methods, st.none() | params),
    st.builds(Response, ids, result=params),
    st.builds(Response, st.none() | ids, error=errors),
)

"""Rewrite: a log message, or any other notification of a server's, leaves without the secrets in it (threat
``log-leakage``).

By key name, by the shape of a credential, and by the secrets that Doorward knows. Masks are visible. Does not protect a
secret that looks like nothing and stands under an innocent name: taint tracking comes later (issue I).
"""

from __future__ import annotations

from typing import Any, Final

from doorward.judge.vocabulary import Context, Effect, Finding
from doorward.wire.jsonrpc import Message, Notification

CONTROL: Final = "log-masking"
_PROTOCOL: Final = frozenset(
    {"level", "progressToken", "progress", "total", "requestId", "uri", "taskId", "status", "elicitationId", "_meta"}
)


def mask_logs(message: Message, context: Context) -> tuple[Message, Finding | None]:
    if not isinstance(message, Notification) or context.sender != "server" or message.params is None:
        return message, None
    if context.masker is None or not context.masker.maybe_sensitive(context.body):
        return message, None
    params: dict[str, Any] = dict(message.params)
    kinds: list[str] = []
    for name in params.keys() - _PROTOCOL:
        masked, hits = context.masker.mask_tree({name: params[name]})
        if hits:
            params[name] = masked.get(name, params[name])
            kinds += [hit.kind for hit in hits]
    if not kinds:
        return message, None
    note = Finding(
        CONTROL, Effect.NOTE, f"{len(kinds)} secrets were masked in a {message.method}", ", ".join(sorted(set(kinds)))
    )
    return Notification(message.method, params), note

"""Rewrite: credentials in what a server returns are masked before a client or model sees them (threat ``log-leakage``).

By the shape of a credential and by the secrets that Doorward knows, never by key name: a tool that returns a
record with a member ``token`` is doing its work. Masks are visible, and an argument that carries one is refused.
Protocol members (cursors, states, ids) and binary content stay as they are; what a server asks of a client's user
goes to that user whole.
"""

from __future__ import annotations

from typing import Any, Final

from doorward.content.redaction import MOST_HITS, Masker
from doorward.judge.vocabulary import Context, Effect, Finding
from doorward.wire.jsonrpc import Message, Response

CONTROL: Final = "result-masking"
_PROTOCOL: Final = frozenset(
    {
        "resultType",
        "requestState",
        "nextCursor",
        "inputRequests",
        "_meta",
        "taskId",
        "ttlMs",
        "cacheScope",
        "protocolVersion",
    }
)
_BINARY: Final = frozenset({"data", "blob"})


def mask_results(message: Message, context: Context) -> tuple[Message, Finding | None]:
    if not isinstance(message, Response) or context.sender != "server":
        return message, None
    masker = context.masker
    if masker is None or not context.may_hold_credential(context.body):
        return message, None
    kinds: list[str] = []
    if message.error is not None:
        masked = Response(message.id, error={**message.error, **_members(message.error, masker, kinds)})
    else:
        masked = Response(message.id, result=_members(message.result or {}, masker, kinds))
    if not kinds:
        return message, None
    note = Finding(
        CONTROL, Effect.NOTE, f"{len(kinds)} credentials were masked in a result", ", ".join(sorted(set(kinds)))
    )
    return masked, note


def _members(result: dict[str, Any], masker: Masker, kinds: list[str]) -> dict[str, Any]:
    return {
        name: value if name in _PROTOCOL else _mask(value, masker, kinds, binary=False)
        for name, value in result.items()
    }


def _mask(value: Any, masker: Masker, kinds: list[str], *, binary: bool) -> Any:
    """``value`` with every credential shape in its strings masked. Recursion is bounded by the frame's depth limit."""
    if isinstance(value, str):
        if binary:
            return value
        mask = masker.mask_text if len(kinds) <= MOST_HITS else masker.mask_whole
        text, hits = mask(value, names=False)
        kinds.extend(hit.kind for hit in hits)
        return text
    if isinstance(value, list):
        return [_mask(item, masker, kinds, binary=False) for item in value]
    if isinstance(value, dict):
        typed = _is_binary(value)
        return {
            _mask(name, masker, kinds, binary=False): _mask(item, masker, kinds, binary=typed and name in _BINARY)
            for name, item in value.items()
        }
    return value


def _is_binary(item: dict[str, Any]) -> bool:
    """An image, a sound, or a resource as base64: a match in there would be chance and a mask would destroy it."""
    return item.get("type") in ("image", "audio") or "blob" in item

"""Gate: the size of each part of a message, where a part has a limit of its own (threat ``oversized-payload``).

The frame as a whole was bounded while its bytes came in. Here: ids and progress tokens, URIs, cursors and names,
``clientInfo``, each string among the arguments, all arguments of a call together, a whole result, the number of
resources that are listened on, and of values in anything that is not a list. What holds for arguments and results, a
policy may say for one server or one tool.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from doorward.content.limits import CURSOR_BYTES, NAME_BYTES, exceeds, first_oversized_string, utf8_bytes
from doorward.judge.vocabulary import Context, Effect, Finding, Peer
from doorward.protocol import stateless, versions
from doorward.wire.jsonrpc import Message, Request, Response, count_values, encode_value, key_of, key_or_nothing

CONTROL: Final = "part-limits"
_RESULTS: Final = ("tools/call", "prompts/get", "resources/read", "tasks/result", "tasks/get")


def require_bounded_parts(message: Message, context: Context) -> Finding | None:
    sizes = context.policy.values.sizes
    if context.nodes > sizes.nodes and not _is_list(context):
        nodes = count_values(context.body)  # what was counted so far may be commas in a text
        if nodes > sizes.nodes:
            return _too_large("values in one message", nodes, sizes.nodes)
    if isinstance(message, Response):
        return _info(message.result or {}, "serverInfo", context) or _result(message, context)
    if not isinstance(message, Request):
        return None
    if (found := oversized_id(message, sizes.id_bytes)) is not None:
        return found
    params = message.params or {}
    watched = len(_listened(params))
    if watched > context.policy.limits.subscriptions:
        return _too_large("the resources to listen on", watched, context.policy.limits.subscriptions)
    limits = {"uri": sizes.uri_bytes, "name": NAME_BYTES, "cursor": CURSOR_BYTES}
    short = len(context.body) <= min(limits.values())  # no part of it can be larger
    for name, value in () if short else _named(params):
        if isinstance(value, str) and exceeds(value, limits[name]):
            return _too_large(name, utf8_bytes(value), limits[name])
    return _info(params, "clientInfo", context) or _arguments(params, context)


def oversized_id(message: Request, most: int) -> Finding | None:
    """What of the names that a client chose for its request is too long: it comes back with each message about it.

    For a door as well that gives requests ids of its own before they are judged (ADR 0007).
    """
    key = key_of(message.id)
    if exceeds(key, most):
        return _too_large("the id", utf8_bytes(key), most)
    token = key_or_nothing(stateless.meta_of(message.params).get("progressToken"))
    if exceeds(token, most):
        return _too_large("the progress token", utf8_bytes(token), most)
    return None


def _named(params: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """The URIs, names and cursors of a request: its own, those that a completion refers to, those that are listened
    on.
    """
    reference = params.get("ref")
    for holder in (params, reference if isinstance(reference, dict) else {}):
        yield from ((name, holder.get(name)) for name in ("uri", "name", "cursor"))
    yield from (("uri", uri) for uri in _listened(params))


def _listened(params: dict[str, Any]) -> list[object]:
    wanted = params.get("notifications")
    uris = wanted.get("resourceSubscriptions") if isinstance(wanted, dict) else None
    return uris if isinstance(uris, list) else []


def _is_list(context: Context) -> bool:
    return context.answers is not None and context.answers.method in versions.LISTS


def _info(holder: dict[str, Any], name: str, context: Context) -> Finding | None:
    limit = context.policy.values.sizes.info_bytes
    if len(context.body) <= limit:  # no part of it can be larger
        return None
    info = holder.get(name) or stateless.meta_of(holder).get(versions.META_PREFIX + name)
    if info is None:
        return None
    size = len(encode_value(info))
    return _too_large(name, size, limit) if size > limit else None


def _arguments(params: dict[str, Any], context: Context) -> Finding | None:
    arguments = params.get("arguments")
    if arguments is None:
        return None
    sizes = context.server.sizes_of(context.tool, context.policy.sizes)
    if len(context.body) > sizes.arguments_bytes:
        size = len(encode_value(arguments))
        if size > sizes.arguments_bytes:
            return _too_large("the arguments together", size, sizes.arguments_bytes)
    limit = sizes.string_argument_bytes
    pointer = first_oversized_string(arguments, limit, encoded_bytes=len(context.body))
    if pointer is None:
        return None
    return _too_large(f"the string at {pointer[:200] or '/'}", None, limit)


def _result(message: Response, context: Context) -> Finding | None:
    asked = context.answers
    if asked is None or asked.asker != "client" or asked.method not in _RESULTS:
        return None
    limit = context.server.sizes_of(context.tool, context.policy.sizes).result_bytes
    if len(context.body) <= limit:
        return None
    size = len(encode_value(message.result or {}))
    return _too_large("the result", size, limit) if size > limit else None


def _too_large(what: str, size: int | None, limit: int) -> Finding:
    measured = f"{size}, " if size is not None else ""
    return Finding(
        CONTROL,
        Effect.DENY,
        f"{what}: {measured}at most {limit}",
        peer=Peer(-32602, f"too large: {what}", {"limit": limit}),
    )

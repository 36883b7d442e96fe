"""Gate: each item of content is bounded, and what is written as base64 is base64 (threat ``oversized-payload``).

Content is what results, prompts, resources, tasks and sampling carry, whoever sends it: a text, the ``data`` of an
image or of audio, the ``text`` or ``blob`` of a resource. Whoever reads it decodes it first and looks then, so it is
measured here before anybody decodes: an encoding of N characters is three quarters of N bytes, and one pass tells
whether it is one. The bound is ``content_bytes`` of the policy, for all, for one server or for one tool. Sources: MCP
2025-11-25 and 2026-07-28 schema (``ContentBlock``, ``SamplingMessage``, ``ResourceContents``), RFC 4648 sections 3.5
and 4.

Does not judge ``structuredContent``, fields of a form, URLs (``data:`` among them), nor whether an image is one: what
unpacks to a thousand times its size is for whoever unpacks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any, Final

from doorward.content.limits import base64_problem, decoded_bytes, exceeds, utf8_bytes
from doorward.content.pointers import join
from doorward.judge.vocabulary import Context, Effect, Finding, Peer
from doorward.wire.jsonrpc import Message, Response

CONTROL: Final = "content-limits"

_Place = tuple[str | int, ...]
_ENCODED: Final = {"image": "data", "audio": "data"}
_HELD_IN: Final = ("content", "contents", "messages")
"""Members of a result, or of the params of a request, that hold content or messages of content."""
_MAY_HOLD: Final = frozenset({*_HELD_IN, "result", "inputRequests", "inputResponses"})
_FORM: Final = "elicitation/create"
"""What it returns as ``content`` are the fields of a form."""


def require_bounded_content(message: Message, context: Context) -> Finding | None:
    holder = message.result if isinstance(message, Response) else message.params
    if holder is None or holder.keys().isdisjoint(_MAY_HOLD):
        return None  # nearly all that a client sends
    limit = context.server.sizes_of(context.tool, context.policy.sizes).content_bytes
    for tokens, kind, value in _values(message, context):
        why = _problem(kind, value, limit)
        if why is not None:
            place = reduce(join, tokens, "")[:200]
            told = Peer(-32602, f"content that cannot be passed on at {place}: {why}", {"limit": limit})
            return Finding(CONTROL, Effect.DENY, f"content at {place}: {why}", peer=told)
    return None


def _problem(kind: str, value: object, limit: int) -> str | None:
    if not isinstance(value, str):
        return f"its {kind} is no text"
    if kind == "text":
        return f"{utf8_bytes(value)} bytes of text, at most {limit}" if exceeds(value, limit) else None
    if decoded_bytes(value) > limit:
        return f"{decoded_bytes(value)} bytes once decoded, at most {limit}"
    problem = base64_problem(value)
    return f"its {kind} is no base64: {problem}" if problem else None


def _values(message: Message, context: Context) -> Iterator[tuple[_Place, str, object]]:
    """Place, kind and value of everything that is content, wherever a message may carry it."""
    if isinstance(message, Response):
        method = context.answers.method if context.answers is not None else ""
        if method != _FORM and message.result is not None:
            yield from _held(message.result, ("result",))
        return
    params = message.params or {}
    yield from _held(params, ("params",))
    answers = params.get("inputResponses")
    for key, answer in answers.items() if isinstance(answers, dict) else ():
        if isinstance(answer, dict) and "action" not in answer:  # an answer to a form has one
            yield from _held(answer, ("params", "inputResponses", key))


def _held(holder: dict[str, Any], place: _Place) -> Iterator[tuple[_Place, str, object]]:
    for name in _HELD_IN:
        if name in holder:
            yield from _content(holder[name], (*place, name))
    done = holder.get("result")  # of a task
    if isinstance(done, dict):
        yield from _held(done, (*place, "result"))
    asked = holder.get("inputRequests")
    for key, request in asked.items() if isinstance(asked, dict) else ():
        params = request.get("params") if isinstance(request, dict) else None
        if isinstance(params, dict):
            yield from _held(params, (*place, "inputRequests", key))


def _content(value: object, place: _Place) -> Iterator[tuple[_Place, str, object]]:
    """Of one item or message, or of a list of them."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _content(item, (*place, index))
    elif isinstance(value, dict):
        yield from _item(value, place)


def _item(item: dict[str, Any], place: _Place) -> Iterator[tuple[_Place, str, object]]:
    kind = item.get("type")
    encoded = _ENCODED.get(kind) if isinstance(kind, str) else None
    for name in ("text", "blob", encoded):
        if name is not None and name in item:
            yield (*place, name), name, item[name]
    for below in ("content", "resource"):  # of a message or of what a tool returned; embedded
        if below in item:
            yield from _content(item[below], (*place, below))

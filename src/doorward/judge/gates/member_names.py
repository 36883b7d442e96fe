"""Gate: no member of a message is one of the protocol's in other letters (threats ``capability-forgery``,
``consent-bypass``).

JSON tells ``name`` from ``Name``. Go's ``encoding/json`` and .NET's reader for the web do not: of both they take the
last, so a call that was judged as one of ``name`` is executed as one of ``Name``, and a result that asks for nothing
asks under ``InputRequests``. Go folds letters of Unicode as well (a long s, a Kelvin sign). So a message is refused in
which a member differs from one of the protocol's only in that way, in either direction.

Looked at are the objects of the protocol: params, result, error, and those inside of them that controls read. What is
the caller's or the server's own (arguments, structured content, forms, schemas, ``_meta``) may have any letters; what a
policy demands of an argument holds for its name in any letters (``content.arguments``). Source: RFC 8259 section 8.3.

Does not protect where a server takes a member under another name altogether (``tool_name``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from doorward.content.pointers import join
from doorward.judge.vocabulary import MAX_EVIDENCE, Context, Effect, Finding, Peer
from doorward.wire.jsonrpc import Message, Response

CONTROL: Final = "member-names"

_NAMES: Final = frozenset(
    """_meta action allowed argument arguments cacheScope capabilities clientInfo code completion completions content
    contents context createdAt cursor data description elicitation elicitationId elicitations error experimental
    extensions form hasMore includeContext info inputRequests inputResponses instructions isError lastUpdatedAt level
    listChanged logger logging maxTokens message messages metadata method mode model modelPreferences name nextCursor
    notifications params pollInterval pollIntervalMs progress progressToken prompts promptsListChanged protocolVersion
    reason ref requestId requestState requestedSchema requests resourceSubscriptions resourceTemplates resources
    resourcesListChanged result resultType role roots sampling serverInfo status statusMessage stopReason stopSequences
    structuredContent subscribe supportedVersions systemPrompt task taskId taskIds tasks temperature title toolChoice
    tools toolsListChanged total ttl ttlMs type uri url value""".split()
)
_FOLDED: Final = {name.casefold(): name for name in _NAMES}
_INSIDE: Final = ("ref", "argument", "context", "notifications", "capabilities", "task", "result")
_ENTRIES: Final = ("inputRequests", "inputResponses")


def require_exact_names(message: Message, context: Context) -> Finding | None:
    for pointer, holder in _objects(message):
        for name in holder:
            if name not in _NAMES and name.casefold() in _FOLDED:
                told = f"a member that is {_FOLDED[name.casefold()]!r} in other letters"
                place = join(pointer, name)[:MAX_EVIDENCE]
                return Finding(CONTROL, Effect.DENY, told, place, Peer(-32602, told))
    return None


def _objects(message: Message) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of the protocol in ``message``, and where they stand."""
    if not isinstance(message, Response):
        yield from _held(message.params or {}, "/params")
    elif message.error is not None:
        yield "/error", message.error
    else:
        yield from _held(message.result or {}, "/result")


def _held(holder: dict[str, Any], pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield pointer, holder
    for name in _INSIDE:
        inner = holder.get(name)
        if isinstance(inner, dict):
            yield join(pointer, name), inner
            if name == "capabilities":
                yield from _values(inner, join(pointer, name), but=("experimental", "extensions"))
    for name in _ENTRIES:
        entries = holder.get(name)
        for place, entry in _values(entries, join(pointer, name)) if isinstance(entries, dict) else ():
            yield place, entry
            params = entry.get("params")
            if isinstance(params, dict):
                yield join(place, "params"), params


def _values(holder: dict[str, Any], pointer: str, but: tuple[str, ...] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, value in holder.items():
        if isinstance(value, dict) and name not in but:
            yield join(pointer, name), value

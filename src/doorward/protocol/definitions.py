"""What a server says it offers: recorded as it said it, and fingerprinted.

Definitions are part of a server's identity (threat ``server-imitation``). Here they are only recorded, so that
calls can be judged against what the server itself listed; quarantine of changes is a later control.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

MAX_TOOLS: Final = 10_000  # kept of one list; whatever has more cannot be judged
MAX_PROMPTS: Final = 10_000
MAX_SIZES: Final = 10_000  # of resources; of what is listed beyond them no size is known
MAX_BYTES: Final = 32 << 20
"""Of all schemas of one list together, and of all names of prompts and their arguments; a thousand times the usual."""
_MAX_SAFE_INTEGER: Final = 2**53 - 1
_TAG: Final = "doorward:"


class Tool(msgspec.Struct, frozen=True):
    """One tool as listed. ``schema`` is our encoding of its inputSchema, ``output`` of its outputSchema (empty: it has
    none); ``fingerprint`` covers the whole definition.
    """

    name: str
    schema: bytes
    destructive: bool
    fingerprint: str
    output: bytes = b""


class Prompt(msgspec.Struct, frozen=True):
    """One prompt as listed: whether each of its arguments, by name, is required."""

    name: str
    arguments: dict[str, bool]
    fingerprint: str


class Definitions(msgspec.Struct, frozen=True):
    """The tools and prompts that a server has listed. ``complete`` once a whole list was seen, from its start
    (``begun``) to its last page, and no more tools than are kept; of prompts likewise. ``beyond``: there were more, or
    larger ones, in the list that was seen last.

    A tool that is listed twice under one name keeps the later definition, destroys if either says so, and ``repeated``
    names it. ``sizes`` holds
    what was announced of resources, by a digest of their URIs, which may be long and many.
    """

    tools: dict[str, Tool] = {}
    complete: bool = False
    begun: bool = False
    repeated: tuple[str, ...] = ()
    prompts: dict[str, Prompt] = {}
    prompts_complete: bool = False
    prompts_begun: bool = False
    sizes: dict[bytes, int] = {}
    beyond: bool = False

    def announced_size(self, uri: str) -> int:
        """How many bytes the server said that the resource ``uri`` holds, exactly as it wrote it; 0: it did not."""
        return self.sizes.get(_digest(uri), 0) if self.sizes else 0

    def fingerprint_of(self, name: str) -> str:
        tool = self.tools.get(name)
        return tool.fingerprint if tool is not None else ""


NOTHING: Final = Definitions()


def record(known: Definitions, items: tuple[dict[str, Any], ...], *, first: bool, last: bool) -> Definitions:
    """``known`` with one more page of tools. ``first`` starts the list anew, ``last`` completes it.

    An item without a name or with a schema that is not an object is not recorded: a tool that cannot be judged cannot
    be called.
    """
    tools = {} if first else dict(known.tools)
    repeated = [] if first else list(known.repeated)
    for item in items:
        name, schema = item.get("name"), item.get("inputSchema")
        if not isinstance(name, str) or not isinstance(schema, dict):
            continue
        tool = _tool(name, schema, item)
        if name in tools:
            repeated.append(name)
            tool = msgspec.structs.replace(tool, destructive=tool.destructive or tools[name].destructive)
        tools[name] = tool
    beyond = len(tools) > MAX_TOOLS or sum(len(t.schema) + len(t.output) for t in tools.values()) > MAX_BYTES
    if beyond or not (first or known.begun):
        return msgspec.structs.replace(known, complete=False, begun=False, beyond=beyond)
    return msgspec.structs.replace(
        known, tools=tools, complete=last, begun=True, repeated=tuple(repeated), beyond=False
    )


def record_prompts(known: Definitions, items: tuple[dict[str, Any], ...], *, first: bool, last: bool) -> Definitions:
    """The same with one more page of prompts. An item without a name, or whose arguments are not of their form, is not
    recorded.
    """
    prompts = {} if first else dict(known.prompts)
    for item in items:
        name, arguments = item.get("name"), _prompt_arguments(item.get("arguments"))
        if isinstance(name, str) and arguments is not None:
            prompts[name] = Prompt(name, arguments, fingerprint(item))
    beyond = len(prompts) > MAX_PROMPTS or sum(map(_prompt_bytes, prompts.values())) > MAX_BYTES
    if beyond or not (first or known.prompts_begun):
        return msgspec.structs.replace(known, prompts_complete=False, prompts_begun=False, beyond=beyond)
    return msgspec.structs.replace(known, prompts=prompts, prompts_complete=last, prompts_begun=True, beyond=False)


def record_sizes(known: Definitions, items: tuple[dict[str, Any], ...], *, first: bool) -> Definitions:
    """The same with one more page of resources, of which only the sizes are kept. Of two under one URI the larger."""
    sizes = {} if first else dict(known.sizes)
    for item in items:
        uri, size = item.get("uri"), item.get("size")
        if isinstance(uri, str) and type(size) is int and size > 0:
            key = _digest(uri)
            if key in sizes or len(sizes) < MAX_SIZES:
                sizes[key] = max(size, sizes.get(key, 0))
    return msgspec.structs.replace(known, sizes=sizes)


def forget_sizes(known: Definitions, uri: str = "") -> Definitions:
    """Without what was announced of ``uri``, or of all resources: the server says that they changed."""
    gone = set(known.sizes) if not uri else {_digest(uri)} & known.sizes.keys()
    if not gone:
        return known
    return msgspec.structs.replace(known, sizes={key: size for key, size in known.sizes.items() if key not in gone})


def _digest(uri: str) -> bytes:
    return hashlib.sha256(uri.encode("utf-8", "surrogatepass")).digest()


def _prompt_arguments(listed: object) -> dict[str, bool] | None:
    if listed is None:
        return {}
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        return None
    if not all(isinstance(one.get("name"), str) for one in listed):
        return None
    return {one["name"]: one.get("required") is True for one in listed}


def _prompt_bytes(prompt: Prompt) -> int:
    return len(prompt.name) + sum(map(len, prompt.arguments))


def _tool(name: str, schema: dict[str, Any], item: dict[str, Any]) -> Tool:
    annotations = item.get("annotations")
    hints = annotations if isinstance(annotations, dict) else {}
    return Tool(
        name,
        msgspec.json.encode(schema),
        hints.get("destructiveHint") is True,
        fingerprint(item),
        output=msgspec.json.encode(item["outputSchema"]) if item.get("outputSchema") is not None else b"",
    )


def fingerprint(definition: dict[str, Any]) -> str:
    """SHA-256 of the RFC 8785 form of a definition, in hex.

    Integers that RFC 8785 refuses are written as tagged decimal strings (DESIGN §4), so every definition has one.
    """
    import rfc8785  # 10 ms, needed only when a list passes

    return hashlib.sha256(b"doorward definition v1\n" + rfc8785.dumps(_tagged(definition))).hexdigest()


def _tagged(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tagged(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_tagged(item) for item in value]
    if type(value) is int and abs(value) > _MAX_SAFE_INTEGER:
        return f"{_TAG}integer:{value}"
    if isinstance(value, str) and value.startswith(_TAG):
        return f"{_TAG}string:{value}"  # or a text could pass for a number
    return value

"""The headers of modern HTTP that repeat what the body says, so that intermediaries can route without reading bodies.

Who reads the body must not trust them: :func:`mismatch` compares, and what is sent upstream is computed anew from the
message that was judged (:func:`required_headers`). Source: MCP 2026-07-28 "Streamable HTTP", SEP-2243.

Does not protect against whoever routes on these headers before they were compared.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from doorward.content.credentials import sensitive_kind
from doorward.protocol import versions
from doorward.protocol.stateless import meta_of
from doorward.wire.jsonrpc import Message, Request, Response, decode_value

VERSION: Final = "mcp-protocol-version"
METHOD: Final = "mcp-method"
NAME: Final = "mcp-name"
PARAM_PREFIX: Final = "mcp-param-"
ANNOTATION: Final = "x-mcp-header"

NAME_BEARING: Final = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""Which member of params ``Mcp-Name`` repeats, by method."""

# Clients of the SDK as it is do not send the header for these; where it stands, it must be right.
_OF_AN_EXTENSION: Final = frozenset({"tasks/get", "tasks/update", "tasks/cancel"})
_ENCODED: Final = re.compile(r"=\?base64\?(.*)\?=")
_PLAIN: Final = re.compile(r"[\x20-\x7e]*")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_DECIMAL: Final = re.compile(r"-?[0-9]{1,400}(\.0{1,400})?")
_MAX_INTEGER: Final = 2**53 - 1
_TYPES: Final = frozenset({"string", "integer", "boolean"})
# Keywords whose values are schemas, lists of schemas, and objects of schemas. An annotation below one of them is not
# reachable by `properties` alone. Data (`const`, `default`, `enum`, `examples`) is no schema; `$ref` is not followed.
_ONE: Final = frozenset(
    "items contains unevaluatedItems additionalProperties propertyNames unevaluatedProperties not if then else "
    "contentSchema".split()
)
_MANY: Final = frozenset("allOf anyOf oneOf prefixItems".split())
_NAMED: Final = frozenset("patternProperties dependentSchemas $defs definitions".split())

Path = tuple[str, ...]


def encode_value(value: str) -> str:
    """``value`` as a header's value: as it is where it survives that, else in base64, marked as ``=?base64?…?=``."""
    if _PLAIN.fullmatch(value) and value == value.strip(" ") and not _ENCODED.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def decode_header(value: str) -> str | None:
    """What a header's value stands for; None where it is encoded and the encoding is not the one form there is."""
    match = _ENCODED.fullmatch(value)
    if match is None:
        return value
    try:
        raw = base64.b64decode(match[1], validate=True)
        decoded = raw.decode()
    except (binascii.Error, ValueError):
        return None
    return decoded if base64.b64encode(raw).decode() == match[1] else None


def declared_headers(schema: object) -> tuple[tuple[Path, str, str], ...] | str:
    """The properties of a tool's inputSchema that are repeated in headers: path, the header's suffix, type. A string
    says why the annotations are not valid: a client must then not use the tool at all.
    """
    found: dict[str, tuple[Path, str, str]] = {}
    for path, position in _positions(schema):
        if ANNOTATION not in position:
            continue
        name, kind = position[ANNOTATION], position.get("type")
        if not path:
            return f"{ANNOTATION} stands where `properties` alone do not lead"
        where = ".".join(path)[:100]
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            return f"{ANNOTATION} of {where!r} is no header name"
        if not isinstance(kind, str) or kind not in _TYPES:
            return f"{ANNOTATION} of {where!r} is for strings, integers and booleans only"
        if name.lower() in found:
            return f"{ANNOTATION} of {where!r} names a header that another property has"
        found[name.lower()] = (path, name, kind)
    return tuple(found.values())


def unusable_in(schema: bytes) -> str:
    """Why a tool must not be used for the sake of what its inputSchema, in our encoding, wants in headers; empty where
    it may.

    Annotations that are not valid ("clients MUST drop" such a tool), and one on what is named like a secret: headers
    are what the machines on the way log. A secret under a harmless name is not seen.
    """
    return _unusable(_declared_in(schema)) if names_arguments(schema) else ""


@lru_cache(maxsize=64)
def _declared_in(schema: bytes) -> tuple[tuple[Path, str, str], ...] | str:
    """Schemas are large and few, and each call of their tools asks."""
    return declared_headers(decode_value(schema))


def _unusable(declared: tuple[tuple[Path, str, str], ...] | str) -> str:
    if isinstance(declared, str):
        return declared
    for path, name, _ in declared:
        if kind := next(filter(None, map(sensitive_kind, (*path, name))), None):
            return f"{ANNOTATION} of {'.'.join(path)[:100]!r} would put a secret ({kind}) into a header"
    return ""


def _positions(root: object) -> Iterator[tuple[Path | None, dict[str, Any]]]:
    """Every schema in a schema, with the names of ``properties`` that lead to it, or None where something else does."""
    stack: list[tuple[Path | None, object]] = [((), root)]
    while stack:
        path, schema = stack.pop()
        if not isinstance(schema, dict):
            continue
        yield path, schema
        for keyword, value in schema.items():
            if keyword == "properties" and isinstance(value, dict):
                stack += [((*path, name) if path is not None else None, below) for name, below in value.items()]
            elif keyword in _ONE:
                stack.append((None, value))
            elif keyword in _MANY and isinstance(value, list):
                stack += [(None, below) for below in value]
            elif keyword in _NAMED and isinstance(value, dict):
                stack += [(None, below) for below in value.values()]


def names_arguments(schema: bytes | None) -> bool:
    """Whether arguments of a tool with this inputSchema may be repeated in headers."""
    return schema is not None and ANNOTATION.encode() in schema


def required_headers(method: str, params: dict[str, Any] | None, schema: bytes | None = None) -> dict[str, str]:
    """The headers that a modern request must bear. ``schema`` is our encoding of the called tool's inputSchema, as far
    as it is known. Only for requests that were judged: what is not a string where one belongs has no header.
    """
    headers = {METHOD: encode_value(method)}
    version = meta_of(params).get(versions.META_VERSION)
    if isinstance(version, str):
        headers[VERSION] = encode_value(version)
    name = (params or {}).get(NAME_BEARING.get(method, ""))
    if isinstance(name, str):
        headers[NAME] = encode_value(name)
    if method == "tools/call" and schema is not None and names_arguments(schema):
        headers |= _parameters(schema, (params or {}).get("arguments"))
    return headers


def _parameters(schema: bytes, arguments: object) -> dict[str, str]:
    declared = _declared_in(schema)
    if isinstance(declared, str):
        return {}
    headers = {}
    for path, name, _ in declared:
        rendered = _rendered(_value(arguments, path))
        if rendered is not None:
            headers[f"{PARAM_PREFIX}{name}"] = encode_value(rendered)
    return headers


def _value(arguments: object, path: Path) -> object:
    node = arguments
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    return node


def _rendered(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value) if abs(value) <= _MAX_INTEGER else None
    return str(value) if isinstance(value, float) else None


def mismatch(headers: Iterable[tuple[str, str]], message: Message, schema: bytes | None = None) -> str | None:
    """Why the headers of a modern POST do not say what its body says (the answer is then -32020 with status 400), or
    None. ``headers`` are all lines as received, so that one that stands twice is seen; names in any case.

    ``schema`` is our encoding of the called tool's inputSchema where it is known; without it, and where its annotations
    are not valid, ``Mcp-Param-*`` are not looked at, and must not be believed.
    """
    known: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if lower in known and (lower in (VERSION, METHOD, NAME) or lower.startswith(PARAM_PREFIX)):
            return f"the header {name[:80]} stands twice"
        known[lower] = value
    if isinstance(message, Response):
        return None
    version = meta_of(message.params).get(versions.META_VERSION)
    versioned = isinstance(message, Request) or version is not None
    if versioned and (version is None or known.get(VERSION) != version):
        return "the header MCP-Protocol-Version is not what the body's _meta says"
    if (METHOD in known or isinstance(message, Request)) and known.get(METHOD) != message.method:
        return "the header Mcp-Method is not the body's method"
    return _name_mismatch(known, message.method, message.params or {}) or _parameter_mismatch(known, message, schema)


def _name_mismatch(known: dict[str, str], method: str, params: dict[str, Any]) -> str | None:
    member = NAME_BEARING.get(method)
    given = known.get(NAME)
    if member is None:
        return None
    value = params.get(member)
    if value is None or (given is None and method in _OF_AN_EXTENSION):
        return None
    if given is None or decode_header(given) != value:
        return f"the header Mcp-Name is not the body's params.{member}"
    return None


def _parameter_mismatch(known: dict[str, str], message: Message, schema: bytes | None) -> str | None:
    if not isinstance(message, Request) or message.method != "tools/call":
        return None
    if schema is None or not names_arguments(schema):
        return None
    declared = _declared_in(schema)
    if isinstance(declared, str):
        return None
    arguments = (message.params or {}).get("arguments")
    for path, name, kind in declared:
        value = _value(arguments, path)
        given = known.get(f"{PARAM_PREFIX}{name}".lower())
        rendered = _rendered(value)
        if rendered is None and given is None:
            continue
        decoded = decode_header(given) if given is not None else None
        if rendered is None or decoded is None or not _same(kind, value, rendered, decoded):
            return f"the header Mcp-Param-{name[:80]} is not the body's argument {'.'.join(path)[:100]!r}"
    return None


def _same(kind: str, value: object, rendered: str, decoded: str) -> bool:
    """Whether both say one value. Integers are compared as numbers: ``42`` is ``42.0``, in either place."""
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if kind == "integer" and not isinstance(value, bool) and whole and _DECIMAL.fullmatch(decoded):
        return int(decoded.partition(".")[0]) == value
    return decoded == rendered

"""Everything that a ticket says, in the order in which a person reads it, and nothing left out.

The readable form *takes* fields out of the decoded message one by one; whatever nobody took is shown afterwards under
"also in the message". So a field that this file does not know, or one of an unexpected type, cannot be hidden by being
forgotten. Two more nets: a message whose re-encoding differs from its bytes (duplicate keys, odd numbers) is shown raw
as well, and one that cannot be read as JSON is shown raw only.

Pieces are of two sorts, and ``layout`` draws them so that neither can pass for the other: *our* words (fields,
labels, warnings) and *their* text (bodies, behind a bar). Text that stands inside our words, such as the name of an
argument, is quoted and on one line.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from doorward.content.text import reveal, signals
from doorward.gateway.consent.addresses import examine

if TYPE_CHECKING:
    from doorward.judge.vocabulary import Ticket

_T = TypeVar("_T")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_ROLES = frozenset({"user", "assistant"})
_NESTING_LIMIT = 100  # the relay refuses at 64; deeper means that it is not a message of ours, and it is shown raw


class Kind(Enum):
    """How a piece is drawn. Only BODY and STRONG hold text of others, and only they get the bar."""

    FIELD = auto()
    HEADING = auto()
    LABEL = auto()
    WARNING = auto()
    BODY = auto()
    STRONG = auto()
    GAP = auto()


class Piece(NamedTuple):
    """One thing to draw. ``name`` is set for a FIELD."""

    kind: Kind
    text: str
    name: str = ""


def quoted(text: str) -> str:
    """Foreign text inside our own words: on one line, in quotes, everything hidden visible."""
    return '"' + reveal(text.replace("\\", "\\\\").replace('"', '\\"'), keep_newlines=False) + '"'


def plain(text: str) -> str:
    """A value of a field, where its name already says what it is: on one line, everything hidden visible."""
    return reveal(text, keep_newlines=False)


def compose(ticket: Ticket, *, gateway: str) -> list[Piece]:
    """All of the ticket: who asks and how that is known, why it is asked, the whole message, what an answer binds."""
    server = ticket.server
    return [
        *_fields(
            ("asks", ticket.title),
            ("server", f"{server.name}, known by its {server.kind}"),
            *((f"· {name}", value) for name, value in server.evidence),
            ("· fingerprint", server.fingerprint),
            ("through", gateway),
            ("on behalf of", ticket.principal),
            *(("because", reason) for reason in ticket.reasons),
        ),
        Piece(Kind.GAP, ""),
        *_message(ticket.shown),
        Piece(Kind.GAP, ""),
        Piece(Kind.HEADING, "an approval is good once, and only for"),
        *_fields(
            ("this message", ticket.action_digest),
            ("this ticket", ticket.id),
            ("· digest", ticket.digest),
            ("this session", ticket.session),
            ("this policy", ticket.policy),
            ("definitions", ticket.definitions or "none are recorded"),
        ),
    ]


def _fields(*fields: tuple[str, str]) -> list[Piece]:
    return [Piece(Kind.FIELD, plain(value), plain(name)) for name, value in fields if value]


def _message(shown: bytes) -> list[Piece]:
    sheet = _Sheet()
    sheet.add(Kind.HEADING, f"the complete message, {len(shown):,} bytes, exactly as it will be sent")
    try:
        tree = msgspec.json.decode(shown)
        same = msgspec.json.encode(tree) == shown
        _read(sheet, tree)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as problem:
        sheet = _Sheet()
        sheet.add(Kind.HEADING, f"the complete message, {len(shown):,} bytes, exactly as it will be sent")
        sheet.add(Kind.WARNING, f"it cannot be read as JSON ({plain(str(problem))}), so here are its bytes")
        sheet.body(shown.decode("utf-8", "backslashreplace"))
        return sheet.pieces
    if not same:
        sheet.add(Kind.WARNING, "its bytes say more than their reading (repeated keys, odd numbers), so here they are")
        sheet.body(shown.decode("utf-8", "backslashreplace"))
    return sheet.pieces


def _read(sheet: _Sheet, tree: Any) -> None:
    """One message as the relay shows it: a request, a notification, or a result."""
    if not isinstance(tree, dict) or not tree:
        sheet.rest((), tree)
        return
    method = _take(tree, "method", str)
    if method is not None:
        _request(sheet, method, _take(tree, "params", dict) or {}, ("params",))
    result = _take(tree, "result", dict)
    if result is not None:
        _result(sheet, result)
    if tree:
        sheet.rest((), tree)


def _request(sheet: _Sheet, method: str, params: dict[str, Any], at: tuple[str, ...]) -> None:
    sheet.text("method", method)
    reader = {
        "sampling/createMessage": _sampling,
        "elicitation/create": _elicitation,
        "tools/call": _tool_call,
    }.get(method)
    if reader is not None:
        reader(sheet, params, at)
    if params:
        sheet.rest(at, params)


def _result(sheet: _Sheet, result: dict[str, Any]) -> None:
    asks = _take(result, "inputRequests", dict) or {}
    for number, (key, ask) in enumerate(asks.items(), start=1):
        at = ("result", "inputRequests", key)
        sheet.add(Kind.GAP, "")
        sheet.add(Kind.HEADING, f"ask {number} of {len(asks)}, under the key {quoted(key)}")
        method = _take(ask, "method", str) if isinstance(ask, dict) else None
        if method is not None:
            _request(sheet, method, _take(ask, "params", dict) or {}, (*at, "params"))
        if ask or method is None:
            sheet.rest(at, ask)
    if asks and result:
        sheet.add(Kind.GAP, "")
        sheet.add(Kind.HEADING, "beside the asks")
    if result:
        sheet.rest(("result",), result)


# -- what servers and clients ask for -----------------------------------------------------------------------------


def _tool_call(sheet: _Sheet, params: dict[str, Any], _at: tuple[str, ...]) -> None:
    name = _take(params, "name", str)
    if name is not None:
        sheet.text("tool", name)
    for key, value in (_take(params, "arguments", dict) or {}).items():
        sheet.every("argument", (key,), value)


def _sampling(sheet: _Sheet, params: dict[str, Any], at: tuple[str, ...]) -> None:
    system = _take(params, "systemPrompt", str)
    if system is not None:
        sheet.text("system prompt", system)
    messages = _take(params, "messages", list) or []
    for index, message in enumerate(messages):
        _prompt_message(sheet, message, f"message {index + 1} of {len(messages)}", (*at, "messages", str(index)))
    for key, label in (
        ("modelPreferences", "model preferences"),
        ("maxTokens", "at most this many tokens"),
        ("temperature", "temperature"),
        ("stopSequences", "stop sequences"),
        ("includeContext", "context asked for"),
        ("tools", "tools for the model"),
        ("toolChoice", "tool choice"),
    ):
        if key in params:
            sheet.every(label, (), params.pop(key))


def _prompt_message(sheet: _Sheet, message: Any, label: str, at: tuple[str, ...]) -> None:
    if not isinstance(message, dict) or not message:
        sheet.rest(at, message)
        return
    role = _take(message, "role", str)
    if role is not None:
        label = f"{label}, {role if role in _ROLES else 'role ' + quoted(role)}"
    blocks = _take(message, "content", list)
    for index, block in enumerate(blocks or ()):
        _block(sheet, block, f"{label}, part {index + 1} of {len(blocks or ())}", (*at, "content", str(index)))
    if blocks is None and "content" in message:
        _block(sheet, message.pop("content"), label, (*at, "content"))
    elif blocks is None:
        sheet.add(Kind.LABEL, f"{label}, without content")
    if message:
        sheet.rest(at, message)


def _block(sheet: _Sheet, block: Any, label: str, at: tuple[str, ...]) -> None:
    """One content block of a prompt. Pictures and sound are described by what they are, not shown."""
    if not isinstance(block, dict) or not block:
        sheet.every(label, (), block)
        return
    kind = _take(block, "type", str)
    text = _take(block, "text", str) if kind == "text" else None
    resource = block.get("resource") if kind == "resource" else None
    described = (kind in {"image", "audio"} and _media(sheet, block, "data", f"{label}, {kind}")) or (
        isinstance(resource, dict) and _media(sheet, resource, "blob", f"{label}, embedded file")
    )
    if text is not None:
        sheet.text(label, text)
    elif kind is not None and not described:
        sheet.text(f"{label}, of the type", kind)
    if block:
        sheet.rest(at, block)


def _media(sheet: _Sheet, block: dict[str, Any], key: str, label: str) -> bool:
    """Describe content that is no text. False when it is none: then it stays among what is shown as text."""
    try:
        content = base64.b64decode(block[key], validate=True)
    except (KeyError, TypeError, binascii.Error, ValueError):
        return False
    del block[key]
    claim = _take(block, "mimeType", str)
    sheet.add(Kind.LABEL, f"{label}, NOT SHOWN here")
    sheet.body(
        f"{'no type is claimed' if claim is None else 'claims to be ' + quoted(claim)}, {len(content):,} bytes,"
        f" sha256 {hashlib.sha256(content).hexdigest()}"
    )
    sheet.add(Kind.WARNING, "what is in it was not checked: approve only if you would without knowing")
    return True


def _elicitation(sheet: _Sheet, params: dict[str, Any], at: tuple[str, ...]) -> None:
    mode, message = _take(params, "mode", str), _take(params, "message", str)
    if mode is not None:
        sheet.text("by", mode)
    if message is not None:
        sheet.text("question", message)
    url = _take(params, "url", str)
    if url is not None:
        _address(sheet, url)
    schema = _take(params, "requestedSchema", dict) or {}
    fields = _take(schema, "properties", dict) or {}
    required = schema.get("required")
    must = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
    for name, field in fields.items():
        sheet.every(f"asks you for {quoted(name)}{', required' if name in must else ''}:", (), field)
    if schema.get("type") == "object":
        del schema["type"]  # every form is one
    if must and must == set(required or ()) and must <= fields.keys():
        del schema["required"]  # said beside each field
    if schema:
        sheet.rest((*at, "requestedSchema"), schema)


def _address(sheet: _Sheet, url: str) -> None:
    """The whole address first, then the one part of it that says where it leads."""
    sheet.text("wants you to open", url)
    found = examine(url)
    if found.host:
        sheet.add(Kind.LABEL, "which is at the host")
        sheet.add(Kind.STRONG, plain(found.host))
    for warning in found.warnings:
        sheet.add(Kind.WARNING, plain(warning))


# -- the sheet ----------------------------------------------------------------------------------------------------


def _take(tree: dict[str, Any], key: str, kind: type[_T]) -> _T | None:
    """Take a field out if it is what it should be. What is not (or is an empty container) is shown with the rest."""
    value = tree.get(key)
    if isinstance(value, kind) and value not in ({}, []):
        del tree[key]
        return value
    return None


class _Sheet:
    """Pieces in order. Every foreign text goes through here once, is made visible and searched for signals."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []

    def add(self, kind: Kind, text: str) -> None:
        self.pieces.append(Piece(kind, text))

    def text(self, label: str, text: str) -> None:
        self.add(Kind.LABEL, label if text else f"{label} (empty)")
        self.body(text)

    def body(self, text: str) -> None:
        self.add(Kind.BODY, reveal(text, keep_newlines=True))
        for signal in signals(text):
            self.add(Kind.WARNING, signal)

    def rest(self, at: tuple[str, ...], tree: Any) -> None:
        """What the readable form did not take, each value with the place where it stands."""
        self.every("also in the message:", at, tree)

    def every(self, label: str, at: tuple[str, ...], value: Any) -> None:
        """Every leaf of `value`, and every empty container, each under its own label."""
        if len(at) > _NESTING_LIMIT:
            raise RecursionError("nested too deep")
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                self.every(label, (*at, key), inner)
        elif isinstance(value, list) and value:
            for index, inner in enumerate(value):
                self.every(label, (*at, str(index)), inner)
        else:
            self._leaf(f"{label} {_place(at)}".rstrip(), value)

    def _leaf(self, label: str, value: Any) -> None:
        if isinstance(value, str):
            self.text(label, value)
            return
        kind = {bool: "yes or no", type(None): "nothing", dict: "object", list: "list"}.get(type(value), "number")
        self.add(Kind.LABEL, f"{label} ({kind})")
        self.add(Kind.BODY, msgspec.json.encode(value).decode())


def _place(at: tuple[str, ...]) -> str:
    return ".".join(key if _PLAIN_KEY.fullmatch(key) or key.isdecimal() else quoted(key) for key in at)

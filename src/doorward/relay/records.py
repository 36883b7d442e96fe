"""What is written about a message: masked, committed to, and complete.

The body is stored masked; beside it stands a salted commitment to the original, so that whoever holds the original
and the salt can prove it later without the log having held the secret. Results store their digest and size (DESIGN
§4).
"""

from __future__ import annotations

import functools
import hashlib
from typing import Any, Final

import msgspec

from doorward.audit.entry import INLINE_BODY_BYTES, Entry, FindingRecord, Kind, commit
from doorward.content.redaction import Masker
from doorward.judge.vocabulary import Context, Decision, Facts, Finding
from doorward.protocol import stateless, versions
from doorward.relay.commands import Grade, Record, Send
from doorward.wire.jsonrpc import Message, Notification, Response, decode_value, encode_value, key_of

_LONGEST_NAME: Final = 1024
_LONGEST_REPEATED: Final = 128
_LONGEST_SUBJECT: Final = 8 * 1024  # a URI; what is kept of it is cut after it was masked
_KEPT_EVIDENCE: Final = 600
MOST_FINDINGS: Final = 64
"""Of one message. The list of what filters removed has twenty; a message has one of each control, and one of a few for
each thing that it asks."""
_PEERS_WORDS: Final = ("method", "subject", "request", "trace")  # a URI may hold a password, an id anything
_SHORTEST_SECRET: Final = 6  # no known secret, credential or named value is shorter (content.redaction)


def fresh(facts: Facts, label: bytes) -> bytes:
    """32 bytes for one purpose, out of the randomness that came with the event."""
    return hashlib.sha256(facts.fresh + label).digest()


def reference(facts: Facts) -> str:
    """What a refused peer is told: 48 random bits, enough to find one entry and to guess none."""
    return fresh(facts, b"reference").hex()[:12]


def describe(  # noqa: PLR0913 - everything that a record says, given once
    kind: Kind,
    message: Message,
    context: Context,
    decision: Decision | None,
    *,
    original: bytes,
    grade: Grade,
    masker: Masker,
    outcome: str = "",
    otherwise: Send | None = None,
    **more: Any,
) -> Record:
    """The record of one message. ``original`` are the bytes that are committed to: those that would be sent;
    ``otherwise`` is what leaves if it cannot be written.
    """
    hashed = hashlib.sha256(original)
    digest = hashed.digest()
    # One event may record several messages; whoever is shown the salt of one must not be able to guess another.
    salt = fresh(context.facts, b"salt" + digest)[:16]
    inline, body = "", b""
    if isinstance(message, Response) and message.result is not None and context.sender == "server":
        masked = original  # only its digest is kept, and what the client got was masked by a rewrite
    else:
        masked = mask_body(original, masker, shapes=context.may_hold_credential(original))
        if len(masked) <= INLINE_BODY_BYTES:
            inline = masked.decode()
        elif kind != "refusal":  # or whoever is refused decides how the archive grows
            body = masked
    method, subject, request, trace, since = _about(message, context)
    entry = Entry(
        kind=kind,
        at=context.now,
        link=context.link.id,
        exchange=context.exchange,
        principal=context.facts.principal.id,
        server=context.facts.server.line,
        sender=context.sender,
        method=named(method, masker),
        subject=named(subject, masker),
        request=named(request, masker),
        trace=named(trace, masker),
        decision=decision.word if decision is not None else "",
        findings=findings(decision.findings, masker) if decision is not None else (),
        policy=context.policy.digest,
        body=inline,
        body_digest=(hashed if masked is original else hashlib.sha256(masked)).hexdigest(),
        body_size=len(masked),
        commitment=commit(salt, digest),
        outcome=outcome,
        duration_us=context.now - since,
    )
    if more:
        entry = msgspec.structs.replace(entry, **_masked_words(more, masker))
    return Record(entry, grade, salt, body, otherwise)


def _about(message: Message, context: Context) -> tuple[str, str, str, str, int]:
    """The method, the subject, the id and the trace that a record names, and since when its request was open."""
    if not isinstance(message, Response):
        request = "" if isinstance(message, Notification) else key_of(message.id)
        return message.method, subject_of(message), request, _trace(message.params), context.now
    request = key_of(message.id) if message.id is not None else ""
    answered = context.answers
    if answered is None:
        return "", "", request, "", context.now
    return answered.method, answered.subject, request, "", answered.at


def note(
    kind: Kind, context: Context, decision: Decision | None = None, /, *, grade: Grade = "written", **more: Any
) -> Record:
    """A record about the link itself, or about something that is no message."""
    fields = _who(context)
    if decision is not None:
        fields.update(decision=decision.word, findings=findings(decision.findings, context.masker))
    fields.update(more)
    return Record(Entry(kind=kind, **_masked_words(fields, context.masker)), grade)


def _masked_words(fields: dict[str, Any], masker: Masker | None) -> dict[str, Any]:
    """``fields`` of an entry, with a peer's own words in it masked wherever they came from."""
    if masker is not None:
        for name in _PEERS_WORDS:
            if fields.get(name):
                fields[name] = named(fields[name], masker)
    return fields


def mask_body(body: bytes, masker: Masker, *, shapes: bool) -> bytes:
    """``body`` as it may be stored and shown to operators; ``shapes`` is what ``maybe_credential`` says of it. The very
    same object where there was nothing to mask.
    """
    if not shapes and not masker.maybe_named(body):
        return body
    tree = decode_value(body)
    masked, _ = masker.mask_tree(tree, shapes=shapes)
    return body if masked is tree else encode_value(masked)


def _who(context: Context) -> dict[str, Any]:
    return {
        "at": context.now,
        "link": context.link.id,
        "exchange": context.exchange,
        "principal": context.facts.principal.id,
        "server": context.facts.server.line,
        "sender": context.sender,
        "policy": context.policy.digest,
    }


def named(text: str, masker: Masker) -> str:
    """A peer's own word (method, id, subject) as an entry has it: masked, then cut. What was equal stays equal."""
    if len(text) < _SHORTEST_SECRET or text in versions.METHODS:  # most ids, nearly all methods
        return text
    if len(text) > _LONGEST_REPEATED or text.isdecimal():  # or the id of one request and its answer
        return masker.mask_text(text)[0][:_LONGEST_NAME]
    return _named_again(text, masker)


@functools.lru_cache(maxsize=1024)
def _named_again(text: str, masker: Masker) -> str:
    """Tools are few and named often."""
    return masker.mask_text(text)[0]


def subject_of(message: Message) -> str:
    """The tool, prompt, URI or cursor that a request is about."""
    if isinstance(message, Response):
        return ""
    params = message.params or {}
    about_task = message.method in ("tasks/get", "tasks/result", "tasks/cancel", "tasks/update")
    for name in ("taskId",) if about_task else ("name", "uri", "cursor", "taskId"):
        value = params.get(name)
        if isinstance(value, str):
            return value[:_LONGEST_SUBJECT]
    return ""


def _trace(params: dict[str, Any] | None) -> str:
    trace = stateless.meta_of(params).get("traceparent")
    return trace[:64] if isinstance(trace, str) else ""


def findings(found: tuple[Finding, ...], masker: Masker | None) -> tuple[FindingRecord, ...]:
    """Findings as they are archived, their evidence masked. Of many the worst, and how many more there were: whoever
    is refused does not decide how the archive grows.
    """
    if not found:
        return ()
    more = len(found) - MOST_FINDINGS
    if more > 0:
        *found_first, last = sorted(found, key=lambda one: -one.effect)[: MOST_FINDINGS + 1]
        counted = f"{last.reason}, and {more - 1} more" if more > 1 else last.reason
        found = (*found_first, Finding(last.control, last.effect, counted, last.evidence))
    return tuple(
        FindingRecord(f.control, f.effect.name, _masked(f.reason, masker), _masked(f.evidence, masker)) for f in found
    )


def _masked(text: str, masker: Masker | None) -> str:
    return (masker.mask_text(text)[0] if masker is not None else text)[:_KEPT_EVIDENCE]

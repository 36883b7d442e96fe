"""What a peer is told when its message does not pass (the table of DESIGN §5).

A refusal says nothing of the policy: a code, a fixed sentence, and a reference that ``doorward audit show`` explains to
the operator. Only the protocol and the server's own published schema are spoken of freely.
"""

from __future__ import annotations

from typing import Any, Final

from doorward.judge.vocabulary import Effect, Finding, Open, Peer
from doorward.wire.jsonrpc import Id, Response, decode_value, encode, encode_value, key_of

REFUSED: Final = -31001
CONSENT: Final = -31002
CAPACITY: Final = -31003
SERVER_ENDED: Final = -32603
_SAMPLING_REFUSED: Final = -1  # MCP "Sampling": user rejected

NOBODY: Final = "null"
"""The id of an answer to a request whose own cannot be told, as JSON text."""

CONSENT_HINT: Final = "run `doorward consent` in another terminal, then try again"


def refused(reference: str) -> Peer:
    """The general refusal."""
    return Peer(REFUSED, "refused by the gateway", {"reference": reference})


def no_person(reference: str) -> Peer:
    """A person must be asked and nobody can be."""
    return Peer(
        CONSENT, f"this needs a person's consent and none can be asked: {CONSENT_HINT}", {"reference": reference}
    )


def person_refused(reference: str) -> Peer:
    """A person did not agree."""
    return Peer(CONSENT, "a person was asked and did not agree", {"reference": reference})


def peer_for(findings: tuple[Finding, ...], reference: str) -> Peer:
    """What the refused side is told. The first finding that speaks for itself decides; else the general refusal."""
    for finding in findings:
        if finding.peer is not None:
            data = {**finding.peer.data, "reference": reference}
            return Peer(finding.peer.code, finding.peer.message, data)
    return refused(reference)


def peer_for_answer(findings: tuple[Finding, ...], reference: str) -> Peer:
    """What whoever asked is told when the answer does not pass: only what the other side itself published for it."""
    published = tuple(f for f in findings if f.effect is Effect.DENY and f.peer is not None and f.peer.code == 0)
    return peer_for(published, reference)


def error(request_id: Id | None, peer: Peer) -> bytes:
    """An error answer to ``request_id``."""
    return error_to(key_of(request_id) if request_id is not None else NOBODY, peer)


def error_to(key: str, peer: Peer) -> bytes:
    """The same, to an id as JSON text."""
    told: dict[str, Any] = {"code": peer.code, "message": peer.message}
    if peer.data:
        told["data"] = peer.data
    return b"".join((b'{"jsonrpc":"2.0","id":', key.encode(), b',"error":', encode_value(told), b"}"))


def tool_error(request_id: Id, text: str, era: str) -> bytes:
    """A tool result that says what was wrong, so that a model can correct itself or tell its user."""
    result: dict[str, Any] = {"content": [{"type": "text", "text": text}], "isError": True}
    if era == "modern":
        result["resultType"] = "complete"
    return encode(Response(request_id, result=result))


def answer(opened: Open, peer: Peer) -> bytes:
    """The refusal of an open request, in the form that its method has for it."""
    return refusal(id_of(opened.key), opened.method, opened.era, opened.asker, peer)


def refusal(request_id: Id, method: str, era: str, asker: str, peer: Peer) -> bytes:
    """The refusal of a request in the form that its method, era and asker have for it."""
    if asker == "server" and method == "sampling/createMessage":
        return error(request_id, Peer(_SAMPLING_REFUSED, "sampling was not agreed to", {}))
    if asker == "server" and method == "elicitation/create":
        return encode(Response(request_id, result={"action": "decline"}))
    if asker == "server" and peer.code == CONSENT:  # whether a person was asked is not the server's to know
        peer = Peer(REFUSED, "refused by the gateway", peer.data)
    if peer.code == 0 and method in ("tools/call", "tasks/result"):
        return tool_error(request_id, peer.message, era)
    if peer.code == 0:
        return error(request_id, Peer(-32602, peer.message, peer.data))
    return error(request_id, peer)


def expired(opened: Open, hold_seconds: int, reference: str) -> bytes:
    """Nobody answered a ticket in time."""
    text = f"nobody answered within {hold_seconds} s whether this may be done; {CONSENT_HINT} (reference {reference})"
    if opened.method == "tools/call" and opened.asker == "client" and opened.state == "HELD":
        return tool_error(id_of(opened.key), text, opened.era)
    peer = refused(reference) if opened.state == "ANSWER_HELD" else Peer(CONSENT, text, {"reference": reference})
    return answer(opened, peer)


def not_recorded(key: str, *, executed: bool) -> bytes:
    """Fixed and free of content: the only answers that leave without a record. ``key`` is the id as JSON text, "null"
    for none. Every record of a message has one of these beside it, so they are put together from pieces.
    """
    before, after = _EXECUTED if executed else _NOT_EXECUTED
    return b"".join((before, key.encode(), after))


def _pieces(message: str, *, executed: bool) -> tuple[bytes, bytes]:
    whole = error(0, Peer(CAPACITY, message, {"executed": executed, "recorded": False}))
    before, _, after = whole.partition(b'"id":0')
    return before + b'"id":', after


_EXECUTED: Final = _pieces("done, but its outcome could not be recorded", executed=True)
_NOT_EXECUTED: Final = _pieces("not done, because it could not be recorded", executed=False)


def server_ended(opened: Open, reference: str) -> bytes:
    """The server is gone. Whether it acted is not known once the request was sent; it was not when it was still
    held.
    """
    if opened.state in ("SENT", "ANSWER_HELD"):
        told = {"outcome": "unknown", "retry": "not safe", "reference": reference}
        return error(id_of(opened.key), Peer(SERVER_ENDED, "the server ended before it answered", told))
    told = {"outcome": "not executed", "retry": "safe", "reference": reference}
    return error(id_of(opened.key), Peer(SERVER_ENDED, "the server ended before it was asked", told))


def id_of(key: str) -> Id:
    """The id behind its JSON text."""
    value: Id = decode_value(key.encode())
    return value

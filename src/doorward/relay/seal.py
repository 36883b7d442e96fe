"""Sealing ``requestState`` (2026-07-28), so that answers stay tied to what was asked without any shared state.

A server's ``requestState`` goes to the client inside a token of ours, and comes back in the retry. The token says
which inputs were asked and shown, of whom, for which request, and until when; an HMAC holds it together. The client
can read it (it could read the server's state before as well); it cannot change it, use it for another request, or
for another user.

Source: MCP 2026-07-28, "Multi round-trip requests": requestState is attacker-controlled and needs integrity when it
matters; a retry has the same method and params. Not single use: a client may retry after a lost answer, and the archive
shows every use. Single use is what the ticket behind it is.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any, Final

import msgspec

from doorward.judge.vocabulary import SealedState
from doorward.wire.jsonrpc import encode_value

_PREFIX: Final = "doorward1."
_DOMAIN: Final = b"doorward sealed requestState v1\0"
_NOT_BOUND: Final = frozenset({"requestState", "inputResponses", "_meta"})
_sorted: Final = msgspec.json.Encoder(order="sorted").encode


def params_digest(params: dict[str, Any] | None) -> str:
    """SHA-256 over what must stay the same in a retry: everything but the state, the answers and ``_meta``."""
    bound = {key: value for key, value in (params or {}).items() if key not in _NOT_BOUND}
    hashed = hashlib.sha256(b"doorward params v1\0")
    hashed.update(_sorted(bound))  # and not one after the other: they may be megabytes
    return hashed.hexdigest()


def ask_digest(request: object) -> str:
    """SHA-256 of one entry of ``inputRequests``, in hex."""
    return hashlib.sha256(b"doorward ask v1\0" + encode_value(request)).hexdigest()


def around(
    result: dict[str, Any], *, ticket: str, principal: str, server: str, method: str, params: str, expires: int
) -> SealedState:
    """What must be sealed of an ``input_required`` result. What is not of its form is not asked; checks refuse it."""
    requests = result.get("inputRequests")
    asked = tuple(
        (key, str(ask.get("method")) if isinstance(ask, dict) else "", ask_digest(ask))
        for key, ask in (requests.items() if isinstance(requests, dict) else ())
    )
    state = result.get("requestState")
    own = state if isinstance(state, str) else None
    return SealedState(own, asked, ticket, principal, server, method, params, expires)


def close_seal(key: bytes, sealed: SealedState) -> str:
    """The token for ``sealed``."""
    payload = msgspec.json.encode(sealed)
    return _PREFIX + base64.urlsafe_b64encode(_mac(key, payload) + payload).decode()


def open_seal(
    key: bytes, token: str, *, now: int, principal: str, server: str, method: str, params: str
) -> SealedState | str:
    """What ``token`` seals, or why it does not hold for this request."""
    sealed = _authentic(key, token)
    if sealed is None:
        return "not sealed here"
    if sealed.expires < now:
        return "expired"
    bound = {"principal": principal, "server": server, "method": method, "params": params}
    for name, value in bound.items():
        if getattr(sealed, name) != value:
            return f"sealed for another {name}"
    return sealed


def _authentic(key: bytes, token: str) -> SealedState | None:
    if not token.startswith(_PREFIX):
        return None
    try:
        raw = base64.b64decode(token[len(_PREFIX) :].encode("ascii"), altchars=b"-_", validate=True)
    except ValueError:
        return None
    mac, payload = raw[:32], raw[32:]
    if not hmac.compare_digest(mac, _mac(key, payload)):
        return None
    return msgspec.json.decode(payload, type=SealedState)


def _mac(key: bytes, payload: bytes) -> bytes:
    return hmac.new(key, _DOMAIN + payload, hashlib.sha256).digest()

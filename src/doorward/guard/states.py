"""Sealing ``requestState`` (2026-07-28), so that a server believes only what it sent itself, to whom it sent it.

A server that needs an answer ends the request with ``input_required``; the client comes back with the answer and with
the server's own state, which it could have written itself. ``seal_state`` makes of a state a token that only a holder
of the key can make, for one principal and one request, until it expires. ``open_state`` gives the state back, or
refuses; it also refuses an answer to a question that was not asked.

Source: MCP 2026-07-28, "Multi round-trip requests": requestState is attacker-controlled, and a retry has the same
method and params. The gateway does the same around whatever a server sends (``relay.seal``); scenarios
``capability-forgery`` and ``request-state-swap``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from doorward.errors import RefusedError

LIFETIME_SECONDS: Final = 600.0
MAX_STATE_BYTES: Final = 64 << 10
KEY_BYTES: Final = 32
"""The least that a key may have: as many as the SHA-256 behind it."""

_PREFIX: Final = "guard1."
_DOMAIN: Final = b"doorward guard requestState v1\0"
_NOT_BOUND: Final = frozenset({"requestState", "inputResponses", "_meta"})
_MAC_BYTES: Final = 32

Params = Mapping[str, Any]


def seal_state(
    state: Any,
    params: Params | None,
    *,
    key: bytes,
    principal: str,
    method: str,
    asked: Collection[str] = (),
    lifetime_seconds: float = LIFETIME_SECONDS,
    clock: Callable[[], float] = time.time,
) -> str:
    """The token to send as ``requestState``, for the request with ``method`` and ``params`` that is not answered yet.

    ``state`` is anything that JSON can say but None, and comes back as JSON gives it (a tuple as a list). ``key`` is 32
    random bytes or more (``secrets.token_bytes(32)``), known to all processes of your server and to no other server.
    ``params`` are those that arrived, as JSON has them; they are bound without ``requestState``, ``inputResponses`` and
    ``_meta``, which a retry may change. ``principal`` is who was authenticated, and empty where nobody is. ``asked``
    are the keys of your ``inputRequests``. It holds for ``lifetime_seconds``, ten minutes by default.

    Raises ValueError for a short key, a state of None or with NaN in it, a lifetime that is none, and a token larger
    than 64 KiB; TypeError for what JSON cannot say; RefusedError (rule ``state``) for params that JSON cannot.

    Does not hide the state: the client can read it. Does not stop the same token from being used again until it
    expires: what may happen once needs a note on your side. Does not authenticate the principal.
    """
    _require_key(key)
    if state is None:
        raise ValueError("None is what open_state answers where there is no state yet")
    if not (lifetime_seconds > 0 and math.isfinite(lifetime_seconds)):
        raise ValueError("a state holds for some seconds")
    expires = clock() + lifetime_seconds
    bound = [expires, principal, method, _digest(params), sorted(asked), state]
    payload = json.dumps(bound, separators=(",", ":"), allow_nan=False).encode()
    token = _PREFIX + _encoded(_mac(key, payload) + payload)
    if len(token) > MAX_STATE_BYTES:
        raise ValueError(f"the sealed state is larger than {MAX_STATE_BYTES} bytes")
    return token


def open_state(
    params: Params | None, *, key: bytes, principal: str, method: str, clock: Callable[[], float] = time.time
) -> Any:
    """The state in the ``requestState`` of ``params``, as it was sealed; None where there is none: a first request.

    Raises RefusedError (rule ``state``) when the state was not sealed with ``key``, or was changed; when it has
    expired; when it was sealed for another principal, another method or other params; and when ``inputResponses`` has
    an answer that was not asked for, also in a first request, where none was. That all answers are there, and what
    stands in them, is yours to check. ValueError for a short key.

    The limits of ``seal_state`` hold: the state is neither hidden nor used up.
    """
    _require_key(key)
    token = (params or {}).get("requestState")
    if token is None:
        _require_asked(params, ())
        return None
    expires, sealed_for, its_method, digest, asked, state = _sealed(key, token)
    if not clock() < expires:
        raise RefusedError("state", "the state has expired: ask again without it")
    if sealed_for != principal:
        raise RefusedError("state", "the state was sealed for another principal")
    if its_method != method:
        raise RefusedError("state", "the state was sealed for another method")
    if digest != _digest(params):
        raise RefusedError("state", "the state was sealed for other params")
    _require_asked(params, asked)
    return state


def _require_key(key: bytes) -> None:
    if len(key) < KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} random bytes or more: secrets.token_bytes({KEY_BYTES})")


def _require_asked(params: Params | None, asked: Collection[str]) -> None:
    answers = (params or {}).get("inputResponses")
    if answers is None:
        return
    if not isinstance(answers, Mapping) or not answers.keys() <= set(asked):
        raise RefusedError("state", "an answer that was not asked for")


def _digest(params: Params | None) -> str:
    bound = {name: value for name, value in (params or {}).items() if name not in _NOT_BOUND}
    try:
        told = json.dumps(bound, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise RefusedError("state", "the params are nothing that a state can be bound to") from None
    return hashlib.sha256(told.encode()).hexdigest()


def _sealed(key: bytes, token: object) -> list[Any]:
    """What stands in a token of ours. Nothing of it is decoded before its seal holds."""
    raw = _decoded(token)
    mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(key, payload)):
        raise RefusedError("state", "the state was not sealed here")
    bound: list[Any] = json.loads(payload)
    return bound


def _decoded(token: object) -> bytes:
    """The bytes of a token in its one spelling; none for anything else, which no seal fits."""
    if not isinstance(token, str) or len(token) > MAX_STATE_BYTES or not token.startswith(_PREFIX):
        return b""
    text = token.removeprefix(_PREFIX)
    try:
        raw = base64.urlsafe_b64decode(text)
    except ValueError:
        return b""
    return raw if _encoded(raw) == text else b""


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()


def _mac(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, _DOMAIN + payload, "sha256")

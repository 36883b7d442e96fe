"""Which exchange an answer belongs to, where all of a server's messages come on one stream: a pipe, or HTTP+SSE."""

from __future__ import annotations

from typing import Final

from doorward.gateway.upstream.incoming import answered_key
from doorward.relay.commands import Send
from doorward.wire.jsonrpc import decode_value, key_of

MAX_ASKED: Final = 10_000
"""Requests that are remembered; beyond it the oldest is forgotten, and its answer comes on the standing exchange."""


class Exchanges:
    """The requests that were sent and not answered, and their exchanges."""

    def __init__(self) -> None:
        self._asked: dict[str, int] = {}

    def note(self, send: Send) -> str:
        """Remember a message that goes out, if it is a request; returns its key then, else nothing."""
        tree = decode_value(send.body)
        if "method" not in tree or "id" not in tree:
            return ""
        key = key_of(tree["id"])
        self._asked[key] = send.exchange
        if len(self._asked) > MAX_ASKED:
            del self._asked[next(iter(self._asked))]
        return key

    def of_answer(self, frame: bytes) -> int:
        """The exchange of the request that a frame answers, which is forgotten; 0 for whatever answers none."""
        return self._asked.pop(answered_key(frame), 0) if self._asked else 0

    def forget(self, key: str) -> bool:
        """A request will not be answered. Whether it was remembered."""
        return self._asked.pop(key, None) is not None

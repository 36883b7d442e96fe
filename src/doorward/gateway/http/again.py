"""Heads that come again: a client says the same with each request of a connection, but for how long its body is.

What was read once is not read a second time where every byte is the same. The digits of Content-Length are the one
exception: with others, that are digits as well, the head has the same one reading and announces another body. So the
rules of ``head`` hold for each request, while most heads of a connection are found here and cost a look.

Only what is no refusal is remembered, of one connection, and little of it: a few small heads. What a head *means* is
judged anew for each request, by whoever is asked (Host, Origin, who it is, policy).
"""

from __future__ import annotations

import re
from typing import Final

from doorward.gateway.http.head import Address, Head, Refused, announced, read_head
from doorward.gateway.http.limits import HttpLimits

MAX_KNOWN: Final = 4
"""Heads of one connection: clients of the modern era name the method and the tool in theirs."""
MAX_KNOWN_BYTES: Final = 2048
_LENGTH: Final = re.compile(rb"\r\nContent-Length: ([0-9]{1,18})\r\n", re.IGNORECASE)


class Heads:
    """Reads the heads of one connection between ``peer`` and ``local``. One that comes again is the same object."""

    def __init__(self, peer: Address, local: Address, limits: HttpLimits) -> None:
        self._peer = peer
        self._local = local
        self._limits = limits
        self._known: dict[tuple[bytes, bytes], Head] = {}

    def read(self, head: bytes) -> tuple[Head, int] | Refused:
        """A whole head, with its last empty line, and how many bytes of body it announces (or ``CHUNKED``)."""
        length = _LENGTH.search(head)
        if length is None:
            return read_head(head, self._peer, self._local, self._limits)
        begin, end = length.span(1)
        beside = head[:begin], head[end:]
        known = self._known.get(beside)
        if known is not None:
            size = announced(length[1], self._limits)
            return size if isinstance(size, Refused) else (known, size)
        read = read_head(head, self._peer, self._local, self._limits)
        if not isinstance(read, Refused) and len(head) <= MAX_KNOWN_BYTES:
            if len(self._known) >= MAX_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[beside] = read[0]
        return read

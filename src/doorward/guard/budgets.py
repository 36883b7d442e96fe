"""How much one caller of a server may use of it: calls, calls at once, bytes and parts of one value.

All of them answer at once and never let anybody wait: whoever is refused hears after how many seconds it is worth
trying again. They count in this process only; behind ``doorward serve`` the gateway counts as well, by who was
authenticated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

from doorward.content.limits import utf8_bytes
from doorward.content.rates import MAX_KEYS, Rate, Rates
from doorward.errors import RefusedError

MAX_BYTES: Final = 1 << 20
MAX_NODES: Final = 20_000
MAX_DEPTH: Final = 64
"""What Doorward itself lets one string, one message and its nesting be."""


class RateLimit:
    """So many calls a second in the long run, and ``burst`` at once after a pause, for each key (``content.rates``).

    Keys are what you know of the caller: best what was authenticated, else the session. Safe to use from several
    threads. Does not protect against a caller who can have as many keys as it likes: give the whole server a limit too
    (the default key). A full table of ``max_keys`` refuses keys that are new to it.
    """

    def __init__(
        self,
        per_second: float,
        burst: float,
        *,
        max_keys: int = MAX_KEYS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rates = Rates(Rate(per_second, burst), max_keys)
        self._clock = clock
        self._lock = Lock()

    def take(self, key: Hashable = "", cost: float = 1.0) -> None:
        """Count one call, or what it costs. Raises RefusedError (rule ``rate``, with ``retry_after``) if over."""
        with self._lock:
            wait = self._rates.take(key, self._clock(), cost)
        if wait:
            raise RefusedError("rate", "too many calls", retry_after=None if wait == float("inf") else wait)


class Concurrency:
    """So many calls at once, in the whole server and for each key; what is over is refused, not queued.

    ``with concurrency.hold(key):`` around the work. Safe from several threads, and in async code, where the work is
    held until the block is left. Does not end work that takes too long: a timeout does.
    """

    def __init__(self, total: int, each: int | None = None) -> None:
        if total < 1 or (each is not None and each < 1):
            raise ValueError("at least one must be allowed")
        self._total = total
        self._each = each
        self._held: dict[Hashable, int] = {}
        self._sum = 0
        self._lock = Lock()

    def another(self) -> Concurrency:
        """One of the same size, with nothing in it. What is held here is not counted there."""
        return Concurrency(self._total, self._each)

    @contextmanager
    def hold(self, key: Hashable = "") -> Iterator[None]:
        """Hold one place. Raises RefusedError (rule ``concurrency``) when there is none."""
        with self._lock:
            held = self._held.get(key, 0)
            if self._sum >= self._total or (self._each is not None and held >= self._each):
                raise RefusedError("concurrency", "too many calls at once")
            self._held[key] = held + 1
            self._sum += 1
        try:
            yield
        finally:
            with self._lock:
                self._sum -= 1
                self._held[key] -= 1
                if not self._held[key]:
                    del self._held[key]


def check_size(
    value: object, max_bytes: int = MAX_BYTES, *, max_nodes: int = MAX_NODES, max_depth: int = MAX_DEPTH
) -> None:
    """Bound a decoded value as a whole: the bytes of its texts, how many parts it has, and how deep it is.

    Bytes are those of UTF-8, member names included; a number counts one part and no bytes. Raises RefusedError (rule
    ``size``). Does not protect the decoder, which has run by then: the transport must bound what it takes in, as the
    gateway does; nor against what a small value expands to.
    """
    size, nodes, depth = 0, 0, 0
    level: list[object] = [value]
    while level:
        depth += 1
        nodes += len(level)
        if depth > max_depth:
            raise RefusedError("size", f"nested deeper than {max_depth} levels")
        if nodes > max_nodes:
            raise RefusedError("size", f"more than {max_nodes} parts")
        below: list[object] = []
        for item in level:
            if isinstance(item, str):
                size += utf8_bytes(item)
            elif isinstance(item, bytes | bytearray | memoryview):
                size += len(item)
            elif isinstance(item, dict):
                below += item
                below += item.values()
            elif isinstance(item, list | tuple | set | frozenset):
                below += item
        if size > max_bytes:
            raise RefusedError("size", f"larger than {max_bytes} bytes")
        level = below

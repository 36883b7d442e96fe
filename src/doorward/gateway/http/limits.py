"""How much one HTTP client may send, hold and make us wait; each default argues its number.

A limit that is passed ends the connection, after an answer where one can still be understood. None of them judges who
is asking: whoever may connect at all is counted by the door, per principal.
"""

from __future__ import annotations

from typing import Final

import msgspec

PIECE_BYTES: Final = 64 * 1024
"""One read of a socket. A body of at most this much is read to its end and dropped where the answer did not need it, so
that a refused request does not cost a new connection."""

REST_S: Final = 0.007
"""Nothing is read for so long of a connection that was answered 401 or 429. Whoever asks without end and takes each
refusal at once would have all of our time. Whoever waits as long as the refusal says does not notice."""

APART_S: Final = 0.0002
"""Between two of them that are heard again: so all together get five thousand refusals a second, two fifths of a core,
one after the other: five times as many as one principal is granted requests. Two thousand connections rest four tenths
of a second, less than their refusal told them."""

PACED_S: Final = 1.0
"""For so long after such a refusal the requests of that connection stand in line (``gateway.turns``), and so do those
of who was granted more than its own part (``gateway.metering``): what they are granted keeps others no longer from
theirs than what they are refused.
"""


class HttpLimits(msgspec.Struct, frozen=True):
    """Bytes, counts and seconds of one listener.

    Attributes:
        headers_bytes: Request line and header section together; more is 431. 32 KiB is four times what common servers
            allow (8 KiB), because tokens of identity providers travel in headers.
        headers_count: Header lines; more is 431. 100 is the number that Apache settled on; MCP clients send about ten.
        target_bytes: Path with query; more is 414. RFC 9112 §3 asks for at least 8,000.
        body_bytes: A whole body; more is 413, before it is read where its length was announced. The largest message
            that policy lets through to a server by default.
        head_seconds: From the first byte of a request (of a new connection: from its start) to the end of its head;
            later is 408. A head is one or two packets: ten seconds survive two losses of each.
        body_seconds: For a body of any size, plus a second for each ``body_bytes_per_second`` that arrived; later is
            408. A fixed time alone would be too long for a small body or too short for a large one on a slow line.
        body_bytes_per_second: The slowest line that is served without end: 32 KiB/s, a weak mobile connection. So the
            largest body takes at most 30 + 128 seconds, and one byte a second is over after thirty.
        idle_seconds: Between an answer and the next request of a connection; then it is closed, silently. 75 is what
            reverse proxies expect of what is behind them.
        write_seconds: For each 16 KiB that a client has to take while something waits for it; then it is cut off.
        untaken_bytes: Of all answers that wait for their clients to take them; beyond it, whoever holds most loses the
            connection that waited longest. 256 MiB are sixteen of the largest results.
        connections: At once, of one listener. More than a thousand streams and the requests beside them. When all are
            taken, the one that has waited longest without a whole request gives way to the new one, of those whose
            owner has most of them; if none waits, the new one is answered 503. There is no number per address: a
            listener is on loopback or behind a proxy, so honest clients share one, and a local attacker has 127.0.0.0/8
            to choose from.
        single: Names of headers, in lower case, that may occur at most once beside HTTP's own (see ``head``).
    """

    headers_bytes: int = 32 * 1024
    headers_count: int = 100
    target_bytes: int = 8 * 1024
    body_bytes: int = 4 * 1024 * 1024
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    body_bytes_per_second: int = 32 * 1024
    idle_seconds: float = 75.0
    write_seconds: float = 30.0
    untaken_bytes: int = 256 * 1024 * 1024
    connections: int = 2048
    single: frozenset[str] = frozenset()

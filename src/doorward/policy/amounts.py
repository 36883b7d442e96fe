"""How much: the numbers that the policy sets, by what they bound. `doorward.policy.profiles` has the defaults."""

from __future__ import annotations

from typing import Final

import msgspec

from doorward.content.rates import Rate


class Sizes(msgspec.Struct, frozen=True, gc=False):
    """How large a message and its parts may be. Bytes are bytes of UTF-8; nodes are values of the JSON tree.

    ``content_bytes`` holds for each item of content (a text, an image, audio, what a resource holds), decoded.
    ``list_nodes`` takes the place of ``nodes`` for results that are lists (``tools/list`` and its kind); ``info_bytes``
    holds for ``clientInfo`` and ``serverInfo`` each, ``headers_bytes`` for the header section of one HTTP message.
    """

    to_server_bytes: int
    from_server_bytes: int
    string_argument_bytes: int
    content_bytes: int
    depth: int
    nodes: int
    list_nodes: int
    uri_bytes: int
    id_bytes: int
    info_bytes: int
    headers_bytes: int


class PartSizes(msgspec.Struct, frozen=True, gc=False):
    """What a server or a tool has instead of `Sizes`, in bytes: all arguments of one call together and a whole result,
    each as JSON, one text among the arguments, one item of content, decoded. 0 says nothing.
    """

    arguments_bytes: int = 0
    string_argument_bytes: int = 0
    result_bytes: int = 0
    content_bytes: int = 0

    def over(self, usual: PartSizes) -> PartSizes:
        """What is said here, and where nothing is, what is ``usual``."""
        if self == NO_SIZES:
            return usual
        return PartSizes(*(mine or other for mine, other in zip(_sizes(self), _sizes(usual), strict=True)))


NO_SIZES: Final = PartSizes()
_sizes: Final = msgspec.structs.astuple


class Limits(msgspec.Struct, frozen=True, gc=False):
    """How much one principal may have at once: open legacy sessions, requests in flight, child processes,
    subscriptions. Of requests and subscriptions each session has its own part, one in ``sessions`` (at least one), also
    where others of the same principal have used up all; connections without a session have four times as many such
    parts together.

    ``in_flight_bytes`` is of the whole process, not of one principal: bytes of messages that are being read, beyond the
    first 64 KiB of each. No principal has more than three times what it leaves to others.
    """

    sessions: int
    concurrent: int
    children: int
    subscriptions: int
    in_flight_bytes: int


class RateLimits(msgspec.Struct, frozen=True, gc=False):
    """How often messages may come, in the long run (``per_second``) and at once after a pause (``burst``).

    From clients: of one source address, of one principal, to one server, and of one session (a connection, where there
    is no session) all kinds together; ``method`` is each method of one session that lists or manages, ``tool`` each
    tool of one session, and each other method that does work. From servers: ``notice`` is each kind of notification of
    one link, ``ask`` each kind of request.
    """

    address_per_second: int
    address_burst: int
    principal_per_second: int
    principal_burst: int
    server_per_second: int
    server_burst: int
    session_per_second: int
    session_burst: int
    method_per_second: int
    method_burst: int
    tool_per_second: int
    tool_burst: int
    notice_per_second: int
    notice_burst: int
    ask_per_second: int
    ask_burst: int

    def of(self, what: str) -> Rate:
        """The rate called ``what``, as ``principal``."""
        return Rate(getattr(self, f"{what}_per_second"), getattr(self, f"{what}_burst"))


class Caps(msgspec.Struct, frozen=True, gc=False):
    """How much of the machine one server that Doorward starts may use up: memory of all its processes together (of each
    where it has no control group), the size of each file that it writes, open descriptors of each process,
    processes at one time, of which each thread is one, and the share that all of them together may have of the time of
    the machine's processors.
    """

    memory_bytes: int
    file_bytes: int
    descriptors: int
    processes: int
    processor_percent: int


CAPS: Final = ("memory_bytes", "file_bytes", "processes", "processor_percent")
"""Those that a server's table may lower, and raise as ``unsafe_`` and the name."""

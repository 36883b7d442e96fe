"""What the head of a request says of MCP, read once for each head.

Nothing here judges, and nothing depends on policy, which may change between two requests of one connection.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

import msgspec

from doorward.gateway.http.head import Head
from doorward.gateway.http.media import accepts, is_json
from doorward.protocol import versions

VERSION: Final = "mcp-protocol-version"
SESSION: Final = "mcp-session-id"
_WITH_PORT: Final = re.compile(r"\[([^\]]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
_NO_TYPE_OF_OURS, _NO_ANSWER_OF_OURS = 415, 406


class Asked(msgspec.Struct, frozen=True):
    """What is asked for, as far as the head shows it.

    ``modern``: it names a revision of the modern era. ``sessions`` and ``versions`` are all values of their headers.
    ``unfit`` is the status that a POST gets because of the types that it sends and takes, or 0. ``headers`` are those
    that repeat a modern body. ``forwarded`` is whom the last proxy passed it on for (``source_of``), None where it
    names none.
    """

    modern: bool
    sessions: tuple[str, ...]
    versions: tuple[str, ...]
    unfit: int
    headers: dict[str, tuple[str, ...]]
    forwarded: str | None


def asked(head: Head) -> Asked:
    """What ``head`` says; kept on it, for when it comes again."""
    known: Asked | None = head.meaning
    if known is None:
        known = head.meaning = _read(head)
    return known


def _read(head: Head) -> Asked:
    given, forwarded = head.all(VERSION), head.all("x-forwarded-for")
    return Asked(
        modern=len(given) == 1 and given[0] in versions.MODERN_VERSIONS,
        sessions=head.all(SESSION),
        versions=given,
        unfit=_unfit(head),
        headers=head.starting("mcp-"),
        forwarded=source_of(forwarded[-1].rpartition(",")[2].strip()) if forwarded else None,
    )


def source_of(said: str) -> str:
    """Whom an address that a proxy names is counted as: whoever has it, from whatever port. Of IPv6 that is a network
    of 64 bits, since that is what one customer has at least. What is no address is taken as it stands.
    """
    text = said[:64]
    port = _WITH_PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address((port[1] or port[2]) if port else text)
    except ValueError:
        return text
    if address.version == 4:  # noqa: PLR2004 - as it is called
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address.packed, 64), strict=False))


def _unfit(head: Head) -> int:
    accept = head.all("accept")
    if not is_json(head.get("content-type") or ""):
        return _NO_TYPE_OF_OURS
    if not (accepts(accept, "application/json") and accepts(accept, "text/event-stream")):
        return _NO_ANSWER_OF_OURS
    return 0

"""Where an upstream is: a URL that was checked once, before anything is connected.

``https`` goes anywhere. ``http`` is for loopback only: a literal loopback address or ``localhost``, which is resolved
and then used only as far as it is loopback, so that a name cannot lead plaintext (and credentials) off this machine.
"""

from __future__ import annotations

import asyncio
import re
import socket
from typing import Final
from urllib.parse import urlsplit

import msgspec

from doorward.errors import UsageError
from doorward.policy.addresses import is_loopback_literal

_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]+\]")
_TARGET: Final = re.compile(r"/[!$-;=?-~]*", re.ASCII)  # visible ASCII without quotes, spaces, `#` and angle brackets
_PORTS: Final = {"http": 80, "https": 443}
_MAX_URL: Final = 8 * 1024


class Address(msgspec.Struct, frozen=True):
    """``target`` is the path with its query, as it stands in a request line."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def secure(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """What must be equal for two addresses to be one origin (RFC 6454)."""
        return (self.scheme, self.host.lower(), self.port)


def parse(url: str) -> Address:
    """The address of a URL.

    Raises UsageError for whatever is not a plain http(s) URL: other schemes, credentials or a fragment in it, odd hosts
    (international names are written in their ASCII form), ``http`` for a host that is not loopback by its name.
    """
    if len(url) > _MAX_URL or not url.isascii():
        raise UsageError("an upstream's URL is short and ASCII", hint="write an international name in its xn-- form")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"not a URL: {error}") from None
    if parts.scheme not in _PORTS:
        raise UsageError("an upstream's URL begins with https:// (or http:// for this machine)")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise UsageError("an upstream's URL contains no credentials")
    if parts.fragment or "#" in url:
        raise UsageError("an upstream's URL has no fragment")
    bare = parts.netloc[: -len(f":{port}")] if port is not None and parts.netloc.endswith(f":{port}") else parts.netloc
    host = parts.hostname or ""
    if port == 0 or not host or not _HOST.fullmatch(bare):
        raise UsageError("an upstream's URL names a host")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _TARGET.fullmatch(target):
        raise UsageError("an upstream's URL has a plain path")
    if parts.scheme == "http" and host != "localhost" and not is_loopback_literal(host):
        raise UsageError(
            "http:// is for this machine only: what leaves it is encrypted", hint="use https://, or a loopback address"
        )
    return Address(parts.scheme, host, port or _PORTS[parts.scheme], target)


def join(known: Address, reference: str) -> Address | None:
    """What a peer's ``reference`` means seen from ``known``, if it stays on that origin; else None."""
    if reference.startswith("/") and not reference.startswith("//"):
        host = f"[{known.host}]" if ":" in known.host else known.host
        reference = f"{known.scheme}://{host}:{known.port}{reference}"
    try:
        found = parse(reference)
    except UsageError:
        return None
    return found if found.origin == known.origin else None


async def resolve(address: Address) -> list[tuple[str, int]]:
    """The addresses and families to try, in the resolver's order; for ``http`` only the loopback ones.

    Raises OSError when the name is unknown, or when nothing of it is loopback where it must be.
    """
    found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    places = list(dict.fromkeys((str(place[0]), int(family)) for family, _, _, _, place in found))
    if not address.secure:
        places = [(ip, family) for ip, family in places if is_loopback_literal(ip)]
        if not places:
            raise OSError(f"{address.host} is not an address of this machine")
    return places

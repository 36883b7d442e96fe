"""The operator's own proxy, where one is set: public hosts are reached through it (ADR 0014).

It is found as curl finds it: ``https_proxy``, then ``all_proxy``, in lower case first, of Doorward's own environment;
``no_proxy`` names what is reached without it. Only ``http://`` proxies are spoken to, by CONNECT, for every port. User
and password of its URL go to it and nowhere else.

Does not protect: which address the proxy connects to for a name that the policy lists, it alone decides.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

import msgspec

from doorward.confine.network import Target, spelt
from doorward.gateway.egress.lookups import is_address
from doorward.gateway.egress.request import RefusedError
from doorward.policy.addresses import split_target

if TYPE_CHECKING:
    from doorward.gateway.egress.carriage import Stream
    from doorward.gateway.reporter import Say

_VARIABLES: Final = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_EXCEPTIONS: Final = ("no_proxy", "NO_PROXY")
_URL: Final = re.compile(r"(?:http://)?(?:([^/?#@\s]*)@)?([^/?#@\s]+)/?", re.IGNORECASE)
_HTTP_PORT: Final = 80
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")


class Onward(msgspec.Struct, frozen=True):
    """``target`` is the proxy, ``authorization`` what it wants to know of us, ``direct`` the hosts that need none."""

    target: Target
    authorization: bytes = b""
    direct: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Onward({spelt(self.target)})"

    def leaves_out(self, target: Target) -> bool:
        """Whether ``target`` is reached without the proxy."""
        return any(_means(one, target) for one in self.direct)


def onward_of(environ: Mapping[str, str], say: Say) -> Onward | None:
    """The proxy that is set in ``environ``; None where there is none, or none that can be spoken to, which is said."""
    name = next((name for name in _VARIABLES if environ.get(name)), "")
    if not name:
        return None
    url = _URL.fullmatch(environ[name])
    target = split_target(url[2], _HTTP_PORT) if url else None
    if url is None or target is None:
        say(f"{name} names no http:// proxy, so servers are connected without one", "as http://proxy.example.com:3128")
        return None
    exceptions = next((environ[one] for one in _EXCEPTIONS if environ.get(one)), "")
    said = base64.b64encode(unquote_to_bytes(url[1])) if url[1] else b""
    return Onward(target, b"Basic " + said if said else b"", tuple(re.split(r"[,\s]+", exceptions.strip())))


async def ask(proxy: Stream, onward: Onward, target: Target) -> None:
    """Have the proxy connect to ``target``; what is written and read after that is the target's.

    Raises RefusedError where it does not; what it says beside its status is not passed on. OSError and EOFError where
    it breaks off.
    """
    named = spelt(target).encode()
    lines = [b"CONNECT %s HTTP/1.1" % named, b"Host: %s" % named]
    if onward.authorization:
        lines.append(b"Proxy-Authorization: %s" % onward.authorization)
    await proxy.write(b"\r\n".join((*lines, b"", b"")))
    try:
        status = _STATUS.match(await proxy.read_until(b"\r\n\r\n"))
    except asyncio.LimitOverrunError:
        status = None
    if status is None or status[1][:1] != b"2":
        told = f"answered {status[1].decode()}" if status else "gave no answer of HTTP/1.1"
        raise RefusedError(502, f"the proxy before doorward {told}")


def _means(exception: str, target: Target) -> bool:
    """An exception is ``*``, a name with all below it, an address or a network of them; each may have a port."""
    host, port = target
    if exception == "*":
        return True
    named = split_target(exception.lstrip("*").lstrip("."), port)
    if named is not None:
        name, its_port = named
        return its_port == port and (host == name or (not is_address(host) and host.endswith(f".{name}")))
    try:
        return ip_address(host) in ip_network(exception, strict=False)
    except ValueError:
        return False

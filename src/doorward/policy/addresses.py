"""Addresses that a policy or a command line may name: what is wrong with one, as (what, hint), or nothing.

One reading of each: what two readers would take for different hosts (``127.1``, ``0x7f.1``, a name with a zone or a
backslash in it) is refused, since the one that checks and the one that connects must mean the same place. Loopback is
``localhost``, 127.0.0.0/8 and ::1, as written: nothing is resolved here, so whoever connects to ``localhost`` must
still see to it that a loopback address is what it got.

Sources: RFC 3986 section 3, RFC 6454 section 6.1 (origins), RFC 9110 section 7.2 (Host), MCP's transports.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

Complaint = tuple[str, str]
"""What is wrong, and what to write instead; the hint may be empty."""

RESERVED_PATHS: Final = ("/healthz", "/readyz", "/metrics")

# Names that people try, since other protocols or other tools have them: each gets its own word.
_NOT_OURS: Final = {
    "ws": "MCP has no WebSocket transport: name the address for Streamable HTTP, as https://HOST/mcp",
    "wss": "MCP has no WebSocket transport: name the address for Streamable HTTP, as https://HOST/mcp",
    "mcp": "mcp:// names no transport: name the address for Streamable HTTP, as https://HOST/mcp",
}
_CHARACTERS: Final = re.compile(r"[!#-;=?-\[\]_a-z~]+")  # visible ASCII without " < > \ ^ ` { | }
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*")
_NUMBER: Final = re.compile(r"(?:0[xX][0-9A-Fa-f]*|[0-9]+)")
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+")
# No segment begins with a dot: neither `.` nor `..`, and /.well-known is not ours to give away.
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_LONGEST: Final = 2048
_LONGEST_HOST: Final = 253  # RFC 1035 section 2.3.4, without the length octets


def is_loopback(host: str) -> bool:
    """Whether ``host``, without brackets, is this machine by its own words."""
    return host.lower() == "localhost" or is_loopback_literal(host)


def is_loopback_literal(host: str) -> bool:
    """Whether ``host`` is an IP literal of loopback. A mapped IPv4 address (``::ffff:…``) is none: Python 3.13 calls it
    one, and not every connector treats it as one.
    """
    address = _address(host)
    return address is not None and address.is_loopback and getattr(address, "ipv4_mapped", None) is None


def url_problem(url: str) -> Complaint | None:
    """Why ``url`` cannot be the address of a server: https://, or http:// on this machine, and nothing secret in it."""
    if not _CHARACTERS.fullmatch(url) or len(url) > _LONGEST:
        return f"{url[:80]!r} holds what no URL does, or is over {_LONGEST} long", "percent-encode it; a name: punycode"
    scheme = _SCHEME.match(url)
    if scheme is None or not url.startswith("://", scheme.end(1)):
        return f"{url[:80]!r} is not a URL", "write https://HOST/mcp, or http://127.0.0.1:PORT/mcp"
    name = scheme[1].lower()
    if name in _NOT_OURS:
        return f"{name}:// is refused", _NOT_OURS[name]
    if name not in ("http", "https"):
        return f"{name}:// is refused", "only https://, and http:// on this machine"
    return _http_problem(url, name)


def _http_problem(url: str, scheme: str) -> Complaint | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return f"{url[:80]!r} is not a URL", "a port is a number up to 65535, an IPv6 address stands in brackets"
    if "@" in parts.netloc:
        return "holds a user or a password, which would be in every log", "leave them out of the URL"
    if not _is_whole(parts):
        return f"{parts.netloc[:80]!r} is not HOST or HOST:PORT", ""
    if "#" in url:
        return "holds a fragment, which is never sent", "leave out # and what follows"
    if problem := _host_problem(parts.hostname or ""):
        return problem
    if port == 0:
        return "names port 0, which nobody can connect to", ""
    if scheme == "http" and not is_loopback(parts.hostname or ""):
        return "http:// would go over the network in plain text", "write https://; http:// is for this machine only"
    return None


def listen_problem(listen: str) -> Complaint | None:
    """Why `serve` cannot listen on ``listen``, which is HOST:PORT of a loopback address. Port 0: any free one."""
    parts = _split(listen)
    if parts is None or parts.port is None:
        return f"{listen[:80]!r} is not HOST:PORT", "as 127.0.0.1:8484, or [::1]:8484"
    if problem := _host_problem(parts.hostname or ""):
        return problem
    if not is_loopback(parts.hostname or ""):
        hint = "listen on 127.0.0.1 and put a reverse proxy with TLS in front; set public_url to what clients call it"
        return f"{listen!r} would be a plaintext listener that is not loopback", hint
    return None


def split_listen(listen: str) -> tuple[str, int]:
    """Host (without brackets) and port of what `listen_problem` has nothing against."""
    parts = _split(listen)
    assert parts is not None  # noqa: S101 (the caller asked first)
    return parts.hostname or "", parts.port or 0


def target_problem(target: str) -> Complaint | None:
    """Why a server cannot be let go to ``target``, which is HOST:PORT. Any host may be meant, also this machine."""
    if split_target(target) is not None:
        return None
    parts = _split(target)
    if parts is not None and (problem := _host_problem(parts.hostname or "")):
        return problem
    return f"{target[:80]!r} is not HOST:PORT", "as db.example.com:5432, 127.0.0.1:5432 or [::1]:5432"


def split_target(target: str, usual_port: int | None = None) -> tuple[str, int] | None:
    """Host and port of ``target``; ``usual_port`` where it names none. None where it has not exactly one reading.

    The host is in lower case, without brackets and final dot; an address is in its usual form.
    """
    parts = _split(target)
    if parts is None or _host_problem(parts.hostname or ""):
        return None
    host, port = parts.hostname or "", usual_port if parts.port is None else parts.port
    return (str(_address(host) or host.removesuffix(".")), port) if port else None


def listed_problem(host: str) -> Complaint | None:
    """Why ``host`` cannot stand on the list of hosts that a server is limited to: a name or an address, or all names
    below a domain.
    """
    bare = host.removeprefix("*.")
    parts = _split(f"[{bare}]" if ":" in bare else bare)
    if parts is None or parts.port is not None:
        return f"{host[:80]!r} is not a host", "as api.example.com, or *.example.com for all names below it; no port"
    if problem := _host_problem(parts.hostname or ""):
        return problem
    if bare != host and _address(bare) is not None:
        return f"{host[:80]!r} is neither a name nor an address", "there is nothing below an address"
    return None


def host_problem(host: str) -> Complaint | None:
    """Why ``host`` cannot be a value of Host: a name or an address, with a port or without. No patterns."""
    parts = _split(host)
    if parts is None:
        return f"{host[:80]!r} is not HOST or HOST:PORT", "as mcp.example.com:8443; there are no patterns"
    return _host_problem(parts.hostname or "")


def origin_problem(origin: str) -> Complaint | None:
    """Why ``origin`` cannot be a value of Origin: scheme, host and, unless it is the usual one, port."""
    if origin == "null":
        return "'null' is what any sandboxed page sends", "name the origin itself"
    if not _ORIGIN.fullmatch(origin) or not _CHARACTERS.fullmatch(origin) or "*" in origin:
        return f"{origin[:80]!r} is not an origin", "as https://app.example.com: no path, no final slash, no patterns"
    return None


def network_problem(network: str) -> Complaint | None:
    """Why ``network`` cannot be one of trusted proxies: an address or a network in CIDR form, and not everybody."""
    try:
        given = ipaddress.ip_network(network)
    except ValueError:
        return f"{network[:80]!r} is not a network", _network_meant(network)
    if given.prefixlen == 0:
        return f"{network!r} is everybody", "name the proxies' own addresses"
    return None


def path_problem(path: str) -> Complaint | None:
    """Why ``path`` cannot be where a server is served."""
    if path in RESERVED_PATHS:
        return f"{path!r} is Doorward's own", "choose another path"
    if not _PATH.fullmatch(path) or len(path) > _LONGEST:
        return (
            f"{path[:80]!r} is not a path",
            "as /notes: letters, digits and . _ ~ - only, no dot first, no final slash",
        )
    return None


def _network_meant(network: str) -> str:
    try:
        return f"did you mean '{ipaddress.ip_network(network, strict=False)}'"
    except ValueError:
        return "as 127.0.0.0/8 or 10.1.2.3"


def _split(authority: str) -> SplitResult | None:
    if not _CHARACTERS.fullmatch(authority) or set(authority) & set("/?#@"):
        return None
    try:
        parts = urlsplit(f"//{authority}")
        return parts if _is_whole(parts) else None
    except ValueError:
        return None


def _is_whole(parts: SplitResult) -> bool:
    """Whether host and port are all that the authority says: `urlsplit` passes over what stands around brackets."""
    host = parts.hostname or ""
    port = "" if parts.port is None else f":{parts.port}"
    return parts.netloc.lower() == (f"[{host}]{port}" if ":" in host else f"{host}{port}")


def _host_problem(host: str) -> Complaint | None:
    if not host:
        return "names no host", ""
    if _address(host) is not None:
        return None
    name = host.removesuffix(".")
    if len(name) > _LONGEST_HOST or not _NAME.fullmatch(name):
        return f"{host[:80]!r} is not the name of a host", "names are exact, there are no patterns"
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        return f"{host[:80]!r} is an address that not everybody reads alike", "write all four numbers, as 127.0.0.1"
    return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return None if "%" in host else ipaddress.ip_address(host)
    except ValueError:
        return None

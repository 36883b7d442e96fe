"""The address of a server, read in the one way that everybody reads it, and refused where readers differ.

Libraries disagree about userinfo, backslashes, numbers that stand for addresses, and what an international name maps
to; whoever writes such an address can show one host and reach another. So there is no mapping here: a host is plain
letters, digits and hyphens, or an IP literal in its one usual spelling (RFC 3986, RFC 5890 §2.3.1, RFC 5952).
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from typing import Final

import msgspec

from doorward.errors import IdentityError
from doorward.gateway.identity.owners import is_loopback

_LONGEST: Final = 2048  # what browsers and servers take at least; a pin is read by people
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_REST: Final = re.compile(r"//(?P<authority>[^/?#]*)(?P<target>[^#]*)(?P<fragment>#.*)?")
_BRACKETED: Final = re.compile(r"\[(?P<host>[^\[\]]*)\](?::(?P<port>.*))?")
_TARGET: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*")
_ENCODED_CONTROL: Final = re.compile(r"%(?:[01][0-9a-f]|7f)", re.IGNORECASE)
_DOTS: Final = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")  # WHATWG URL: a host whose last label is one is an IPv4 address
_LONGEST_HOST: Final = 253
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HIGHEST_PORT: Final = 65535
_FOREIGN: Final = {
    "ws": "WebSocket is no transport of MCP: write https://, and http:// for this machine's loopback",
    "wss": "WebSocket is no transport of MCP: write https://",
    "mcp": "mcp:// proves nothing about who answers: write the server's https:// address",
}
LOCALHOST: Final = "localhost"  # RFC 6761 §6.3: always loopback; never looked up


class Address(msgspec.Struct, frozen=True):
    """One server's address. ``host`` has no brackets; ``target`` is path and query, as written.

    ``reached_at`` are the IP addresses to connect to where no name is to be looked up: of a literal, and of localhost.
    """

    scheme: str
    host: str
    port: int
    target: str
    reached_at: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """Scheme, host and port in their one spelling (RFC 6454 §6.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}")

    @property
    def url(self) -> str:
        return self.origin + self.target

    @property
    def is_loopback(self) -> bool:
        """Whether it cannot lead anywhere but to this machine, whatever a name service says."""
        return bool(self.reached_at) and all(map(is_loopback, self.reached_at))

    @property
    def shown_host(self) -> str:
        """The host for people: of an international name, what it displays as, too."""
        displayed = display(self.host)
        return self.host if displayed == self.host else f"{self.host} (displays as {displayed})"


def read_address(url: str) -> Address:
    """What ``url`` addresses.

    Raises:
        IdentityError: it is not an ``https://`` URL, nor an ``http://`` URL of loopback, or could be read in two ways.
            The message never holds the URL: a password may stand in it.
    """
    if len(url) > _LONGEST:
        raise IdentityError(f"the URL is over {_LONGEST} characters long")
    if not url.isascii():
        raise IdentityError(
            "the URL holds characters beyond ASCII", hint="write an international host as xn--…, other parts as %XX"
        )
    if not url.isprintable() or " " in url or "\\" in url:
        raise IdentityError("the URL holds blanks, control characters or backslashes: readers differ about them")
    scheme, rest = _scheme(url)
    match = _REST.fullmatch(rest)
    if match is None:
        raise IdentityError("the URL names no host", hint=f"{scheme}://HOST/PATH")
    if match["fragment"] is not None:
        raise IdentityError("the URL has a fragment, which is never sent", hint="leave out # and what follows it")
    host, reached_at, port = _authority(match["authority"], scheme)
    address = Address(scheme, host, port, _target(match["target"]), reached_at)
    if scheme == "http" and not address.is_loopback:
        raise IdentityError(
            f"http:// to {address.shown_host} proves nothing about who answers",
            hint="write https://; only 127.0.0.1, [::1] and localhost are reached without",
        )
    return address


def display(host: str) -> str:
    """``host`` as a browser might show it: its international labels decoded (RFC 3492)."""
    return ".".join(_decoded(label) if label.startswith("xn--") else label for label in host.split("."))


def _scheme(url: str) -> tuple[str, str]:
    match = _SCHEME.match(url)
    scheme = match[1].lower() if match else ""
    if scheme in _FOREIGN:
        raise IdentityError(f"{scheme}:// is not how an MCP server is reached", hint=_FOREIGN[scheme])
    if match is None or scheme not in _DEFAULT_PORTS:
        raise IdentityError("the URL begins with neither https:// nor http://", hint="https://HOST/PATH")
    return scheme, url[match.end() :]


def _authority(text: str, scheme: str) -> tuple[str, tuple[str, ...], int]:
    if "@" in text:
        raise IdentityError(
            "the URL has something before an @, which is a name or a password and not the host",
            hint="leave it out; credentials do not belong in an address",
        )
    if bracketed := _BRACKETED.fullmatch(text):
        host, reached_at = _ipv6(bracketed["host"])
        port = bracketed["port"]
    else:
        named, colon, after = text.partition(":")
        host, reached_at = _host(named.lower())
        port = after if colon else None
    return host, reached_at, _DEFAULT_PORTS[scheme] if port is None else _port(port)


def _port(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,4}", text) or int(text) > _HIGHEST_PORT:
        raise IdentityError(f"the URL's port is {text[:20]!r}, which is none", hint="a number from 1 to 65535")
    return int(text)


def _host(host: str) -> tuple[str, tuple[str, ...]]:
    if not host:
        raise IdentityError("the URL names no host")
    if host == LOCALHOST:
        return host, ("127.0.0.1", "::1")
    labels = host.split(".")
    last = labels[-1] or labels[-2] if len(labels) > 1 else labels[-1]
    if _NUMERIC.fullmatch(last):
        return _ipv4(host)
    if host.endswith("."):
        raise IdentityError(
            f"the host {host[:80]!r} ends in a dot", hint="leave it out: names are complete as they are"
        )
    if len(host) > _LONGEST_HOST or not all(map(_LABEL.fullmatch, labels)):
        raise IdentityError(
            f"the host {host[:80]!r} is no host name", hint="letters, digits and hyphens, in labels of at most 63"
        )
    for label in labels:
        if label.startswith("xn--") and not _is_international(_decoded(label)):
            raise IdentityError(f"{label!r} in the host is no international name")
    return host, ()


def _ipv4(host: str) -> tuple[str, tuple[str, ...]]:
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        raise IdentityError(
            f"the host {host[:80]!r} is a number that readers take for different addresses",
            hint="write four decimal numbers without leading zeros, as in 127.0.0.1",
        ) from None
    return _single(address)


def _ipv6(host: str) -> tuple[str, tuple[str, ...]]:
    if "%" in host:
        raise IdentityError("the URL's address has a zone, which means something on one machine only")
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        raise IdentityError(f"[{host[:80]}] is no IPv6 address") from None
    if address.ipv4_mapped is not None:
        raise IdentityError(f"[{host}] is an IPv4 address in disguise", hint=f"write {address.ipv4_mapped}")
    return _single(address)


def _single(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> tuple[str, tuple[str, ...]]:
    if address.is_unspecified or address.is_multicast or str(address) == "255.255.255.255":
        raise IdentityError(f"{address} is not the address of one machine", hint="127.0.0.1 is this one")
    return str(address), (str(address),)


def _target(text: str) -> str:
    path, question, query = text.partition("?")
    if not _TARGET.fullmatch(text) or _ENCODED_CONTROL.search(text):
        raise IdentityError("the URL's path or query holds what no URL may", hint="write it as %XX")
    if any(map(_DOTS.fullmatch, path.split("/"))):
        raise IdentityError(
            "the URL's path holds . or .., which some readers resolve", hint="write the path that is meant"
        )
    return (path or "/") + question + query


def _decoded(label: str) -> str:
    try:
        return label[4:].encode().decode("punycode")
    except (UnicodeError, ValueError, OverflowError):
        return label


def _is_international(text: str) -> bool:
    """Whether a decoded label is made of letters, marks and digits, as RFC 5892 has it, and not all of ASCII."""
    return not text.isascii() and all(one in "-\u00b7\u30fb" or unicodedata.category(one)[0] in "LMN" for one in text)

"""Which IP addresses lead out into the Internet, so that a server may be let go there.

Loopback, private networks, link-local, carrier-grade NAT, multicast, documentation and benchmarks do not, nor does
whatever carries such an address within it (IPv4-mapped, NAT64). 6to4 and Teredo are refused whole: they carry addresses
too, and nothing is served there any more. Of IPv6 only 2000::/3 has ever been given out. The metadata services of
clouds are link-local or private, except one: the platform of Azure answers its machines at 168.63.129.16.

The table is our own, and not ``ipaddress.is_global``, whose answers changed between releases of Python (CVE-2024-4032).

Sources: IANA's special-purpose address registries (RFC 6890 and its updates), RFC 6052 (NAT64), RFC 8215, RFC 9637.
Does not protect: a translator with a prefix of its own is not known here.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_CLOSED_4: Final = tuple(
    map(
        IPv4Network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
            *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
        ),
    )
)
_OPEN_6: Final = IPv6Network("2000::/3")
_CLOSED_6: Final = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
_CARRYING_4: Final = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
_LOWEST_32: Final = 0xFFFF_FFFF


def is_public(address: str) -> bool:
    """Whether ``address``, an IP address without brackets, is one of the Internet. What is no address is not public."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        if any(found in network for network in _CARRYING_4):
            found = IPv4Address(int(found) & _LOWEST_32)
        elif found.scope_id is not None:
            return False
        else:
            return found in _OPEN_6 and not any(found in network for network in _CLOSED_6)
    return not any(found in network for network in _CLOSED_4)


def is_listed(host: str, listed: tuple[str, ...]) -> bool:
    """Whether ``host`` is one of ``listed``: exactly, or below the domain that stands after ``*.``; case means nothing.

    ``*.example.org`` is every name below that domain, however deep, and not the domain itself. An address is on the
    list only as it stands there.
    """
    name = host.lower().removesuffix(".")
    return any(
        name.endswith(one[1:]) and len(name) > len(one) - 1 if one.startswith("*.") else name == one
        for one in (entry.lower().removesuffix(".") for entry in listed)
    )

"""Where a server that Doorward starts may connect to (architecture §7, row *child: network*).

A server has a network of its own, in which nothing of this machine or its neighbours can be reached. Two ways lead out,
and Doorward is at the other end of both (``gateway.egress``): a proxy for public addresses, unless the network is
``none``, and for each target that the operator named a relay to exactly that one. Programs find the proxy through the
variables that curl, pip, npm, git, Python and Node understand; what knows no proxy needs a target.

The defaults: ``standard`` is ``public``, since most servers exist to ask something on the Internet; ``strict`` is
``none``. The proxy resolves names itself, looks at each address that it found, and connects to the address that it
looked at: what is not public in the sense of ``content.destinations``, or is this machine, is refused. A list of hosts
(``hosts`` of the policy) limits it further; a name that is not on it is not even resolved.

Does not protect: what goes to a public address is not read, so a server may carry off what it knows, to whoever it
likes where no list of hosts says otherwise, and to whoever shares an address or a certificate with a host on the list.
Nor does it know a network that is private in fact though its addresses are public, an address that leads back to this
machine through NAT, or a translator (NAT64) with a prefix of its own. Where the operator has a proxy before
Doorward (``HTTPS_PROXY``), public hosts are reached through that one, which decides for itself what it lets pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from doorward.confine.environment import Profile
from doorward.errors import ConfinementError

if TYPE_CHECKING:
    from doorward.confine.profile import SandboxProfile

Network = Literal["public", "none"]
Target = tuple[str, int]
"""A name or an address without brackets, and a port."""

PROXY: Target = ("127.0.0.1", 3128)
"""Where the proxy is found in the server's own network; 3128 is what proxies usually have."""

MOST_TARGETS = 64

_FIRST_PORT, _LAST_PORT = 1, 65535
_NOT_IN_A_HOST = frozenset("/@?#[]%\\\"'<>,;=")


def default(profile: Profile) -> Network:
    """What holds where nobody said anything."""
    return "none" if profile == "strict" else "public"


def targets(named: Iterable[Target], network: Network) -> tuple[Target, ...]:
    """``named`` without repetitions, names in lower case.

    Raises ConfinementError for what could be no line of ``/etc/hosts`` and no address to connect to (whoever reads them
    from a person says more, ``policy.addresses``; this keeps a slip in between from becoming another place), for more
    than `MOST_TARGETS`, each of which is a socket that listens, and beside ``public`` for the place of the proxy.
    """
    found: dict[Target, None] = {}
    for host, port in named:
        if not host or not host.isascii() or not host.isprintable() or " " in host or _NOT_IN_A_HOST & set(host):
            raise ConfinementError(f"{host!r} is no host to connect to")
        if not _FIRST_PORT <= port <= _LAST_PORT:
            raise ConfinementError(f"{port} is no port to connect to")
        found[host.lower().removesuffix("."), port] = None
    if len(found) > MOST_TARGETS:
        raise ConfinementError(f"{len(found)} targets are too many", hint=f"at most {MOST_TARGETS} can be named")
    for own in (PROXY, ("localhost", PROXY[1])):
        if network == "public" and own in found:
            raise ConfinementError(
                f"{spelt(own)} is where a server finds doorward's proxy",
                hint="a proxy of yours that listens there can be its only way out: --network none beside it",
            )
    return tuple(found)


def spelt(target: Target) -> str:
    """``target`` as one writes it: HOST:PORT, an IPv6 address in brackets."""
    host, port = target
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def described(profile: SandboxProfile) -> tuple[str, ...]:
    """Where a server may connect to, in words for people: its network, then each target."""
    if profile.network == "none":
        first = "none"
    elif profile.hosts:
        first = f"public addresses of {', '.join(profile.hosts)}, through doorward's proxy"
    else:
        first = "public addresses, through doorward's proxy"
    return (first, *(f"{spelt(target)}, whatever that is" for target in profile.connect))


def proxy_environment(profile: SandboxProfile) -> dict[str, str]:
    """The variables by which a server's programs find the proxy; none where there is no proxy for them.

    In the place of whatever it would have got: another proxy cannot be reached. Loopback is the server's own and needs
    none. Targets do without an exception: by the proxy they can be reached as well, by exactly their name and port,
    while an exception would hold for every port of the host.
    """
    if profile.network == "none":
        return {}
    # Node would want the last in brackets, at which httpx ends itself (0.28); its own IPv6 loopback is lost to Node.
    return through_proxy(f"http://{spelt(PROXY)}", direct="localhost,127.0.0.1,::1")


def through_proxy(proxy: str, *, direct: str) -> dict[str, str]:
    """The variables by which programs find the proxy at the URL ``proxy``, for all hosts but those in ``direct``."""
    return {
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"), proxy),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), direct),
        # What an npm of its own settings would read before those.
        **dict.fromkeys(("npm_config_proxy", "npm_config_https_proxy"), proxy),
        "npm_config_noproxy": direct,
        "NODE_USE_ENV_PROXY": "1",  # from Node 22.21 and 24.5: without it fetch and http pass over the others
    }

"""Which Host and which Origin a request may name: only those that this gateway is really called by.

A page in a browser can reach a server on loopback through a name of its own that resolves there (DNS rebinding); it
cannot choose the Host or the Origin that the browser sends. So both are compared with a list that is complete: the
address that we listen on, what ``localhost`` means there, and what the operator wrote.

Sources: MCP "Streamable HTTP": Origin MUST be validated; RFC 9110 §7.2, RFC 6454. Does not protect against programs,
which can send any Host: who may connect at all is asked next (``callers``).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from doorward.gateway.http.head import Head
from doorward.policy.model import ServeSettings

HOST: Final = "http-host"
_MISDIRECTED, _FORBIDDEN = 421, 403


class Names:
    """``address`` is where the gateway listens; ``more_hosts`` are those of the command line."""

    def __init__(self, address: tuple[str, int], more_hosts: tuple[str, ...] = ()) -> None:
        self._own: set[str] = set()
        self._more = {name.lower() for name in more_hosts}
        self._hosts: frozenset[str] = frozenset()
        self._origins: frozenset[str] = frozenset()
        self.bind(address)

    def bind(self, address: tuple[str, int]) -> None:
        """Where the gateway really listens, once it does; :meth:`adopt` comes after."""
        host, port = address
        shown = f"[{host}]" if ":" in host else host
        self._own = {f"{name}:{port}" for name in (shown, "localhost", "127.0.0.1", "[::1]")}
        if port == 80:  # noqa: PLR2004 - the port that is not written
            self._own |= {name.rpartition(":")[0] for name in self._own}

    def adopt(self, settings: ServeSettings) -> None:
        """What policy says beside our own address."""
        hosts = self._own | self._more | {name.lower() for name in settings.allowed_hosts}
        origins = {f"http://{name}" for name in self._own} | {name.lower() for name in settings.allowed_origins}
        if settings.public_url:
            parts = urlsplit(settings.public_url)
            hosts.add(parts.netloc.lower())
            origins.add(f"{parts.scheme}://{parts.netloc}".lower())
        self._hosts, self._origins = frozenset(hosts), frozenset(origins)

    def problem(self, head: Head) -> tuple[str, int, str] | None:
        """(control, status, reason) for a request that was not meant for us, or comes from a page of somebody else."""
        host = head.fields["host"]  # exactly one, or there would be no head
        if host not in self._hosts and host.lower() not in self._hosts:
            return HOST, _MISDIRECTED, "a Host that this gateway is not called by"
        if "origin" not in head.fields:
            return None
        origins = head.all("origin")
        if origins and (len(origins) != 1 or origins[0].lower() not in self._origins):
            return HOST, _FORBIDDEN, "an Origin that is not allowed"
        return None

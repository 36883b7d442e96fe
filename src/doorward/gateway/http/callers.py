"""Who calls: the operating system's user behind the connection, or whoever holds the start-up token.

Over loopback without credentials the kernel knows whose socket is at the other end. Our own user may come in, and those
that ``allow_users`` names. Where the kernel cannot tell, and for what a trusted proxy passes on for somebody else, the
start-up token is asked for. What a proxy forwards is never taken for the proxy's user, trusted or not.

While servers run as children of this process, a caller of our own user must be held by a process outside of them: a
server that connects to us is not the user that it runs as (`identity.holders`).

Does not protect against another program of an allowed user: it is that user. OAuth and client certificates come later.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Callable
from typing import Final

from doorward.gateway.http.head import Head
from doorward.gateway.identity.holders import Holders
from doorward.gateway.identity.owners import inode_of_peer, owner_of_connection, user_name, user_principal
from doorward.gateway.identity.token import StartToken
from doorward.judge.vocabulary import Principal
from doorward.policy.model import ServeSettings

CALLER: Final = "caller"
_UNSEEN: Final = -1  # our user's by the kernel's word, and perhaps one of our own children's
_FORWARDED: Final = frozenset({"forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"})
_HOLDER: Final = Principal("token:start-up", "holder of the start-up token of this gateway")


class Callers:
    """``token`` is the start-up token; ``can_tell`` whether this machine's kernel knows owners of sockets;
    ``has_children`` whether servers run below us now.
    """

    def __init__(
        self, token: StartToken, *, can_tell: bool, has_children: Callable[[], object] = lambda: False
    ) -> None:
        self._token = token
        self._has_children = has_children
        self._holders = Holders()
        self._can_tell = can_tell
        self._uids: frozenset[str] = frozenset()
        self._known: dict[int | None, Principal] = {}  # users that may come in
        self._proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()

    def adopt(self, settings: ServeSettings) -> None:
        self._known.clear()
        self._uids = frozenset((str(os.geteuid()), *settings.allow_users))
        self._proxies = tuple(ipaddress.ip_network(network) for network in settings.trusted_proxies)

    def owner(self, transport: asyncio.Transport) -> int | None:
        """The user at the other end of a new connection; asked once, when it is there."""
        if not self._can_tell:
            return None
        connection: socket.socket | None = transport.get_extra_info("socket")
        owner = owner_of_connection(connection) if connection is not None else None
        if connection is None or owner != os.geteuid() or not self._has_children():
            return owner
        inode = inode_of_peer(connection)
        return owner if inode and self._holders.is_held_outside(inode) else _UNSEEN

    def principal(self, owner: int | None, head: Head) -> Principal | str:
        """Who calls, or why that is nobody who may."""
        forwarded = not _FORWARDED.isdisjoint(head.fields)
        if not forwarded and owner in self._known:
            return self._known[owner]
        if forwarded and not self._is_proxy(head.peer[0]):
            return "a forwarded request, and its sender is not one of trusted_proxies"
        if not forwarded and owner is not None and self._may_come_in(owner):
            return self._known.setdefault(owner, user_principal(owner))
        if self._token.matches(tuple(value.encode("latin-1") for value in head.all("authorization"))):
            return _HOLDER
        if forwarded:
            return "forwarded: the start-up token is needed"
        if owner is None:
            return "unknown user: the token is needed"
        if owner == _UNSEEN:
            return "no process outside of the servers' walls holds this connection: the start-up token is needed"
        return f"operating system user {owner}, who is not one of allow_users"

    def is_operator(self, principal: Principal) -> bool:
        """Whether it is whoever runs this gateway: our own user, or the holder of the token that only they can read."""
        return principal in (_HOLDER, user_principal(os.geteuid()))

    def _may_come_in(self, owner: int) -> bool:
        return owner != _UNSEEN and (str(owner) in self._uids or user_name(owner) in self._uids)

    def _is_proxy(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._proxies)

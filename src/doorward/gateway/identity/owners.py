"""Who is at the other end of a loopback connection: the user that owns the socket there, as the kernel knows it.

TCP carries no credentials, but both ends of a loopback connection stand in one kernel's table, with their owners. An
answer is a fact or None: None for a socket that nobody holds any more (the kernel lists those as root's), for one in
another network namespace, for listeners of several users at one port, and for a user that this user namespace has no
number for. Whoever gets None refuses, asks, or wants a token.

The owner is the user who *made* the socket. Does not protect against a program that hands its connected socket to
another, nor between programs of one user; a connection that comes through a proxy, ``ssh -L`` or a container's port
mapping is the proxy's.
"""

from __future__ import annotations

import functools
import os
import pwd
import socket
from typing import Final, Protocol

from doorward.gateway.identity.sock_diag import (
    CLOSE_WAIT,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT1,
    FIN_WAIT2,
    IPV4_BYTES,
    LAST_ACK,
    SYN_RECV,
    End,
    Netlink,
    ProcNet,
    Socket,
    Table,
    packed,
)
from doorward.policy.identity import Principal

# A client may have said that it sends no more, or may have heard so from us, and still be there.
_CONNECTED: Final = frozenset({ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING})
_EVERY_USER: Final = 2**32 - 1
_LOOPBACK_6: Final = bytes(15) + b"\x01"
UNACCEPTED: Final = "unaccepted"


class Connected(Protocol):
    """A connected socket, or what an event loop gives for one."""

    def fileno(self) -> int: ...
    def getsockname(self) -> tuple[str, int] | tuple[str, int, int, int]: ...
    def getpeername(self) -> tuple[str, int] | tuple[str, int, int, int]: ...


def owner_of_connection(accepted: Connected) -> int | None:
    """The user that owns the client's end of ``accepted``: what a door asks, once for each connection.

    Unlike `owner_of_peer` it makes sure that the four numbers are those of this connection. A client may connect, send
    and reset before it is accepted, and somebody else may connect from the same port since; and a listener that we were
    given may lie in another network namespace. Our own end is looked up last, by its inode: while it is connected no
    other connection can have its four numbers.
    """
    try:
        local, remote = accepted.getsockname(), accepted.getpeername()
        inode = os.fstat(accepted.fileno()).st_ino
    except OSError:
        return None
    owner = owner_of_peer(local, remote)
    ours = None if owner is None else _connection(local, remote, _table())
    alive = ours is not None and ours.inode == inode and ours.state in (ESTABLISHED, CLOSE_WAIT)
    return owner if alive else None


def inode_of_peer(accepted: Connected) -> int:
    """The inode of the client's socket, by which its holders can be found; 0 where it is not known."""
    try:
        peer = _connection(accepted.getpeername(), accepted.getsockname(), _table())
    except OSError:
        return 0
    return peer.inode if peer is not None else 0


def owner_of_peer(
    local: tuple[str | int, ...], remote: tuple[str | int, ...], table: Table | None = None
) -> int | None:
    """The user that owns the socket at ``remote`` which is connected to ``local``, two socket addresses of loopback.

    O(1) by netlink, linear in the number of connections where only /proc can be read. ``table`` replaces the one that
    works on this machine.
    """
    peer = _connection(remote, local, table or _table())
    if peer is None or not peer.inode or peer.state not in _CONNECTED:
        return None
    return _known(peer.uid)


def owner_of_acceptor(
    local: tuple[str | int, ...], remote: tuple[str | int, ...], table: Table | None = None
) -> int | str | None:
    """The same for the server's end, seen by the client at ``local``; `UNACCEPTED` while it waits to be accepted.

    What waits to be accepted dies with its listener, so then the listener's owner is who it waits for.
    """
    peer = _connection(remote, local, table or _table())
    if peer is None:
        return None
    if not peer.inode:
        return UNACCEPTED if peer.state in (ESTABLISHED, SYN_RECV) else None
    return _known(peer.uid) if peer.state in _CONNECTED else None


def owner_of_listener(host: str, port: int, table: Table | None = None) -> int | None:
    """The user that owns whatever would accept a connection to ``port`` at the loopback address ``host``.

    A listener at every address counts as one at this. Where several could accept (SO_REUSEPORT, or one address beside
    all of them), they must be of one user.
    """
    address = packed(host)
    table = table or _table()
    if address is None or not _is_loopback(address) or table is None:
        return None
    try:
        able = [one for one in table.listeners(port) if _accepts(one, address)]
    except OSError:
        return None
    owners = {one.uid if one.inode else None for one in able}
    owner = owners.pop() if len(owners) == 1 else None
    return None if owner is None else _known(owner)


def capable() -> bool:
    """Whether this machine can tell: tried once, on a connection of our own. Where it cannot, a door needs a token."""
    return _table() is not None


@functools.lru_cache(maxsize=1024)
def user_name(uid: int) -> str:
    """The name of a user, or ``#UID`` for one without a name. Asked once for each, so that it stays what it was."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"#{uid}"


def user_principal(uid: int) -> Principal:
    """The principal of an operating system user who came over a loopback connection."""
    return Principal(f"user:{user_name(uid)}", f"operating system user {uid}, owner of the connecting socket")


def is_loopback(host: str) -> bool:
    """Whether ``host`` is an IP literal of this machine's loopback: 127.0.0.0/8, ``::1``, or a mapped one."""
    address = packed(host)
    return address is not None and _is_loopback(address)


def _is_loopback(address: bytes) -> bool:
    return address[0] == 127 if len(address) == IPV4_BYTES else address == _LOOPBACK_6  # noqa: PLR2004 - RFC 1122


def _accepts(listener: Socket, address: bytes) -> bool:
    bound = listener.local[0]
    if any(bound):
        return bound == address
    return len(bound) == len(address) or (len(bound) > len(address) and not listener.only_v6)


def _connection(local: tuple[str | int, ...], remote: tuple[str | int, ...], table: Table | None) -> Socket | None:
    one, other = _end(local), _end(remote)
    if table is None or one is None or other is None or len(one[0]) != len(other[0]):
        return None
    try:
        return table.connection(one, other)
    except OSError:
        return None


def _end(address: tuple[str | int, ...]) -> End | None:
    host, port = address[:2] if len(address) >= 2 else ("", 0)  # noqa: PLR2004 - a host and a port
    at = packed(host) if isinstance(host, str) else None
    if at is None or not isinstance(port, int) or not port or not _is_loopback(at):
        return None
    return at, port


def _known(uid: int) -> int | None:
    """``uid``, unless it is the number that stands for every user whom this user namespace does not know."""
    return None if uid == _stand_in() else uid


@functools.cache
def _stand_in() -> int | None:
    try:
        with open("/proc/self/uid_map", encoding="ascii") as file:
            mapped = sum(int(line.split()[2]) for line in file)
        if mapped == _EVERY_USER:
            return None
        with open("/proc/sys/kernel/overflowuid", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError, IndexError):
        return 65534  # user_namespaces(7): the default


@functools.cache
def _table() -> Table | None:
    """The first way of looking that finds our own connection to be ours."""
    return next((table for table in (Netlink(), ProcNet()) if _tells(table)), None)


def _tells(table: Table) -> bool:
    for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
        try:
            with socket.create_server((host, 0), family=family) as listener:
                address = listener.getsockname()
                with socket.create_connection(address[:2], timeout=1) as client, listener.accept()[0] as accepted:
                    told = owner_of_peer(accepted.getsockname(), client.getsockname(), table)
                    return told == owner_of_listener(host, address[1], table) == os.geteuid()
        except OSError:
            continue
    return False

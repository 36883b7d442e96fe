"""The network of a server in a namespace of its own: a loopback, and on it the places that Doorward answers.

A socket belongs to the namespace in which it was made. So the launcher, inside, listens where the server will knock,
and gives the listening descriptors to the gateway, outside, which accepts on them and connects with its own network:
no relay runs inside, and there is no other way out. What may be reached through them is the gateway's matter
(``gateway.egress``).

``PROXY_PORT`` is where a server finds the proxy for public addresses. A target (``HOST:PORT``, as the operator wrote
it) is listened for at its own address, given to the loopback; a name is found in the host table that ``hosts`` makes.

Imports nothing of Doorward. Source: netdevice(7). Does not protect by itself: a namespace without a listener is closed,
one with a listener is as open as who answers there.
"""

from __future__ import annotations

import _socket
import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PROXY_PORT = 3128

_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCGIFINDEX = 0x8914, 0x8916, 0x8933
_UP_AND_RUNNING = 0x1 | 0x40
_NAME_BYTES = 16
_FIRST_OF_NAMES = 2
"""127.0.0.2 and on are the addresses of names, except that of ``localhost``: 127.0.0.1 is the proxy's."""
_IPV6_FREEBIND = 78
_BACKLOG = 128


def bring_up() -> None:
    """Switch the loopback on. Needs CAP_NET_ADMIN in this namespace, as whoever made it has."""
    _configure(_socket.AF_INET, _SIOCSIFFLAGS, _interface(b"lo", _UP_AND_RUNNING.to_bytes(2, "little")))


def hosts(targets: Sequence[bytes]) -> bytes:
    """The host table of this namespace: the loopback, and each name among the targets at an address of its own."""
    lines = [b"127.0.0.1 localhost", b"::1 localhost"]
    for name, address in _addresses_of_names(targets).items():
        if name != b"localhost":
            lines.append(address + b" " + name)
    return b"\n".join((*lines, b""))


def listen(targets: Sequence[bytes], *, proxy: bool) -> list[tuple[bytes, int]]:
    """Listen at each target and, for the ``proxy``, at ``PROXY_PORT``: pairs of target (the proxy's is empty) and
    descriptor. A target that is written twice is listened for once. Raises OSError as the kernel gave it.
    """
    names = _addresses_of_names(targets)
    found = [(b"", _listener(b"127.0.0.1", PROXY_PORT))] if proxy else []
    for number, target in enumerate(dict.fromkeys(targets)):
        host, port = _split(target)
        address = names.get(host, host)
        _give_to_loopback(address, number)
        found.append((target, _listener(address, port)))
    return found


def _listener(address: bytes, port: int) -> int:
    family = _socket.AF_INET6 if b":" in address else _socket.AF_INET
    one = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    if family == _socket.AF_INET6:
        one.setsockopt(_socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)  # it may still be in its probation
    one.bind((address.decode(), port))
    one.listen(_BACKLOG)
    return one.detach()


def _addresses_of_names(targets: Sequence[bytes]) -> dict[bytes, bytes]:
    names = dict.fromkeys(host for host, _ in map(_split, targets) if not _is_address(host))
    found = {name: b"127.0.0.%d" % number for number, name in enumerate(names, _FIRST_OF_NAMES)}
    return found | {b"localhost": b"127.0.0.1"} if b"localhost" in found else found


def _split(target: bytes) -> tuple[bytes, int]:
    host, _, port = target.rpartition(b":")
    return host.strip(b"[]"), int(port)


def _is_address(host: bytes) -> bool:
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, host.decode())
        except OSError:
            continue
        return True
    return False


def _give_to_loopback(address: bytes, number: int) -> None:
    if b":" in address:
        if address != b"::1":
            index = _configure(_socket.AF_INET6, _SIOCGIFINDEX, _interface(b"lo", b""))[_NAME_BYTES : _NAME_BYTES + 4]
            # struct in6_ifreq: address, length of its prefix, interface
            request = _socket.inet_pton(_socket.AF_INET6, address.decode()) + (128).to_bytes(4, "little") + index
            _configure(_socket.AF_INET6, _SIOCSIFADDR, request)
    elif not address.startswith(b"127."):
        # struct sockaddr_in; a name with a number is how one more address was given to an interface before netlink.
        where = _socket.AF_INET.to_bytes(2, "little") + bytes(2) + _socket.inet_aton(address.decode())
        _configure(_socket.AF_INET, _SIOCSIFADDR, _interface(b"lo:%d" % number, where))


def _interface(name: bytes, value: bytes) -> bytes:
    return name.ljust(_NAME_BYTES, b"\0") + value.ljust(24, b"\0")  # struct ifreq


def _configure(family: int, request: int, what: bytes) -> bytes:
    any_socket = _socket.socket(family, _socket.SOCK_DGRAM)
    try:
        return fcntl.ioctl(any_socket.fileno(), request, what)
    finally:
        any_socket.close()


def hand_over(report: int, found: Sequence[tuple[bytes, int]], *, word: bytes = b"listening") -> None:
    """Give descriptors to whoever reads the reports, in one line with their targets, and close them here."""
    line = word + b" " + b" ".join(target or b"-" for target, _ in found) + b"\n"
    descriptors = b"".join(descriptor.to_bytes(4, "little") for _, descriptor in found)
    channel = _socket.socket(fileno=os.dup(report))
    try:
        channel.sendmsg([line], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)])
    finally:
        channel.close()
        for _, descriptor in found:
            os.close(descriptor)

"""The kernel's table of TCP sockets, in two ways: by NETLINK_SOCK_DIAG, and by reading /proc/net.

Netlink (sock_diag(7)) looks one connection up by its four numbers, whatever the number of connections. /proc/net/tcp
is a text of all of them; it is for machines where a filter refuses netlink. Both need no privilege, and both see the
network namespace of this process only.

The kernel answers a request for a connection that does not exist with the *listener* at that port, and lists sockets
that no process holds any more (TIME_WAIT, closed but unsent, not yet accepted) as owned by user 0, with inode 0. Here
the first is no answer; the second is handed on with its inode, for `owners` to judge.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

_NETLINK_SOCK_DIAG: Final = 4  # linux/netlink.h
_SOCK_DIAG_BY_FAMILY: Final = 20  # linux/sock_diag.h
_REQUEST: Final = 0x1
_DUMP: Final = 0x300
_INTERRUPTED: Final = 0x10  # NLM_F_DUMP_INTR: the table changed while it was listed
_ERROR: Final = 2
_DONE: Final = 3

_HEADER: Final = struct.Struct("=IHHII")  # struct nlmsghdr
_ASKED: Final = struct.Struct("=BBBBI")  # struct inet_diag_req_v2, up to its socket id
_TOLD: Final = struct.Struct("=BBBB")  # struct inet_diag_msg, up to its socket id
_PORTS: Final = struct.Struct(">HH")
_LAST: Final = struct.Struct("=IIIII")  # expires, queues, uid, inode
_PROBLEM: Final = struct.Struct("=i")
_ATTRIBUTE: Final = struct.Struct("=HH")
_ID_BYTES: Final = 48
_ANY_INTERFACE_NO_COOKIE: Final = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
_SKV6ONLY: Final = 11  # INET_DIAG_SKV6ONLY
_RECEIVED_BYTES: Final = 64 * 1024  # a dump comes in pieces of at most 32 KiB

ESTABLISHED: Final = 1  # the states of include/net/tcp_states.h
SYN_RECV: Final = 3
FIN_WAIT1: Final = 4
FIN_WAIT2: Final = 5
CLOSE_WAIT: Final = 8
LAST_ACK: Final = 9
LISTEN: Final = 10
CLOSING: Final = 11

IPV4_BYTES: Final = 4
_IPV6_BYTES: Final = 16
_MAPPED: Final = bytes(10) + b"\xff\xff"  # RFC 4291 §2.5.5.2

End = tuple[bytes, int]
"""An address as `packed` gives it, and a port."""


class Socket(NamedTuple):
    """One TCP socket. ``inode`` is 0 where no process holds it, and then ``uid`` means nothing."""

    local: End
    remote: End
    state: int
    uid: int
    inode: int
    only_v6: bool = False


class Table(Protocol):
    """Where sockets are looked up. Both raise OSError where the kernel refuses or cannot tell."""

    def connection(self, local: End, remote: End, /) -> Socket | None:
        """The socket with exactly these two ends, listeners excluded."""

    def listeners(self, port: int, /) -> list[Socket]:
        """Every socket that listens at ``port``, at whatever address."""


def packed(host: str) -> bytes | None:
    """The bytes of an IP literal: 4 or 16; a v4-mapped one is the IPv4 address. None for anything else."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        address = socket.inet_pton(family, host)
    except (OSError, ValueError):
        return None
    return _unmapped(address)


class Netlink:
    """The table by NETLINK_SOCK_DIAG. Each question has a socket of its own: nothing is shared, nothing stays open."""

    def connection(self, local: End, remote: End) -> Socket | None:
        family = socket.AF_INET if len(local[0]) == IPV4_BYTES else socket.AF_INET6
        for found in self._ask(family, local, remote, _REQUEST, states=0xFFFFFFFF):
            # Without such a connection the kernel tells of the listener.
            if (found.local, found.remote) == (local, remote):
                return found
        return None

    def listeners(self, port: int) -> list[Socket]:
        found = []
        for family, size in ((socket.AF_INET, IPV4_BYTES), (socket.AF_INET6, _IPV6_BYTES)):
            found += self._ask(family, (bytes(size), port), (bytes(size), 0), _REQUEST | _DUMP, states=1 << LISTEN)
        return [one for one in dict.fromkeys(found) if one.local[1] == port and one.state == LISTEN]

    def _ask(self, family: int, local: End, remote: End, flags: int, *, states: int) -> list[Socket]:
        sought = _PORTS.pack(local[1], remote[1]) + local[0].ljust(16, b"\0") + remote[0].ljust(16, b"\0")
        body = _ASKED.pack(family, socket.IPPROTO_TCP, 0, 0, states) + sought + _ANY_INTERFACE_NO_COOKIE
        header = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, flags, 1, 0)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as netlink:
            netlink.sendto(header + body, (0, 0))
            return list(_answers(netlink, whole=bool(flags & _DUMP)))


def _answers(netlink: socket.socket, *, whole: bool) -> Iterator[Socket]:
    """What the kernel says to the one question. It answers before ``sendto`` returns, so nothing is waited for."""
    while True:
        data, sender = netlink.recvfrom(_RECEIVED_BYTES, socket.MSG_DONTWAIT)
        if sender != (0, 0):
            continue  # another process may write to our port; the kernel is port 0
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind, flags, _, _ = _HEADER.unpack_from(data, at)
            if flags & _INTERRUPTED:
                raise InterruptedError("the sockets changed while they were listed")
            if kind == _DONE:
                return
            if kind == _ERROR:
                [code] = _PROBLEM.unpack_from(data, at + _HEADER.size)
                code = -code
                if code == errno.ENOENT and not whole:  # there is no such socket
                    return
                raise OSError(code, os.strerror(code))
            yield _socket(data[at + _HEADER.size : at + length])
            at += (length + 3) & ~3
        if not whole:
            return


def _socket(message: bytes) -> Socket:
    family, state, _, _ = _TOLD.unpack_from(message)
    ports = _PORTS.unpack_from(message, _TOLD.size)
    size = IPV4_BYTES if family == socket.AF_INET else _IPV6_BYTES
    start = _TOLD.size + _PORTS.size
    local, remote = (_unmapped(message[at : at + size]) for at in (start, start + 16))
    *_, uid, inode = _LAST.unpack_from(message, _TOLD.size + _ID_BYTES)
    only_v6 = any(_attributes(message, _TOLD.size + _ID_BYTES + _LAST.size))
    return Socket((local, ports[0]), (remote, ports[1]), state, uid, inode, only_v6)


def _attributes(message: bytes, at: int) -> Iterator[bool]:
    """The one attribute that matters: whether a listener at ``::`` takes IPv6 only."""
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if length < _ATTRIBUTE.size:
            return
        if kind == _SKV6ONLY:
            yield message[at + _ATTRIBUTE.size] != 0
        at += (length + 3) & ~3


class ProcNet:
    """The table by /proc/net/tcp and tcp6 (proc_pid_net(5)): linear in the number of connections.

    It does not say whether a listener at ``::`` takes IPv6 only; such a one is taken to accept both.
    """

    def connection(self, local: End, remote: End) -> Socket | None:
        is_v4 = len(local[0]) == IPV4_BYTES
        # An IPv6 socket may have a mapped address, and then stands in the other file.
        for name, mapped in (("tcp", False), ("tcp6", True)) if is_v4 else (("tcp6", False),):
            sought = f" {_hexadecimal(local, mapped=mapped)} {_hexadecimal(remote, mapped=mapped)} "
            text = _read(name)
            at = text.find(sought)
            if at >= 0:
                return _row(text[text.rfind("\n", 0, at) + 1 : text.find("\n", at)])
        return None

    def listeners(self, port: int) -> list[Socket]:
        wanted = re.compile(rf"^ *\d+: [0-9A-F]+:{port:04X} 0+:0000 {LISTEN:02X} .*$", re.MULTILINE)
        return [_row(row) for name in ("tcp", "tcp6") for row in wanted.findall(_read(name))]


def _read(name: str) -> str:
    try:
        with open(f"/proc/thread-self/net/{name}", encoding="ascii") as file:
            return file.read()
    except FileNotFoundError:
        if name == "tcp6":  # a kernel without IPv6
            return ""
        raise


def _row(row: str) -> Socket:
    fields = row.split()
    local, remote = (_end(field) for field in fields[1:3])
    return Socket(local, remote, int(fields[3], 16), int(fields[7]), int(fields[9]))


def _end(text: str) -> End:
    address, _, port = text.partition(":")
    words = (int(address[at : at + 8], 16) for at in range(0, len(address), 8))
    return _unmapped(b"".join(struct.pack("=I", word) for word in words)), int(port, 16)


def _hexadecimal(end: End, *, mapped: bool) -> str:
    address = _MAPPED + end[0] if mapped else end[0]
    words = struct.unpack(f"={len(address) // 4}I", address)
    return "".join(f"{word:08X}" for word in words) + f":{end[1]:04X}"


def _unmapped(address: bytes) -> bytes:
    return address[12:] if len(address) == _IPV6_BYTES and address.startswith(_MAPPED) else address

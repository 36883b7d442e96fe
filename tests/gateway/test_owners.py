"""Whose socket is at the other end: facts of the kernel, and no answer where there is no fact.

Where the tests run as root, the peers are processes of another user; elsewhere, of the same.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from tests.gateway.foreign import OTHER, Peer

from doorward.gateway.identity import owners
from doorward.gateway.identity.owners import (
    UNACCEPTED,
    capable,
    owner_of_acceptor,
    owner_of_connection,
    owner_of_listener,
    owner_of_peer,
    user_name,
    user_principal,
)
from doorward.gateway.identity.sock_diag import End, Netlink, ProcNet, Socket, Table


@pytest.fixture(params=[Netlink(), ProcNet()], ids=["netlink", "proc"])
def table(request: pytest.FixtureRequest) -> Table:
    found: Table = request.param
    return found


def listening(host: str, family: int = socket.AF_INET) -> socket.socket:
    return socket.create_server((host, 0), family=family, dualstack_ipv6=host == "::")


WAYS = {
    "IPv4": ("127.0.0.1", socket.AF_INET, "127.0.0.1", socket.AF_INET),
    "another loopback address": ("0.0.0.0", socket.AF_INET, "127.8.9.10", socket.AF_INET),  # noqa: S104 - on purpose
    "IPv6": ("::1", socket.AF_INET6, "::1", socket.AF_INET6),
    "a dual listener, reached by IPv4": ("::", socket.AF_INET6, "127.0.0.1", socket.AF_INET),
    "a dual listener, reached by IPv6": ("::", socket.AF_INET6, "::1", socket.AF_INET6),
    "a mapped client": ("127.0.0.1", socket.AF_INET, "::ffff:127.0.0.1", socket.AF_INET6),
    "both mapped": ("::", socket.AF_INET6, "::ffff:127.0.0.1", socket.AF_INET6),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_the_owner_of_a_client_is_the_user_that_connected(
    peers: Callable[..., Peer], table: Table, way: tuple[str, int, str, int]
) -> None:
    host, family, to, by = way
    with listening(host, family) as listener:
        peers("connect", to, listener.getsockname()[1], by)
        with listener.accept()[0] as accepted:
            assert owner_of_peer(accepted.getsockname(), accepted.getpeername(), table) == OTHER
            assert owner_of_connection(accepted) == OTHER


def test_a_client_that_has_said_all_is_still_there(peers: Callable[..., Peer], table: Table) -> None:
    with listening("127.0.0.1") as listener:
        peers("connect", "127.0.0.1", listener.getsockname()[1]).do("say")
        with listener.accept()[0] as accepted:
            assert accepted.recv(1) == b"x"
            assert accepted.recv(1) == b""
            assert owner_of_peer(accepted.getsockname(), accepted.getpeername(), table) == OTHER
            assert owner_of_connection(accepted) == OTHER


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_client_that_left_is_nobody_and_never_root(peers: Callable[..., Peer], table: Table, end: str) -> None:
    with listening("127.0.0.1") as listener:
        peer = peers("connect", "127.0.0.1", listener.getsockname()[1])
        with listener.accept()[0] as accepted:
            ends = accepted.getsockname(), accepted.getpeername()
            peer.do(end)
            assert owner_of_peer(*ends, table) is None
            assert owner_of_connection(accepted) is None
        assert owner_of_peer(*ends, table) is None  # in TIME_WAIT, and the listener still there


def test_a_connection_that_never_was_is_not_the_listeners(table: Table) -> None:
    with listening("127.0.0.1") as listener, listening("127.0.0.1") as other:
        here, there = listener.getsockname(), other.getsockname()
        assert owner_of_peer(here, there, table) is None
        assert owner_of_peer(here, ("127.0.0.1", 1), table) is None
        ends = [(socket.inet_aton(host), port) for host, port in (here, there)]
        assert table.connection(ends[0], ends[1]) is None


def test_who_connects_from_the_port_of_one_that_was_reset_is_not_taken_for_it(peers: Callable[..., Peer]) -> None:
    with listening("127.0.0.1") as listener:
        address = listener.getsockname()
        # An address that nothing else connects from, so that its port is free again at once.
        source = f"127.77.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
        attacker = peers("connect", *address, socket.AF_INET, source)
        attacker.do("reset")  # before it was accepted
        with socket.socket() as ours:
            ours.bind((source, attacker.port))
            ours.connect(address)
            with listener.accept()[0] as first, listener.accept()[0] as second:
                assert owner_of_peer(address, ours.getsockname()) == os.geteuid()  # the four numbers alone mislead
                assert owner_of_connection(first) is None
                assert second.getpeername() == ours.getsockname()
                assert owner_of_connection(second) == os.geteuid()


@pytest.mark.parametrize(
    ("local", "remote"),
    [
        (("192.0.2.1", 80), ("192.0.2.1", 4000)),
        (("127.0.0.1", 80), ("192.0.2.1", 4000)),
        (("127.0.0.1", 80), ("::1", 4000, 0, 0)),
        (("127.0.0.1", 0), ("127.0.0.1", 4000)),
        (("fe80::1%lo", 80, 0, 1), ("fe80::1%lo", 4000, 0, 1)),
        (("/run/socket",), ("",)),
        (("localhost", 80), ("localhost", 4000)),
    ],
)
def test_what_is_no_loopback_connection_has_no_owner(local: tuple[Any, ...], remote: tuple[Any, ...]) -> None:
    assert owner_of_peer(local, remote) is None


LISTENERS = {
    "IPv4": ("listen", "127.0.0.1", socket.AF_INET, {"127.0.0.1": OTHER, "127.0.0.2": None, "::1": None}),
    "IPv6": ("listen", "::1", socket.AF_INET6, {"127.0.0.1": None, "::1": OTHER}),
    "all of IPv4": ("listen", "0.0.0.0", socket.AF_INET, {"127.0.0.1": OTHER, "127.9.9.9": OTHER, "::1": None}),  # noqa: S104
    "all": ("listen", "::", socket.AF_INET6, {"127.0.0.1": OTHER, "::1": OTHER, "::ffff:127.0.0.1": OTHER}),
    "mapped": ("listen", "::ffff:127.0.0.1", socket.AF_INET6, {"127.0.0.1": OTHER, "::1": None}),
}


@pytest.mark.parametrize("case", LISTENERS.values(), ids=list(LISTENERS))
def test_the_owner_of_a_listener_is_who_would_accept_at_that_address(
    peers: Callable[..., Peer], table: Table, case: tuple[str, str, int, dict[str, int | None]]
) -> None:
    verb, host, family, expected = case
    port = peers(verb, host, 0, family).port
    assert {to: owner_of_listener(to, port, table) for to in expected} == expected


def test_a_listener_for_ipv6_only_does_not_stand_for_ipv4(peers: Callable[..., Peer]) -> None:
    port = peers("only6", "::", 0, socket.AF_INET6).port
    assert (owner_of_listener("127.0.0.1", port), owner_of_listener("::1", port)) == (None, OTHER)


def test_nobody_owns_a_port_at_which_nobody_listens_or_an_address_elsewhere(table: Table) -> None:
    with listening("127.0.0.1") as listener:
        port = listener.getsockname()[1]
        assert owner_of_listener("192.0.2.1", port, table) is None
        assert owner_of_listener("localhost", port, table) is None
    assert owner_of_listener("127.0.0.1", port, table) is None


def test_listeners_of_several_users_at_one_port_have_no_owner(table: Table) -> None:
    # The kernel lets only one user share a port, but root may change the owner of a socket that has one.
    one, other = (socket.socket() for _ in range(2))
    with one, other:
        for shared in (one, other):
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("127.0.0.1", 0))
        one.listen()
        port = one.getsockname()[1]
        other.bind(("127.0.0.1", port))
        other.listen()
        assert owner_of_listener("127.0.0.1", port, table) == os.geteuid()
        os.fchown(other.fileno(), OTHER, -1)
        assert owner_of_listener("127.0.0.1", port, table) == (OTHER if os.geteuid() == OTHER else None)


def test_the_servers_end_is_its_acceptors_once_it_was_accepted(peers: Callable[..., Peer], table: Table) -> None:
    server = peers("listen", "127.0.0.1")
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        ends = client.getsockname(), client.getpeername()
        assert owner_of_acceptor(*ends, table) == UNACCEPTED
        server.do("accept")
        assert owner_of_acceptor(*ends, table) == OTHER
        server.stop()
        assert owner_of_acceptor(*ends, table) is None


def test_this_machine_can_tell() -> None:
    assert capable()


class Unlisted:
    """The kernel's answers, with every user outside of the user namespace."""

    def connection(self, local: End, remote: End) -> Socket | None:
        return Socket(local, remote, 1, 65534, 7)

    def listeners(self, port: int) -> list[Socket]:
        return [Socket((bytes(4), port), (bytes(4), 0), 10, 65534, 7)]


class Refused:
    def connection(self, _local: End, _remote: End) -> Socket | None:
        raise PermissionError

    def listeners(self, _port: int) -> list[Socket]:
        raise PermissionError


def test_a_kernel_that_refuses_tells_nothing() -> None:
    assert owner_of_peer(("127.0.0.1", 1), ("127.0.0.1", 2), Refused()) is None
    assert owner_of_listener("127.0.0.1", 1, Refused()) is None


def test_the_number_for_users_without_one_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "_stand_in", lambda: 65534)
    assert owner_of_peer(("127.0.0.1", 1), ("127.0.0.1", 2), Unlisted()) is None
    assert owner_of_listener("127.0.0.1", 1, Unlisted()) is None
    monkeypatch.setattr(owners, "_stand_in", lambda: None)
    assert owner_of_peer(("127.0.0.1", 1), ("127.0.0.1", 2), Unlisted()) == 65534


ELSEWHERE = """
import ctypes, fcntl, os, socket, struct, sys
port, client_port = map(int, sys.argv[1:])
if os.geteuid() == 0:
    assert ctypes.CDLL(None).unshare(0x40000000) == 0  # CLONE_NEWNET
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH22x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
else:
    port = client_port = 0
listener = socket.create_server(("127.0.0.1", port))
client = socket.create_connection(listener.getsockname(), source_address=("127.0.0.1", client_port))
with socket.socket(fileno=0, family=socket.AF_UNIX) as parent:
    accepted = listener.accept()[0]
    socket.send_fds(parent, [b"x"], [accepted.fileno()])
    parent.recv(1)
"""


def test_a_connection_in_another_network_namespace_is_not_taken_for_the_same_numbers_in_ours() -> None:
    with listening("127.0.0.1") as listener, socket.create_connection(listener.getsockname()) as client:
        ours, theirs = socket.socketpair()
        numbers = [str(one.getsockname()[1]) for one in (listener, client)]
        with theirs:
            child = subprocess.Popen([sys.executable, "-ISc", ELSEWHERE, *numbers], stdin=theirs.fileno())
        with ours:
            ours.settimeout(30)
            _, [descriptor], _, _ = socket.recv_fds(ours, 1, 1)
            with socket.socket(fileno=descriptor) as accepted:
                if os.geteuid() == 0:  # else there is no other namespace: the same connection, in ours
                    assert accepted.getpeername() == client.getsockname()
                    assert accepted.getsockname() == listener.getsockname()
                assert owner_of_connection(accepted) == (None if os.geteuid() == 0 else os.geteuid())
        assert child.wait(30) == 0


def test_a_user_has_a_name_or_a_number_that_is_no_name() -> None:
    assert user_name(0) == "root"
    assert user_name(4_000_000_001) == "#4000000001"
    principal = user_principal(0)
    assert (principal.id, principal.how) == ("user:root", "operating system user 0, owner of the connecting socket")


def test_an_event_loops_socket_will_do(peers: Callable[..., Peer]) -> None:
    async def serve() -> int | None:
        told: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

        async def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            told.set_result(owner_of_connection(writer.get_extra_info("socket")))
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(accepted, "127.0.0.1", 0)
        async with server:
            await asyncio.to_thread(peers, "connect", "127.0.0.1", server.sockets[0].getsockname()[1])
            return await asyncio.wait_for(told, 30)

    assert asyncio.run(serve()) == OTHER

"""Where a wrapped server gets to: by the proxy, by its targets, and no further; under both verbs that start one."""

from __future__ import annotations

import json
import os
import signal
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.gateway.asking_person import Person
from tests.gateway.serving import Place, Session, by_command
from tests.gateway.wrapping import World, Wrapped, crafted, wait_until

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


class _Greeter(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(65536)
        self.request.sendall(HELLO)


@contextmanager
def greeter(address: str = "127.0.0.1") -> Iterator[int]:
    """Something that listens on this machine; the port."""

    class Listening(socketserver.ThreadingTCPServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        daemon_threads = True

    with Listening((address, 0), _Greeter) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def started(world: World, *after: str, **options: tuple[str, ...]) -> Wrapped:
    wrapped = world.wrap(crafted("plain", world.folder), after=("--name", "notes", *after), **options)
    wrapped.initialize()
    return wrapped


def test_nothing_on_this_machine_is_reached_unless_it_was_named(world: World) -> None:
    with greeter() as port:
        wrapped = started(world)
        assert wrapped.text("knock", text=f"127.0.0.1 {port}").startswith("cannot: ")
        refused = wrapped.text("visit", text=f"http://127.0.0.2:{port}/")
        assert refused.startswith("403 doorward: 127.0.0.2 is not public (reference ")
        assert wrapped.end() == 0
        assert f"notes may not connect to 127.0.0.2:{port}: it is not a public address" in wrapped.stderr
        assert f"hint: --network 127.0.0.2:{port} lets it" in wrapped.stderr
        reference = refused.split("reference ")[1][:12]
        shown = world.doorward("audit", "show", reference)
        assert shown.returncode == 0
        assert "confine-network" in shown.stdout
        assert all(log["verified"] for log in world.logs())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.9"])
def test_what_was_named_is_reached_with_and_without_the_proxy(world: World, host: str) -> None:
    with greeter("0.0.0.0") as port:  # noqa: S104 - on each address of loopback
        wrapped = started(world, "--network", f"{host}:{port}")
        assert wrapped.text("knock", text=f"{host} {port}").endswith("hello")
        assert wrapped.text("visit", text=f"http://{host}:{port}/") == "hello"
        assert wrapped.text("knock", text=f"127.0.0.8 {port}").startswith("cannot: ")
        assert wrapped.end() == 0
        assert "may not connect" not in wrapped.stderr


def test_without_a_network_targets_are_all_there_is(world: World) -> None:
    with greeter() as port:
        wrapped = started(world, "--network", "none", "--network", f"127.0.0.1:{port}")
        assert wrapped.text("knock", text=f"127.0.0.1 {port}").endswith("hello")
        assert wrapped.text("visit", text=f"http://127.0.0.1:{port}/") == "hello"
        assert wrapped.text("knock", text="127.0.0.1 3128").startswith("cannot: ")
        assert wrapped.text("visit", text="http://10.0.0.1/").startswith("cannot: ")
        assert wrapped.end() == 0


def test_whoever_agrees_to_a_server_sees_where_it_may_connect_to(world: World) -> None:
    policy = world.top / "policy.toml"
    policy.write_text('profile = "strict"\n[servers.notes]\nhosts = ["api.example.com"]\nconnect = ["[::1]:5432"]\n')
    runtime = Path(world.env["XDG_RUNTIME_DIR"])
    (runtime / "doorward").mkdir(0o700)  # as `doorward consent` makes it: who comes first is announced where wrap looks
    person = Person(runtime, world.state)
    person.come()
    wrapped = world.wrap(crafted("plain", world.folder), before=("-c", str(policy)), after=("--name", "notes"))
    with person:
        shown = json.loads(person.ticket().ticket.shown)
    assert shown["network"] == [
        "public addresses of api.example.com, through doorward's proxy",
        "[::1]:5432, whatever that is",
    ]
    wrapped.stop()


def test_a_client_that_leaves_while_its_server_connects_leaves_nothing(world: World) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    with silent:
        port = silent.getsockname()[1]
        wrapped = started(world, "--network", f"127.0.0.1:{port}")
        wrapped.start_asking("tools/call", {"name": "knock", "arguments": {"text": f"127.0.0.1 {port}"}})
        silent.settimeout(20)
        connection, _ = silent.accept()
        with connection:
            connection.settimeout(20)
            assert connection.recv(100) == b"GET / HTTP/1.0\r\n\r\n"
            wrapped.process.send_signal(signal.SIGINT)
            assert wrapped.end() == 130
            with suppress(ConnectionError):
                assert connection.recv(100) == b""


def test_served_commands_have_ways_out_of_their_own_that_end_with_them(house: Place) -> None:
    with greeter() as port:
        allowed = by_command(
            crafted("plain", house.folder), "notes", f'network = "none"\nconnect = ["127.0.0.1:{port}"]'
        )
        serve = house.serve(allowed + by_command(crafted("plain", house.folder), "other"))
        notes, other = serve.session("/notes/mcp"), serve.session("/other/mcp")

        def text(session: Session, tool: str, what: str) -> str:
            told: str = session.call(1, tool, text=what).message["result"]["content"][0]["text"]
            return told

        assert text(notes, "knock", f"127.0.0.1 {port}").endswith("hello")
        assert text(notes, "visit", "http://10.0.0.1/").startswith("cannot: ")
        assert text(other, "knock", f"127.0.0.1 {port}").startswith("cannot: ")
        assert text(other, "visit", f"http://127.0.0.2:{port}/").startswith("403 doorward: 127.0.0.2 is not public")
        serve.wait_said(f'connect = [\\"127.0.0.2:{port}\\"] in its table lets it')
        assert _sockets_elsewhere(serve.process.pid) > 1
        for session in (notes, other):
            assert session.end().status in (200, 204)
        wait_until(lambda: _sockets_elsewhere(serve.process.pid) == 0, "the end of both ways out")


def _sockets_elsewhere(pid: int) -> int:
    """How many sockets a process holds that are in another network than its own."""
    tables = [Path(f"/proc/{pid}/net/{kind}").read_text().split() for kind in ("tcp", "tcp6", "unix")]
    known = {word for table in tables for word in table}
    links = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # it was closed while we looked
            links.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return sum(link.startswith("socket:") and link[len("socket:[") : -1] not in known for link in links)

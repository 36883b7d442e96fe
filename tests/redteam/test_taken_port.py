"""Another user of the machine waits for a server's port to be free, and answers there in its place."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.gateway.serving_badly import Upstream, serve
from tests.gateway.wrapping import BOUND_SECONDS, World, wait_until

# Tells by its output that it listens, and then all that it is told; it answers as a server would.
USURPER = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("here", flush=True)
while True:
    connection, _ = listener.accept()
    connection.settimeout(5)
    try:
        said = connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
    except OSError:
        said = b""
    connection.close()
    print(said, flush=True)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of a second user; CI runs as root")
def test_another_users_program_at_the_servers_port_is_a_named_finding_and_is_told_nothing(
    world: World, tmp_path: Path
) -> None:
    upstream = Upstream()
    port = int(upstream.url.split(":")[2].partition("/")[0])
    served = serve(world, upstream.url)
    with served.client() as client:
        assert client.call("echo", modern=True, text="before")["result"]
        upstream.stop()
        told = tmp_path / "told"
        with told.open("wb") as output:
            usurper = subprocess.Popen((sys.executable, "-I", "-c", USURPER, str(port)), stdout=output)
        try:
            wait_until(lambda: told.read_bytes().startswith(b"here"), "it listens")
            error = client.call("echo", modern=True, text="a private word")["error"]
            found = served.found("server-proof", "belongs to user 65534")
            with socket.create_connection(("127.0.0.1", port), BOUND_SECONDS) as ours:
                ours.sendall(b"hello")  # it does take down what it is told
                wait_until(lambda: b"hello" in told.read_bytes(), "it heard us")
            heard = told.read_bytes()
        finally:
            usurper.kill()
            usurper.wait()
    assert error["data"]["outcome"] == "unknown"
    assert "server-proof" in served.shows(found.reference)
    assert b"private" not in heard
    assert b"POST" not in heard

"""Every real client over stdio: before a server that it could start itself, and before one that has only a URL.

The words are those of test_clients_over_http.py. What lies behind `wrap` makes no difference to how a client speaks to
it, so there is one server of each era here; the Python SDK with all of them is test_peer_table.py.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.clients import CLIENTS, Visited
from tests.e2e.peering import EVERYTHING, GIT, Peers, Place
from tests.e2e.visiting import BY_SSE, BY_URL, cells, configuration, read_table, visited
from tests.listening import once

TABLE = read_table("""
                    server-everything  everything-http  everything-sse  mcp-server-git
python-auto         legacy             legacy           legacy          modern
python-legacy       legacy             legacy           legacy          legacy
python-2026-07-28   versions           versions         versions        modern
typescript-v1       legacy             legacy           legacy          legacy
typescript-v2       legacy             legacy           legacy          legacy
typescript-v2-auto  legacy             legacy           legacy          modern
fastmcp             ok                 ok               ok              ok
inspector           ok                 ok               ok              ok
""")
SERVERS = (EVERYTHING, BY_URL, BY_SSE, GIT)
PLAYED = cells(TABLE)

Came = Callable[[str], dict[str, str]]


@pytest.fixture(scope="module")
def came(peers: Peers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Came]:
    """By client, what came of its visits to the servers of its cells, made once."""
    with ExitStack() as processes:
        place = Place(tmp_path_factory.mktemp("peers"), peers)
        home = Path(processes.enter_context(tempfile.TemporaryDirectory(prefix="dw-")))
        listening = {BY_URL: "streamableHttp", BY_SSE: "sse"}
        urls = {name: processes.enter_context(place.listening(how)) for name, how in listening.items()}
        policy = configuration(place, urls)

        def reached(name: str) -> Visited:
            target = ("--url", urls[name]) if name in urls else ("--", *place.command(name))
            transport = ("--transport", "sse") if name == BY_SSE else ()
            front = (sys.executable, "-m", "doorward", "-c", str(policy), "--state", str(home / "state"))
            server = visited(name, place, "")
            return server._replace(
                command=(*front, "wrap", "--name", name, *transport, *target),
                environment={"PATH": "/usr/bin:/bin", "HOME": str(place.home)},
                folder=str(place.folder),
            )

        @once
        def visit(client: str) -> dict[str, str]:
            return CLIENTS[client](peers, [reached(name) for name in SERVERS if (client, name) in PLAYED])

        yield visit


@pytest.mark.parametrize(("client", "server"), PLAYED)
def test_each_cell_over_stdio_is_as_the_table_says(came: Came, client: str, server: str) -> None:
    assert came(client)[server] == TABLE[client, server]

"""Every real client with every real server through one `doorward serve`: the expected outcome of each cell.

`legacy` and `modern`: it is connected in that era, lists the server's tools, calls one, and is refused by -31001 a tool
that does not exist. `ok`: the same from a command line that does not say which era it speaks. `versions`: the client
speaks only 2026-07-28 and the server only what is older, and each request is answered by -32022. Directly, the cells
are the same, but for the last kind: without Doorward such a client cannot read what it gets (test_peer_table.py).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.clients import CLIENTS
from tests.e2e.peering import Peers, Place, page
from tests.e2e.visiting import BY_SSE, BY_URL, cells, configuration, read_table, visited
from tests.listening import once, served

TABLE = read_table("""
                    server-everything everything-http everything-sse server-filesystem server-memory mcp-server-git mcp-server-time mcp-server-fetch
python-auto         legacy            legacy          legacy         legacy            legacy        modern         modern          modern
python-legacy       legacy            legacy          legacy         legacy            legacy        legacy         legacy          legacy
python-2026-07-28   versions          versions        versions       versions          versions      modern         modern          modern
typescript-v1       legacy            legacy          legacy         legacy            legacy        legacy         legacy          legacy
typescript-v2       legacy            legacy          legacy         legacy            legacy        legacy         legacy          legacy
typescript-v2-auto  legacy            legacy          legacy         legacy            legacy        modern         modern          modern
fastmcp             ok                ok              ok             ok                ok            ok             ok              ok
inspector           ok                ok              ok             ok                ok            ok             ok              ok
""")  # noqa: E501 (a table is read in one piece)
SERVERS = tuple(dict.fromkeys(server for _, server in TABLE))
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
        quiet = processes.enter_context(page())
        gateway = processes.enter_context(served(home, policy=configuration(place, urls, quiet), servers=len(SERVERS)))

        @once
        def visit(client: str) -> dict[str, str]:
            found = [
                visited(name, place, quiet)._replace(url=gateway.urls[name])
                for name in SERVERS
                if (client, name) in PLAYED
            ]
            return CLIENTS[client](peers, found)

        yield visit


def test_the_table_has_every_client() -> None:
    assert {client for client, _ in TABLE} == set(CLIENTS)


@pytest.mark.parametrize(("client", "server"), PLAYED)
def test_each_cell_over_http_is_as_the_table_says(came: Came, client: str, server: str) -> None:
    assert came(client)[server] == TABLE[client, server]

"""Published servers work inside walls with the profile that they get unasked, and their folders: by each mechanism.

The launchers are real and so are the packages: what is installed for the other tests, published again by a registry on
loopback, from which npx and uvx fetch as from any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from tests.e2e.peering import PAGE_SAYS, Answer, Peers, Place, outcome, page
from tests.registry import Registry, programs

FETCHED_SECONDS = 300.0
"""A whole tree of packages is fetched, unpacked and compiled, beside whatever else the machine does."""

MECHANISMS = ("namespaces", "landlock")

FASTMCP_SERVER = """
from fastmcp import FastMCP

server = FastMCP("made")

@server.tool
def add(a: int, b: int) -> int:
    return a + b

def main() -> None:
    server.run(show_banner=False)
"""

STATIC_SERVER = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static char line[1 << 16];
int main(int count, char **words) {
  while (fgets(line, sizeof line, stdin)) {
    const char *id = strstr(line, "\"id\":");
    if (!id) continue;
    const char *result = "{\"tools\":[{\"name\":\"look\",\"inputSchema\":{\"type\":\"object\"}}]}";
    if (strstr(line, "\"initialize\""))
      result = "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},"
               "\"serverInfo\":{\"name\":\"static\",\"version\":\"1\"}}";
    else if (strstr(line, "\"tools/call\""))
      result = fopen(words[1], "r") && !fopen(OUTSIDE, "r")
                   ? "{\"content\":[{\"type\":\"text\",\"text\":\"inside only\"}]}"
                   : "{\"content\":[{\"type\":\"text\",\"text\":\"something else\"}]}";
    printf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":%s}\n", atoi(id + 5), result);
    fflush(stdout);
  }
  return 0;
}
"""


class Server(msgspec.Struct, frozen=True):
    """How a client's configuration starts it, what the operator adds, and one thing that it is for.

    ``{folder}`` is the server's folder, ``{url}`` a page on loopback and ``{target}`` its host and port. ``peer`` is
    whose installation is published; ``says`` is part of the answer.
    """

    command: str
    peer: str
    tool: str
    arguments: dict[str, Any]
    says: str
    options: str = ""
    env: tuple[tuple[str, str], ...] = ()


SERVERS = {
    "filesystem": Server(
        "npx -y @modelcontextprotocol/server-filesystem {folder}",
        "server-filesystem",
        "read_text_file",
        {"path": "{folder}/a.txt"},
        "hello",
    ),
    # It keeps its memory beside its own code unless it is told otherwise, where no server may write.
    "memory": Server(
        "npx -y @modelcontextprotocol/server-memory",
        "server-memory",
        "create_entities",
        {"entities": [{"name": "Ada", "entityType": "person", "observations": ["counts"]}]},
        "Ada",
        options="--write {folder}",
        env=(("MEMORY_FILE_PATH", "{folder}/memory.jsonl"),),
    ),
    "everything": Server(
        "npx -y @modelcontextprotocol/server-everything", "server-everything", "get-sum", {"a": 2, "b": 3}, "5"
    ),
    "git": Server(
        "uvx mcp-server-git --repository {folder}", "mcp-server-git", "git_log", {"repo_path": "{folder}"}, "first"
    ),
    "fetch": Server(
        "uvx mcp-server-fetch --ignore-robots-txt --allow-private-ips",
        "mcp-server-fetch",
        "fetch",
        {"url": "{url}"},
        PAGE_SAYS,
        options="--network {target}",
    ),
    "sqlite": Server(
        "uvx mcp-server-sqlite --db-path {folder}/x.db",
        "mcp-server-sqlite",
        "create_table",
        {"query": "CREATE TABLE notes (text TEXT)"},
        "created",
        options="--write {folder}",
    ),
    "fastmcp": Server("uvx made-fastmcp", "fastmcp", "add", {"a": 2, "b": 3}, "5"),
}


class Launched:
    """The launchers, one state directory for all, so that each server is fetched once, and the registries."""

    def __init__(self, path: str, state: Path, stock: Callable[[str], Registry]) -> None:
        self.path, self.state, self.stock = path, state, stock


def wrap(state: Path, name: str, mechanism: str, *options: str) -> tuple[str, ...]:
    front = (sys.executable, "-m", "doorward", "--state", str(state), "wrap", "--sandbox", mechanism)
    return (*front, "--name", f"{name}-by-{mechanism}", *options, "--")


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory, peers: Peers) -> Iterator[Launched]:
    made: dict[str, Registry] = {}
    with contextlib.ExitStack() as listening:

        def stock(peer: str) -> Registry:
            """A registry with one server and all that it needs, at the versions of its lock."""
            if peer not in made:
                made[peer] = listening.enter_context(Registry())
                root = peers(peer).root
                made[peer].stock_npm(root)
                made[peer].stock_pypi(root / "venv")
                if peer == "fastmcp":
                    made[peer].wheel("made-fastmcp", "1.0.0", FASTMCP_SERVER, needs="fastmcp")
            return made[peer]

        path = programs(tmp_path_factory.mktemp("launchers") / "installed")
        yield Launched(path, tmp_path_factory.mktemp("state") / "state", stock)


def ask(place: Place, command: tuple[str, ...], env: dict[str, str], *question: Any) -> Answer:
    """The answer to one call of a server that is started as a client starts it."""

    async def within() -> Answer:
        async with asyncio.timeout(FETCHED_SECONDS):
            return await conversation()

    async def conversation() -> Answer:
        parameters = StdioServerParameters(command=command[0], args=list(command[1:]), env=env, cwd=str(place.folder))
        with place.stderr.open("a") as stderr:
            async with Client(stdio_client(parameters, errlog=stderr), mode="legacy") as client:
                await client.list_tools()
                return await outcome(client.call_tool(*question))

    try:
        return asyncio.run(within())
    except BaseException as failure:
        failure.add_note(place.stderr.read_text())
        raise


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("name", SERVERS)
def test_a_published_server_does_what_it_is_for_inside_its_walls(
    place: Place, launched: Launched, name: str, mechanism: str
) -> None:
    server = SERVERS[name]
    with page() as url:
        words = {"folder": str(place.folder), "url": url, "target": url.split("/")[2]}

        def filled(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: filled(one) for key, one in value.items()}
            return value.format(**words) if isinstance(value, str) else value

        env = {"PATH": launched.path, "HOME": str(place.home), **launched.stock(server.peer).env}
        env |= {key: filled(value) for key, value in server.env}
        front = wrap(launched.state, name, mechanism, *filled(server.options).split())
        answer = ask(place, (*front, *filled(server.command).split()), env, server.tool, filled(server.arguments))
    assert not answer.get("isError"), f"{answer}\n{place.stderr.read_text()}"
    assert server.says in str(answer.get("content")), f"{answer}\n{place.stderr.read_text()}"
    assert f"first use of {name}-by-{mechanism}" in place.stderr.read_text()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_static_program_works_inside_its_walls_and_reads_nothing_else(place: Place, mechanism: str) -> None:
    """It has no loader, no interpreter and no library that a profile could have been made for."""
    if (compiler := shutil.which("gcc")) is None:
        pytest.skip("there is no compiler")
    source, program = place.top / "server.c", place.top / "server"
    source.write_text(STATIC_SERVER)
    outside = f'-DOUTSIDE="{place.outside}"'
    subprocess.run([compiler, "-static", "-O1", outside, "-o", str(program), str(source)], check=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(place.home)}
    command = (*wrap(place.state, "static", mechanism), str(program), str(place.folder / "a.txt"))
    answer = ask(place, command, env, "look", {})
    assert answer["content"][0]["text"] == "inside only", place.stderr.read_text()

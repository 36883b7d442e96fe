"""What is demanded of well-known servers is demanded of tools and arguments that they have, and holds on the way."""

from __future__ import annotations

import enum
from typing import Any

import pytest
from tests.e2e.peering import GIT, Place, bounded, outcome

from doorward.policy import known_servers
from doorward.policy.known_servers import KnownServer

FILESYSTEMS = ("server-filesystem", "server-filesystem-2025.7.1", "server-filesystem-2025.3.28")
GITS = ("mcp-server-git", "mcp-server-git-2026.1.14", "mcp-server-git-2025.7.1")
PEERS: dict[str, tuple[str, ...]] = {
    "npm:@modelcontextprotocol/server-filesystem": FILESYSTEMS,
    "pypi:mcp-server-git": GITS,
    "pypi:mcp-server-fetch": ("mcp-server-fetch",),
    "pypi:mcp-server-sqlite": ("mcp-server-sqlite",),
    "npm:@modelcontextprotocol/server-postgres": ("server-postgres",),
    "npm:@playwright/mcp": ("playwright-mcp",),
    "npm:mcp-server-commands": ("mcp-server-commands",),
}


class Unchecked(enum.Enum):
    """Why no real server is asked for its tools. They were read in the package named in the commit that added them."""

    HUGE = "its dependencies are more than two hundred megabytes"
    NATIVE = "it needs a compiled driver of a database, or downloads a browser"


UNCHECKED = {
    "npm:mcp-server-kubernetes": Unchecked.HUGE,
    "npm:@benborla29/mcp-server-mysql": Unchecked.NATIVE,
    "pypi:mysql-mcp-server": Unchecked.NATIVE,
    "npm:@wonderwhy-er/desktop-commander": Unchecked.NATIVE,
    "pypi:mcp-shell-server": Unchecked.NATIVE,
}
FORMER = {"browser": {"browser_run_code"}}
"""Tools of earlier versions, which are still installed: `browser_run_code` got `_unsafe` behind its name."""
EVERY = known_servers.every()
OWN = {"server-postgres": ("postgres://127.0.0.1:1/none",), "mcp-server-sqlite": ("--db-path", "x.db")}


def test_every_package_is_asked_for_its_tools_or_says_why_not() -> None:
    assert {package for known in EVERY for package in known.packages} == PEERS.keys() | UNCHECKED.keys()


@pytest.mark.parametrize("known", EVERY, ids=lambda known: known.name)
def test_what_is_demanded_is_of_tools_and_arguments_that_the_real_server_lists(
    place: Place, known: KnownServer
) -> None:
    listed: dict[str, set[str]] = {}
    prompts: dict[str, set[str]] = {}

    async def ask(peer: str) -> None:
        command = (*place.command(peer), *(OWN.get(peer, ())))
        if peer in FILESYSTEMS:
            command = (*command, *(() if str(place.folder) in command else (str(place.folder),)))
        async with place.connect(command, "legacy") as client:
            for tool in (await client.list_tools()).tools:
                listed.setdefault(tool.name, set()).update(tool.input_schema.get("properties", {}))
            if client.server_capabilities.prompts is not None:
                for prompt in (await client.list_prompts()).prompts:
                    prompts.setdefault(prompt.name, set()).update(one.name for one in prompt.arguments or ())

    asked = [peer for package in known.packages for peer in PEERS.get(package, ())]
    for peer in asked:
        bounded(ask(peer))
    if any(package in UNCHECKED for package in known.packages):
        known_here = set(listed) & set(known.said.tools)
    else:
        known_here = set(known.said.tools) - FORMER.get(known.name, set())
        assert known_here <= listed.keys()
    for name in known_here:
        assert known.said.tools[name].arguments.keys() <= listed[name], name
    assert known.said.prompts.keys() <= prompts.keys()
    for name, prompt in known.said.prompts.items():
        assert prompt.arguments.keys() <= prompts[name]


def test_a_real_server_is_known_by_its_package_and_its_arguments_are_judged(place: Place) -> None:
    async def talk() -> list[dict[str, Any]]:
        async with place.connect(place.wrapped(GIT), "legacy") as client:
            folder = str(place.folder)
            plain = client.call_tool("git_show", {"repo_path": folder, "revision": "HEAD"})
            option = client.call_tool("git_show", {"repo_path": folder, "revision": "--output=x"})
            return [await outcome(plain), await outcome(option)]

    plain, option = bounded(talk())
    assert "error" not in plain
    assert not plain.get("isError")
    assert option["error"] == -31001
    assert not (place.folder / "x").exists()
    assert "argument-constraints" in place.stderr.read_text()

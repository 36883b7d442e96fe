"""A confined server that connects to its gateway's own port is not taken for the user that it runs as."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.serving_badly import Served, Upstream, serve
from tests.gateway.wrapping import World
from tests.listening import free_port

CALLER = Path(__file__).with_name("hostile_caller.py")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.stop()


def served(world: World, upstream: Upstream, connect: str = "", **options: str) -> Served:
    command = json.dumps([sys.executable, "-I", "-S", str(CALLER)])
    hostile = f"[servers.hostile]\ncommand = {command}\n{connect}\n"
    return serve(world, policy=f'[servers.good]\nurl = "{upstream.url}"\n{hostile}', **options)


@pytest.mark.parametrize("sandbox", ["namespaces", "landlock"])
def test_a_child_does_not_reach_the_gateway_that_it_stands_behind(
    world: World, upstream: Upstream, sandbox: str
) -> None:
    behind = served(world, upstream, sandbox=sandbox)
    with behind.session("/hostile/mcp") as client, behind.with_honest_clients("/good/mcp"):
        assert client.call("knock", port=behind.port, how="plain")["result"]["content"][0]["text"] == ""
    assert "as the user" not in upstream.calls


@pytest.mark.parametrize("sandbox", ["namespaces", "landlock"])
@pytest.mark.parametrize("how", ["plain", "flying", "hopping"])
def test_a_child_that_was_given_its_port_is_not_taken_for_our_user(
    world: World, upstream: Upstream, how: str, sandbox: str
) -> None:
    port = free_port()
    given, listen = f'connect = ["127.0.0.1:{port}"]', f"127.0.0.1:{port}"
    behind = served(world, upstream, given, listen=listen, sandbox=sandbox)
    with behind.session("/hostile/mcp") as client, behind.with_honest_clients("/good/mcp"):
        told = client.call("knock", port=port, how=how)["result"]["content"][0]["text"]
    assert told == "HTTP/1.1 401 Unauthorized"
    assert "as the user" not in upstream.calls
    assert "outside of the servers' walls" in behind.found("caller").reason

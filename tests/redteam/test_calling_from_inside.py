"""A confined server that connects to its gateway's own port is not taken for the user that it runs as."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.serving_badly import Served, Upstream, serve
from tests.gateway.wrapping import World

CALLER = Path(__file__).with_name("hostile_caller.py")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.stop()


@pytest.fixture
def served(world: World, upstream: Upstream) -> Served:
    command = json.dumps([sys.executable, "-I", "-S", str(CALLER)])
    return serve(world, policy=f'[servers.good]\nurl = "{upstream.url}"\n[servers.hostile]\ncommand = {command}\n')


@pytest.mark.parametrize("how", ["plain", "flying", "hopping"])
def test_a_child_does_not_reach_another_server_as_our_user(served: Served, upstream: Upstream, how: str) -> None:
    with served.session("/hostile/mcp") as client, served.with_honest_clients("/good/mcp"):
        told = client.call("knock", port=served.port, how=how)["result"]["content"][0]["text"]
    assert told == "HTTP/1.1 401 Unauthorized"
    assert "as the user" not in upstream.calls
    assert "outside of the servers' walls" in served.found("caller").reason

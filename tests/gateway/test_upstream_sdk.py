"""The connectors against the SDK's own server, in both eras and on all three ways to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.bounded import until
from tests.gateway.raw_upstream import Ear, call, modern, on_both_loops, tell

from doorward.gateway.upstream.address import parse
from doorward.gateway.upstream.http_client import HttpClient
from doorward.gateway.upstream.sse_upstream import SseConnector
from doorward.gateway.upstream.streamable import StreamableConnector

INITIALIZE: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


@pytest.fixture(scope="module", params=["events", "json"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    script = Path(__file__).with_name("sdk_upstream.py")
    with subprocess.Popen([sys.executable, str(script), request.param], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


def answers(ear: Ear) -> dict[object, tuple[Any, int]]:
    return {message["id"]: (message, exchange) for message, exchange in ear.messages if "method" not in message}


@on_both_loops
async def test_a_legacy_session_lives_from_its_greeting_to_its_end(port: int) -> None:
    address, ear = parse(f"http://127.0.0.1:{port}/mcp"), Ear()
    connector = StreamableConnector(HttpClient(address), address, ear)
    connector.put(call(0, "initialize", 1, **INITIALIZE))
    await until(lambda: 0 in answers(ear))
    connector.put(tell("notifications/initialized"))
    connector.listen()
    connector.put(call(1, "tools/list", 2))
    connector.put(call(2, "tools/call", 3, name="add", arguments={"a": 2, "b": 3}))
    progress = {"progressToken": "p"}
    connector.put(call("x", "tools/call", 4, name="steps", arguments={"count": 3}, _meta=progress))
    await until(lambda: {0, 1, 2, "x"} <= answers(ear).keys())
    await connector.close()
    found = answers(ear)
    assert [tool["name"] for tool in found[1][0]["result"]["tools"]] == ["add", "steps"]
    assert found[2][0]["result"]["content"][0]["text"] == "5"
    assert [found[key][1] for key in (0, 1, 2, "x")] == [1, 2, 3, 4]
    assert not ear.losses
    assert not ear.ends


@on_both_loops
async def test_modern_requests_stand_alone(port: int) -> None:
    address, ear = parse(f"http://127.0.0.1:{port}/mcp"), Ear()
    connector = StreamableConnector(HttpClient(address), address, ear)
    connector.put(modern(0, "server/discover", 1))
    connector.put(modern(1, "tools/list", 2))
    connector.put(modern(2, "tools/call", 3, name="add", arguments={"a": 2, "b": 3}))
    connector.put(modern(3, "no/such", 4))
    await until(lambda: {0, 1, 2, 3} <= answers(ear).keys())
    await connector.close()
    found = answers(ear)
    assert found[0][0]["result"]["supportedVersions"] == ["2026-07-28"]
    assert found[2][0]["result"]["content"][0]["text"] == "5"
    assert found[3] == ({"jsonrpc": "2.0", "id": 3, "error": found[3][0]["error"]}, 4)
    assert found[3][0]["error"]["code"] == -32601
    assert not ear.losses


@on_both_loops
async def test_the_old_transport_works_too(port: int) -> None:
    address, ear = parse(f"http://127.0.0.1:{port}/sse"), Ear()
    connector = SseConnector(HttpClient(address), address, ear)
    connector.put(call(0, "initialize", 1, **INITIALIZE | {"protocolVersion": "2024-11-05"}))
    await until(lambda: 0 in answers(ear))
    connector.put(tell("notifications/initialized"))
    connector.put(call(2, "tools/call", 3, name="add", arguments={"a": 2, "b": 3}))
    await until(lambda: 2 in answers(ear))
    await connector.close()
    assert answers(ear)[2][0]["result"]["content"][0]["text"] == "5"
    assert answers(ear)[2][1] == 3
    assert not ear.ends

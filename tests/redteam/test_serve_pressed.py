"""What somebody could do to ``serve`` so that others, or its memory, would feel it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import pytest
from tests.gateway.serving_badly import LEGACY, MODERN, Served, Upstream, Visit, encoded, request, serve, text_of
from tests.gateway.wrapping import World, crafted, wait_until

MIB = 1 << 20
BIG = "x" * (3 * MIB)
HELLO = json.dumps(
    request(0, "initialize", protocolVersion=LEGACY, capabilities={}, clientInfo={"name": "t", "version": "1"})
).encode()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.stop()


@pytest.fixture
def served(world: World, upstream: Upstream) -> Served:
    return serve(world, upstream.url)


def test_notifications_to_a_server_that_does_not_take_them_are_refused_and_not_piled_up(
    served: Served, upstream: Upstream
) -> None:
    taken = threading.Event()

    def hang(visit: Visit) -> bool:
        if visit.message.get("method") == "notifications/roots/list_changed":
            taken.wait(60)
        return False

    with served.session() as client, served.with_honest_clients():
        upstream.other = hang
        before = served.forget_peak()
        told = {"jsonrpc": "2.0", "method": "notifications/roots/list_changed", "params": {"_meta": {"a": BIG}}}
        body = json.dumps(told).encode()
        statuses = []
        for _ in range(200):
            client.post(body)
            answer = client.answer()
            statuses.append(answer.status)
            if answer.status == 503:
                assert answer.message["error"]["code"] == -31003
                assert answer.headers["retry-after"] == "1"
                break
        taken.set()
    assert statuses[-1] == 503, len(statuses)
    assert served.measure() - before < 700 * MIB, (served.measure() - before) / MIB
    served.found("in-flight", "not taken yet")


def test_clients_that_leave_before_their_session_began_leave_no_session_behind(world: World) -> None:
    served = serve(world, *crafted("plain"), policy="[limits]\nsessions = 3\nchildren = 3\n")
    for _ in range(8):
        client = served.client()
        client.post(HELLO)
        wait_until(lambda: served.process.descendants() != (), "its child to be there")
        client.reset()
        wait_until(lambda: not served.process.descendants(), "its child to be gone")
    with served.session() as client:
        assert client.call("echo", text="there is room")["result"]


def test_a_client_that_leaves_while_a_server_thinks_about_initialize_ends_that_session(
    served: Served, upstream: Upstream
) -> None:
    asked, left = threading.Event(), threading.Event()

    def think(visit: Visit) -> bool:
        if visit.message.get("method") == "initialize":
            asked.set()
            left.wait(30)
        return False

    upstream.other = think
    client = served.client()
    client.post(HELLO)
    assert asked.wait(30)
    client.reset()
    from doorward.audit.reader import last

    def closed() -> bool:
        return any(found.entry.kind == "closed" for found in last(served.world.state, 100).found)

    wait_until(closed, "the session to be closed while its server still thinks")
    left.set()


@pytest.mark.parametrize("modern", [False, True], ids=["legacy", "modern"])
def test_a_client_that_does_not_read_stops_no_other_stream_of_its_link(
    served: Served, upstream: Upstream, modern: bool
) -> None:
    """Two calls on one link: one's answer is megabytes that nobody takes, the other's goes on."""
    stop = threading.Event()
    note = b'{"jsonrpc":"2.0","method":"notifications/progress",'
    note += b'"params":{"progressToken":%b,"progress":%d,"message":"%b"}}'

    def play(visit: Visit) -> None:
        visit.stream()
        token = json.dumps(visit.message["params"]["_meta"]["progressToken"]).encode()
        number = 0
        while not stop.is_set() and number < 400:
            number += 1
            visit.event(note % (token, number, b"x" * 200_000))
        visit.event(encoded(visit.key, text_of("done", modern=modern)))
        visit.close()

    upstream.bad = play
    with served.client() if modern else served.session() as slow, served.client() as quick:
        quick.session = slow.session
        asked = request(77, "tools/call", modern=modern, name="bad", arguments={})
        asked["params"].setdefault("_meta", {})
        asked["params"]["_meta"] = {**asked["params"]["_meta"], "progressToken": "p"}
        fields = {"MCP_Protocol_Version": MODERN, "Mcp_Method": "tools/call", "Mcp_Name": "bad"} if modern else {}
        slow.post(json.dumps(asked).encode(), **fields)
        status, _ = slow.read_head()  # and nothing behind it
        assert status == 200
        before = served.measure("VmRSS")
        for number in range(30):
            began = time.monotonic()
            assert quick.call("echo", modern=modern, text=str(number))["result"]
            assert time.monotonic() - began < 10
        assert served.measure("VmRSS") - before < 64 * MIB
        stop.set()


def test_last_event_ids_of_nobody_of_others_and_of_nonsense_replay_nothing(served: Served, upstream: Upstream) -> None:
    def streamed(visit: Visit) -> None:
        visit.stream()
        visit.event(b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"mine"}}')
        visit.event(encoded(visit.key, text_of("secret of the first", modern=False)))
        visit.close()

    upstream.bad = streamed
    with served.session() as first, served.session() as second:
        assert first.call("bad")["result"]
        for number in ("0-0", *(f"{n}-0" for n in range(1, 30)), "-1-0", "1-99999", "9" * 39, "1-0-0", "%00", "²-0"):
            with served.client() as thief:
                thief.session = second.session
                thief.send(thief.head("GET", Last_Event_ID=number))
                status, _ = thief.read_head()
                assert status == 200
                thief.socket.settimeout(0.05)
                seen = b""
                try:
                    while piece := thief.socket.recv(65536):
                        seen += piece
                except TimeoutError:
                    pass
                assert b"secret" not in seen
                assert b"mine" not in seen


def test_connections_that_come_and_go_leave_no_descriptor(served: Served) -> None:
    with served.session() as client:
        assert client.call("echo", text="x")["result"]
        before = served.descriptors()
        for number in range(150):
            other = served.client()
            if number % 3:
                other.send(other.head("GET" if number % 2 else "POST", Content_Length="10")[: 20 * (number % 5) + 1])
            other.reset() if number % 4 else other.leave()
        wait_until(lambda: served.descriptors() <= before + 2, f"{before} descriptors")

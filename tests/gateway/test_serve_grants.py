"""Nobody has more than it was granted, however many connections it opens, and nobody's part is another's to use up."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.scripted_upstream import Upstream, Visit, tells
from tests.gateway.serving import Client, Serve, as_other_user, by_url, call, modern, place
from tests.gateway.wrapping import wait_until

MEBIBYTE = 1024 * 1024
POLICY = """
[serve]
allow_users = ["1001"]
[limits]
sessions = 2
concurrent = 4
in_flight_bytes = 4194304
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.stop()


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Serve]:
    with place(tmp_path_factory.mktemp("serve")) as house:
        yield house.serve(by_url(upstream.url) + POLICY)


def test_connections_are_no_way_to_ever_more_requests_in_flight(serve: Serve, upstream: Upstream) -> None:
    released = threading.Event()

    def wait(visit: Visit) -> None:
        released.wait(60)
        visit.json(visit.text("done"))

    upstream.scripts["wait"] = wait
    before = len(upstream.asked("tools/call"))
    serve.modern("first", "tools/list")
    held: list[Client] = []
    try:
        for number in range(20):  # 4, and a part of 2 for four times as many as there may be sessions
            held.append(serve.script(number, "wait"))
            wait_until(lambda: len(upstream.asked("tools/call")) - before == len(held), "it is there")
        assert [serve.script(f"more {number}", "wait").answer().status for number in range(6)] == [429] * 6
        session = serve.session()  # whose part no connection can have
        mine = session.script("mine", "wait")
        wait_until(lambda: len(upstream.asked("tools/call")) - before == 21, "a session has its part")
        serve.wait_for_finding("principal-limits", "4 requests are in flight")
    finally:
        released.set()
    assert [client.answer().status for client in (*held, mine)] == [200] * 21
    assert serve.script("again", "wait").answer().status == 200


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_requests_that_are_taken_back_hold_their_place_a_little_longer(
    tmp_path: Path, upstream: Upstream, era: str
) -> None:
    """A server may go on with what nobody waits for; so many at once are not had by taking them back."""
    released = threading.Event()

    def long(visit: Visit) -> None:
        visit.stream()
        released.wait(60)

    upstream.scripts["long"] = long
    with place(tmp_path) as house:
        serve = house.serve(by_url(upstream.url) + "[limits]\nsessions = 1\nconcurrent = 2\n")
        session = serve.session() if era == "legacy" else None
        serve.modern("first", "tools/list")
        before, began = len(upstream.asked("tools/call")), time.monotonic()
        for number in range(50):
            there = len(upstream.asked("tools/call"))
            client = session.script(number, "long") if session else serve.script(number, "long")
            wait_until(lambda: len(upstream.asked("tools/call")) > there or client.is_readable(), "sent or refused")  # noqa: B023
            if session:
                session.ask(tells("notifications/cancelled", requestId=number))
            client.reset()
        came, took = len(upstream.asked("tools/call")) - before, time.monotonic() - began
        released.set()
    assert came <= 10 * (1 + took), took  # two, and four parts of two


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("what", ["the id", "the progress token"])
def test_no_id_that_its_client_chose_is_carried_with_every_answer_however_long_it_is(
    serve: Serve, upstream: Upstream, era: str, what: str
) -> None:
    before = len(upstream.asked("tools/call"))
    long, fits = "y" * 257, "y" * 200
    for chosen, status in ((fits, 200), (long, 400)):
        meta = {"progressToken": chosen} if what == "the progress token" else {}
        id = chosen if what == "the id" else 1
        if era == "modern":
            client = serve.client()
            headers, body = modern(id, "tools/call", meta=meta, name="echo", arguments={"text": "x"})
            client.send("POST", headers, json.dumps(body).encode())
            answer = client.answer()
            assert answer.status == status
        else:
            session = serve.session()
            answer = session.ask(call(id, "echo", meta, text="x"))
            session.end()
        if chosen == long:
            assert answer.code == -32602
            assert answer.message["error"]["message"] == f"too large: {what}"
    assert len(upstream.asked("tools/call")) == before + 1
    serve.wait_for_finding("part-limits", what)


def fill(serve: Serve) -> list[Client]:
    """Bodies that never end, together of more bytes than the whole process may hold."""
    slow = [serve.client() for _ in range(6)]
    for client in slow:
        client.send("POST", {"Content-Length": str(MEBIBYTE)})
        client.raw(b"{" * (MEBIBYTE - 1))
    serve.wait_for_finding("in-flight", "too many bytes")
    return slow


def test_slow_bodies_keep_nobody_from_sending_an_ordinary_message(serve: Serve) -> None:
    fill(serve)
    headers, message = modern(1, "tools/call", name="echo", arguments={"text": "x"})
    body = json.dumps(message).encode()
    client = serve.client()
    client.send("POST", headers | {"Content-Length": str(len(body))})  # in two pieces, as most clients do
    client.raw(body)
    assert client.answer().status == 200


def test_slow_bodies_of_one_principal_leave_room_for_long_ones_of_another(serve: Serve) -> None:
    fill(serve)
    headers, message = modern(1, "tools/call", name="echo", arguments={"text": "x" * 400_000})
    answer = as_other_user(serve, "POST", headers, message)
    assert answer.status == 200, answer

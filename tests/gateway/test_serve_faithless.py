"""Peers that leave in the middle, answer twice, answer for others or not at all: whoever waits is told."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from tests.gateway.serving_badly import Message, Served, Upstream, Visit, encoded, serve, text_of
from tests.gateway.wrapping import World, crafted, wait_gone, wait_until

ERAS = pytest.mark.parametrize("modern", [False, True], ids=["legacy", "modern"])


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.stop()


@pytest.fixture
def served(world: World, upstream: Upstream) -> Served:
    return serve(world, upstream.url)


def lost(served: Served, error: Message, cause: str) -> None:
    """The peer knows that the outcome is not known; the operator knows why, on stderr and in the archive."""
    assert error["code"] == -32603, error
    assert error["data"]["outcome"] == "unknown"
    assert error["data"]["retry"] == "not safe"
    reference = error["data"]["reference"]
    wait_until(lambda: reference in {said.get("reference") for said in served.said()}, "the operator hears of it")
    (told,) = (said for said in served.said() if said.get("reference") == reference)
    assert told["event"] == "lost", told
    assert cause in told["cause"], told
    shown = served.shows(reference)
    assert "unknown" in shown
    assert cause in shown


# --- a server that dies in the middle ---------------------------------------------------------------------------------

HALF = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{"jsonrpc":"2.0","id":'


def close_in_json(visit: Visit) -> None:
    visit.send(HALF)
    visit.close()


def reset_in_json(visit: Visit) -> None:
    visit.send(HALF)
    visit.reset()


def close_in_events(visit: Visit) -> None:
    visit.stream()
    visit.send(b'data: {"jsonrpc":"2.0","id":')
    visit.close()


def reset_in_events(visit: Visit) -> None:
    visit.stream()
    visit.event(b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"soon"}}')
    visit.reset()


def close_before_anything(visit: Visit) -> None:
    visit.close()


@ERAS
@pytest.mark.parametrize(
    "dies", [close_before_anything, close_in_json, reset_in_json, close_in_events, reset_in_events]
)
def test_a_connection_that_breaks_in_an_answer_leaves_the_outcome_unknown(
    served: Served, upstream: Upstream, dies: Callable[[Visit], None], modern: bool
) -> None:
    upstream.bad = dies
    with served.with_honest_clients(), served.client() if modern else served.session() as client:
        error = client.call("bad", modern=modern)["error"]
        lost(served, error, "ended without a response" if dies is close_in_events else "closed before the answer")
        assert client.call("echo", modern=modern, text="on")["result"]


def test_a_stream_that_breaks_off_and_cannot_be_taken_up_again_is_lost(served: Served, upstream: Upstream) -> None:
    def begin(visit: Visit) -> None:
        visit.stream()
        visit.send(b"id: e-1\nretry: 100\ndata: \n\n")
        visit.close()

    upstream.bad = begin
    with served.with_honest_clients(), served.session() as client:
        lost(served, client.call("bad")["error"], "could not be taken up again")


@pytest.mark.parametrize("tool", ["die", "kill_itself"])
def test_a_child_that_dies_in_a_call_ends_its_session_and_no_other(world: World, tool: str) -> None:
    served = serve(world, *crafted("plain"))
    with served.with_honest_clients(eras=("legacy",)), served.session() as client, served.session() as other:
        lost(served, client.call(tool)["error"], "the server ended")
        wait_until(lambda: client.say({"jsonrpc": "2.0", "id": 9, "method": "ping"}).status == 404, "an ended session")
        assert other.call("echo", text="still here")["result"]
    left = served.process.descendants()
    assert served.process.process.poll() is None
    served.process.process.terminate()
    assert served.process.wait() == 0
    wait_gone(*left)
    assert all(log["verified"] and log["closed"] for log in world.logs())


# --- answers that are none --------------------------------------------------------------------------------------------

STATUSES: dict[str, tuple[str, Callable[[Visit], None]]] = {
    "500": ("HTTP 500", lambda visit: visit.whole(b"oops", "500 Internal Server Error", "text/plain")),
    "500 with HTML": ("HTTP 500", lambda visit: visit.whole(b"<h1>no</h1>", "500 No", "text/html")),
    "302": ("redirects", lambda visit: visit.whole(b"", "302 Found", more="Location: http://127.0.0.1:1/\r\n")),
    "307": ("redirects", lambda visit: visit.whole(b"", "307 Go", more="Location: /elsewhere\r\n")),
    "202": ("without a response", lambda visit: visit.whole(b"", "202 Accepted")),
    "204": ("HTTP 204", lambda visit: visit.send(b"HTTP/1.1 204 No Content\r\n\r\n")),
    "HTML": ("without a message", lambda visit: visit.whole(b"<html>", kind="text/html")),
    "no HTTP": ("not HTTP", lambda visit: visit.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")),
    "switching": ("changed the protocol", lambda visit: visit.send(b"HTTP/1.1 101 Go\r\nUpgrade: ws\r\n\r\n")),
    "two lengths": (
        "not HTTP",
        lambda visit: visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    ),
    "an empty body": ("without a response", lambda visit: visit.whole(b"")),
}


@ERAS
def test_a_status_or_a_body_that_is_no_answer_is_an_error_with_a_reference(
    served: Served, upstream: Upstream, modern: bool
) -> None:
    with served.with_honest_clients(), served.client() if modern else served.session() as client:
        for cause, play in STATUSES.values():
            upstream.bad = play
            lost(served, client.call("bad", modern=modern)["error"], cause)
        upstream.bad = lambda visit: visit.whole(b"", "404 Not Found")
        error = client.call("bad", modern=modern)["error"]
        lost(served, error, "HTTP 404" if modern else "ended the session")


@ERAS
def test_a_compressed_answer_is_not_read_and_refused_by_a_limit(
    served: Served, upstream: Upstream, modern: bool
) -> None:
    upstream.bad = lambda visit: visit.whole(b"\x1f\x8b\x08\0", more="Content-Encoding: gzip\r\n")
    with served.with_honest_clients(), served.client() if modern else served.session() as client:
        error = client.call("bad", modern=modern)["error"]
        assert error["code"] == -31001
        shown = served.shows(error["data"]["reference"])
        assert "frame-limits" in shown
        assert "compressed" in shown
        assert client.call("echo", modern=modern, text="on")["result"]


@pytest.fixture
def plain() -> Iterator[tuple[str, list[bytes]]]:
    """Answers whoever comes by HTTP without TLS: its URL as an encrypted one, and all that it was sent."""
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(5)
                    heard.append(connection.recv(65536))
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    threading.Thread(target=answer, daemon=True).start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}/mcp", heard
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@ERAS
def test_one_that_answers_plainly_in_the_place_of_an_encrypted_server_is_a_named_finding_and_gets_nothing(
    world: World, plain: tuple[str, list[bytes]], modern: bool
) -> None:
    url, heard = plain
    served = serve(world, url)
    with served.client() as client:
        error = client.call("a-private-word", modern=True) if modern else client.initialize().message
        assert "error" in error
    found = served.found("server-proof", "TLS with it failed")
    assert "server-proof" in served.shows(found.reference)
    assert heard
    assert all(said.startswith(b"\x16\x03") and b"POST" not in said for said in heard)  # greetings of TLS, no request


def test_an_upstream_that_does_not_know_the_session_any_more_ends_it_for_one_client_only(
    served: Served, upstream: Upstream
) -> None:
    upstream.bad = lambda visit: visit.whole(b"", "404 Not Found")
    with served.with_honest_clients(), served.session() as client:
        assert client.call("bad")["error"]["data"]["outcome"] == "unknown"
        wait_until(lambda: client.say({"jsonrpc": "2.0", "id": 9, "method": "ping"}).status == 404, "an ended session")
        client.session = {}
        client.initialize()
        assert client.call("echo", text="anew")["result"]


# --- too many answers, or another's -----------------------------------------------------------------------------------


@ERAS
def test_a_second_answer_reaches_nobody(served: Served, upstream: Upstream, modern: bool) -> None:
    def twice(visit: Visit) -> None:
        visit.stream()
        visit.event(encoded(visit.key, text_of("first", modern=modern)))
        visit.event(encoded(visit.key, text_of("second", modern=modern)))
        visit.close()

    upstream.bad = twice
    with served.with_honest_clients(), served.client() if modern else served.session() as client:
        assert client.call("bad", modern=modern)["result"]["content"][0]["text"] == "first"
        assert client.call("echo", modern=modern, text="on")["result"]["content"][0]["text"] == "on"
        told = served.found("solicited-only", "nobody asked for")
    assert told.sender == "server"
    assert served.shows(told.reference)


def test_a_child_that_answers_twice_is_heard_once(world: World) -> None:
    served = serve(world, *crafted("twice"))
    with served.with_honest_clients(eras=("legacy",)), served.session() as client:
        for number in range(5):
            assert client.call("echo", text=str(number))["result"]["content"][0]["text"] == str(number)
    assert served.found("solicited-only", "nobody asked for").sender == "server"


@ERAS
@pytest.mark.parametrize("key", [12345678, "x", True, None, 1.5])
def test_an_answer_with_an_id_that_nobody_has_is_an_unknown_outcome(
    served: Served, upstream: Upstream, key: object, modern: bool
) -> None:
    upstream.bad = lambda visit: visit.whole(encoded(key, text_of("whose", modern=modern)))
    with served.with_honest_clients(), served.client() if modern else served.session() as client:
        error = client.call("bad", modern=modern)["error"]
        assert error["code"] in (-31001, -32603), error
        assert error["data"]["reference"] in served.references()
    controls = {one.control for one in served.findings()}
    assert controls & {"solicited-only", "strict-decode"}


@ERAS
def test_an_answer_for_another_exchange_is_not_taken_for_its_own(
    served: Served, upstream: Upstream, modern: bool
) -> None:
    """Two calls are open, and the server answers the second one's id on the first one's stream."""
    second = threading.Event()
    keys: list[object] = []

    def play(visit: Visit) -> None:
        if not keys:
            keys.append(visit.key)
            second.wait(20)
            visit.whole(encoded(keys[1], text_of("for the other", modern=modern)))
        else:
            keys.append(visit.key)
            second.set()
            wait_until(lambda: len(served.findings()) > before, "the wrong answer to be refused")
            visit.text("its own")

    before = len(served.findings())
    upstream.bad = play
    with served.client() as one, served.client() as other:
        if not modern:
            one.initialize()
            other.session = one.session
        first_key = one.start_call("bad", modern=modern)
        wait_until(lambda: len(keys) == 1, "the first call to be there")
        other.keys = itertools.count(first_key + 1000)
        assert other.call("bad", modern=modern)["result"]["content"][0]["text"] == "its own"
        error = one.answer().message["error"]
        assert error["data"]["outcome"] == "unknown", error
    assert served.found("solicited-only").sender == "server"


# --- a client that leaves ---------------------------------------------------------------------------------------------


@ERAS
def test_a_client_that_leaves_in_a_call_harms_nobody(served: Served, upstream: Upstream, modern: bool) -> None:
    """Legacy: the call goes on, and is on record. Modern: it is taken back, and the server sees its stream close."""
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def play(visit: Visit) -> None:
        began.set()
        go_on.wait(20)
        try:
            for _ in range(100):
                visit.send(b"HTTP/1.1 100 Continue\r\n\r\n" if modern else b"")
                if not modern:
                    break
                threading.Event().wait(0.01)
            visit.text("late")
        finally:
            ended.set()

    upstream.bad = play
    with served.with_honest_clients():
        client = served.client() if modern else served.session()
        client.start_call("bad", modern=modern)
        assert began.wait(20)
        if modern:
            client.reset()
        else:
            client.leave()
        outcome = "cancelled" if modern else "ok"
        if not modern:
            go_on.set()
        wait_until(lambda: outcome in outcomes(served), f"{outcome} on record, of {outcomes(served)}")
        go_on.set()
        assert ended.wait(20)


def outcomes(served: Served) -> list[str]:
    from doorward.audit.reader import last

    return [found.entry.outcome for found in last(served.world.state, 100_000).found if found.entry.subject == "bad"]

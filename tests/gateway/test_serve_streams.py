"""Streams of a legacy session at ``doorward serve``: which message leaves where, and what comes again."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from tests.gateway.scripted_upstream import BOUND_S, Upstream, Visit, tells
from tests.gateway.serving import OLD_TOO, Client, Serve, by_url, call, initialize, place, request
from tests.gateway.wrapping import wait_until

LOG = "notifications/message"


def log(text: str) -> dict[str, object]:
    return tells(LOG, level="info", data=text)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Serve]:
    with place(tmp_path_factory.mktemp("serve")) as house:
        yield house.serve(by_url(upstream.url) + "[limits]\nconcurrent = 8\n" + OLD_TOO)


@pytest.fixture
def serve(running: Serve) -> Iterator[Serve]:
    yield running
    running.leave_all()


class Held:
    """A script that holds its request until the test lets it go on; ``visit`` is what came."""

    def __init__(self, upstream: Upstream, name: str) -> None:
        self._came = threading.Event()
        self._go = threading.Event()
        self._visit: Visit | None = None
        upstream.scripts[name] = self

    def __call__(self, visit: Visit) -> None:
        self._visit = visit
        self._came.set()
        assert self._go.wait(BOUND_S)

    @property
    def came(self) -> bool:
        return self._came.is_set()

    @property
    def visit(self) -> Visit:
        assert self._came.wait(BOUND_S), "it never came"
        assert self._visit is not None
        return self._visit

    def release(self) -> None:
        self._go.set()


# -- answers -----------------------------------------------------------------------------------------------------------


def test_an_answer_alone_is_json_and_one_after_something_else_is_a_stream(serve: Serve, upstream: Upstream) -> None:
    def chatty(visit: Visit) -> None:
        visit.stream()
        visit.event(log("first"))
        visit.event(visit.text("then"))
        visit.end()

    upstream.scripts["chatty"] = chatty
    session = serve.session()
    alone = session.call(1, "echo", text="alone")
    assert alone.headers["content-type"] == "application/json"
    assert alone.message["result"]["content"][0]["text"] == "alone"
    priming, first, answer = session.script(2, "chatty").stream()
    assert priming.id
    assert priming.data == ""
    assert first.message["params"]["data"] == "first"
    assert answer.message == {"jsonrpc": "2.0", "id": 2, "result": {"content": [{"type": "text", "text": "then"}]}}
    assert len({priming.id, first.id, answer.id}) == 3


def test_only_clients_of_2025_11_25_get_an_event_without_data(serve: Serve, upstream: Upstream) -> None:
    def chatty(visit: Visit) -> None:
        visit.stream()
        visit.event(log("first"))
        visit.event(visit.text("then"))
        visit.end()

    upstream.scripts["unprimed"] = chatty
    for version in ("2024-11-05", "2025-03-26", "2025-06-18"):
        events = list(serve.session(version=version).script(1, "unprimed").stream())
        assert all(event.data for event in events), version
        assert all(event.id for event in events), version


def test_what_belongs_to_no_request_goes_to_exactly_one_standing_stream(serve: Serve, upstream: Upstream) -> None:
    held: list[Visit] = []

    def get(visit: Visit) -> None:
        visit.stream()
        held.append(visit)
        visit.was_left()

    upstream.on_get = get
    session = serve.session()
    _, first = session.listen()
    _, second = session.listen()
    assert next(first).id != next(second).id
    wait_until(lambda: len(held) == 1, "one standing stream upstream, however many there are here")
    for number in range(3):
        held[0].event(log(f"news {number}"))
    got = [next(second).message["params"]["data"] for _ in range(3)]
    assert got == ["news 0", "news 1", "news 2"]
    session.end()
    assert [event.data for event in first] == []  # it ended, and nothing was on it
    assert [event.data for event in second] == []


def test_what_was_said_before_anybody_listened_waits_for_the_first_who_does(serve: Serve, upstream: Upstream) -> None:
    late = Held(upstream, "late")
    session = serve.session()
    client = session.script(1, "late")
    late.visit.stream()
    client.reset()  # nobody is on the stream of the call any more, and it had not begun
    late.visit.event({"jsonrpc": "2.0", "id": "ping-1", "method": "ping"})
    late.visit.event(late.visit.text("an answer for nobody"))
    late.visit.end()
    late.release()
    _, events = session.listen()
    assert next(events).data == ""
    assert session.ask(request(2, "ping")).status == 200
    session.end()
    assert [event.data for event in events if "answer for nobody" in event.data] == []


def test_an_answer_never_leaves_on_another_exchange_than_that_of_its_request(serve: Serve, upstream: Upstream) -> None:
    left = Held(upstream, "left")
    session = serve.session()
    _, events = session.listen()
    assert next(events).data == ""
    client = session.script(1, "left")
    _ = left.visit
    client.reset()
    left.visit.stream()
    left.visit.event(log("for whoever listens"))
    left.visit.event(left.visit.text("for nobody"))
    left.visit.end()
    left.release()
    assert next(events).message["params"]["data"] == "for whoever listens"
    assert session.call(2, "echo", text="next").status == 200
    session.end()
    assert list(events) == []


# -- resumption --------------------------------------------------------------------------------------------------------


def test_a_stream_is_resumed_with_exactly_what_was_missed_on_it(serve: Serve, upstream: Upstream) -> None:
    slow = Held(upstream, "slow")
    session = serve.session()
    client = session.script(1, "slow")
    slow.visit.stream()
    slow.visit.event(log("one"))
    events = client.stream()
    priming, one = next(events), next(events)
    client.reset()
    _, other = session.listen()
    next(other)
    slow.visit.event(log("two"))
    slow.visit.event(log("three"))
    assert session.call(2, "echo", text="meanwhile").status == 200  # and what came before it has been sent
    _, again = session.listen(one.id)
    missed = [next(again), next(again)]
    assert [event.message["params"]["data"] for event in missed] == ["two", "three"]
    slow.visit.event(slow.visit.text("done"))
    slow.visit.end()
    slow.release()
    (answer,) = again
    assert answer.message["id"] == 1
    ids = [priming.id, one.id, *(event.id for event in missed), answer.id]
    assert len(set(ids)) == 5
    _, from_the_start = session.listen(priming.id)
    assert [event.id for event in from_the_start] == ids[1:]
    session.end()
    assert list(other) == []


def test_another_sessions_event_id_resumes_nothing(serve: Serve, upstream: Upstream) -> None:
    secret = Held(upstream, "secret")
    owner, other = serve.session(), serve.session()
    client = owner.script(1, "secret")
    secret.visit.stream()
    secret.visit.event(log("a secret of the first session"))
    events = client.stream()
    priming = next(events)
    assert "secret" in next(events).data
    for stolen in (priming.id, "1-0", "999999-0", "-1", "x" * 50, "1-99"):
        _, stream = other.listen(stolen)
        first = next(stream)
        assert (first.data, first.id != priming.id) == ("", True)
    secret.visit.event(secret.visit.text("done"))
    secret.visit.end()
    secret.release()
    assert [event.message["id"] for event in events] == [1]
    owner.end()
    other.end()


def test_a_gap_resumes_nothing_rather_than_a_part_that_looks_whole(serve: Serve, upstream: Upstream) -> None:
    many = Held(upstream, "many")
    session = serve.session()
    client = session.script(1, "many")
    many.visit.stream()
    for number in range(300):  # more than are kept
        many.visit.event(log(f"n{number}"))
    events = client.stream()
    ids = [next(events).id for _ in range(301)]
    client.reset()
    _, again = session.listen(ids[1])
    assert next(again).id not in ids
    _, close_by = session.listen(ids[-2])
    assert next(close_by).message["params"]["data"] == "n299"
    many.visit.event(many.visit.text("done"))
    many.visit.end()
    many.release()
    assert [event.message["id"] for event in close_by] == [1]
    session.end()


def test_a_standing_stream_keeps_its_ids_however_many_streams_come_and_go(serve: Serve, upstream: Upstream) -> None:
    held: list[Visit] = []

    def get(visit: Visit) -> None:
        visit.stream()
        if visit.headers["mcp-session-id"] not in earlier:  # a session that is being left may listen once more
            held.append(visit)
        visit.was_left()

    def chatty(visit: Visit) -> None:
        visit.stream()
        visit.event(log("x"))
        visit.event(visit.text("y"))
        visit.end()

    upstream.on_get, upstream.scripts["brief"], earlier = get, chatty, set(upstream.sessions)
    session = serve.session()
    _, events = session.listen()
    next(events)
    wait_until(lambda: bool(held), "the standing stream upstream")
    assert len(held) == 1
    held[0].event(log("before"))
    before = next(events)
    for number in range(70):  # more than are remembered
        assert len(list(session.script(number, "brief").stream())) == 3
    held[0].event(log("after"))
    after = next(events)
    assert before.id != after.id
    _, again = session.listen(after.id)
    held[0].event(log("at last"))
    assert next(again).comment
    assert next(again).message["params"]["data"] == "at last"
    session.end()


def test_standing_streams_of_one_session_are_bounded(serve: Serve) -> None:
    session = serve.session()
    streams = [session.listen()[1] for _ in range(18)]
    for stream in streams:
        next(stream)
    assert [list(stream) for stream in streams[:2]] == [[], []]  # ended: the oldest made room
    session.end()


# -- cancellation ------------------------------------------------------------------------------------------------------


def test_a_legacy_disconnect_cancels_nothing(serve: Serve, upstream: Upstream) -> None:
    work = Held(upstream, "work")
    session = serve.session()
    client = session.script(1, "work")
    visit = work.visit
    client.reset()
    assert session.call(2, "echo", text="meanwhile").status == 200
    assert not visit.was_left(0.3)
    assert upstream.asked("notifications/cancelled") == []
    visit.json(visit.text("done all the same"))
    work.release()
    session.end()


def test_a_cancelled_legacy_request_ends_at_both_sides_and_frees_its_place(serve: Serve, upstream: Upstream) -> None:
    session = serve.session()
    for number in range(20):  # more than may be in flight
        ignored = Held(upstream, f"ignored {number}")
        sent: list[Client] = []

        def is_there(number: int = number, ignored: Held = ignored, sent: list[Client] = sent) -> bool:
            sent.append(session.script(number, f"ignored {number}"))
            wait_until(lambda: ignored.came or sent[-1].is_readable(), "sent, or refused")
            return ignored.came

        wait_until(is_there, "a place, which one that was taken back gives up after a moment")
        told = session.ask(tells("notifications/cancelled", requestId=number, reason="enough"))
        assert told.status == 202
        answer = sent[-1].answer()
        assert (answer.status, answer.body) == (200, b""), answer
        ignored.release()
    wait_until(lambda: _cancelled(upstream) == set(range(20)), "the server heard of each")
    assert session.call("free", "echo", text="free").message["result"]["content"][0]["text"] == "free"
    session.end()


def test_a_stream_that_its_server_keeps_open_after_a_cancellation_is_given_up(serve: Serve, upstream: Upstream) -> None:
    kept = Held(upstream, "kept")
    session = serve.session()
    client = session.script(1, "kept")
    visit = kept.visit
    visit.stream()
    session.ask(tells("notifications/cancelled", requestId=1))
    assert client.answer().body == b""
    assert not visit.was_left(0.2)  # a server may still say something
    assert visit.was_left(), "a connection for each request that was ever cancelled"
    visit.over = True
    kept.release()
    session.end()


def _cancelled(upstream: Upstream) -> set[int]:
    return {visit.params["requestId"] for visit in upstream.asked("notifications/cancelled")}


def test_a_request_that_is_not_answered_counts_until_it_is(serve: Serve, upstream: Upstream) -> None:
    session = serve.session()
    waiting = [Held(upstream, f"place {number}") for number in range(8)]
    clients = [session.script(number, f"place {number}") for number in range(8)]
    for held in waiting:
        _ = held.visit
    refused = session.call("one more", "echo", text="x")
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (429, -31003, "1")
    assert refused.message["id"] == "one more"
    serve.wait_for_finding("principal-limits", "requests are in flight")
    for client in clients[:4]:
        client.reset()  # leaving is no way to have more in flight
    assert session.call("still", "echo", text="x").status == 429
    for held in waiting:
        held.visit.json(held.visit.text("done"))
        held.release()
    assert [client.answer().message["id"] for client in clients[4:]] == [4, 5, 6, 7]
    wait_until(lambda: session.call("again", "echo", text="x").status == 200, "a free place")
    session.end()


# -- batches -----------------------------------------------------------------------------------------------------------


def test_a_batch_is_for_2025_03_26_and_all_its_answers_are_on_one_exchange(serve: Serve) -> None:
    session = serve.session(version="2025-03-26")
    parts = [
        call(1, "echo", text="a"),
        tells("notifications/progress", progressToken="x", progress=1),
        request(2, "ping"),
    ]
    events = list(session.post(parts).stream())
    assert sorted(event.message["id"] for event in events) == [1, 2]
    assert session.ask([tells("notifications/roots/list_changed")]).status == 202
    for wrong in ([], [initialize()], [1], [call(3, "echo", text="x"), {"jsonrpc": "2.0"}]):
        answer = session.ask(wrong)
        assert (answer.status, answer.code) == (400, -32600), (wrong, answer)
    many = session.ask([request(number, "ping") for number in range(9)])  # each part counts
    assert (many.status, many.code) == (429, -31003)
    session.end()
    for version in ("2024-11-05", "2025-06-18", "2025-11-25"):
        other = serve.session(version=version)
        refused = other.ask([request(1, "ping")])
        assert (refused.status, refused.code) == (400, -32600), version
        other.end()

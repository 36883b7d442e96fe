"""What does no work waits for its turn at a server that is slow with it, and what does work waits for none of that."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from tests.gateway.scripted_upstream import BOUND_S, Upstream, Visit
from tests.gateway.serving import Client, Serve, by_url, place, request
from tests.gateway.wrapping import wait_until

from doorward.audit.reader import last
from doorward.gateway.http.carriage import Carriage
from doorward.gateway.http.line import AT_SERVER, LONGEST_S, Line


class Slow(Upstream):
    """Answers no ``tools/list`` before it is told to, once it is ``slow``."""

    def __init__(self) -> None:
        self.slow = False
        self.listing: list[threading.Event] = []
        super().__init__()

    def _ask(self, visit: Visit) -> None:
        if self.slow and visit.message["method"] == "tools/list":
            go = threading.Event()
            self.listing.append(go)
            go.wait(BOUND_S)
        super()._ask(visit)


@pytest.fixture
def upstream() -> Iterator[Slow]:
    made = Slow()
    yield made
    for one in made.listing:
        one.set()
    made.stop()


@pytest.fixture
def serve(tmp_path: Path, upstream: Slow) -> Iterator[Serve]:
    with place(tmp_path) as house:
        yield house.serve(by_url(upstream.url))


def _lists(serve: Serve, count: int, *, modern: bool) -> list[Client]:
    """So many lists, asked for at once by different senders."""
    if modern:
        return [serve.send_modern(number, "tools/list") for number in range(count)]
    return [serve.session().post(request(number, "tools/list")) for number in range(count)]


def _worker(serve: Serve, *, modern: bool) -> Callable[[], bool]:
    """Whether a call of the same principal is answered; one was, so that the server's tools are known."""
    session = None if modern else serve.session()

    def works() -> bool:
        if session is None:
            return serve.modern("work", "tools/call", name="echo", arguments={"text": "x"}).status == 200
        return session.call(next(numbers), "echo", text="x").status == 200

    numbers = itertools.count()
    assert works()
    return works


def waits(state: Path) -> bool:
    """Whether the log says that some had to wait, and for what."""
    noted = [found for one in last(state).found if one.entry.kind == "notice" for found in one.entry.findings]
    return any(one.control == "principal-limits" and "wait for their turn at web" in one.reason for one in noted)


@pytest.mark.parametrize("modern", [False, True], ids=["legacy", "modern"])
def test_two_lists_of_a_principal_are_at_a_server_and_the_next_goes_when_one_is_answered(
    serve: Serve, upstream: Slow, tmp_path: Path, modern: bool
) -> None:
    works = _worker(serve, modern=modern)
    upstream.slow = True
    clients = _lists(serve, 4, modern=modern)
    wait_until(lambda: len(upstream.listing) >= AT_SERVER, "two lists are asked for")
    assert works()  # beside them, and not behind those that wait
    assert len(upstream.listing) == AT_SERVER
    wait_until(lambda: waits(tmp_path / "state"), "it is on record")
    for number in range(4):
        wait_until(lambda: len(upstream.listing) > number, "the next one")  # noqa: B023 - called here
        upstream.listing[number].set()
    assert [client.answer().status for client in clients] == [200] * 4


def test_a_server_that_answers_no_list_is_asked_the_others_all_the_same(serve: Serve, upstream: Slow) -> None:
    _worker(serve, modern=True)
    upstream.slow = True
    clients = _lists(serve, 3, modern=True)
    wait_until(lambda: len(upstream.listing) == 3, "the third is not held back for ever")
    upstream.listing[2].set()
    assert 200 in [client.answer().status for client in clients[2:]]


def test_a_client_that_left_the_line_is_not_asked_for(serve: Serve, upstream: Slow) -> None:
    works = _worker(serve, modern=True)
    upstream.slow = True
    first = _lists(serve, 2, modern=True)
    wait_until(lambda: len(upstream.listing) == AT_SERVER, "two lists are asked for")
    left = serve.send_modern("left", "tools/list")
    last = serve.send_modern("last", "tools/list")
    assert works()  # both are in line by now
    left.reset()
    assert works()
    for one in tuple(upstream.listing):
        one.set()
    wait_until(lambda: len(upstream.listing) == AT_SERVER + 1, "the last one")
    upstream.listing[-1].set()
    assert (last.answer().status, [one.answer().status for one in first]) == (200, [200] * 2)
    assert len(upstream.listing) == AT_SERVER + 1


class Clock:
    """A loop on which time passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, work: Callable[..., None], *args: object) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(self.now + delay, work, args, cast("asyncio.AbstractEventLoop", self))
        self.due.append((self.now + delay, lambda: None if handle.cancelled() else work(*args)))
        return handle

    def call_soon(self, work: Callable[..., None], *args: object) -> None:
        self.due.append((self.now, partial(work, *args)))

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, _: asyncio.TimerHandle) -> None:
        """For the handle."""

    def pass_to(self, until: float) -> None:
        while ready := [one for one in self.due if one[0] <= until]:
            first = min(ready, key=lambda one: one[0])
            self.due.remove(first)
            self.now = max(self.now, first[0])
            first[1]()
        self.now = until


class Waiting:
    def __init__(self) -> None:
        self.on_done: Callable[[], None] = lambda: None


def test_what_is_sent_beyond_ones_part_is_there_one_at_a_time_and_half_of_the_time() -> None:
    clock = Clock()
    line = Line(cast("asyncio.AbstractEventLoop", clock))
    asked = [Waiting() for _ in range(4)]
    sent: list[int] = []

    def enter(number: int, *, beyond: bool) -> bool:
        return line.enter(("ada", "web", beyond), cast("Carriage", asked[number]), partial(sent.append, number))

    assert enter(0, beyond=True)
    assert not enter(1, beyond=True)
    assert enter(2, beyond=False)  # whoever sends little does not wait behind them
    clock.pass_to(0.2)
    asked[0].on_done()
    clock.pass_to(0.39)
    assert sent == [0, 2]
    clock.pass_to(0.4)
    assert sent == [0, 2, 1]
    asked[1].on_done()  # it took no time, so nobody rests
    clock.pass_to(0.4)
    assert enter(3, beyond=True)


def test_who_waited_for_a_second_is_sent_on_whoever_is_there() -> None:
    clock = Clock()
    line = Line(cast("asyncio.AbstractEventLoop", clock))
    sent: list[int] = []
    for number in range(2):
        line.enter(("ada", "web", True), cast("Carriage", Waiting()), partial(sent.append, number))
    clock.pass_to(LONGEST_S - 0.01)
    assert sent == [0]
    clock.pass_to(LONGEST_S)
    assert sent == [0, 1]

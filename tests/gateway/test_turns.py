"""Whoever brings much at once has it taken a little at a time: in every turn of the loop others come between, and
nothing of it is lost, held back or turned round.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.bounded import until
from tests.gateway import http_peer
from tests.gateway.raw_upstream import Ear, Visit, call, on_both_loops, raw_upstream

from doorward.gateway.http.call import HttpCall
from doorward.gateway.ports import Intake
from doorward.gateway.turns import AT_ONCE, LATELY_S, SHARE_S, Share, turns
from doorward.gateway.upstream.address import parse
from doorward.gateway.upstream.http_client import HttpClient
from doorward.gateway.upstream.streamable import StreamableConnector
from doorward.wire.jsonrpc import encode_value
from doorward.wire.lines import Overlong

MANY = 300
PIECES = 4
NEWS = encode_value({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": 1}})


class Turn:
    """Counts the turns of the loop, as somebody does who has something to do in each."""

    def __init__(self) -> None:
        self.number = 0
        self.count: Counter[int] = Counter()

    def note(self) -> None:
        self.count[self.number] += 1

    @property
    def most(self) -> int:
        """The most that was noted in one turn."""
        return max(self.count.values())

    async def run(self) -> None:
        while True:
            self.number += 1
            await asyncio.sleep(0)


def each_takes_a_part_of_a_share() -> None:
    """From now on ``PIECES`` are a share, whatever they really take."""
    clock = itertools.count()
    turns().now = lambda: next(clock) * SHARE_S / PIECES * 1.001  # no rounding makes it one more


@asynccontextmanager
async def counted() -> AsyncIterator[Turn]:
    turn = Turn()
    running = asyncio.get_running_loop().create_task(turn.run())
    try:
        yield turn
    finally:
        running.cancel()


class Listening(Ear):
    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self.turn = turn

    def arrive(self, frame: bytes, exchange: int) -> None:
        self.turn.note()
        super().arrive(frame, exchange)


@on_both_loops
async def test_who_comes_to_the_line_waits_for_one_piece_of_each_that_is_there_and_not_for_all_that_they_bring() -> (
    None
):
    line, done = turns(), list[str]()

    async def bring(name: str, pieces: int) -> None:
        for _ in range(pieces):
            await line.come()
            done.append(name)

    await asyncio.gather(*(bring(f"flood {number}", 50) for number in range(4)), bring("honest", 1))
    assert done.index("honest") <= 8
    assert len(done) == 4 * 50 + 1


@on_both_loops
async def test_a_source_has_its_share_in_each_turn_and_none_for_a_while_once_it_used_one_up() -> None:
    each_takes_a_part_of_a_share()
    share, other = Share(turns()), Share(turns())
    assert [share.take() for _ in range(PIECES + 2)] == [True] * PIECES + [False] * 2
    for _ in range(3):
        assert [other.take() for _ in range(PIECES - 1)] == [True] * (PIECES - 1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not share.take()
    later = turns().now() + LATELY_S
    turns().now = lambda: later
    assert share.take()


@on_both_loops
async def test_whoever_left_the_line_holds_nobody_up() -> None:
    line = turns()
    left = asyncio.ensure_future(line.come())
    await asyncio.sleep(0)
    left.cancel()
    await line.come()
    assert left.cancelled()


@on_both_loops
async def test_of_the_events_that_one_read_brings_few_are_taken_in_one_turn_and_all_in_their_order() -> None:
    events = [{"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": n}} for n in range(MANY)]
    stream = b"".join(b"data: %s\n\n" % encode_value(event) for event in events)

    async def play(visit: Visit) -> None:
        await visit.stream()
        await visit.chunk(stream)
        await visit.event({"jsonrpc": "2.0", "id": visit.seen.tree["id"], "result": {}})
        await visit.end()

    async with raw_upstream(play) as upstream, counted() as turn:
        each_takes_a_part_of_a_share()
        ear = Listening(turn)
        address = parse(upstream.url)
        connector = StreamableConnector(HttpClient(address), address, ear)
        connector.put(call(1))
        messages = await ear.heard(MANY + 1)
        await connector.close()
    assert [message for message, _ in messages[:MANY]] == events
    assert messages[MANY][0]["id"] == 1
    assert turn.most <= PIECES * AT_ONCE
    assert not ear.losses


@on_both_loops
async def test_a_connection_whose_answer_was_still_being_taken_when_it_ended_brings_the_next_one() -> None:
    async def play(visit: Visit) -> None:
        answer = encode_value({"jsonrpc": "2.0", "id": visit.seen.tree["id"], "result": {}})
        stream = (b"data: %s\n\n" % NEWS) * 64 + b"data: %s\n\n" % answer
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(stream)
        await visit.say(head + stream)  # in one piece: all of it is there before the first is taken

    async with raw_upstream(play) as upstream:
        ear, address = Ear(), parse(upstream.url)
        connector = StreamableConnector(HttpClient(address, connections=1), address, ear)
        for number in range(1, 5):
            connector.put(call(number))
            messages = await ear.heard(number * 65)
            assert messages[-1][0]["id"] == number
        await connector.close()
    assert upstream.connections == 1
    assert not ear.losses


@on_both_loops
async def test_of_the_lines_that_one_read_brings_few_are_taken_in_one_turn_and_none_is_held_back() -> None:
    ours, theirs = os.pipe()
    heard: list[bytes | Overlong] = []
    async with counted() as turn:
        each_takes_a_part_of_a_share()

        def take(line: bytes | Overlong) -> None:
            turn.note()
            heard.append(line)

        reading = asyncio.ensure_future(Intake(ours, 1024, take).run())
        os.write(theirs, b"".join(b"%d\n" % number for number in range(MANY)))
        await until(lambda: len(heard) == MANY)
        os.write(theirs, b"last\n")
        await until(lambda: heard[-1] == b"last")
        os.close(theirs)
        await reading
    os.close(ours)
    assert heard == [*(b"%d" % number for number in range(MANY)), b"last"]
    assert turn.most <= PIECES * AT_ONCE


@http_peer.on_both_loops
async def test_of_those_who_send_more_than_their_part_few_are_heard_in_one_turn() -> None:
    get = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
    app = http_peer.Notebook()
    app.takes = 0
    async with http_peer.house(app) as here, counted() as turn:
        each_takes_a_part_of_a_share()
        floods = [await here.client() for _ in range(16)]

        def admit(call: HttpCall) -> None:
            turn.note()
            call.pace()
            call.answer(200, b"x")

        app.on_admit = admit
        for flood in floods:
            await flood.send(get)
            assert (await flood.answer())[0] == 200
        turn.count.clear()
        for flood in floods:
            await flood.send(get * 4)
        for flood in floods:
            for _ in range(4):
                assert (await flood.answer())[0] == 200
    assert turn.count.total() == 16 * 4
    assert turn.most <= AT_ONCE


@http_peer.on_both_loops
async def test_of_those_who_were_refused_few_are_heard_in_one_turn_and_who_was_not_is_heard_at_once() -> None:
    get = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
    app = http_peer.Notebook()
    app.takes = 0
    app.on_admit = lambda call: call.answer(429)
    async with http_peer.house(app) as here:
        floods = [await here.client() for _ in range(16)]
        honest = await here.client()
        for flood in floods:
            await flood.send(get)
            assert (await flood.answer())[0] == 429
        async with counted() as turn:
            each_takes_a_part_of_a_share()

            def admit(call: HttpCall) -> None:
                turn.note()
                call.answer(200, b"x")

            app.on_admit = admit
            for flood in floods:
                await flood.send(get * 4)
            await honest.send(get)
            assert (await honest.answer())[0] == 200
            for flood in floods:
                for _ in range(4):
                    assert (await flood.answer())[0] == 200
    assert turn.count.total() == 16 * 4 + 1
    assert turn.most <= AT_ONCE + 1

"""Nobody makes the server wait or hold for longer, or more, than its limits say; everybody else is served meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from tests.bounded import BOUND_S, until
from tests.gateway.http_peer import Client, Notebook, chunked, house, on_both_loops, post

from doorward.gateway.http.call import HttpCall
from doorward.gateway.turns import turns

GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
SHORT_S = 0.2
SMALL_BUFFER = 8 * 1024
MEBIBYTE = 1024 * 1024


async def pour(client: Client, piece: bytes, most: int) -> int:
    """Send as fast as the server takes it, until it has had enough; how much that was."""
    sent = 0
    try:
        while sent < most:
            await client.send(piece)
            sent += len(piece)
    except (ConnectionError, RuntimeError):  # uvloop's word for a transport that is closed
        pass
    return sent


@on_both_loops
async def test_an_announced_body_above_the_limit_is_refused_before_any_of_it_is_asked_for() -> None:
    async with house(body_bytes=1000) as here:
        client = await here.client()
        await client.send(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n")
        status, headers, _ = await client.answer()
        assert (status, headers["connection"], here.app.findings) == (413, "close", ["body-bytes"])
        assert await client.is_closed()
        assert (here.app.admitted, here.app.most_held) == ([], 0)


@on_both_loops
async def test_an_announced_body_above_what_the_application_takes_is_refused() -> None:
    app = Notebook()
    app.takes = 3
    async with house(app) as here:
        client = await here.client()
        await client.send(post(b"abcd"))
        assert (await client.answer())[0] == 413
        assert await client.is_closed()
        assert (app.bodies, app.most_held) == ([], 0)
        assert app.admitted[0].gone


@pytest.mark.parametrize("size", [16, 64 * 1024, 1024 * 1024])
@on_both_loops
async def test_an_endless_chunked_body_is_cut_off_and_never_held(size: int) -> None:
    async with house(body_bytes=100_000) as here:
        client = await here.client()
        await client.send(b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"%x\r\n%b\r\n" % (size, b"a" * size)
        poured = await pour(client, piece * (1024 * 1024 // size), 10**10)
        assert poured < 64 * MEBIBYTE
        assert here.app.findings == ["body-bytes"]
        assert here.app.most_held <= 100_000
        assert here.app.bodies == []


@on_both_loops
async def test_a_client_that_reads_only_after_it_sent_all_still_sees_why_it_was_refused() -> None:
    async with house(body_bytes=1000) as here:
        client = await here.client()
        await client.send(post(b"a" * 5 * MEBIBYTE))
        assert (await client.answer())[0] == 413
        assert await client.is_closed()


@on_both_loops
async def test_a_refused_client_that_stays_is_cut_off_after_a_moment() -> None:
    async with house(head_seconds=SHORT_S) as here:
        client = await here.client()
        await client.send(b"nonsense\r\n\r\n")
        assert (await client.answer())[0] == 400
        await until(lambda: here.server.connections == 0)


@on_both_loops
async def test_a_head_that_takes_too_long_is_answered_408_whatever_still_trickles_in() -> None:
    async with house(head_seconds=SHORT_S) as here:
        client = await here.client()
        answered = asyncio.create_task(client.answer())
        for byte in b"GET / HTTP/1.1\r\nX: " + b"a" * 2000:
            if answered.done():
                break
            await client.send(bytes([byte]))
            await asyncio.wait({answered}, timeout=0.01)
        assert (await answered)[0] == 408
        assert here.app.findings == ["slow-head"]


@on_both_loops
async def test_a_connection_that_never_says_anything_is_closed_silently() -> None:
    async with house(head_seconds=SHORT_S) as here:
        client = await here.client()
        assert await client.is_closed()
        assert here.app.findings == []


@on_both_loops
async def test_a_connection_without_a_next_request_is_closed_silently() -> None:
    async with house(idle_seconds=SHORT_S) as here:
        client = await here.client()
        await client.send(post(b"a"))
        assert (await client.answer())[0] == 200
        assert await client.is_closed()
        assert here.app.findings == []


@on_both_loops
async def test_a_slow_head_of_a_later_request_is_no_idle_connection() -> None:
    async with house(head_seconds=SHORT_S, idle_seconds=BOUND_S) as here:
        client = await here.client()
        await client.send(post(b"a"))
        await client.answer()
        await client.send(b"GET / HTT")
        assert (await client.answer())[0] == 408


@pytest.mark.parametrize("framing", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
@on_both_loops
async def test_a_body_that_takes_too_long_is_answered_408_whatever_still_trickles_in(framing: bytes) -> None:
    async with house(body_seconds=SHORT_S) as here:
        client = await here.client()
        await client.send(b"POST / HTTP/1.1\r\nHost: here\r\n" + framing + b"\r\n\r\n")
        answered = asyncio.create_task(client.answer())
        for _ in range(900):
            if answered.done():
                break
            await client.send(b"a" if b"Length" in framing else b"1\r\na\r\n")
            await asyncio.wait({answered}, timeout=0.01)
        assert (await answered)[0] == 408
        assert here.app.findings == ["slow-body"]
        assert here.app.admitted[0].gone


@on_both_loops
async def test_a_body_that_keeps_coming_at_the_rate_that_is_asked_for_is_served() -> None:
    async with house(body_seconds=SHORT_S, body_bytes_per_second=10) as here:
        client = await here.client()
        await client.send(post(b"a" * 100)[:-50])
        await asyncio.sleep(SHORT_S * 3)
        await client.send(b"a" * 50)
        assert (await client.answer())[::2] == (200, b"a" * 100)


@on_both_loops
async def test_bodies_are_refused_with_a_time_to_come_back_when_the_budget_of_all_is_used_up() -> None:
    app = Notebook()
    app.budget = 100
    async with house(app) as here:
        first, second = await here.client(), await here.client()
        await first.send(post(b"a" * 90)[:-10])
        await until(lambda: app.held == 80)
        for sent in (post(b"b" * 30), chunked(b"b" * 30)):
            client = await here.client()
            await client.send(sent)
            status, headers, _ = await client.answer()
            assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        await second.send(post(b"c" * 10))
        assert (await second.answer())[::2] == (200, b"c" * 10)
        await first.send(b"a" * 10)
        assert (await first.answer())[::2] == (200, b"a" * 90)
        assert app.findings == ["in-flight-bytes"] * 2
        await until(lambda: app.held == 0)


@on_both_loops
async def test_the_budget_gets_back_what_a_client_that_left_had_sent() -> None:
    async with house() as here:
        client = await here.client()
        await client.send(post(b"a" * 90)[:-10])
        await until(lambda: here.app.held == 80)
        client.leave()
        await until(lambda: here.app.held == 0)
        assert here.app.bodies == []


@on_both_loops
async def test_when_all_places_are_taken_the_longest_waiting_connection_gives_way() -> None:
    async with house(connections=2) as here:
        first, second = await here.client(), await here.client()
        for client in (first, second):
            await client.send(post(b"a"))
            await client.answer()
        await first.send(post(b"a"))
        await first.answer()
        third = await here.client()
        assert await second.is_closed()
        for client in (third, first):
            await client.send(post(b"b"))
            assert (await client.answer())[::2] == (200, b"b")
        assert here.server.connections == 2


@on_both_loops
async def test_when_one_owner_takes_all_places_with_bodies_that_do_not_come_it_gives_way_and_nobody_else() -> None:
    app = Notebook()
    greedy: set[int] = set()
    app.owner_of = lambda port: "greedy" if port in greedy else "honest"
    async with house(app, connections=8) as here, contextlib.AsyncExitStack() as left:
        honest = await here.client()
        await honest.send(post(b"a" * 100)[:-50])
        await until(lambda: len(app.admitted) == 1)
        for number in range(7):
            slow = left.enter_context(bound())
            greedy.add(slow.getsockname()[1])
            slow.connect(here.server.address)
            slow.sendall(post(b"a" * 100)[:-50])
            await until(lambda number=number: len(app.admitted) == 2 + number)  # type: ignore[misc]
        for _ in range(3):
            client = await here.client()
            await client.send(post(b"b"))
            assert (await client.answer())[::2] == (200, b"b")
        await honest.send(b"a" * 50)
        assert (await honest.answer())[::2] == (200, b"a" * 100)


@on_both_loops
async def test_when_all_places_are_taken_by_calls_a_new_connection_is_answered_503() -> None:
    app = Notebook()
    app.on_receive = lambda _call, _body: None
    async with house(app, connections=1) as here:
        first = await here.client()
        await first.send(post(b"a"))
        await until(lambda: app.bodies)
        second = await here.client()
        status, headers, _ = await second.answer()
        assert (status, headers["retry-after"]) == (503, "1")
        assert await second.is_closed()
        assert app.findings == ["connections"]
        app.admitted[0].answer(200, b"done")
        assert (await first.answer())[::2] == (200, b"done")


@on_both_loops
async def test_requests_that_are_sent_at_once_are_answered_in_order_and_do_not_pile_up() -> None:
    app = Notebook()
    app.on_receive = lambda _call, _body: None
    async with house(app) as here:
        client = await here.client()
        await client.send(post(b"0") + post(b"1") + post(b"2"))
        pouring = asyncio.create_task(pour(client, post(b"a" * 1000) * 60, 64 * MEBIBYTE))
        for number in range(3):
            await until(lambda number=number: len(app.bodies) == number + 1)  # type: ignore[misc]
            assert not pouring.done()
            app.admitted[number].answer(200, app.bodies[number])
            assert (await client.answer())[::2] == (200, b"%d" % number)
        assert len(app.admitted) <= 4
        await until(lambda: len(app.admitted) == 4)
        assert not app.admitted[3].gone
        client.reset()
        await until(lambda: app.admitted[3].gone)  # though nothing of it is read any more
        await pouring


@on_both_loops
async def test_requests_that_are_sent_at_once_keep_nobody_else_waiting_for_all_of_them() -> None:
    app = Notebook()
    app.on_admit = lambda call: call.answer(404)
    async with house(app) as here:
        many, other = await here.client(), await here.client()
        many.writer.write(GET * 1000)
        other.writer.write(GET)
        assert (await other.answer())[0] == 404
        assert len(app.admitted) < 100
        for _ in range(1000):
            assert (await many.answer())[0] == 404


@on_both_loops
async def test_what_a_client_sends_while_it_stands_in_line_is_not_held_beyond_a_piece() -> None:
    app = Notebook()
    app.on_admit = lambda call: call.pace()
    async with house(app) as here:
        client = await here.client()
        await client.send(GET)
        await client.answer()
        await until(lambda: app.admitted)
        line, over = turns(), asyncio.Event()

        def stand() -> None:  # many others, who never leave
            if not over.is_set():
                line.join(stand)

        for _ in range(1_000_000):
            line.join(stand)
        pouring = asyncio.create_task(pour(client, GET * 2000, 24 * MEBIBYTE))
        for _ in range(4000):  # turns of the loop, each enough for a piece
            await asyncio.sleep(0)
        assert not pouring.done()  # the kernel holds some, we hold a piece
        over.set()
        client.leave()
        await pouring


def small_receiver(address: tuple[str, int]) -> socket.socket:
    """A client that takes little at a time."""
    made = bound()
    made.connect(address)
    return made


@on_both_loops
async def test_a_client_that_takes_nothing_of_its_answer_is_cut_off() -> None:
    app = Notebook()
    app.on_receive = lambda call, _body: call.answer(200, b"a" * 32 * MEBIBYTE)
    async with house(app, write_seconds=SHORT_S) as here:
        with small_receiver(here.server.address) as client:
            client.sendall(GET)
            await until(lambda: app.findings)
            assert app.findings == ["slow-reader"]
            await until(lambda: here.server.connections == 0)


@on_both_loops
async def test_a_client_that_takes_nothing_of_its_stream_is_cut_off_though_more_is_written() -> None:
    app = Notebook()
    gone: list[HttpCall] = []

    def stream(call: HttpCall, _body: bytes) -> None:
        call.on_gone = lambda: gone.append(call)
        call.open_stream(200, "text/event-stream")

    app.on_receive = stream
    async with house(app, write_seconds=SHORT_S) as here:
        with small_receiver(here.server.address) as client:
            client.sendall(GET)
            await until(lambda: app.admitted)
            (call,) = app.admitted
            async with asyncio.timeout(BOUND_S):
                while call.write(b"a" * 100_000):  # noqa: ASYNC110 (the write is what ends it)
                    await asyncio.sleep(0.01)
            assert gone == [call]
            assert app.findings == ["slow-reader"]
            assert call.buffered == 0


@on_both_loops
async def test_a_client_that_takes_no_answers_gets_no_more_of_its_requests_served() -> None:
    app = Notebook()
    app.on_receive = lambda call, _body: call.answer(200, b"a" * MEBIBYTE)
    async with house(app) as here:
        with small_receiver(here.server.address) as client:
            client.sendall(GET * 200)
            await until(lambda: app.admitted)
            other = await here.client()
            await other.send(GET)
            await other.answer()
            served = len(app.admitted)
            assert served < 20
            rest = await asyncio.to_thread(client.recv, MEBIBYTE)
            assert rest.startswith(b"HTTP/1.1 200")


@on_both_loops
async def test_a_client_that_takes_its_answer_slowly_but_steadily_gets_all_of_it() -> None:
    app = Notebook()
    app.on_receive = lambda call, _body: call.answer(200, b"a" * 6 * MEBIBYTE, close=True)
    async with house(app, write_seconds=SHORT_S * 2) as here:
        with small_receiver(here.server.address) as client:
            client.sendall(GET)
            taken = 0
            while piece := await asyncio.to_thread(client.recv, 64 * 1024):
                taken += len(piece)
                if taken < MEBIBYTE:
                    await asyncio.sleep(0.01)
            assert taken > 6 * MEBIBYTE
            assert app.findings == []


@on_both_loops
async def test_answers_that_are_not_taken_are_bounded_together_and_who_holds_most_loses_the_oldest() -> None:
    app = Notebook()
    app.on_receive = lambda call, _body: call.answer(200, b"a" * 24 * MEBIBYTE)
    app.owner_of = lambda port: "greedy" if port in greedy else "honest"
    greedy: set[int] = set()
    async with house(app, untaken_bytes=100 * MEBIBYTE) as here:
        with contextlib.ExitStack() as left:
            honest = left.enter_context(small_receiver(here.server.address))
            honest.sendall(GET)
            await until(lambda: len(app.admitted) == 1)
            for number in range(12):
                client = left.enter_context(bound())
                greedy.add(client.getsockname()[1])
                client.connect(here.server.address)
                client.sendall(GET)
                await until(lambda number=number: len(app.admitted) == number + 2)  # type: ignore[misc]
            await until(lambda: here.server.connections <= 6)
            assert set(app.findings) == {"untaken-bytes"}
            taken = 0
            async with asyncio.timeout(BOUND_S):
                while taken < 24 * MEBIBYTE:
                    taken += len(await asyncio.to_thread(honest.recv, MEBIBYTE))


@on_both_loops
async def test_a_stream_that_is_taken_steadily_is_not_counted_for_what_was_taken() -> None:
    app = Notebook()
    app.on_receive = lambda call, _body: call.open_stream(200, "text/event-stream")
    async with house(app, untaken_bytes=16 * MEBIBYTE) as here:
        with small_receiver(here.server.address) as client:
            client.sendall(GET)
            await until(lambda: app.admitted)
            (call,) = app.admitted
            call.write(b"a" * 8 * MEBIBYTE)
            for _ in range(40):  # never all of it, and never more than may wait
                assert call.write(b"a" * MEBIBYTE)
                before = call.buffered
                while call.buffered > before - MEBIBYTE:
                    await asyncio.to_thread(client.recv, MEBIBYTE)
            assert app.findings == []
            assert call.buffered


def bound() -> socket.socket:
    """A client that takes little at a time, and has its port already."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    made.settimeout(BOUND_S)
    made.bind(("127.0.0.1", 0))
    return made

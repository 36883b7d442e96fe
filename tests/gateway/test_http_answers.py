"""Answers, whole and streamed; who leaves is noticed; and the end of a server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.bounded import until
from tests.gateway.http_peer import Notebook, house, on_both_loops, post

from doorward.gateway.http.call import FULL_BYTES, HttpCall

GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
NOT_STORED = {"x-content-type-options": "nosniff", "cache-control": "no-store"}


def held_back() -> Notebook:
    """An application that answers nothing by itself."""
    app = Notebook()
    app.on_receive = lambda _call, _body: None
    return app


def streaming() -> Notebook:
    app = Notebook()
    app.on_receive = lambda call, _body: call.open_stream(200, "text/event-stream", [("X-A", "b")])
    return app


@on_both_loops
async def test_a_whole_answer_says_its_length_and_type_and_that_it_is_not_kept() -> None:
    async with house() as here:
        client = await here.client()
        await client.send(post(b"{}"))
        status, headers, body = await client.answer()
        assert (status, body) == (200, b"{}")
        assert headers == {"content-type": "application/json", "content-length": "2", **NOT_STORED}


@on_both_loops
async def test_an_answer_without_a_body_has_no_type_and_headers_of_the_application_are_sent() -> None:
    app = held_back()
    async with house(app) as here:
        client = await here.client()
        await client.send(post(b"{}"))
        await until(lambda: app.bodies)
        app.admitted[0].answer(202, headers=[("Mcp-Session-Id", "s1")])
        status, headers, _ = await client.answer()
        assert (status, headers) == (202, {"content-length": "0", "mcp-session-id": "s1", **NOT_STORED})


@on_both_loops
async def test_head_and_204_have_no_body() -> None:
    app = held_back()
    async with house(app) as here:
        client = await here.client()
        await client.send(GET.replace(b"GET", b"HEAD") + GET)
        await until(lambda: app.bodies)
        app.admitted[0].answer(200, b"abc")
        status, headers = await client.head()
        assert (status, headers["content-length"]) == (200, "3")
        await until(lambda: len(app.bodies) == 2)
        app.admitted[1].answer(204)
        assert await client.head() == (204, NOT_STORED)


@on_both_loops
async def test_a_stream_is_sent_piece_by_piece_and_the_connection_serves_the_next_request() -> None:
    app = streaming()
    async with house(app) as here:
        client = await here.client()
        await client.send(GET)
        status, headers = await client.head()
        assert (status, headers["transfer-encoding"], headers["x-a"]) == (200, "chunked", "b")
        call = app.admitted[0]
        assert (call.streaming, call.answered) == (True, False)
        pieces = client.chunks()
        for piece in (b"data: 1\n\n", b"data: 2\n\n"):
            assert call.write(piece)
            assert await anext(pieces) == piece
        assert call.write(b"")
        call.end()
        assert [piece async for piece in pieces] == []
        assert (call.streaming, call.answered) == (False, True)
        app.on_receive = lambda call, body: call.answer(200, body)
        await client.send(post(b"next"))
        assert (await client.answer())[2] == b"next"


@on_both_loops
async def test_a_client_of_http_1_0_gets_a_stream_that_ends_with_the_connection() -> None:
    app = streaming()
    async with house(app) as here:
        client = await here.client()
        await client.send(b"GET / HTTP/1.0\r\nHost: here\r\nConnection: keep-alive\r\n\r\n")
        _, headers = await client.head()
        assert headers["connection"] == "close"
        assert "transfer-encoding" not in headers
        app.admitted[0].write(b"data: 1\n\n")
        app.admitted[0].end()
        assert await client.rest() == b"data: 1\n\n"


@on_both_loops
async def test_a_connection_is_closed_where_the_client_or_the_application_says_so() -> None:
    async with house() as here:
        asked = await here.client()
        await asked.send(post(b"a", b"Connection: Keep-Alive, Close"))
        _, headers, _ = await asked.answer()
        assert headers["connection"] == "close"
        assert await asked.is_closed()
        here.app.on_receive = lambda call, body: call.answer(200, body, close=True)
        told = await here.client()
        await told.send(post(b"a"))
        assert (await told.answer())[1]["connection"] == "close"
        assert await told.is_closed()


@on_both_loops
async def test_a_body_is_asked_for_where_the_client_waits_for_that() -> None:
    async with house() as here:
        client = await here.client()
        await client.send(post(b"abc", b"Expect: 100-continue")[:-3])
        assert await client.head() == (100, {})
        await client.send(b"abc")
        assert (await client.answer())[::2] == (200, b"abc")


@on_both_loops
async def test_a_client_that_waits_to_be_asked_for_its_body_is_refused_without_it() -> None:
    app = Notebook()
    app.on_admit = lambda call: call.answer(401)
    async with house(app) as here:
        client = await here.client()
        await client.send(post(b"abc", b"Expect: 100-continue")[:-3])
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (401, "close")
        assert await client.is_closed()


@on_both_loops
async def test_an_answer_to_the_head_alone_drops_a_small_body_and_keeps_the_connection() -> None:
    app = Notebook()
    app.on_admit = lambda call: call.answer(401)
    async with house(app) as here:
        client = await here.client()
        await client.send(post(b"a" * 60_000)[:-10])
        assert (await client.answer())[0] == 401
        await client.send(b"a" * 10 + post(b"b"))
        assert (await client.answer())[0] == 401
        assert (app.bodies, app.most_held, len(app.admitted)) == ([], 0, 2)


@pytest.mark.parametrize("framing", [b"Content-Length: 3000000", b"Transfer-Encoding: chunked"])
@on_both_loops
async def test_an_answer_to_the_head_alone_of_a_large_body_ends_the_connection(framing: bytes) -> None:
    app = Notebook()
    app.on_admit = lambda call: call.answer(401)
    async with house(app) as here:
        client = await here.client()
        await client.send(b"POST / HTTP/1.1\r\nHost: here\r\n" + framing + b"\r\n\r\n" + b"5\r\nabcde\r\n")
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (401, "close")
        assert await client.is_closed()
        assert app.bodies == []


@pytest.mark.parametrize("leaves", ["abort", "close", "half-close"])
@on_both_loops
async def test_a_client_that_leaves_before_its_answer_is_noticed_once(leaves: str) -> None:
    app = held_back()
    gone: list[HttpCall] = []
    async with house(app) as here:
        client = await here.client()
        await client.send(post(b"a"))
        await until(lambda: app.bodies)
        (call,) = app.admitted
        call.on_gone = lambda: gone.append(call)
        {"abort": client.leave, "close": client.writer.close, "half-close": client.writer.write_eof}[leaves]()
        await until(lambda: here.server.connections == 0)
        assert (gone, call.gone, call.answered) == ([call], True, False)
        call.answer(200, b"too late")
        await call.room()
        await call.drained()
        assert (call.gone, call.answered, call.buffered) == (True, False, 0)
        assert app.findings == []


@on_both_loops
async def test_a_client_that_leaves_a_stream_is_noticed_and_nothing_more_is_written() -> None:
    app = streaming()
    gone: list[HttpCall] = []
    async with house(app) as here:
        client = await here.client()
        await client.send(GET)
        await client.head()
        (call,) = app.admitted
        call.on_gone = lambda: gone.append(call)
        client.leave()
        await until(lambda: gone)
        assert not call.write(b"data: 1\n\n")
        call.end()
        assert (call.gone, call.streaming, call.answered) == (True, False, False)


@on_both_loops
async def test_a_client_that_closes_its_side_after_the_answer_was_written_still_gets_all_of_it() -> None:
    app = Notebook()
    app.on_receive = lambda call, _body: call.answer(200, b"a" * 20_000_000)
    async with house(app) as here:
        client = await here.client()
        await client.send(GET)
        client.writer.write_eof()
        assert (await client.answer())[2] == b"a" * 20_000_000
        assert await client.is_closed()


@on_both_loops
async def test_a_full_stream_has_room_again_when_its_client_takes_what_was_written() -> None:
    app = streaming()
    async with house(app) as here:
        client = await here.client()
        await client.send(GET)
        await client.head()
        (call,) = app.admitted
        written = 0
        while not call.is_full:
            assert call.write(b"a" * 100_000)
            written += 100_000
            await asyncio.sleep(0)
        assert call.buffered > FULL_BYTES
        waiting = asyncio.create_task(call.room())
        drained = asyncio.create_task(call.drained())
        await asyncio.sleep(0)
        assert not waiting.done()
        pieces = client.chunks()
        assert b"".join([await anext(pieces) for _ in range(written // 100_000)]) == b"a" * written
        await asyncio.wait_for(asyncio.gather(waiting, drained), 20)
        assert (call.is_full, call.buffered) == (False, 0)
        call.end()


@on_both_loops
async def test_a_call_is_answered_once() -> None:
    app = held_back()
    async with house(app) as here:
        client = await here.client()
        await client.send(GET)
        await until(lambda: app.bodies)
        (call,) = app.admitted
        with pytest.raises(RuntimeError):
            call.write(b"a")
        with pytest.raises(RuntimeError):
            call.end()
        call.answer(200)
        with pytest.raises(RuntimeError):
            call.answer(200)
        with pytest.raises(RuntimeError):
            call.open_stream(200, "text/plain")


@on_both_loops
async def test_a_header_that_would_end_its_line_is_not_sent() -> None:
    app = held_back()
    async with house(app) as here:
        client = await here.client()
        await client.send(GET)
        await until(lambda: app.bodies)
        (call,) = app.admitted
        for headers in ([("X", "a\r\nSet-Cookie: b")], [("X\n", "a")]):
            with pytest.raises(ValueError, match="cannot be printed"):
                call.answer(200, headers=headers)
            with pytest.raises(ValueError, match="cannot be printed"):
                call.open_stream(200, "text/plain", headers)
        call.answer(200)
        assert (await client.answer())[1] == {"content-length": "0", **NOT_STORED}


@pytest.mark.parametrize("where", ["on_admit", "on_receive"])
@on_both_loops
async def test_an_application_that_fails_is_reported_and_its_client_gets_a_500(where: str) -> None:
    app = Notebook()
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, what: reported.append(what))

    def fail(*_: object) -> None:
        raise LookupError("ECHO7")

    setattr(app, where, fail)
    async with house(app) as here:
        client = await here.client()
        await client.send(post(b"abc"))
        status, headers, body = await client.answer()
        assert (status, headers["connection"]) == (500, "close")
        assert b"ECHO7" not in body
        assert isinstance(reported[0]["exception"], LookupError)
        assert app.admitted[0].gone


@on_both_loops
async def test_an_application_that_fails_after_its_answer_does_not_answer_twice() -> None:
    app = Notebook()
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, what: reported.append(what))

    def fail(call: HttpCall, _body: bytes) -> None:
        call.answer(200, b"abc")
        raise LookupError

    app.on_receive = fail
    async with house(app) as here:
        client = await here.client()
        await client.send(GET)
        assert (await client.answer())[2] == b"abc"
        assert await client.is_closed()
        assert len(reported) == 1


@on_both_loops
async def test_writing_on_to_a_client_that_was_killed_fails_silently() -> None:
    app = streaming()
    async with house(app) as here:
        client = await here.client()
        await client.send(GET)
        await client.head()
        (call,) = app.admitted
        client.reset()
        await until(client.writer.transport.is_closing)
        for _ in range(100):  # within one turn of the loop, so before it can be told that the client is gone
            call.write(b"a" * 100_000)
        call.end()
        await until(lambda: here.server.connections == 0)


class Unknowing(Notebook):
    def connected(self, transport: asyncio.Transport) -> str:
        raise LookupError(transport)


@on_both_loops
async def test_a_connection_whose_owner_cannot_be_told_is_not_served() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, what: reported.append(what))
    async with house(Unknowing()) as here:
        client = await here.client()
        await client.send(GET)
        assert await client.is_closed()
        assert here.app.admitted == []
        assert isinstance(reported[0]["exception"], LookupError)


class Severing(Notebook):
    """Keeps the transport, to end it as a failed write does: before anybody is told."""

    def connected(self, transport: asyncio.Transport) -> str:
        self.transport = transport
        return super().connected(transport)


@on_both_loops
async def test_what_is_written_between_the_end_of_a_transport_and_its_notice_is_lost_silently() -> None:
    app = Severing()
    app.on_receive = lambda call, _body: call.open_stream(200, "text/event-stream")
    async with house(app) as here:
        client = await here.client()
        await client.send(GET)
        await client.head()
        (call,) = app.admitted
        app.transport.abort()
        call.write(b"data: 1\n\n")
        assert not call.gone
        await until(lambda: call.gone)


@on_both_loops
async def test_an_answer_that_comes_later_is_not_interrupted_by_the_next_request() -> None:
    app = held_back()
    async with house(app) as here:
        client = await here.client()
        await client.send(GET + GET)
        await until(lambda: app.bodies)
        app.admitted[0].answer(200)
        assert len(app.admitted) == 1  # the next one was not handed over inside of answer()
        await until(lambda: len(app.bodies) == 2)


@on_both_loops
async def test_a_server_that_closes_answers_what_it_has_and_takes_nobody_new() -> None:
    app = held_back()
    async with house(app) as here:
        busy, idle = await here.client(), await here.client()
        await idle.send(GET.replace(b"GET", b"HEAD"))
        await until(lambda: app.bodies)
        app.admitted[0].answer(200)
        await idle.head()
        await busy.send(post(b"a"))
        await until(lambda: len(app.bodies) == 2)
        closing = asyncio.create_task(here.server.close(20))
        assert await idle.is_closed()
        with pytest.raises(ConnectionError):
            await here.client()
        assert not closing.done()
        app.admitted[1].answer(200, b"done")
        status, headers, body = await busy.answer()
        assert (status, headers["connection"], body) == (200, "close", b"done")
        await asyncio.wait_for(closing, 20)


@on_both_loops
async def test_a_server_that_closes_cuts_off_what_does_not_end_in_time() -> None:
    app = streaming()
    async with house(app) as here:
        client = await here.client()
        await client.send(GET)
        await client.head()
        assert here.server.connections == 1
        await here.server.close(0.05)
        assert here.server.connections == 0
        assert app.admitted[0].gone
        assert await client.is_closed()

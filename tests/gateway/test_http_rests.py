"""Whoever is refused for what it sends too often is not heard at once again, and is heard again."""

from __future__ import annotations

import asyncio

import pytest
from tests.gateway.http_peer import Notebook, house, on_both_loops

from doorward.gateway.http.call import HttpCall
from doorward.gateway.http.limits import REST_S

GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


class Refusing(Notebook):
    """Answers all with one status."""

    status = 429

    def admit(self, call: HttpCall) -> int:
        self.admitted.append(call)
        call.answer(self.status)
        return 0


@pytest.mark.parametrize(("status", "rests"), [(401, True), (429, True), (200, False), (404, False)])
@on_both_loops
async def test_a_connection_rests_after_a_refusal_for_too_much_or_for_nobody(status: int, rests: bool) -> None:
    app = Refusing()
    app.status = status
    async with house(app) as here:
        client, other = await here.client(), await here.client()
        loop = asyncio.get_running_loop()
        began = loop.time()
        await client.send(GET * 4)  # all of them are there
        for _ in range(4):
            assert (await client.answer())[0] == status
        took = round(loop.time() - began, 6)  # uvloop counts milliseconds: no exact difference in binary
        assert (took >= round(3 * REST_S, 6)) is rests
        await client.send(GET)
        await other.send(GET)
        assert (await other.answer())[0] == status  # another one waits for nothing
        assert (await client.answer())[0] == status

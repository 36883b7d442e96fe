"""From a URL that the operator wrote to a server that may be reached: recorded, asked, or refused."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from tests.bounded import in_loop, until
from tests.gateway.foreign import OTHER, Peer

from doorward.errors import ConsentError, IdentityError
from doorward.gateway.archive import Archive
from doorward.gateway.clock import Clock
from doorward.gateway.consent import attendance
from doorward.gateway.consent.display import compose
from doorward.gateway.consent.key import load_key
from doorward.gateway.identity.owners import user_principal
from doorward.gateway.identity.settle import settle_url
from doorward.gateway.identity.url import UrlIdentity, identify_url
from doorward.gateway.reporter import Reporter
from doorward.judge.vocabulary import Ticket
from doorward.policy.load import load
from doorward.policy.lock import read, update

US = os.geteuid()
REMOTE = "https://mcp.example.com/mcp"


class House:
    """The places of one gateway, and its pieces that a first use needs."""

    def __init__(self, top: Path, runtime: Path) -> None:
        self.state, self.runtime, self.lock = top / "state", runtime, top / "state" / "doorward.lock"
        self.state.mkdir(mode=0o700)
        self.clock = Clock().now
        self.archive = Archive(self.state, label="serve", clock=self.clock, report=lambda _: None)
        self.archive.start()
        self.policy = msgspec.structs.replace(load(None), hold_seconds=10)

    async def settle(self, identity: UrlIdentity) -> UrlIdentity:
        return await settle_url(
            identity,
            principal=user_principal(US),
            policy=self.policy,
            places=self,
            archive=self.archive,
            clock=self.clock,
            reporter=Reporter(as_json=False),
        )

    @asynccontextmanager
    async def person(
        self, *, agrees: bool, meanwhile: Callable[[], object] = lambda: None
    ) -> AsyncIterator[list[Ticket]]:
        """Somebody who answers everything alike, and what was asked. ``meanwhile`` happens before the answer."""
        asked: list[Ticket] = []
        answers: list[asyncio.Task[None]] = []

        def hear(event: attendance.Event) -> None:
            if isinstance(event, attendance.Asked):
                asked.append(event.ticket)
                meanwhile()
                answers.append(asyncio.ensure_future(event.line.give(event.ticket, approved=agrees)))

        key = load_key(self.state)
        attends = attendance.Attendance(directories=lambda: [self.runtime], key=key, on_event=hear)
        task = asyncio.create_task(attends.attend())
        try:
            yield asked
            await until(lambda: all(answer.done() for answer in answers))
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="dw-") as runtime:
        house = House(tmp_path, Path(runtime))
        yield house
        house.archive.close()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def local(port: int, name: str = "notes") -> UrlIdentity:
    return identify_url(f"http://127.0.0.1:{port}/mcp", name)


@in_loop
async def test_our_own_socket_is_recorded_and_said(
    house: House, server: socket.socket, capfd: pytest.CaptureFixture[str]
) -> None:
    identity = local(server.getsockname()[1])
    assert await house.settle(identity) == identity
    pin = read(house.lock)["notes"]
    assert (pin.kind, pin.url, pin.owner, pin.accepted_by) == ("url", identity.url, US, "first use")
    assert "first use of notes" in capfd.readouterr().err
    assert await house.settle(identity) == identity
    assert capfd.readouterr().err == ""


@in_loop
async def test_a_known_server_that_does_not_listen_yet_is_expected_to_be_the_same_users(
    house: House, server: socket.socket
) -> None:
    port = server.getsockname()[1]
    before = await house.settle(local(port))
    server.close()
    assert local(port).owner == -1
    assert await house.settle(local(port)) == before


@in_loop
async def test_a_first_use_of_a_port_at_which_nobody_listens_is_refused(house: House, server: socket.socket) -> None:
    port = server.getsockname()[1]
    server.close()
    with pytest.raises(IdentityError, match="nobody can tell whose socket") as refused:
        await house.settle(local(port))
    assert "start the server first" in refused.value.hint
    assert read(house.lock) == {}


@in_loop
async def test_who_squats_at_a_known_port_is_refused(
    house: House, server: socket.socket, peers: Callable[..., Peer]
) -> None:
    port = server.getsockname()[1]
    await house.settle(local(port))
    server.close()
    await asyncio.to_thread(peers, "listen", "127.0.0.1", port)
    if OTHER == US:  # the same user again is the same server
        await house.settle(local(port))
        return
    with pytest.raises(IdentityError, match=f"owner: pinned user {US}.*found user {OTHER}"):
        await house.settle(local(port))


@in_loop
async def test_another_users_socket_asks_and_is_pinned_as_that_users(house: House, peers: Callable[..., Peer]) -> None:
    identity = local((await asyncio.to_thread(peers, "listen", "127.0.0.1")).port)
    async with house.person(agrees=True) as asked:
        settled = await house.settle(identity)
    assert read(house.lock)["notes"].owner == settled.owner == OTHER
    if OTHER != US:
        [ticket] = asked
        told = [piece.text for piece in compose(ticket, gateway="serve")]
        assert any(f"belongs to user {OTHER}" in text and "not to you" in text for text in told)


@in_loop
async def test_a_remote_url_is_shown_whole_and_pinned_once_agreed_to(house: House) -> None:
    async with house.person(agrees=True) as asked:
        await house.settle(identify_url(REMOTE, "tickets"))
        await house.settle(identify_url(REMOTE, "tickets"))
    [ticket] = asked
    shown = msgspec.json.decode(ticket.shown)
    assert shown["url"] == REMOTE
    assert "a certificate for mcp.example.com" in shown["known by"]
    assert "looks like" not in shown
    assert ticket.title == "use the server tickets for the first time"
    pin = read(house.lock)["tickets"]
    assert pin.url == REMOTE
    assert f"(uid {US})" in pin.accepted_by


@in_loop
async def test_a_url_that_looks_like_a_known_one_says_which(house: House) -> None:
    async with house.person(agrees=True):
        await house.settle(identify_url(REMOTE, "tickets"))
    async with house.person(agrees=False) as asked:
        with pytest.raises(ConsentError, match="was refused by"):
            await house.settle(identify_url("https://mcp.examp1e.com/mcp", "second"))
    [ticket] = asked
    assert msgspec.json.decode(ticket.shown)["looks like"] == "tickets"
    assert "mistaken for the known server tickets" in ticket.reasons[0]
    assert set(read(house.lock)) == {"tickets"}


@in_loop
async def test_without_anybody_to_ask_the_hint_is_the_command_that_accepts_it(house: House) -> None:
    with pytest.raises(ConsentError, match="nobody can be asked") as refused:
        await house.settle(identify_url(REMOTE, "tickets"))
    assert f"doorward pin accept --url {REMOTE} --name tickets" in refused.value.hint
    assert read(house.lock) == {}


@in_loop
async def test_another_url_under_a_known_name_is_refused_and_not_asked(house: House) -> None:
    async with house.person(agrees=True) as asked:
        await house.settle(identify_url(REMOTE, "tickets"))
        with pytest.raises(IdentityError, match="tickets is not what it was pinned as: url: pinned"):
            await house.settle(identify_url("https://mcp.example.com/other", "tickets"))
    assert len(asked) == 1


@in_loop
async def test_what_was_pinned_as_something_else_while_a_person_thought_is_not_replaced(house: House) -> None:
    other = identify_url("https://elsewhere.example/", "tickets").pin(first_seen="x", accepted_by="somebody")

    def pin_other() -> None:
        update(house.lock, lambda pins: pins | {"tickets": other})

    async with house.person(agrees=True, meanwhile=pin_other):
        with pytest.raises(IdentityError, match="was pinned as something else while this was asked"):
            await house.settle(identify_url(REMOTE, "tickets"))
    assert read(house.lock) == {"tickets": other}

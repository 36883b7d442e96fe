"""The channel between a gateway and a person: who may come, what they may do, and what happens to everybody else."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
import pytest
from tests.bounded import BOUND_S, in_loop, until

from doorward.errors import ConsentError
from doorward.gateway.consent import attendance, channel, frames, sockets
from doorward.gateway.consent.attendance import Asked, Attendance, Connected, Gone, Impostor, Withdrawn
from doorward.gateway.consent.channel import ConsentChannel
from doorward.gateway.consent.key import KEY_BYTES, KEY_NAME, load_key, tag_of
from doorward.gateway.consent.presence import announced, is_announced
from doorward.gateway.consent.sealed import (
    GREETING,
    MAC_BYTES,
    NONCE_BYTES,
    PROOF_DEADLINE_S,
    SealedStream,
    direction_key,
    greet,
)
from doorward.judge.vocabulary import Answer, Ticket
from doorward.policy.identity import verified
from doorward.relay.consent import action_digest, ticket_digest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def a_ticket(name: str = "t1", *, shown: bytes = b'{"method":"roots/list","params":null}') -> Ticket:
    action = action_digest(shown)
    nonce = os.urandom(16).hex()
    return Ticket(
        id=name,
        exchange=1,
        kind="roots",
        title="a test asks",
        shown=shown,
        action_digest=action,
        digest=ticket_digest(nonce, action),
        nonce=nonce,
        principal="os:ann",
        session="s1",
        server=verified("command", "files", {"path": "/usr/bin/files"}),
        policy="p" * 64,
        definitions="",
        reasons=("roots are asked",),
        expires=int((time.time() + 60) * 1_000_000),
    )


class Gateway:
    """A channel and what it reported."""

    def __init__(self, home: Path, *, label: str = "files", state: Path | None = None) -> None:
        self.answers: list[Answer] = []
        self.notices: list[str] = []
        self.state = state or home / "state"
        self.runtime = home / "run"
        self.channel = ConsentChannel(
            runtime=self.runtime,
            state=self.state,
            label=label,
            on_answer=self.answers.append,
            on_notice=self.notices.append,
        )

    @property
    def path(self) -> Path:
        assert self.channel.path is not None
        return self.channel.path

    async def __aenter__(self) -> Self:
        await self.channel.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()


class Person:
    """The other end, as `doorward consent` has it, with what it was told."""

    def __init__(self, home: Path, *, state: Path | None = None) -> None:
        self.events: list[attendance.Event] = []
        self._attendance = Attendance(
            directories=lambda: [home / "run"] if (home / "run").exists() else [],
            key=load_key(state or home / "state"),
            on_event=self.events.append,
        )

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._attendance.attend())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def heard(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def hears(self, kind: type[Any], count: int = 1) -> Any:
        await until(lambda: len(self.heard(kind)) >= count)
        return self.heard(kind)[count - 1]


async def knock(gateway: Gateway) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(gateway.path)


async def is_turned_away(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """The gateway hangs up, and says nothing after its greeting."""
    rest = b""
    with suppress(ConnectionResetError):
        async with asyncio.timeout(PROOF_DEADLINE_S * 3):
            rest = await reader.read()
    writer.transport.abort()
    return len(rest) <= len(GREETING) + NONCE_BYTES


# -- the way it is meant --------------------------------------------------------------------------------------------


@in_loop
async def test_an_answer_comes_back_with_the_digest_that_was_shown_and_the_user_the_kernel_names(
    tmp_path: Path,
) -> None:
    async with Gateway(tmp_path) as gateway, Person(tmp_path) as person:
        ticket = a_ticket()
        gateway.channel.ask(ticket)
        asked = await person.hears(Asked)
        assert asked.ticket == ticket
        await asked.line.give(asked.ticket, approved=True)
        await until(lambda: gateway.answers)
    user = pwd.getpwuid(os.geteuid()).pw_name
    expected = Answer("t1", ticket.digest, approved=True, by=f"{user} (uid {os.geteuid()})", how=channel.HOW)
    assert gateway.answers == [expected]
    assert not gateway.notices


@in_loop
async def test_a_ticket_asked_before_anybody_came_is_shown_to_whoever_comes(tmp_path: Path) -> None:
    async with Gateway(tmp_path) as gateway:
        gateway.channel.ask(a_ticket("early"))
        gateway.channel.ask(a_ticket("gone"))
        gateway.channel.withdraw("gone", "cancelled")
        async with Person(tmp_path) as person:
            gateway.channel.ask(a_ticket("late"))
            await person.hears(Asked, 2)
            assert {event.ticket.id for event in person.heard(Asked)} == {"early", "late"}


@in_loop
async def test_the_first_answer_wins_and_everybody_else_sees_the_ticket_withdrawn(tmp_path: Path) -> None:
    async with Gateway(tmp_path) as gateway, Person(tmp_path) as one, Person(tmp_path) as other:
        gateway.channel.ask(a_ticket())
        first, second = await one.hears(Asked), await other.hears(Asked)
        await first.line.give(first.ticket, approved=False)
        withdrawn = await other.hears(Withdrawn)
        assert withdrawn.ticket_id == "t1"
        assert withdrawn.why.startswith("refused by ")
        await second.line.give(second.ticket, approved=True)
        late = await other.hears(Withdrawn, 2)
        assert "too late" in late.why
        assert [answer.approved for answer in gateway.answers] == [False]
        assert not one.heard(Withdrawn)


@in_loop
async def test_a_withdrawn_ticket_is_withdrawn_from_every_screen(tmp_path: Path) -> None:
    async with Gateway(tmp_path) as gateway, Person(tmp_path) as person:
        gateway.channel.ask(a_ticket())
        await person.hears(Asked)
        gateway.channel.withdraw("t1", "the request was cancelled")
        assert (await person.hears(Withdrawn)).why == "the request was cancelled"


@in_loop
async def test_one_person_attends_many_gateways_and_those_that_come_later(tmp_path: Path) -> None:
    async with Person(tmp_path) as person:
        gateways = [Gateway(tmp_path, label=f"server-{number}") for number in range(10)]
        for gateway in gateways:
            await gateway.channel.open()
            gateway.channel.ask(a_ticket(f"of {gateway.path.name}"))
        await person.hears(Asked, 10)
        assert {event.line.label for event in person.heard(Connected)} == {f"server-{n}" for n in range(10)}
        for asked in person.heard(Asked):
            await asked.line.give(asked.ticket, approved=True)
        await until(lambda: all(gateway.answers for gateway in gateways))
        for gateway in gateways:
            await gateway.channel.close()
        await person.hears(Gone, 10)
    assert not list(sockets.listening(tmp_path / "run"))


@in_loop
async def test_a_message_as_long_as_servers_may_send_is_shown_whole_and_a_longer_one_is_refused(
    tmp_path: Path,
) -> None:
    longest = b'"' + b"x" * (frames.MAX_SHOWN_BYTES - 2) + b'"'
    async with Gateway(tmp_path) as gateway, Person(tmp_path) as person:
        gateway.channel.ask(a_ticket("long", shown=longest))
        gateway.channel.ask(a_ticket("longer", shown=longest + b" "))
        asked = await person.hears(Asked)
        assert asked.ticket.shown == longest
        await until(lambda: gateway.answers)
        assert [(answer.ticket, answer.approved, answer.by) for answer in gateway.answers] == [
            ("longer", False, "doorward")
        ]


@in_loop
async def test_more_open_tickets_than_anybody_reads_are_refused(tmp_path: Path) -> None:
    async with Gateway(tmp_path) as gateway:
        for number in range(channel.MAX_PENDING + 3):
            gateway.channel.ask(a_ticket(f"t{number}"))
        await until(lambda: len(gateway.answers) == 3)
        assert not any(answer.approved for answer in gateway.answers)


# -- waiting for a person -------------------------------------------------------------------------------------------


@in_loop
async def test_without_a_consent_program_nobody_waits(tmp_path: Path) -> None:
    async with Gateway(tmp_path) as gateway:
        began = time.monotonic()
        assert not await gateway.channel.wait_attached(30)
        assert time.monotonic() - began < 1


@in_loop
async def test_an_announced_consent_program_is_waited_for(tmp_path: Path) -> None:
    async with Person(tmp_path) as person:
        async with Gateway(tmp_path) as first:
            await until(lambda: first.channel.attached)
        async with Gateway(tmp_path) as gateway:
            assert await gateway.channel.wait_attached(BOUND_S)
            assert gateway.channel.attached
            await person.hears(Connected, 2)


@in_loop
async def test_waiting_ends_with_its_time_or_with_the_announcement(tmp_path: Path) -> None:
    async with Gateway(tmp_path) as gateway:
        with announced(gateway.runtime, tag_of(load_key(gateway.state))):
            assert not await gateway.channel.wait_attached(0.2)
            waiting = asyncio.create_task(gateway.channel.wait_attached(BOUND_S))
            await asyncio.sleep(0)
            assert not waiting.done()
        assert not await waiting


def test_gateways_that_look_at_once_never_take_each_other_for_a_person(tmp_path: Path) -> None:
    """With locks that must be taken to be tried, two that try at once see each other."""
    with announced(tmp_path, "aa"):
        assert is_announced(tmp_path, "aa")
        with announced(tmp_path, "aa"):
            assert is_announced(tmp_path, "aa")
        assert is_announced(tmp_path, "aa")
        assert not is_announced(tmp_path, "bb")
    look = (
        "import sys; from pathlib import Path; from doorward.gateway.consent.presence import is_announced;"
        "sys.exit(any(is_announced(Path(sys.argv[1]), 'aa') for _ in range(3000)))"
    )
    lookers = [subprocess.Popen([sys.executable, "-c", look, str(tmp_path)]) for _ in range(3)]
    assert [looker.wait(BOUND_S) for looker in lookers] == [0, 0, 0]


# -- strangers ------------------------------------------------------------------------------------------------------


@in_loop
async def test_a_stranger_with_another_key_learns_nothing_and_is_turned_away(tmp_path: Path) -> None:
    async with Gateway(tmp_path) as gateway:
        gateway.channel.ask(a_ticket())
        reader, writer = await knock(gateway)
        stream = await greet(reader, writer, role="person", key=os.urandom(KEY_BYTES))
        await stream.say(frames.encode(frames.Present()))
        assert await is_turned_away(reader, writer)
        assert not gateway.channel.attached
        assert len(gateway.notices) == 1
        assert "could not prove" in gateway.notices[0]


@in_loop
async def test_a_gateway_that_cannot_read_the_key_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "rogue").mkdir(mode=0o700)
    sockets.prepare(tmp_path / "run")
    path = tmp_path / "run" / f"w-{tag_of(load_key(tmp_path / 'state'))}-00000000.sock"

    async def pretend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(EOFError, OSError, ConsentError):
            stream = await greet(reader, writer, role="gateway", key=load_key(tmp_path / "rogue"))
            await stream.say(frames.encode(frames.Welcome("your bank", 1)))
            await stream.say(frames.encode(frames.Asked(a_ticket())))
        with suppress(EOFError, OSError):
            await reader.read()
        writer.transport.abort()

    server = await asyncio.start_unix_server(pretend, path)
    try:
        async with Person(tmp_path) as person:
            impostor = await person.hears(Impostor)
            assert impostor.path == path
            assert "could not prove" in impostor.why
            assert not person.heard(Connected)
            assert not person.heard(Asked)
    finally:
        server.close()


@asynccontextmanager
async def tapped(
    gateway: Gateway, at: Path, change: Callable[[str, bytes], Awaitable[bytes]]
) -> AsyncIterator[dict[str, bytearray]]:
    """Somebody in the middle who passes both directions along, through `change`, and keeps what was said."""
    said = {"person": bytearray(), "gateway": bytearray()}

    async def pump(who: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                said[who] += data
                writer.write(await change(who, data))
                await writer.drain()
        writer.transport.abort()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await knock(gateway)
        await asyncio.gather(pump("person", reader, onward_writer), pump("gateway", onward_reader, writer))

    server = await asyncio.start_unix_server(meet, at)
    try:
        yield said
    finally:
        server.close()


async def unchanged(_who: str, data: bytes) -> bytes:
    return data


async def attend_through(path: Path, key: bytes) -> tuple[SealedStream, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(path)
    stream = await greet(reader, writer, role="person", key=key)
    await stream.say(frames.encode(frames.Present()))
    assert isinstance(frames.decode_to_person(await stream.hear(max_bytes=1024)), frames.Welcome)
    return stream, writer


@in_loop
async def test_a_recorded_conversation_cannot_be_played_again(tmp_path: Path) -> None:
    async with Gateway(tmp_path) as gateway, tapped(gateway, tmp_path / "tap", unchanged) as said:
        ticket = a_ticket()
        gateway.channel.ask(ticket)
        stream, writer = await attend_through(tmp_path / "tap", load_key(gateway.state))
        await stream.say(frames.encode(frames.Given(ticket.id, ticket.digest, approved=True)))
        await until(lambda: gateway.answers)
        writer.transport.abort()
        await until(lambda: not gateway.channel.attached)

        gateway.channel.ask(ticket)  # the very same question, for the strongest replay
        reader, writer = await knock(gateway)
        writer.write(bytes(said["person"]))
        assert await is_turned_away(reader, writer)
        assert len(gateway.answers) == 1


@in_loop
async def test_what_the_gateway_says_cannot_be_reflected_to_it(tmp_path: Path) -> None:
    async with Gateway(tmp_path) as gateway:
        reader, writer = await knock(gateway)
        greeting = await reader.readexactly(len(GREETING) + NONCE_BYTES)
        writer.write(greeting)
        # It waits for a proof before it gives one, so there is nothing more to reflect: it hangs up.
        assert await is_turned_away(reader, writer)
        # And were it to speak first: with both nonces alike, what one direction says is no proof in the other.
        nonce = greeting[len(GREETING) :]
        key = load_key(gateway.state)
        assert direction_key(key, "gateway", nonce, nonce) != direction_key(key, "person", nonce, nonce)
        assert not gateway.channel.attached


@in_loop
async def test_what_the_person_says_cannot_be_reflected_to_them(tmp_path: Path) -> None:
    sockets.prepare(tmp_path / "run")
    path = tmp_path / "run" / f"w-{tag_of(load_key(tmp_path / 'state'))}-00000000.sock"

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(4096):
                writer.write(data)
        writer.transport.abort()

    server = await asyncio.start_unix_server(echo, path)
    try:
        async with Person(tmp_path) as person:
            assert "could not prove" in (await person.hears(Impostor)).why
            assert not person.heard(Connected)
    finally:
        server.close()


@in_loop
async def test_somebody_in_the_middle_of_a_proven_conversation_cannot_turn_no_into_yes(tmp_path: Path) -> None:
    ticket = a_ticket()
    no, yes = (frames.encode(frames.Given(ticket.id, ticket.digest, approved=word)) for word in (False, True))
    assert len(no) == len(yes)

    async def turn(who: str, data: bytes) -> bytes:
        return data.replace(no, yes) if who == "person" else data

    async with Gateway(tmp_path) as gateway, tapped(gateway, tmp_path / "tap", turn) as said:
        gateway.channel.ask(ticket)
        stream, writer = await attend_through(tmp_path / "tap", load_key(gateway.state))
        await stream.say(no)
        await until(lambda: gateway.notices)
        assert no in said["person"]  # it was in the attacker's hands
        await until(lambda: not gateway.channel.attached)
        assert not gateway.answers
        writer.transport.abort()


@in_loop
async def test_frames_cannot_be_repeated_or_changed_on_the_way_to_the_person(tmp_path: Path) -> None:
    async def double(who: str, data: bytes) -> bytes:
        return data * 2 if who == "gateway" and len(data) > 400 else data

    async with Gateway(tmp_path) as gateway, tapped(gateway, tmp_path / "tap", double):
        stream, writer = await attend_through(tmp_path / "tap", load_key(gateway.state))
        gateway.channel.ask(a_ticket())
        first = frames.decode_to_person(await stream.hear(max_bytes=65536))
        assert isinstance(first, frames.Asked)
        with pytest.raises(ConsentError, match="could not prove"):
            await stream.hear(max_bytes=65536)
        writer.transport.abort()


@in_loop
async def test_a_digest_that_is_not_about_the_message_that_came_with_it_is_not_shown(tmp_path: Path) -> None:
    async with Gateway(tmp_path) as gateway, Person(tmp_path) as person:
        await person.hears(Connected)
        gateway.channel.ask(msgspec.structs.replace(a_ticket(), shown=b'"something harmless"'))
        assert "not about the message" in (await person.hears(Impostor)).why
        assert not person.heard(Asked)


@pytest.mark.parametrize("digest", ["0" * 64, ""], ids=["another digest", "no digest"])
@in_loop
async def test_an_answer_about_another_digest_is_ignored_and_reported(tmp_path: Path, digest: str) -> None:
    async with Gateway(tmp_path) as gateway:
        gateway.channel.ask(a_ticket())
        stream, writer = await attend_through(gateway.path, load_key(gateway.state))
        assert isinstance(frames.decode_to_person(await stream.hear(max_bytes=65536)), frames.Asked)
        await stream.say(frames.encode(frames.Given("t1", digest, approved=True)))
        said = frames.decode_to_person(await stream.hear(max_bytes=65536))
        assert isinstance(said, frames.Withdrawn)
        assert "ignored" in said.why
        assert len(gateway.notices) == 1
        assert not gateway.answers
        writer.transport.abort()


@in_loop
async def test_an_answer_to_an_unknown_ticket_is_ignored(tmp_path: Path) -> None:
    async with Gateway(tmp_path) as gateway:
        stream, writer = await attend_through(gateway.path, load_key(gateway.state))
        await stream.say(frames.encode(frames.Given("never asked", "0" * 64, approved=True)))
        assert isinstance(frames.decode_to_person(await stream.hear(max_bytes=65536)), frames.Withdrawn)
        assert not gateway.answers
        writer.transport.abort()


@in_loop
async def test_another_user_reaches_neither_the_socket_nor_with_its_doors_open_a_greeting(tmp_path: Path) -> None:
    """Two walls, tried one after the other: the file's mode, then the peer credentials."""
    assert os.geteuid() == 0, "this needs root to become another user"
    program = (
        "import os, socket, sys\n"
        "os.chdir(sys.argv[1]); os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "peer = socket.socket(socket.AF_UNIX); peer.settimeout(10)\n"
        "try:\n    peer.connect(sys.argv[2])\n"
        "except PermissionError:\n    print('no way in')\n"
        "else:\n"
        "    try:\n        print('heard', len(peer.recv(1000)))\n"
        "    except ConnectionResetError:\n        print('heard 0')\n"
    )

    async def intrude() -> str:
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-c", program, str(gateway.runtime), gateway.path.name, stdout=subprocess.PIPE
        )
        output, _ = await other.communicate()
        return output.decode().strip()

    async with Gateway(tmp_path) as gateway:
        gateway.runtime.chmod(0o711)
        assert await intrude() == "no way in"
        gateway.path.chmod(0o666)
        assert await intrude() == "heard 0"
        assert gateway.notices == ["a process of another user (uid 65534) tried to reach the consent channel"]


@in_loop
async def test_a_stranger_who_says_nothing_is_let_go(tmp_path: Path) -> None:
    async with Gateway(tmp_path) as gateway:
        began = time.monotonic()
        assert await is_turned_away(*await knock(gateway))
        assert time.monotonic() - began < PROOF_DEADLINE_S * 2


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n" + b"x" * 64,
        GREETING + bytes(NONCE_BYTES) + (2**32 - 1).to_bytes(4, "big") + b"x" * 1_000_000,
        GREETING + bytes(NONCE_BYTES) + (frames.MAX_UNPROVEN_BYTES + 1).to_bytes(4, "big"),
        GREETING + bytes(NONCE_BYTES) + (1).to_bytes(4, "big") + b"\x80" + bytes(MAC_BYTES),
    ],
    ids=["another protocol", "four gigabytes announced", "one byte too many", "no seal"],
)
@in_loop
async def test_a_stranger_who_says_something_else_is_turned_away_at_once(tmp_path: Path, said: bytes) -> None:
    async with Gateway(tmp_path) as gateway:
        reader, writer = await knock(gateway)
        began = time.monotonic()
        writer.write(said)
        assert await is_turned_away(reader, writer)
        assert time.monotonic() - began < PROOF_DEADLINE_S
        assert len(gateway.notices) == 1


@in_loop
async def test_when_the_room_is_full_of_strangers_the_oldest_leaves_for_a_person(tmp_path: Path) -> None:
    """Otherwise the person would wait until one of them has used up its two seconds."""
    async with Gateway(tmp_path) as gateway:
        crowd = [await knock(gateway) for _ in range(channel.MAX_STRANGERS)]
        for reader, _ in crowd:
            await reader.readexactly(len(GREETING))
        began = time.monotonic()
        async with Person(tmp_path):
            await until(lambda: gateway.channel.attached)
        assert time.monotonic() - began < PROOF_DEADLINE_S / 2
        for _, writer in crowd:
            writer.transport.abort()


@in_loop
async def test_a_flood_of_strangers_keeps_no_person_out(tmp_path: Path) -> None:
    program = (
        "import socket, sys, time\n"
        "held = []; end = time.monotonic() + 60\n"
        "while time.monotonic() < end:\n"
        "    peer = socket.socket(socket.AF_UNIX); peer.settimeout(1)\n"
        "    try:\n        peer.connect(sys.argv[1]); held.append(peer)\n"
        "    except OSError:\n        pass\n"
        "    if len(held) == 300: print('full', flush=True)\n"
        "    if len(held) > 500: held.pop(0).close()\n"
    )
    async with Gateway(tmp_path) as gateway:
        flood = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-c", program, str(gateway.path), stdout=subprocess.PIPE
        )
        try:
            assert flood.stdout is not None
            assert await flood.stdout.readline() == b"full\n"
            async with Person(tmp_path) as person:
                gateway.channel.ask(a_ticket())
                asked = await person.hears(Asked)
                await asked.line.give(asked.ticket, approved=True)
                await until(lambda: gateway.answers)
        finally:
            flood.kill()
            await flood.wait()
        assert len(gateway.notices) <= 2


# -- the key --------------------------------------------------------------------------------------------------------


def test_processes_that_start_at_once_agree_on_one_private_key(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from doorward.gateway.consent.key import load_key;"
        "sys.stdin.readline(); print(load_key(Path(sys.argv[1])).hex())"
    )
    state = tmp_path / "state"
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("go\n")
        maker.stdin.flush()
    keys = {maker.communicate(timeout=BOUND_S)[0] for maker in makers}
    assert keys == {load_key(state).hex() + "\n"}
    assert [path.name for path in state.iterdir()] == [KEY_NAME]
    assert stat.S_IMODE((state / KEY_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_could_read_or_write_is_no_key(tmp_path: Path, mode: int) -> None:
    load_key(tmp_path)
    (tmp_path / KEY_NAME).chmod(mode)
    with pytest.raises(ConsentError, match="not a private file") as refused:
        load_key(tmp_path)
    assert "rm " in refused.value.hint


def test_a_key_behind_a_link_or_of_another_length_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(bytes(KEY_BYTES))
    (tmp_path / KEY_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConsentError, match="cannot read"):
        load_key(tmp_path)
    (tmp_path / KEY_NAME).unlink()
    (tmp_path / KEY_NAME).write_bytes(bytes(KEY_BYTES - 1))
    (tmp_path / KEY_NAME).chmod(0o600)
    with pytest.raises(ConsentError, match="not a key of 32 bytes"):
        load_key(tmp_path)


def test_who_may_not_read_the_key_opens_no_channel_and_attends_none(tmp_path: Path) -> None:
    assert os.geteuid() == 0, "this needs root to become another user"
    load_key(tmp_path / "state")
    program = (
        "import os, sys; from pathlib import Path; from doorward.errors import ConsentError\n"
        "from doorward.gateway.consent.key import load_key\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try:\n    load_key(Path(sys.argv[1]))\nexcept ConsentError as problem:\n    print(problem)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "state")],
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=True,
    )
    assert result.stdout.endswith("Permission denied\n")


# -- the directory --------------------------------------------------------------------------------------------------


@in_loop
async def test_the_socket_and_its_directory_are_private_and_the_socket_goes_with_the_channel(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    await gateway.channel.open()
    path = gateway.path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(gateway.runtime.stat().st_mode) == 0o700
    await gateway.channel.close()
    assert not list(gateway.runtime.glob("*.sock"))
    await gateway.channel.close()  # twice is once


@in_loop
async def test_a_path_too_long_for_a_socket_is_said_with_a_way_out(tmp_path: Path) -> None:
    runtime = tmp_path / ("x" * 100) / "run"
    refused = ConsentChannel(runtime=runtime, state=tmp_path / "state", label="x", on_answer=lambda _: None)
    with pytest.raises(ConsentError, match="longer than 107 bytes") as problem:
        await refused.open()
    assert "XDG_RUNTIME_DIR" in problem.value.hint
    assert not list(runtime.glob("*.sock"))


@in_loop
async def test_the_longest_path_that_fits_is_used(tmp_path: Path) -> None:
    name = f"/w-{'0' * 8}-{'0' * 8}.sock"
    runtime = Path(str(tmp_path) + "/" + "x" * (sockets.MAX_PATH_BYTES - len(str(tmp_path)) - 1 - len(name)))
    fits = ConsentChannel(runtime=runtime, state=tmp_path / "state", label="x", on_answer=lambda _: None)
    await fits.open()
    assert fits.path is not None
    assert len(os.fsencode(fits.path)) == sockets.MAX_PATH_BYTES
    reader, writer = await asyncio.open_unix_connection(fits.path)
    assert (await reader.readexactly(len(GREETING))) == GREETING
    writer.transport.abort()
    await fits.close()


@in_loop
async def test_a_directory_in_which_others_can_put_things_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o777)
    with pytest.raises(ConsentError, match="only you can write"):
        await Gateway(tmp_path).channel.open()


@in_loop
async def test_what_killed_gateways_left_is_removed_and_living_ones_stay(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path\n"
        "from doorward.gateway.consent.channel import ConsentChannel\n"
        "home = Path(sys.argv[1])\n"
        "async def main():\n"
        "    await ConsentChannel(runtime=home / 'run', state=home / 'state', label='x', on_answer=print).open()\n"
        "    print('open', flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )

    async def leave_one_behind() -> Path:
        before = set(sockets.listening(tmp_path / "run"))
        victim = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(tmp_path), stdout=subprocess.PIPE
        )
        assert victim.stdout is not None
        assert await victim.stdout.readline() == b"open\n"
        victim.send_signal(signal.SIGKILL)
        await victim.wait()
        (left,) = set(sockets.listening(tmp_path / "run")) - before
        return left

    async with Gateway(tmp_path) as living:
        left = await leave_one_behind()
        async with Gateway(tmp_path) as opened:
            assert set(sockets.listening(tmp_path / "run")) == {living.path, opened.path}
        assert not left.exists()
        left = await leave_one_behind()
        async with Person(tmp_path) as person:
            await until(lambda: not left.exists())
            await person.hears(Connected)
            assert living.path.exists()
        draft = tmp_path / "run" / "n-00000000-00000000.sock"
        with socket.socket(socket.AF_UNIX) as abandoned:
            abandoned.bind(str(draft))
        sockets.sweep(tmp_path / "run")
        assert draft.exists()  # it may be about to be renamed
        os.utime(draft, (0, 0))
        sockets.sweep(tmp_path / "run")
        assert not draft.exists()


@in_loop
async def test_gateways_and_people_of_different_states_share_a_directory_and_never_meet(tmp_path: Path) -> None:
    other = tmp_path / "other state"
    async with (
        Gateway(tmp_path) as mine,
        Gateway(tmp_path, state=other, label="theirs") as theirs,
        Person(tmp_path) as person,
    ):
        await person.hears(Connected)
        began = time.monotonic()
        assert not await theirs.channel.wait_attached(30)
        assert time.monotonic() - began < 1
        assert mine.channel.attached
        assert [event.line.label for event in person.heard(Connected)] == ["files"]
        assert not person.heard(Impostor)


@in_loop
async def test_a_runtime_directory_that_was_removed_and_made_again_is_announced_again(tmp_path: Path) -> None:
    key = load_key(tmp_path / "state")
    sockets.prepare(tmp_path / "run")
    async with Person(tmp_path):
        await until(lambda: is_announced(tmp_path / "run", tag_of(key)))
        for path in (tmp_path / "run").iterdir():
            path.unlink()
        (tmp_path / "run").rename(tmp_path / "gone")
        sockets.prepare(tmp_path / "run")
        await until(lambda: is_announced(tmp_path / "run", tag_of(key)))
    assert not is_announced(tmp_path / "run", tag_of(key))

"""What a message makes the door look up is looked up within 50 ms, or counts as unknown (architecture §3b)."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import msgspec
import pytest
from tests.relay.dialogue import LIMITS, Dialogue, Turn, greet

from doorward.confine.paths import real_path
from doorward.gateway.foresight import MAX_HANGING, Answers, Foresight
from doorward.judge.vocabulary import FileSize, Question, RealPath
from doorward.relay.commands import Arrived
from doorward.wire.jsonrpc import Decoded, decode

TOO_LATE_S = 1.0  # twenty times what the plan allows: a busy machine is no failure
FOREVER_S = 30.0


class Waiting:
    """A folder on a disk that does not answer until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked: list[str] = []

    def look(self, path: str) -> str | None:
        self.asked.append(path)
        assert self.released.wait(FOREVER_S), "never released"
        return real_path(path)


@pytest.fixture
def talk(tmp_path: Path) -> Dialogue:
    return greet(Dialogue(folders=(str(tmp_path),)))


def reading(talk: Dialogue, place: Path) -> tuple[Decoded, tuple[Question, ...]]:
    """A request that names ``place``, and what it makes the door look up."""
    request = talk.request(1, "resources/read", {"uri": place.as_uri()})
    frame = decode(msgspec.json.encode(request), LIMITS)
    questions = talk.relay.foresee(frame, "client")
    assert questions == (RealPath(str(place)), FileSize(str(place)))
    return frame, questions


def arrives(talk: Dialogue, frame: Decoded, answers: Answers) -> Turn:
    return talk.event(Arrived(frame, "client", 0, talk.facts(answers)))


def test_a_path_that_is_resolved_in_time_lets_the_message_pass(talk: Dialogue, tmp_path: Path) -> None:
    frame, questions = reading(talk, tmp_path / "a.txt")
    answers = asyncio.run(Foresight().answer(questions))
    assert answers == {questions[0]: str(tmp_path / "a.txt"), questions[1]: 0}
    assert arrives(talk, frame, answers).told("server")


def test_a_path_that_takes_longer_stays_unknown_and_the_message_is_refused(talk: Dialogue, tmp_path: Path) -> None:
    frame, questions = reading(talk, tmp_path / "a.txt")
    disk = Waiting()

    async def look() -> Answers:
        try:
            async with asyncio.timeout(TOO_LATE_S):
                return await Foresight(disk.look).answer(questions)
        except TimeoutError:
            return {questions[0]: "it was waited for", questions[1]: 0}

    answers = asyncio.run(look())  # ends, though the disk still does not answer
    disk.released.set()
    assert disk.asked == [str(tmp_path / "a.txt")]
    assert answers == {}
    turn = arrives(talk, frame, answers)
    assert turn.told("server") == []
    assert turn.controls == {"path-confinement", "resource-size"}
    assert turn.only("client")["error"]["code"] == -31001


def test_the_size_of_a_file_is_that_of_what_a_link_leads_to_with_its_holes(talk: Dialogue, tmp_path: Path) -> None:
    with (tmp_path / "dump").open("wb") as dump:
        dump.truncate(4 << 30)
    (tmp_path / "link").symlink_to("dump")
    frame, questions = reading(talk, tmp_path / "link")
    answers = asyncio.run(Foresight().answer(questions))
    assert answers[FileSize(str(tmp_path / "link"))] == 4 << 30
    turn = arrives(talk, frame, answers)
    assert turn.controls == {"resource-size"}
    assert turn.told("server") == []


def test_when_too_many_looks_hang_nothing_more_is_looked_up_until_one_comes_back(tmp_path: Path) -> None:
    disk = Waiting()
    question = (RealPath(str(tmp_path)),)

    async def looks() -> None:
        foresight = Foresight(disk.look)
        async with asyncio.timeout(FOREVER_S):
            await asyncio.gather(*(foresight.answer(question) for _ in range(MAX_HANGING)))
            assert await foresight.answer(question) == {}
            assert len(disk.asked) == MAX_HANGING
            disk.released.set()
            answers: Answers = {}
            while not answers:
                await asyncio.to_thread(int)  # what they tell the loop is heard
                answers = await foresight.answer(question)
            assert answers == {question[0]: str(tmp_path)}

    asyncio.run(looks())


def test_a_look_does_not_start_a_thread_of_its_own(tmp_path: Path) -> None:
    lookers: set[threading.Thread] = set()

    def look(path: str) -> str | None:
        lookers.add(threading.current_thread())
        return real_path(path)

    async def looks() -> None:
        foresight = Foresight(look)
        for _ in range(50):
            assert await foresight.answer((RealPath(str(tmp_path)),))

    asyncio.run(looks())
    assert len(lookers) <= MAX_HANGING

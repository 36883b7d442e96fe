"""What a message makes the door look up, looked up in time or not at all (architecture §3b).

A path can lie on a disk that does not answer. Whoever asks for it waits 50 ms; then the answer counts as unknown,
and what is unknown is refused. The look goes on in a thread that nobody waits for, not even the end of the program;
when too many hang like that, nothing more is looked up until one comes back.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Final

from doorward.confine.paths import file_size, real_path
from doorward.judge.vocabulary import FileSize, Question

FORESIGHT_S: Final = 0.05
MAX_HANGING: Final = 8
_MAX_IDLE: Final = 4

Answers = dict[Question, str | int | None]


class Foresight:
    """Answers the questions of one link. ``look`` finds the real path of a path, ``measure`` the size of its file."""

    def __init__(
        self, look: Callable[[str], str | None] = real_path, measure: Callable[[str], int | None] = file_size
    ) -> None:
        self._look = look
        self._measure = measure
        self._looking = 0

    async def answer(self, questions: tuple[Question, ...]) -> Answers:
        """The answers, or none of them: a message is judged by all that it names."""
        if self._looking >= MAX_HANGING:
            return {}
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Answers] = loop.create_future()
        self._looking += 1

        def look() -> None:
            try:
                answers = {question: self._find(question) for question in questions}
            except Exception:  # noqa: BLE001 - whatever it was, the answer is unknown, and that refuses
                answers = {}
            with suppress(RuntimeError):  # the loop is gone, and nobody asks any more
                loop.call_soon_threadsafe(self._found, found, answers)

        (_idle.pop() if _idle else _Looker()).do(look)
        late = loop.call_later(FORESIGHT_S, _settle, found, {})
        try:
            return await found
        finally:
            late.cancel()

    def _find(self, question: Question) -> str | int | None:
        return self._measure(question.path) if isinstance(question, FileSize) else self._look(question.path)

    def _found(self, found: asyncio.Future[Answers], answers: Answers) -> None:
        self._looking -= 1
        _settle(found, answers)


def _settle(found: asyncio.Future[Answers], answers: Answers) -> None:
    if not found.done():
        found.set_result(answers)


class _Looker:
    """A thread that looks, and waits for the next look: to start one takes as long as all that is judged besides."""

    def __init__(self) -> None:
        self._looks: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=self._run, name="foresight", daemon=True).start()

    def do(self, look: Callable[[], None]) -> None:
        self._looks.put(look)

    def _run(self) -> None:
        while True:
            self._looks.get()()
            if len(_idle) >= _MAX_IDLE:
                return
            _idle.append(self)


_idle: Final[list[_Looker]] = []
"""Of all links of this process. One that hangs is not among them."""

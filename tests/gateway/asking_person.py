"""A person beside one ``serve``: sees its tickets, and answers the ones that a test wants answered."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from pathlib import Path
from typing import Self

from tests.gateway.scripted_upstream import BOUND_S
from tests.gateway.wrapping import wait_until

from doorward.gateway.consent import attendance
from doorward.gateway.consent.key import load_key


class Person:
    """``runtime`` is where the gateway's sockets are, ``state`` where its key is."""

    def __init__(self, runtime: Path, state: Path) -> None:
        self._asked: queue.Queue[attendance.Asked] = queue.Queue()
        self._connected = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._attendance = attendance.Attendance(
            directories=lambda: [path for path in (runtime / "doorward", runtime) if path.is_dir()],
            key=load_key(state),
            on_event=self._hear,
        )
        self._task: asyncio.Task[None]
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._attendance.attend())
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.close()

    def _hear(self, event: attendance.Event) -> None:
        if isinstance(event, attendance.Connected):
            self._connected.set()
        elif isinstance(event, attendance.Asked):
            self._asked.put(event)

    def come(self) -> None:
        """Look out for gateways, before there is one: one that asks at its start does not wait for people to come."""
        self._thread.start()

    def __enter__(self) -> Self:
        if not self._thread.is_alive():
            self.come()
        assert self._connected.wait(BOUND_S), "no gateway"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(BOUND_S)
        wait_until(lambda: not self._thread.is_alive(), "the person left")

    def ticket(self) -> attendance.Asked:
        """The next question."""
        return self._asked.get(timeout=BOUND_S)

    def approve(self, asked: attendance.Asked) -> None:
        """Say yes to exactly what was shown."""
        saying = asyncio.run_coroutine_threadsafe(asked.line.give(asked.ticket, approved=True), self._loop)
        saying.result(BOUND_S)

"""The writer of the archive: one thread that owns the log, so that a slow disk never stops the event loop.

It commits what it is given in order, signs a checkpoint each second in which something was written, and recovers
the logs of processes that died before any traffic passes.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from doorward.errors import DoorwardError, StorageError

if TYPE_CHECKING:
    from doorward.audit.stores.recovery import Interrupted
    from doorward.audit.stores.sqlite import SqliteLog
    from doorward.relay.commands import Record

CHECKPOINT_EVERY_S = 1.0

Done = Callable[[StorageError | None], object]


class Archive:
    """``write`` from the event loop.

    ``clock`` gives microseconds since the epoch; ``report`` gets one line for the operator when the log cannot be
    signed.
    """

    def __init__(self, state: Path, *, label: str, clock: Callable[[], int], report: Callable[[str], None]) -> None:
        self._state = state
        self._label = label
        self._clock = clock
        self._report = report
        self._work: queue.SimpleQueue[tuple[Sequence[Record], Done] | None] = queue.SimpleQueue()
        self._opened = threading.Event()
        self._problem: Exception | None = None
        self._unsigned = False
        self._due = 0.0
        self._log: SqliteLog | None = None
        self._at_work = threading.Lock()  # held while the log is used; the thread does, and `append_at_once`
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)

    def start(self) -> None:
        """Begin to open the log, in the thread."""
        self._thread.start()

    def wait_open(self) -> None:
        """Return once the log is open; raises StorageError (or what else opening met) when it cannot be."""
        self._opened.wait()
        if self._problem is not None:
            raise self._problem

    def append(self, records: Sequence[Record], done: Done) -> None:
        """Commit ``records`` together, after all that was given before. ``done`` hears why that was not possible, or
        None, in the writer's thread.
        """
        self._work.put((records, done))

    def append_at_once(self, records: Sequence[Record]) -> tuple[bool, StorageError | None]:
        """Commit ``records`` here and now, if the writer rests: (whether it did, what ``done`` would hear).

        Only for records of the grade *written*: nothing is synced, so this takes about 25 µs and no hop to the thread
        and back. Whatever was given to ``append`` before must be done.
        """
        if self._log is None or not self._at_work.acquire(blocking=False):
            return False, None
        try:
            rested = not self._unsigned
            problem = self._write(self._log, records)
        finally:
            self._at_work.release()
        if rested:
            self._work.put(((), _nothing))  # so that the thread comes to sign in a second
        return True, problem

    async def write(self, records: Sequence[Record]) -> StorageError | None:
        """The same for whoever waits for it."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[StorageError | None] = loop.create_future()
        self.append(records, lambda problem: loop.call_soon_threadsafe(done.set_result, problem))
        return await done

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits, sign a last checkpoint, and end."""
        self._work.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            log = self._open()
        except Exception as unopened:  # noqa: BLE001 - whatever it was, `wait_open` raises it where it is handled
            self._problem = unopened
            self._opened.set()
            return
        self._log = log
        self._opened.set()
        while (item := self._next(log)) is not None:
            records, done = item
            with self._at_work:
                problem = self._write(log, records) if records else None
            done(problem)
            if self._unsigned and self._clock() / 1e6 >= self._due:
                self._sign(log)
        try:
            log.close(self._clock())
        except DoorwardError as unclosed:
            self._report(f"the log could not be closed: {unclosed}")

    def _open(self) -> SqliteLog:
        from doorward.audit.stores.recovery import recover
        from doorward.audit.stores.sqlite import SqliteLog

        for found in recover(self._state, now_us=self._clock()):
            self._report(_interrupted(found))
        return SqliteLog.open(self._state, now_us=self._clock(), label=self._label)

    def _next(self, log: SqliteLog) -> tuple[Sequence[Record], Done] | None:
        """The next work; meanwhile a checkpoint, when a second has passed since something was written."""
        while self._unsigned:
            try:
                return self._work.get(timeout=self._until_checkpoint())
            except queue.Empty:
                self._sign(log)
        return self._work.get()

    def _until_checkpoint(self) -> float:
        return max(0.0, self._due - self._clock() / 1e6)

    def _sign(self, log: SqliteLog) -> None:
        try:
            with self._at_work:
                self._unsigned = False
                log.checkpoint(self._clock())
        except DoorwardError as problem:
            self._unsigned = True
            self._due = self._clock() / 1e6 + CHECKPOINT_EVERY_S
            self._report(f"the log could not be signed: {problem}")

    def _write(self, log: SqliteLog, records: Sequence[Record]) -> StorageError | None:
        from doorward.audit.stores.sqlite import Item

        try:
            items = [Item(record.entry, record.salt, record.body) for record in records]
            log.append(items, durable=any(record.grade == "durable" for record in records))
        except StorageError as problem:
            return problem
        except Exception as crash:  # noqa: BLE001 - a writer that ends without a word would stop the link for good
            return StorageError(f"the audit log failed: {type(crash).__name__}: {crash}")
        if not self._unsigned:
            self._unsigned, self._due = True, self._clock() / 1e6 + CHECKPOINT_EVERY_S
        return None


def _nothing(_: StorageError | None) -> None:
    """Nobody waits for this."""


def _interrupted(found: Interrupted) -> str:
    if found.damaged:
        return f"the log {found.log} of an earlier run cannot be ended: {found.damaged}"
    named = ", ".join(f"{request.method} {request.subject}".strip() for request in found.open[:3])
    more = f" ({named})" if named else ""
    return f"an earlier run was interrupted: log {found.log}, {found.open_count} requests without an outcome{more}"

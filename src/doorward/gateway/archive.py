"""The writer of the archive: one thread that owns the log, so that a slow disk never stops the event loop.

It commits what it is given in order, signs a checkpoint each second in which something was written, and recovers
the logs of processes that died before any traffic passes.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from doorward.errors import DoorwardError, StorageError

if TYPE_CHECKING:
    from doorward.audit.stores.recovery import Interrupted
    from doorward.audit.stores.sqlite import SqliteLog
    from doorward.relay.commands import Record

CHECKPOINT_EVERY_S = 1.0

MAX_GROUP = 256
"""Units in one transaction: enough that a sync costs each of them little, few enough that the last waits little."""

MAX_GROUP_BYTES = 4 << 20
"""What the bodies of one transaction may take together; one unit may have more."""

Done = Callable[[StorageError | None], object]
Group = list[tuple["Sequence[Record]", Done]]
Work = tuple[Group, asyncio.AbstractEventLoop | None]


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
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._given: Group = []
        self._due = False  # a hand-over will come soon
        self._busy = False  # the thread has a group
        self._opened = threading.Event()
        self._problem: Exception | None = None
        self._unsigned = False
        self._due_at = 0.0
        self._log: SqliteLog | None = None
        self._at_work = threading.Lock()  # held while the log is used, by the thread or by the loop
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
        """Commit ``records`` together, after all that was given before; in the event loop. ``done`` hears there why
        that was not possible, or None, in the order in which things were given.

        What comes in two turns of the loop, from whichever link, is one transaction: a sync for each link would cost
        more than everything else. One unit that spoils it (a ticket spent twice) does not take others along.
        """
        self._given.append((records, done))
        if not self._busy:
            self._gather()

    def _gather(self) -> None:
        """Hand over what was given once the loop has gone round twice. The first turn brings what was under way beside
        it; the second, what that had the others do. Whoever asks at the same time as many shares their sync.
        """
        if not self._due:
            self._due = True
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._hand_over)

    def _hand_over(self) -> None:
        self._due = False
        while self._given and not self._busy:
            group = self._take_group()
            # What is no record fails where it is written, and is said there.
            if not any(getattr(record, "grade", "durable") == "durable" for records, _ in group for record in records):
                problems = self._write_at_once(group)
                if problems is not None:
                    _tell(group, problems)
                    continue
            self._busy = True
            self._work.put((group, asyncio.get_running_loop()))

    def _take_group(self) -> Group:
        size = 0
        for taken, (records, _) in enumerate(self._given[:MAX_GROUP]):
            size += sum(map(_size, records))
            if taken and size > MAX_GROUP_BYTES:
                break
        else:
            taken = MAX_GROUP
        group, self._given = self._given[:taken], self._given[taken:]
        return group

    def _write_at_once(self, group: Group) -> list[StorageError | None] | None:
        """Commit what needs no sync here and now, if the writer rests: that takes about 25 µs and no hop to the thread
        and back. None: it does not rest.
        """
        if self._log is None or not self._at_work.acquire(blocking=False):
            return None
        try:
            rested = not self._unsigned
            problems = self._write_group(self._log, group)
        finally:
            self._at_work.release()
        if rested:
            self._work.put(([], None))  # so that the thread comes to sign in a second
        return problems

    def _written(self, group: Group, problems: list[StorageError | None]) -> None:
        """The thread is done with a group; in the event loop."""
        self._busy = False
        _tell(group, problems)
        if self._given:
            self._gather()

    async def write(self, records: Sequence[Record]) -> StorageError | None:
        """The same for whoever waits for it."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[StorageError | None] = loop.create_future()
        self.append(records, done.set_result)
        return await done

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits, sign a last checkpoint, and end."""
        if self._given:  # nobody waits for these any more
            self._work.put((self._given, None))
            self._given = []
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
            group, loop = item
            with self._at_work:
                problems = self._write_group(log, group) if group else []
            if loop is not None:
                with suppress(RuntimeError):  # the loop is gone, and nobody waits any more
                    loop.call_soon_threadsafe(self._written, group, problems)
            if self._unsigned and self._clock() / 1e6 >= self._due_at:
                self._sign(log)
        with self._at_work:  # from here the loop no longer writes by itself
            self._log = None
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

    def _next(self, log: SqliteLog) -> Work | None:
        """The next work; meanwhile a checkpoint, when a second has passed since something was written."""
        while self._unsigned:
            try:
                return self._work.get(timeout=self._until_checkpoint())
            except queue.Empty:
                self._sign(log)
        return self._work.get()

    def _until_checkpoint(self) -> float:
        return max(0.0, self._due_at - self._clock() / 1e6)

    def _sign(self, log: SqliteLog) -> None:
        try:
            with self._at_work:
                self._unsigned = False
                log.checkpoint(self._clock())
        except DoorwardError as problem:
            self._unsigned = True
            self._due_at = self._clock() / 1e6 + CHECKPOINT_EVERY_S
            self._report(f"the log could not be signed: {problem}")

    def _write_group(self, log: SqliteLog, group: Group) -> list[StorageError | None]:
        """All of it in one transaction; if that fails, each unit in its own, in order."""
        everything = [record for records, _ in group for record in records]
        if not everything or self._write(log, everything) is None:
            return [None] * len(group)
        return [self._write(log, records) if records else None for records, _ in group]

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
            self._unsigned, self._due_at = True, self._clock() / 1e6 + CHECKPOINT_EVERY_S
        return None


def _size(record: Record) -> int:
    try:
        return len(record.body) + len(record.entry.body)
    except AttributeError:  # no record; it fails where it is written
        return 0


def _tell(group: Group, problems: list[StorageError | None]) -> None:
    """In the event loop. Units of many links are in one group: one that fails there does not take the others along, and
    each is let go once it has heard, because together they may hold many megabytes.
    """
    group.reverse()
    for problem in problems:
        _, done = group.pop()
        try:
            done(problem)
        except Exception as crash:  # noqa: BLE001 - whatever it is, the loop's handler says it
            asyncio.get_running_loop().call_exception_handler(
                {"message": "what was recorded could not be performed", "exception": crash}
            )


def _interrupted(found: Interrupted) -> str:
    if found.damaged:
        return f"the log {found.log} of an earlier run cannot be ended: {found.damaged}"
    named = ", ".join(f"{request.method} {request.subject}".strip() for request in found.open[:3])
    more = f" ({named})" if named else ""
    return f"an earlier run was interrupted: log {found.log}, {found.open_count} requests without an outcome{more}"

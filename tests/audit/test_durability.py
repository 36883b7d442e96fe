"""What survives: a failing disk, a full disk, a torn end, a kill at any moment, ten processes at once."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from doorward.audit import reader
from doorward.audit.stores.recovery import recover
from doorward.audit.stores.sqlite import Item, SqliteLog
from doorward.audit.verify import Verified, verify_log

NOW_US = 1_795_338_600_000_000  # 2026-11-22T09:10:00Z
Make = Callable[..., Item]
Start = Callable[..., subprocess.Popen[str]]

PRELUDE = """
import sys, time
from pathlib import Path
from doorward.audit.entry import Entry
from doorward.audit.stores.sqlite import Item, SqliteLog
from doorward.errors import StorageError


def item(number, kind="intent", sender="client"):
    at = time.time_ns() // 1000
    return Item(Entry(kind=kind, at=at, link="link-1", sender=sender, request=str(number), body="x" * 200))

def tell(*words):
    print(*words, flush=True)

def attempt(name, step):
    try:
        step()
    except StorageError as error:
        tell(name, "refused")
    else:
        tell(name, "done")

def now():
    return time.time_ns() // 1000

log = SqliteLog.open(Path(sys.argv[1]), now_us=now(), label="test")
"""

# From the moment this filter is in place the kernel answers every fsync and fdatasync of the process with EIO.
FAIL_EVERY_SYNC = """
import ctypes, errno, platform, struct
def fail_every_sync():
    numbers = {"x86_64": (74, 75), "aarch64": (82, 83)}[platform.machine()]
    load, equal, give = 0x20, 0x15, 0x06
    program = [(load, 0, 0, 0), (equal, 2, 0, numbers[0]), (equal, 1, 0, numbers[1]),
               (give, 0, 0, 0x7FFF0000), (give, 0, 0, 0x00050000 | errno.EIO)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
    head = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    assert prctl(38, 1, 0, 0, 0) == 0
    buffer = ctypes.create_string_buffer(head)
    assert prctl(22, 2, ctypes.addressof(buffer), 0, 0) == 0
"""


def verify_all(state: Path) -> list[Verified]:
    key = (state / "audit.pub").read_text()
    return [verify_log(path, key) for path in reader.logs(state)]


def output_of(process: subprocess.Popen[str]) -> list[str]:
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    return out.splitlines()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_durable_append_waits_for_a_sync_that_succeeds_and_a_written_one_for_none(state: Path, start: Start) -> None:
    program = (
        PRELUDE
        + FAIL_EVERY_SYNC
        + """
attempt("durable before", lambda: log.append([item(1)], durable=True))
fail_every_sync()
attempt("written", lambda: log.append([item(2)], durable=False))
attempt("durable", lambda: log.append([item(3)], durable=True))
tell("size", log.size)
attempt("written after", lambda: log.append([item(4)], durable=False))
attempt("checkpoint after", lambda: log.checkpoint(now()))
attempt("close after", lambda: log.close(now()))
"""
    )
    assert output_of(start(program, state)) == [
        "durable before done",
        "written done",
        "durable refused",
        "size 3",
        "written after refused",
        "checkpoint after refused",
        "close after refused",
    ]
    (interrupted,) = recover(state, now_us=NOW_US)
    assert not interrupted.damaged
    assert [one.request for one in interrupted.open[:2]] == ["1", "2"]
    assert [verified.closed for verified in verify_all(state)] == [True]


def test_a_checkpoint_waits_for_a_sync_that_succeeds(state: Path, start: Start) -> None:
    program = (
        PRELUDE
        + FAIL_EVERY_SYNC
        + """
from doorward.audit.checkpoint import generate
generate(bytes(32))
attempt("written", lambda: log.append([item(1)], durable=False))
fail_every_sync()
attempt("checkpoint", lambda: log.checkpoint(now()))
"""
    )
    assert output_of(start(program, state)) == ["written done", "checkpoint refused"]


def test_a_full_disk_refuses_each_append_and_takes_them_again_when_there_is_room(state: Path, start: Start) -> None:
    program = (
        PRELUDE
        + """
import os, resource
attempt("before", lambda: log.append([item(1)], durable=True))
root = log.root()
room = os.stat(f"{log.path}-wal").st_size + 1000
resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
attempt("durable", lambda: log.append([item(2)], durable=True))
attempt("written", lambda: log.append([item(3)], durable=False))
attempt("checkpoint", lambda: log.checkpoint(now()))
tell("unchanged", log.root() == root, log.size)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
attempt("durable", lambda: log.append([item(4)], durable=True))
attempt("written", lambda: log.append([item(5)], durable=False))
attempt("checkpoint", lambda: log.checkpoint(now()))
attempt("close", lambda: log.close(now()))
"""
    )
    assert output_of(start(program, state)) == [
        "before done",
        "durable refused",
        "written refused",
        "checkpoint refused",
        "unchanged True 2",
        "durable done",
        "written done",
        "checkpoint done",
        "close done",
    ]
    (verified,) = verify_all(state)
    assert (verified.size, verified.closed) == (5, True)
    assert [one.entry.request for one in reader.last(state).found] == ["", "1", "4", "5", ""]


APPEND_UNTIL_KILLED = (
    PRELUDE
    + """
number = 0
while True:
    number += 1
    index = log.append([item(number)], durable=number % 3 != 0)
    tell(index, "written" if number % 3 == 0 else "durable")
    if number % 7 == 0:
        log.checkpoint(now())
"""
)


@pytest.mark.parametrize("acknowledged", [1, 2, 3, 14, 150])
def test_whatever_was_acknowledged_is_there_after_a_kill(state: Path, start: Start, acknowledged: int) -> None:
    process = start(APPEND_UNTIL_KILLED, state)
    assert process.stdout is not None
    for _ in range(acknowledged):
        assert process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    told = [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    process.wait(timeout=30)
    last = acknowledged + len(told)  # indexes count from 1, after the opening entry
    (interrupted,) = recover(state, now_us=NOW_US)
    assert not interrupted.damaged
    (verified,) = verify_all(state)
    assert verified.closed
    # A kill loses nothing, of neither grade: one more append may have ended without its line being printed.
    assert last <= interrupted.last <= last + 1
    assert interrupted.open_count == interrupted.last
    assert [one.index for one in reader.search(state, link="link-1").found] == list(range(1, interrupted.last + 1))


@pytest.mark.parametrize("seed", range(20))
def test_a_power_cut_takes_entries_from_the_end_only_and_none_that_was_durable(
    state: Path, tmp_path: Path, item: Make, seed: int
) -> None:
    """What was synced is what the WAL held at the last durable append; anything behind that may be torn or garbage."""
    chance = random.Random(seed)  # noqa: S311 (must repeat)
    log = SqliteLog.open(state, now_us=NOW_US, label="test")
    for number in range(1, 6):
        log.append([item(number)], durable=True)
    wal = Path(f"{log.path}-wal")
    synced = wal.stat().st_size
    for number in range(6, 12):
        log.append([item(number)], durable=False)
    after = tmp_path / "after"
    shutil.copytree(state, after, ignore=shutil.ignore_patterns("*-shm"))
    torn = after / "audit" / wal.name
    content = bytearray(torn.read_bytes())
    cut = chance.randrange(synced, len(content) + 1)
    content[cut:] = chance.randbytes(len(content) - cut) if chance.random() < 0.5 else b""
    torn.write_bytes(content)

    (interrupted,) = recover(after, now_us=NOW_US)
    assert not interrupted.damaged
    (verified,) = verify_all(after)
    kept = [one.entry.request for one in reader.search(after, link="link-1").found]
    assert kept == [str(number) for number in range(1, len(kept) + 1)]
    assert len(kept) >= 5
    assert verified.closed
    log.close(NOW_US)


ONE_OF_TEN = (
    PRELUDE
    + """
tell("ready")
sys.stdin.readline()
for number in range(50):
    log.append([item(number)], durable=True)
    log.append([item(number, "outcome", "server")], durable=False)
    if number % 20 == 10:
        log.checkpoint(now())
log.append([item("left open")], durable=True)
tell("appended")
sys.stdin.readline()
log.close(now())
"""
)


def test_ten_processes_share_one_state_and_the_two_that_are_killed_are_ended_by_the_next(
    state: Path, start: Start
) -> None:
    processes = [start(ONE_OF_TEN, state) for _ in range(10)]
    assert [line_of(process) for process in processes] == ["ready"] * 10
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [line_of(process) for process in processes] == ["appended"] * 10
    assert [verified.size for verified in verify_all(state)] == [102] * 10
    assert recover(state, now_us=NOW_US) == []  # all of them are alive
    killed, others = processes[:2], processes[2:]
    for process in killed:
        process.kill()
        process.wait(timeout=30)
    for process in others:
        process.communicate("close\n", timeout=30)
        assert process.returncode == 0

    interrupted = recover(state, now_us=NOW_US)
    assert [(one.label, one.open_count, one.first, one.damaged) for one in interrupted] == [("test", 1, 101, "")] * 2
    assert recover(state, now_us=NOW_US) == []
    assert [(verified.size, verified.closed) for verified in verify_all(state)] == [(103, True)] * 10
    assert sorted(path.suffix for path in (state / "audit").iterdir()) == [".sqlite"] * 10


RECOVER = """
import sys
from pathlib import Path
from doorward.audit.stores.recovery import recover
print("ready", flush=True)
sys.stdin.readline()
print(len(recover(Path(sys.argv[1]), now_us=1_795_338_600_000_000)))
"""


def test_of_several_that_find_a_dead_log_one_ends_it(state: Path, start: Start, item: Make) -> None:
    logs = [SqliteLog.open(state, now_us=NOW_US, label="test") for _ in range(5)]
    for log in logs:
        log.append([item(1)], durable=True)
        log.abandon()
    processes = [start(RECOVER, state) for _ in range(4)]
    assert [line_of(process) for process in processes] == ["ready"] * 4
    assert sum(int(process.communicate("go\n", timeout=30)[0]) for process in processes) == 5
    assert [verified.size for verified in verify_all(state)] == [3] * 5

"""The memory of a victim is read from the kernel: real processes that really take memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from doorward.lab import watch

MIB = 1 << 20
# On a line of stdin: take so many MiB, say so, and give them back; then wait for the next.
HOARDER = """
import sys
for line in sys.stdin:
    held = b"x" * (int(line) << 20)
    print(len(held), flush=True)
    del held
"""
# The same, one process further down.
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-I', '-S', '-c', sys.argv[1]])"


@contextmanager
def started(*argv: str) -> Iterator[subprocess.Popen[str]]:
    command = (sys.executable, "-I", "-S", "-c", *argv)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


def take(process: subprocess.Popen[str], mib: int) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{mib}\n")
    process.stdin.flush()
    process.stdout.readline()


def grown(process: subprocess.Popen[str], mib: int) -> int:
    take(process, 1)  # it is there, and has done once what it does

    async def watched() -> int:
        async with watch.watching(lambda: [process.pid]) as seen:
            take(process, mib)
        return seen.grown

    return anyio.run(watched)


def test_what_a_process_takes_and_gives_back_at_once_is_seen() -> None:
    with started(HOARDER) as process:
        assert 60 * MIB < grown(process, 64) < 80 * MIB


def test_a_descendant_is_a_victim_too() -> None:
    with started(PARENT, HOARDER) as process:
        assert 60 * MIB < grown(process, 64) < 80 * MIB


def test_what_was_held_before_does_not_count() -> None:
    with started(HOARDER) as process:
        take(process, 64)
        assert grown(process, 8) < 16 * MIB


def test_a_process_that_is_gone_has_not_grown_and_does_no_harm() -> None:
    with started("pass") as process:
        process.wait(10)
        assert watch.Watch(lambda: [process.pid]).grown == 0
    assert os.getpid() in watch.below([os.getpid()])

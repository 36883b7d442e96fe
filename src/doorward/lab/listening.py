"""Programs that say in a line where they listen: a target over HTTP, and ``doorward serve`` in front of one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from anyio.abc import Process

LISTEN_LIMIT_SECONDS = 20.0
"""How long a program may take until it listens. A busy machine needs three."""

END_LIMIT_SECONDS = 8.0
"""How long it may take to end once it is asked: it closes its log then. After that it is killed with its group."""

_MOST_WORDS = 64 * 1024

_LEASHED = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG, which an exec keeps
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""
"""Starts a program that the kernel ends with us, also where we are killed: a target is open to whoever finds it."""


class NotListeningError(Exception):
    """A program did not listen in time, or ended before."""


class Listening:
    """A started program: its ``url``, once it said so, and its ``pid``."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.url = ""
        self.said = anyio.Event()


@asynccontextmanager
async def listening(
    argv: tuple[str, ...], *, env: Mapping[str, str], cwd: Path, words: Path, read: Callable[[bytes], str]
) -> AsyncIterator[Listening]:
    """Start ``argv`` and wait until ``read`` finds its URL in one of its lines; it is ended with the block.

    What it says goes to the file ``words``, up to 64 KiB. It ends with the thread that called this, however that ends.

    Raises:
        NotListeningError: it did not get that far.
    """
    process = await anyio.open_process(
        (sys.executable, "-I", "-S", "-c", _LEASHED, str(os.getpid()), *argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(env),
        cwd=cwd,
        start_new_session=True,
    )
    found = Listening(process.pid)
    try:
        async with anyio.create_task_group() as life:
            life.start_soon(_hear, process, found, words, read)
            with anyio.move_on_after(LISTEN_LIMIT_SECONDS):
                await found.said.wait()
            ended = found.said.is_set()
            try:
                if found.url:
                    yield found
            finally:
                with anyio.CancelScope(shield=True):
                    await _end(process)
                life.cancel_scope.cancel()
        if not found.url:  # said out here: what leaves a group of tasks is a group of exceptions
            raise NotListeningError("it ended" if ended else "it does not listen")
    finally:
        await process.aclose()


async def _hear(process: Process, found: Listening, words: Path, read: Callable[[bytes], str]) -> None:
    held, kept = b"", 0
    if process.stdout is None:
        return
    with words.open("wb") as file, suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
        async for chunk in process.stdout:
            kept += file.write(chunk[: max(0, _MOST_WORDS - kept)])
            file.flush()
            if found.url:
                continue
            *lines, held = (held + chunk).split(b"\n")
            found.url = next(filter(None, map(read, lines)), "")
            if found.url:
                found.said.set()
    found.said.set()


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    with anyio.move_on_after(END_LIMIT_SECONDS):
        await process.wait()
    # It leads its own group, so this reaches whoever it left behind and nobody else.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def plain_url(line: bytes) -> str:
    """What ``targets/over_http.py`` says."""
    return line.decode("ascii", "replace") if line.startswith((b"http://", b"https://")) else ""


def serving_event(line: bytes) -> str:
    """What ``doorward serve --json`` says."""
    try:
        event = json.loads(line)
    except ValueError:
        return ""
    return str(event["url"]) if isinstance(event, dict) and event.get("event") == "serving" else ""

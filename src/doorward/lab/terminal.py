"""A program at a fresh pseudo-terminal, as people start it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from anyio.abc import Process

ROWS, COLUMNS = 50, 120
END_LIMIT_SECONDS = 2.0
"""How long the program may take to end once it is asked; then it is killed with its group."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[0-Z\\-_=>])|\x07")

# Makes the terminal ours before the program starts, since it may want to open /dev/tty.
_SEAT = "import fcntl,os,sys,termios;fcntl.ioctl(0,termios.TIOCSCTTY,0);os.execvp(sys.argv[1],sys.argv[1:])"


@asynccontextmanager
async def started(argv: tuple[str, ...], *, env: Mapping[str, str], cwd: Path) -> AsyncIterator[tuple[int, Process]]:
    """``argv`` at a terminal of its own: our end of that, and the process. Both are gone after the block."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    try:
        process = await anyio.open_process(
            (sys.executable, "-I", "-S", "-c", _SEAT, *argv),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**env, "TERM": "xterm", "LC_ALL": "C.UTF-8"},
            cwd=cwd,
            start_new_session=True,
        )
    finally:
        os.close(theirs)
    try:
        yield ours, process
    finally:
        with anyio.CancelScope(shield=True):
            await _dismiss(process)
        os.close(ours)


async def read(terminal: int) -> bytes:
    """What was written since, once there is something; empty when the other end is closed."""
    await anyio.wait_readable(terminal)
    try:
        return os.read(terminal, 65536)
    except OSError:  # how a pseudo-terminal says that its other end is closed
        return b""


def plain(screen: str) -> str:
    """What stands on the screen: no colours, no moves of the cursor, no bell."""
    return _ESCAPES.sub("", screen).replace("\r\n", "\n").replace("\r", "")


async def _dismiss(process: Process) -> None:
    _signal(process, signal.SIGTERM)
    with anyio.move_on_after(END_LIMIT_SECONDS):
        await process.wait()
    _signal(process, signal.SIGKILL)
    await process.wait()
    await process.aclose()


def _signal(process: Process, what: signal.Signals) -> None:
    """It leads its own group, so this reaches whoever it left behind and nobody else."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, what)

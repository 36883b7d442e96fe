"""A server that is run once inside its walls and watched, so that a person sees what its profile lacks.

Its input and output are this program's own: whoever would be its client speaks to it, since what a server touches
depends on what it is asked to do. Nothing is judged or recorded of what they say, and nothing that was learnt is
applied. The walls stand as they would in ``wrap``; the way out too, whose refusals are learnt.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Final

from doorward.confine import process
from doorward.confine.network import Target, spelt
from doorward.confine.shortfalls import gaps
from doorward.confine.tracing import Tracer
from doorward.confine.wishes import Lessons, Wish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.confine.profile import SandboxProfile

_PIECE: Final = 1 << 16
_LAST_WORDS_S: Final = 2.0


class Watched:
    """The server's exit code, None where it did not end by itself; what it wanted; what its walls lacked (``gaps``)."""

    def __init__(self, status: int | None, wishes: tuple[Wish, ...], gaps: tuple[str, ...]) -> None:
        self.status, self.wishes, self.gaps = status, wishes, gaps


def watch(
    argv: Sequence[str], walls: SandboxProfile, *, own: Sequence[str] = (), unsafe_no_sandbox: bool = False
) -> Watched:
    """Run the command until it ends or an interrupt comes. ``own`` are Doorward's folders, which nobody is given.

    Raises ConfinementError as ``process.start`` and ``Child.started`` do.
    """
    process.become_subreaper()
    with process.start(argv, walls, unsafe_no_sandbox=unsafe_no_sandbox, trace=True) as child:
        lessons = Lessons(walls, child.temp, own=own)
        copies = [
            Thread(target=_copy, args=(sys.stdin.fileno(), child.stdin), daemon=True),
            Thread(target=_copy, args=(child.stdout, sys.stdout.fileno()), daemon=True),
            Thread(target=_copy, args=(child.stderr, sys.stderr.fileno()), daemon=True),
        ]
        for copy in copies:
            copy.start()
        with suppress(KeyboardInterrupt):  # one that comes before or after the loop listens for it
            asyncio.run(_until_ended(child, walls, lessons))
        child.kill_tree()
        if child.pid is None:
            child.started()  # raises: it says why there is none
        for copy in copies[1:]:
            copy.join(_LAST_WORDS_S)
        for descriptor in (child.stdout, child.stderr):
            os.close(descriptor)
        return Watched(child.status, lessons.wishes(), gaps(child.mechanism or "", child.abi or 0, walls))


async def _until_ended(child: process.Child, walls: SandboxProfile, lessons: Lessons) -> None:
    from doorward.gateway.egress.server import way_out

    def refuse(target: Target, _why: str) -> str:
        lessons.refused(spelt(target))
        return ""

    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    tracers: list[Tracer] = []
    egress = way_out(walls, refuse, lambda *_: None)

    def take() -> None:
        for seen in tracers[0].take():
            lessons.take(seen)

    def receive() -> None:
        has_ways = bool(child.listeners)
        child.receive()
        if child.listeners and not has_ways:
            egress.open(child.listeners)
        if child.watched is not None and not tracers:
            tracers.append(Tracer(child.watched))
            loop.add_reader(child.watched, take)
        if child.ended:
            ended.set()

    _end_between_two_looks(loop, ended)
    loop.add_reader(child.control, receive)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(child.control)
        for tracer in tracers:
            loop.remove_reader(tracer.descriptor)
        child.kill_tree()  # before the tracer closes: nobody is left whose calls would fail
        for tracer in tracers:
            tracer.close()
        await egress.close()


def _end_between_two_looks(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """A signal that came in the middle of one would lose what was seen last."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            loop.add_signal_handler(number, ended.set)


def _copy(source: int, target: int) -> None:
    with suppress(OSError):
        while piece := os.read(source, _PIECE):
            view = memoryview(piece)
            while view:
                view = view[os.write(target, view) :]
    if target > 2:  # noqa: PLR2004 - its input, whose end it is to see
        with suppress(OSError):
            os.close(target)

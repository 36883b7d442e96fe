"""What the verbs that attack share: exit codes, the seed, an end on request, and files for their results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from doorward.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from signal import Signals

    from anyio import CancelScope

    from doorward.lab.report.model import Report

CLEAN, FINDING, ENVIRONMENT = 0, 1, 2

T = TypeVar("T")


def require_lab() -> None:
    """Ask this before anything of the lab is loaded.

    Raises:
        UsageError: what only the extra ``lab`` brings is not there.
    """
    import importlib.util

    if importlib.util.find_spec("mcp") is None:
        raise UsageError(
            "the lab needs the MCP SDK", hint="install doorward with its extra, doorward[lab]; in a checkout: make demo"
        )


def seed_of(given: int | None) -> int:
    """The seed that was asked for, else a fresh one."""
    return int.from_bytes(os.urandom(4), "big") if given is None else given


def exit_code(report: Report, *, allow_inconclusive: bool, in_ci: bool = False) -> int:
    """What a report means for a script; ``--help`` of each verb ends with it. What is known or open never decides.

    A target that did not come, or that has no place for anything, is no clean one, whatever is allowed.
    """
    from doorward.lab.report.model import Standing, State
    from doorward.lab.scenario import Exclusion

    if any(finding.state is State.NEW for finding in report.findings()):
        return FINDING
    if in_ci and any(run.reason == Exclusion.REGISTRY_UNREACHABLE for run in report.runs):
        return FINDING
    standings = {report.standing(run) for run in report.runs}
    reached = any(run.era for run in report.runs)
    if report.verb == "attack" and (not reached or standings <= {Standing.NOT_PLAYED}):
        return ENVIRONMENT
    unknown = Standing.UNKNOWN in standings or any(map(report.is_half_known, report.runs))
    return ENVIRONMENT if unknown and not allow_inconclusive else CLEAN


def play_until(play: Callable[[], Awaitable[T]], *signals: Signals) -> T:
    """What ``play`` answers. One of ``signals`` is an interruption: stages are struck, processes ended and what was
    planted removed, then we leave as by ctrl-c.

    Raises:
        KeyboardInterrupt: a signal came first.
    """
    import logging

    import anyio

    # Closing a process that has just ended takes its end away from asyncio, which then warns, and knows nothing less.
    logging.getLogger("asyncio").setLevel(logging.ERROR)

    async def show() -> tuple[T] | None:
        played = None
        # Heard until all of that is done: whoever presses ctrl-c twice would leave processes behind.
        with anyio.open_signal_receiver(*signals) as received:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_end_on, received, tasks.cancel_scope)
                played = (await play(),)
                tasks.cancel_scope.cancel()
        return played

    played = anyio.run(show)
    if played is None:
        raise KeyboardInterrupt
    return played[0]


async def _end_on(received: AsyncIterator[Signals], everything: CancelScope) -> None:
    async for _ in received:
        everything.cancel()
        return


def require_writable(file: Path) -> None:
    """Before half a minute is spent on what could not be written then.

    Raises:
        UsageError: it cannot be written.
    """
    if file.is_dir() or not os.access(file if file.exists() else file.absolute().parent, os.W_OK):
        raise UsageError(f"cannot write {file}", hint="name a file in a folder that is there and yours")


def write_file(path: str, text: str) -> None:
    """Write a result.

    Raises:
        UsageError: the system refuses.
    """
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as problem:
        raise UsageError(f"cannot write {path}: {(problem.strerror or '').lower()}") from None

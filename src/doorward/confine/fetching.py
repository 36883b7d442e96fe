"""The walls of a step that fetches a package, or builds it, and how such a step is waited for.

The step gets the system, its package manager, one folder of its own to write, and of the user's what it is told to
read: the settings of the package manager. Its environment is the short list and the variables that belong to those
settings. Its network is closed but for the targets that it is given.

Does not protect against the package manager: it is a program of the user's, and decides what the folder holds. What it
was made to fetch runs in no such step, unless the operator said so (``--unsafe-install-scripts``).
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from doorward.confine.network import Target
from doorward.confine.process import Child
from doorward.confine.profile import Mechanism, SandboxProfile, derive
from doorward.errors import ConfinementError

LONGEST_SECONDS: Final = 600.0
"""One step takes seconds; after ten minutes nobody answers any more."""

_KEPT_BYTES: Final = 64 * 1024  # of what a step printed, the end


class Outcome(msgspec.Struct, frozen=True):
    """How a step ended: its exit code (128+n for a signal), and the end of what it printed on both its outputs."""

    status: int
    text: str


class Own(msgspec.Struct, frozen=True):
    """The user's home, and Doorward's own folders, which no step sees."""

    home: str
    state: str
    config: str
    others: tuple[str, ...] = ()


def step_walls(  # noqa: PLR0913 - as of `derive`, each is one fact about the world
    argv: Sequence[str],
    *,
    folder: str,
    environ: Mapping[str, str],
    read: Iterable[str],
    variables: Iterable[str],
    told: Mapping[str, str],
    connect: Iterable[Target],
    own: Own,
    caps: Mapping[str, int],
    mechanism: Mechanism = "auto",
) -> SandboxProfile:
    """The walls of one step: it starts in ``folder``, the only one that it may write, and that is there.

    ``read`` are paths that it may read besides, ``variables`` names of ``environ`` that it gets, ``told`` variables
    that Doorward sets itself, ``connect`` where it may connect to: nowhere else; ``caps`` are fields of the profile.
    The package manager's cache is a folder below ``folder``, which nobody else ever uses: a cache that a build could
    write would decide what the next package is. Raises ConfinementError as `doorward.confine.profile.derive` does.
    """
    walls = derive(
        argv,
        environ=environ,
        cwd=folder,
        home=own.home,
        state=own.state,
        config=own.config,
        server="fetching",
        read=read,
        grants=variables,
        network="none",
        connect=connect,
        profile="strict",
        also_own=own.others,
    )
    cache = os.path.join(folder, "cache")
    moved = {name: value.replace(walls.cache, cache, 1) for name, value in walls.env if value.startswith(walls.cache)}
    return msgspec.structs.replace(
        walls,
        write=(*walls.write, folder),
        env=tuple({**dict(walls.env), **moved, **told}.items()),
        cache=cache,
        mechanism=mechanism,
        **caps,
    )


def finish(child: Child, started: Callable[[], object], limit_seconds: float = LONGEST_SECONDS) -> Outcome:
    """Wait until a step has ended and nothing of it is left. ``started`` is called once its ways out are known.

    Raises ConfinementError when it could not be started, or has not ended within the limit; then it is killed.
    """
    deadline = time.monotonic() + limit_seconds
    os.close(child.stdin)
    outputs = [child.stdout, child.stderr]
    try:
        with child:
            child.started()
            started()
            text = _read(outputs, deadline)
            status = child.wait(max(deadline - time.monotonic(), 0.0))
    finally:
        for descriptor in outputs:
            os.close(descriptor)
    if status is None:
        raise ConfinementError(f"it has not ended within {limit_seconds:.0f} seconds")
    return Outcome(status, text.decode("utf-8", "replace"))


def _read(outputs: list[int], deadline: float) -> bytes:
    kept, waiting = b"", set(outputs)
    readable = select.poll()
    for descriptor in outputs:
        readable.register(descriptor, select.POLLIN)
    while waiting and (left := deadline - time.monotonic()) > 0:
        for descriptor, _ in readable.poll(left * 1000):
            piece = b""
            with contextlib.suppress(OSError):
                piece = os.read(descriptor, _KEPT_BYTES)
            kept = (kept + piece)[-_KEPT_BYTES:]
            if not piece:
                waiting.discard(descriptor)
                readable.unregister(descriptor)
    return kept

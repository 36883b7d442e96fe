"""Doorward less one defence: the proof that the defence was what held.

A wall leaves no finding. It counts as hit only if the same run, with that wall alone replaced by its stand-in, does
harm. ``python -m doorward.lab.ablated NAME VERB …`` is the product's command line with the armed defence NAME
replaced. The stand-ins live here and nowhere else: no flag, variable or policy key of the product leads to them.

Limits have no stand-in, because they are no defence that is armed: they are numbers of the policy, which act inside the
code that counts, and they leave findings. That they decide is shown by the operator's own ``[unsafe_sizes]``: with it
the same argument does harm (``tests/lab/test_relayed.py``).
"""

from __future__ import annotations

import gc
import importlib
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONFINE_FILES, ARCHIVE = "confine-files", "archive"
SESSION_BOUND, CHILD_OUTPUT, NO_ORPHANS, OWN_REQUESTS = "session-bound", "child-output", "no-orphans", "own-requests"
WALLS = (CONFINE_FILES, ARCHIVE)
"""Defences that leave no finding when they hold, by the ids of ``doorward.controls``."""

QUIET = (SESSION_BOUND, CHILD_OUTPUT, NO_ORPHANS, OWN_REQUESTS)
"""Defences that leave no finding where there is nothing to refuse: what would do harm has no way to where it would."""


class Unconfined:
    """Stands in for the walls around the child: starts and supervises it as before, and confines it to nothing."""

    def __init__(self, start: Callable[..., Any]) -> None:
        self._start = start

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Whatever ``confine.process.start`` takes; its walls are left out."""
        return self._start(*args, **{**options, "unsafe_no_sandbox": True})


def forget(_write: Callable[..., None]) -> Callable[..., None]:
    """Stands in for the writing of entries: each counts as written, and none is. The log opens and closes as ever."""
    return lambda *_: None


def from_anybody(after: Callable[..., Any]) -> Callable[..., Any]:
    """Stands in for the replay of events to the session that they were sent to: any session of this process may ask."""

    def found(replay: Any, last_event_id: str) -> Any:
        replays = (one for one in gc.get_objects() if isinstance(one, type(replay)))
        return next(filter(None, (after(one, last_event_id) for one in (replay, *replays))), None)

    return found


def passed_on(pass_on: Callable[..., None]) -> Callable[..., None]:
    """Stands in for what keeps a server's lines that are no messages from the client: they go to its stdout as well."""

    def loud(reporter: Any, line: bytes, at: int, stream: str) -> None:
        if stream == "stdout":
            os.write(1, line + b"\n")
        pass_on(reporter, line, at, stream)

    return loud


def with_credentials(wire: Callable[..., bytes]) -> Callable[..., bytes]:
    """Stands in for requests of our own: what clients that wait for an answer said of themselves goes on with them."""

    def passing(upstream: Any, body: bytes, fields: dict[str, str] | None = None) -> bytes:
        from doorward.gateway.http.call import HttpCall

        heads = [one.head for one in gc.get_objects() if isinstance(one, HttpCall) and not one.answered]
        shown = {name: one.fields[name] for one in heads for name in ("authorization", "cookie") if name in one.fields}
        start, line, rest = wire(upstream, body, fields).partition(b"\r\n")
        return start + line + "".join(f"{name}: {value}\r\n" for name, value in shown.items()).encode() + rest

    return passing


def letting_go(_launcher: str) -> str:
    """Stands in for the launcher that ends all that a server started: another, which does not."""
    return str(Path(__file__).with_name("letting_go.py"))


STAND_INS: dict[str, tuple[str, Callable[..., Any]]] = {CONFINE_FILES: ("confine", Unconfined)}
"""Name of the defence → the field of ``Defences`` that holds it, and what takes its place."""

REPLACED: dict[str, tuple[str, str, str, Callable[..., Any]]] = {
    ARCHIVE: ("doorward.gateway.archive", "Archive", "_write", forget),
    SESSION_BOUND: ("doorward.gateway.http.events", "Replay", "after", from_anybody),
    CHILD_OUTPUT: ("doorward.gateway.reporter", "Reporter", "pass_on", passed_on),
    OWN_REQUESTS: ("doorward.gateway.upstream.streamable", "StreamableConnector", "_wire", with_credentials),
    NO_ORPHANS: ("doorward.confine.process", "", "_LAUNCHER", letting_go),
}
"""The same for what is no armed defence: module, class if it is one's, name, and what makes of it what takes its place.
"""


def replace(name: str) -> None:
    """From now on, in this process, the stand-in for ``name`` is in its place.

    Raises:
        KeyError: there is no stand-in of that name.
    """
    if name in REPLACED:
        module, owner, what, stand_in = REPLACED[name]
        where = importlib.import_module(module)
        where = getattr(where, owner) if owner else where
        setattr(where, what, stand_in(getattr(where, what)))
        return
    import msgspec

    from doorward.gateway import defences

    field, stand_in = STAND_INS[name]
    arm = defences.arm

    def arm_less(*args: Any, **kwargs: Any) -> Any:
        armed = arm(*args, **kwargs)
        return msgspec.structs.replace(armed, **{field: stand_in(getattr(armed, field))})

    defences.arm = arm_less


def main() -> None:
    """``NAME VERB …``: replace, then become the product. By its name: the lab does not know the command line."""
    name, sys.argv[1:] = sys.argv[1], sys.argv[2:]
    replace(name)
    runpy.run_module("doorward", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

"""Doorward less one defence: the proof that the defence was what held.

A wall leaves no finding. It counts as hit only if the same run, with that wall alone replaced by its stand-in, does
harm. ``python -m doorward.lab.ablated NAME VERB …`` is the product's command line with the defence NAME replaced. The
stand-ins live in the lab and nowhere else: no flag, variable or policy key of the product leads to them.

Walls around a server stand in the launcher, so another launcher takes its place: ``lab/launcher.py``, which is the
product's own less what it is told. Where two walls each hold alone, neither is decisive alone: that is a group, named
by its members, and each group has its reason.

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

from doorward.controls import CONTROLS

CONFINE_FILES, CONFINE_PROCESSES, CONFINE_PRIVILEGES = "confine-files", "confine-processes", "confine-privileges"
ARCHIVE = "archive"
SESSION_BOUND, CHILD_OUTPUT, NO_ORPHANS = "session-bound", "child-output", "no-orphans"
OWN_REQUESTS, HEADER_AGREEMENT = "own-requests", "header-agreement"
CONFINE_NETWORK, CHILD_CAPS = "confine-network", "child-caps"
CONFINE_CALLS = "confine-calls"
"""No scenario rests on it: taken out to see how what stands behind it defends itself."""
ARGUMENT_CONTROLS = "argument-controls"
"""All that is judged of arguments and paths, at once: taken out to see that the walls hold alone."""
WALLS = (CONFINE_FILES, CONFINE_PROCESSES, CONFINE_PRIVILEGES, ARCHIVE)
"""Defences that leave no finding when they hold, by the ids of ``doorward.controls``."""

QUIET = (SESSION_BOUND, CHILD_OUTPUT, NO_ORPHANS, OWN_REQUESTS, HEADER_AGREEMENT, CONFINE_NETWORK, CHILD_CAPS)
"""Defences that leave no finding where there is nothing to refuse: what would do harm has no way to where it would."""

BOTH = f"{CONFINE_FILES}+{CONFINE_PRIVILEGES}"
GROUPS = {
    BOTH: "what only root may write outside the server's folders is out of reach for whoever is not root, "
    "and for whoever is and gets at those folders only",
}
"""Walls of which each holds alone, and why. They count as hit where the same run does harm without all of them."""

ALL = (*WALLS, *QUIET, *GROUPS)
"""In the order in which they are tried: one that holds alone before those that hold together."""

LAUNCHER = ("-I", "-S", str(Path(__file__).parent / "launcher.py"))


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


def as_it_is(_encode: Callable[[str], str]) -> Callable[[str], str]:
    """Stands in for the encoding of what a header cannot carry."""
    return lambda value: value


def without_argument_controls(build: Callable[..., Any]) -> Callable[..., Any]:
    """Stands in for the pipeline: whatever a client asks for of a tool, a prompt or a resource is passed on."""

    def built(masker: Any) -> Any:
        import msgspec

        whole = build(masker)
        judging = tuple(CONTROLS[name].module for name in ABOUT_ARGUMENTS)
        checks = tuple(check for check in whole.checks if _module(check) not in judging)
        return msgspec.structs.replace(whole, checks=checks)

    return built


ABOUT_ARGUMENTS = (
    *("definition-arguments", "argument-constraints", "prompt-arguments", "path-confinement", "known-resources"),
    *("resource-size", "destructive-consent", "held-secrets"),
)


def _module(control: Any) -> str:
    """Where a check is written: a function, or an object that is called."""
    named = control if hasattr(control, "__code__") else type(control)
    return str(named.__module__)


def _launched(name: str) -> tuple[str, str, str, Callable[..., Any]]:
    return ("doorward.confine.process", "", "_LAUNCHER", lambda _: (*LAUNCHER, *name.split("+")))


STAND_INS: dict[str, tuple[str, str, str, Callable[..., Any]]] = {
    **{name: _launched(name) for name in (CONFINE_FILES, CONFINE_PROCESSES, CONFINE_PRIVILEGES, BOTH, NO_ORPHANS)},
    **{name: _launched(name) for name in (CONFINE_NETWORK, CONFINE_CALLS, CHILD_CAPS)},
    ARGUMENT_CONTROLS: ("doorward.relay.pipeline", "", "build", without_argument_controls),
    ARCHIVE: ("doorward.gateway.archive", "Archive", "_write", forget),
    SESSION_BOUND: ("doorward.gateway.http.events", "Replay", "after", from_anybody),
    CHILD_OUTPUT: ("doorward.gateway.reporter", "Reporter", "pass_on", passed_on),
    OWN_REQUESTS: ("doorward.gateway.upstream.streamable", "StreamableConnector", "_wire", with_credentials),
    HEADER_AGREEMENT: ("doorward.protocol.headers", "", "encode_value", as_it_is),
}
"""Name of the defence or group → module, class (or nothing) and attribute, and what makes of the attribute's value what
takes its place.
"""


def candidates(scenario: str) -> tuple[str, ...]:
    """The walls, and after them the groups, all of whose members are made against the threat of that id."""
    return tuple(name for name in ALL if all(scenario in CONTROLS[one].threats for one in name.split("+")))


def replace(name: str) -> None:
    """From now on, in this process, the stand-in for ``name`` is in its place.

    Raises:
        KeyError: there is no stand-in of that name.
    """
    module, owner, attribute, stand_in = STAND_INS[name]
    where = importlib.import_module(module)
    where = getattr(where, owner) if owner else where
    setattr(where, attribute, stand_in(getattr(where, attribute)))


def main() -> None:
    """``NAME VERB …`` (``NAME+NAME`` for several): replace, then become the product.

    By its name: the lab does not know the command line.
    """
    names, sys.argv[1:] = sys.argv[1], sys.argv[2:]
    for name in [names] if names in STAND_INS else names.split("+"):
        replace(name)
    runpy.run_module("doorward", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

"""What the walls cost at the start of a server: milliseconds over a bare start, in each mechanism, round by round.

A server here is the smallest program there is, so that what is left is the walls. A round starts it four ways, one
after the other, and waits for its end: bare (``posix_spawn``), without walls under our supervisor, in each mechanism.
``booted`` is with a launcher that was ready, as ``wrap`` has it: it boots one while it finds out what to start.
Medians of the differences within a round, so that a machine that others use says nearly the same as an idle one.

What is promised: at most 50 ms for namespaces and 10 ms for landlock, with a launcher that was ready. Missed: ends
with 1.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Final

import msgspec

from doorward.confine.process import Launcher, boot, start
from doorward.confine.profile import Mechanism, SandboxProfile, derive

PROGRAM: Final = ("/bin/true",)
MECHANISMS: Final[tuple[Mechanism, ...]] = ("namespaces", "landlock")
PROMISED_MS: Final = {"namespaces": 50.0, "landlock": 10.0}
ROUNDS: Final = 60
READY_S: Final = 0.06


def main() -> int:
    """Measure, print, and say whether the promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often each is started ({ROUNDS})")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="doorward-bench-") as place:
        ways = _ways(place)
        for way in ways.values():
            way()
        taken = {name: [] for name in ways}  # type: dict[str, list[float]]
        for _ in range(rounds):
            for name, way in ways.items():
                taken[name].append(way() * 1000)
    bare = taken.pop("bare")
    print(f"{rounds} rounds; bare: {statistics.median(bare):.2f} ms")
    missed = False
    for name, figures in taken.items():
        over = statistics.median(one - other for one, other in zip(figures, bare, strict=True))
        mechanism, _, how = name.partition(", ")
        most = PROMISED_MS.get(mechanism) if how == "booted" else None
        verdict = "" if most is None else f"  promised: {most:.0f}" + ("" if over <= most else "  MISSED")
        missed = missed or (most is not None and over > most)
        print(f"{name:22} +{over:6.2f} ms{verdict}")
    return int(missed)


def _ways(place: str) -> dict[str, Callable[[], float]]:
    folders = {name: os.path.join(place, name) for name in ("home", "state", "config")}
    profile = derive(PROGRAM, environ={"PATH": "/usr/bin"}, cwd=place, server="bench", **folders)
    ways: dict[str, Callable[[], float]] = {"bare": _bare, "unsafe": lambda: _started(profile, unsafe=True)}
    for mechanism in MECHANISMS:
        walls = msgspec.structs.replace(profile, mechanism=mechanism)
        ways[mechanism] = lambda walls=walls: _started(walls)  # type: ignore[misc]
        ways[f"{mechanism}, booted"] = lambda walls=walls: _started(walls, ready=True)  # type: ignore[misc]
    return ways


def _bare() -> float:
    began = time.perf_counter()
    pid = os.posix_spawn(PROGRAM[0], PROGRAM, {})
    os.waitpid(pid, 0)
    return time.perf_counter() - began


def _started(profile: SandboxProfile, *, unsafe: bool = False, ready: bool = False) -> float:
    launcher: Launcher | None = None
    if ready:
        launcher = boot()
        time.sleep(READY_S)  # as long as `wrap` takes to find out what to start
    began = time.perf_counter()
    child = start(PROGRAM, profile, unsafe_no_sandbox=unsafe, launcher=launcher)
    os.close(child.stdin)
    with child, contextlib.closing(open(child.stderr, "rb", buffering=0)):
        select.select([child.stdout], [], [])  # the program's own end: nothing else holds its stdout
        taken = time.perf_counter() - began
        child.started()
        if not unsafe and child.mechanism != profile.mechanism:
            sys.exit(f"walls: {profile.mechanism} does not stand on this machine")
        child.wait()
        os.close(child.stdout)
        for listener in child.listeners:
            os.close(listener.descriptor)
    return taken


if __name__ == "__main__":
    sys.exit(main())

"""One measurement: a load for a moment on one target, and what it cost."""

from __future__ import annotations

import json
import subprocess
from typing import Any, NamedTuple

from processes import GATEWAY_CORE, REALTIME, build, busy_s, cpu_ns
from targets import Target

LOAD_LIMIT_S = 120.0


class Cell(NamedTuple):
    """What is asked of each target in turn."""

    era: str
    size: int
    connections: int

    def __str__(self) -> str:
        return f"{self.era}, {self.size} B, {self.connections} connection{'s' if self.connections > 1 else ''}"


class Sample(NamedTuple):
    """What came of it. ``foreign`` is the share of the gateway's core that others used, ``busy`` that of all."""

    rps: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    foreign: float
    busy: float
    calls: int
    wrong: int
    complaint: str


def take(target: Target, cell: Cell, seconds: float, *, realtime: bool) -> Sample:
    """Load one target. The clocks are read when every connection is ready, and before the sessions are deleted.

    A target that cannot be loaded at all counts as one wrong answer: what a peer cannot do is a result, too.
    """
    options = {
        "--port": target.port, "--connections": cell.connections, "--seconds": seconds, "--size": cell.size,
        "--era": cell.era, "--core": target.load_core,
    }  # fmt: skip
    argv = [str(build("load")), *(str(word) for option in options.items() for word in option)]
    favoured = [*REALTIME, *argv] if realtime else argv
    pipe = subprocess.PIPE
    with subprocess.Popen(favoured, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1) as load:
        assert load.stdin is not None
        assert load.stdout is not None
        if load.stdout.readline() == "ready\n":
            pids = target.pids()
            cpu, busy = cpu_ns(pids), busy_s(GATEWAY_CORE)
            load.stdin.write("\n")
            told = load.stdout.readline()
            cpu, busy = cpu_ns(pids) - cpu, busy_s(GATEWAY_CORE) - busy
            _, failure = load.communicate("\n", LOAD_LIMIT_S)
            if told:
                return _sample(target, json.loads(told), cpu / 1e9, busy)
        _, failure = load.communicate(timeout=LOAD_LIMIT_S)
    return Sample(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 1, failure.strip())


def _sample(target: Target, told: dict[str, Any], cpu_s: float, busy: float) -> Sample:
    calls, seconds = told["calls"], told["seconds"]
    # The upstream and, except for `alone`, the load work on the other core: nobody of ours is on this one.
    ours = cpu_s if target.name not in {"direct", "alone"} else 0.0
    return Sample(
        rps=told["rps"],
        p50_ms=told["p50_us"] / 1e3,
        p99_ms=told["p99_us"] / 1e3,
        cpu_us=cpu_s * 1e6 / calls if calls else 0.0,
        foreign=max(0.0, busy - ours) / seconds if target.name != "alone" else 0.0,
        busy=busy / seconds,
        calls=calls,
        wrong=told["wrong"],
        complaint=told["complaint"],
    )

"""One measurement: a load for a moment on one target, and what it cost."""

from __future__ import annotations

import json
import subprocess
from typing import Any, NamedTuple, Self

from processes import GATEWAY_CORE, LOAD_CORE, REALTIME, build, busy_s, cpu_ns
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
    """What came of it. ``foreign`` is the largest share of a core that went to others, ``busy`` what the gateway's core
    did for anybody.
    """

    rps: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    foreign: float
    busy: float
    calls: int
    wrong: int
    complaint: str


class Clocks(NamedTuple):
    """Seconds of CPU: of what is measured, of what helps it on the load's core, of the load, and of whole cores."""

    target: float
    beside: float
    load: float
    busy: dict[int, float]

    @classmethod
    def read(cls, target: Target, load: int) -> Self:
        ours, beside, own = (cpu_ns(pids) / 1e9 for pids in (target.pids(), target.beside(), (load,)))
        return cls(ours, beside, own, {core: busy_s(core) for core in (LOAD_CORE, GATEWAY_CORE)})

    def since(self, began: Clocks) -> Clocks:
        busy = {core: self.busy[core] - began.busy[core] for core in self.busy}
        return Clocks(self.target - began.target, self.beside - began.beside, self.load - began.load, busy)

    def foreign(self, target: Target, core: int) -> float:
        """What a core did for others. The upstream is on the load's core, and its own target where none is between."""
        ours = self.load if core == target.load_core else 0.0
        ours += self.beside if core == LOAD_CORE else 0.0
        ours += self.target if core == GATEWAY_CORE and target.process is not target.upstream else 0.0
        return max(0.0, self.busy[core] - ours)


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
            began = Clocks.read(target, load.pid)
            load.stdin.write("\n")
            told = load.stdout.readline()
            spent = Clocks.read(target, load.pid).since(began)
            _, failure = load.communicate("\n", LOAD_LIMIT_S)
            if told:
                return _sample(target, json.loads(told), spent)
        _, failure = load.communicate(timeout=LOAD_LIMIT_S)
    return Sample(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 1, failure.strip())


def _sample(target: Target, told: dict[str, Any], spent: Clocks) -> Sample:
    calls, seconds = told["calls"], told["seconds"]
    return Sample(
        rps=told["rps"],
        p50_ms=told["p50_us"] / 1e3,
        p99_ms=told["p99_us"] / 1e3,
        cpu_us=spent.target * 1e6 / calls if calls else 0.0,
        foreign=max(spent.foreign(target, core) for core in target.cores) / seconds,
        busy=spent.busy[GATEWAY_CORE] / seconds,
        calls=calls,
        wrong=told["wrong"],
        complaint=told["complaint"],
    )

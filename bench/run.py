"""What Doorward costs: start-up, one call, memory. Prints a table; ends with 1 when a figure is missed.

Each figure is a difference between two things measured in turn in this one run, never a time by itself, and the median
of many such pairs: a machine that others use at the same moment slows both halves of a pair. CPU time stands beside the
wall time, because it tells work from waiting for a processor that was busy elsewhere; and each call waits for the disk
once, so what the disk itself takes for that stands beside it, too.

    start-up   from exec to the answer to `initialize`, over processes started in turn
    call       one `tools/call` of 200 bytes, over two running servers asked in turn
    memory     what the gateway and its launcher hold after all those calls (the server's own does not count)
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from peer import Peer, call_of, memory_bytes

HERE = Path(__file__).parent
ROOT = HERE.parent
os.environ.setdefault("DOORWARD_TARGETS", str(ROOT / ".cache" / "targets"))

CALL_BYTES = 200
INSTANT_BUDGET_MS = 200.0
FILESYSTEM_BUDGET_MS = 100.0
CALL_BUDGET_MS = 1.0
MEMORY_BUDGET_MB = 60.0


class Figure(NamedTuple):
    """One promise: ``added`` may be at most ``budget``. ``more`` is what explains it and promises nothing."""

    title: str
    unit: str
    direct: float | None
    wrapped: float
    added: float
    budget: float
    more: dict[str, float]

    @property
    def held(self) -> bool:
        return self.added <= self.budget


class Bench:
    """A state directory of its own, a short environment, and the same two ways to start any server."""

    def __init__(self, work: Path, rounds: int, calls: int, program: str | None) -> None:
        self.rounds, self.calls = rounds, calls
        self.folder = work / "folder"
        self.folder.mkdir()
        (work / "home").mkdir()
        self._stderr = work / "stderr"
        self._synced = os.open(work / "synced", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._env = {"HOME": str(work / "home"), "PATH": os.environ.get("PATH", os.defpath)}
        program = program or shutil.which("doorward", path=str(Path(sys.executable).parent))
        self._doorward = (program,) if program else (sys.executable, "-m", "doorward")
        self._wrap = (*self._doorward, "--state", str(work / "state"), "wrap", "--")
        if not program and "PYTHONPATH" in os.environ:
            self._env["PYTHONPATH"] = os.environ["PYTHONPATH"]

    def direct(self, argv: tuple[str, ...]) -> Peer:
        return Peer(argv, self._env, self._stderr)

    def wrapped(self, argv: tuple[str, ...]) -> Peer:
        return Peer((*self._wrap, *argv), self._env, self._stderr)

    def sync(self) -> int:
        """The nanoseconds that the disk under the state directory takes to make 4 KiB durable."""
        began = time.perf_counter_ns()
        os.write(self._synced, bytes(4096))
        os.fdatasync(self._synced)
        return time.perf_counter_ns() - began

    def pair(self, argv: tuple[str, ...], turn: int) -> Iterator[tuple[str, Peer]]:
        """Both ways once; which comes first alternates, so that neither always finds warm caches."""
        ways: list[tuple[str, Callable[[tuple[str, ...]], Peer]]] = [("direct", self.direct), ("wrapped", self.wrapped)]
        for name, start in ways if turn % 2 == 0 else reversed(ways):
            yield name, start(argv)


def measure_start(bench: Bench, title: str, argv: tuple[str, ...], budget_ms: float) -> Figure:
    """Start the server both ways in turn. The first pair, which records the first use, is not counted."""
    wall: dict[str, list[float]] = {"direct": [], "wrapped": []}
    cpu: dict[str, list[float]] = {"direct": [], "wrapped": []}
    for turn in range(bench.rounds + 1):
        for name, peer in bench.pair(argv, turn):
            with peer:
                took = peer.initialize()
                spent = peer.cpu_ns()
            if turn:
                wall[name].append(took / 1e6)
                cpu[name].append(spent / 1e6)
    return _figure(title, "ms", wall, budget_ms, {"cpu_added_ms": _added(cpu), "rounds": float(bench.rounds)})


def measure_calls(bench: Bench, argv: tuple[str, ...]) -> tuple[Figure, Figure]:
    """Ask two running servers in turn, then weigh the gateway that one of them stands behind."""
    wall: dict[str, list[float]] = {"direct": [], "wrapped": []}
    synced: list[float] = []
    with bench.direct(argv) as direct, bench.wrapped(argv) as wrapped:
        peers = {"direct": direct, "wrapped": wrapped}
        for peer in peers.values():
            peer.initialize()
            _call(peer, 2)  # behind Doorward it waits for the list of tools, once
        before = {name: peer.cpu_ns() for name, peer in peers.items()}
        for turn in range(bench.calls):
            if turn % 10 == 0:
                synced.append(bench.sync() / 1e6)
            for name in ("direct", "wrapped") if turn % 2 == 0 else ("wrapped", "direct"):
                wall[name].append(_call(peers[name], turn + 3) / 1e6)
        cpu = {name: (peer.cpu_ns() - before[name]) / 1e3 / bench.calls for name, peer in peers.items()}
        memory = _weigh(wrapped)
    more = {
        "wrapped_p90": _quantile(wall["wrapped"], 90),
        "wrapped_p99": _quantile(wall["wrapped"], 99),
        "direct_p99": _quantile(wall["direct"], 99),
        "cpu_added_us": cpu["wrapped"] - cpu["direct"],
        "disk_sync_p50": statistics.median(synced),
        "calls": float(bench.calls),
    }
    return _figure(f"tools/call of {CALL_BYTES} bytes, p50", "ms", wall, CALL_BUDGET_MS, more), memory


def _call(peer: Peer, key: int) -> int:
    line = call_of(CALL_BYTES, key)
    began = time.perf_counter_ns()
    peer.send(line)
    answer = peer.receive()
    took = time.perf_counter_ns() - began
    told = json.loads(answer)
    assert told["id"] == key, told
    assert told["result"]["content"][0]["text"].startswith("xxx"), told
    return took


def _weigh(wrapped: Peer) -> Figure:
    gateway, launcher, *_ = wrapped.processes()
    (own, kind), (other, other_kind) = memory_bytes(gateway), memory_bytes(launcher)
    weight = (own + other) / 1e6
    more = {f"gateway_{kind.lower()}_mb": own / 1e6, f"launcher_{other_kind.lower()}_mb": other / 1e6}
    return Figure("memory of gateway and launcher", "MB", None, weight, weight, MEMORY_BUDGET_MB, more)


def _figure(title: str, unit: str, taken: dict[str, list[float]], budget: float, more: dict[str, float]) -> Figure:
    direct, wrapped = statistics.median(taken["direct"]), statistics.median(taken["wrapped"])
    return Figure(title, unit, direct, wrapped, _added(taken), budget, more)


def _added(taken: dict[str, list[float]]) -> float:
    """The median of the differences within the pairs."""
    pairs = zip(taken["direct"], taken["wrapped"], strict=True)
    return statistics.median(wrapped - direct for direct, wrapped in pairs)


def _quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else values[0]


def instant() -> tuple[str, ...]:
    return sys.executable, "-I", "-S", str(HERE / "instant.py")


def filesystem(folder: Path) -> tuple[str, ...]:
    from doorward.lab.targets.published import NotInstalled, find

    found = find("server-filesystem", locks=ROOT / "tests" / "peers")
    if isinstance(found, NotInstalled):
        sys.exit(f"doorward: error: server-filesystem: {found.reason}\ndoorward: hint: make setup")
    return (*found.argv, str(folder))


def run(rounds: int, calls: int, program: str | None) -> list[Figure]:
    with _workplace() as work:
        bench = Bench(work, rounds, calls, program)
        call, memory = measure_calls(bench, instant())
        return [
            measure_start(bench, "start-up, instant server", instant(), INSTANT_BUDGET_MS),
            measure_start(bench, "start-up, server-filesystem", filesystem(bench.folder), FILESYSTEM_BUDGET_MS),
            call,
            memory,
        ]


@contextmanager
def _workplace() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="doorward-bench-") as work:
        yield Path(work)


def show(figures: list[Figure]) -> None:
    print(f"{'figure':<32} {'direct':>9} {'wrapped':>9} {'added':>9} {'at most':>9}")
    for figure in figures:
        direct = f"{figure.direct:.2f}" if figure.direct is not None else ""
        verdict = "held" if figure.held else "MISSED"
        row = f"{direct:>9} {figure.wrapped:>9.2f} {figure.added:>9.2f} {figure.budget:>9.2f} {figure.unit}  {verdict}"
        print(f"{figure.title:<32} {row}")
        print("  " + ", ".join(f"{name} {value:.2f}" for name, value in figure.more.items()))


def report(figures: list[Figure]) -> dict[str, Any]:
    machine = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
    }
    return {"machine": machine, "figures": [{**figure._asdict(), "held": figure.held} for figure in figures]}


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25, metavar="N", help="pairs of starts (25)")
    parser.add_argument("--calls", type=int, default=1000, metavar="N", help="pairs of calls (1000)")
    parser.add_argument("--doorward", metavar="PROGRAM", help="the doorward to measure (the one of this environment)")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE, - for stdout")
    args = parser.parse_args()
    figures = run(args.rounds, args.calls, args.doorward)
    if args.json == "-":
        print(json.dumps(report(figures), indent=2))
    else:
        show(figures)
        if args.json:
            Path(args.json).write_text(json.dumps(report(figures), indent=2) + "\n")
    return 0 if all(figure.held for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())

"""What a gateway costs over HTTP: `doorward serve` on one core, beside others on that core, each in turn.

    make bench-http                     everything, about a quarter of an hour
    make bench-http ARGS='--quick --only doorward'

One core has the gateway under test, the other the load generator and the upstream. In every round every target is
loaded in turn, in another order; a ratio is made within its round, and a figure is the median of such ratios, with the
smallest and the largest beside it. What the bench says is worth something only while the upstream is far faster than
what stands before it: where the upstream, asked from the other core, does not reach three times nginx, the run is void.

    direct    the upstream, sharing its core with the load as it does behind every gateway
    nginx     a bare reverse proxy: one worker, keep-alive on both sides, no access log
    fastmcp   FastMCP's proxy with one client, connected once and shared
    npm       supergateway and mcp-proxy before the same server on two pipes

Sizes are those of the text that is echoed. Headline figures are of the legacy era (2025-11-25, one session for each
connection); the modern one (2026-07-28) is measured and held to the same. `cpu` is what the gateway's own processes
used for one call: on a machine that others use, trust it first, then the ratios, then the rest.

Ends with 0; with 1 when a figure is missed; with 2 when the run is void or could not begin.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from figures import Figures, Limit, judge, reasons_void, show
from processes import HERE, build, quit_with, weight
from sample import Cell, Sample, take
from targets import ERAS, NAMES, SLOW, Plan, Target, doorward_program, started

SIZES = (200, 65536)
CONNECTIONS = (1, 16, 64)
QUIET = 0.15
"""A sample while others used more of a core than this is taken again, whatever it said."""
TRIES = 3


def cells() -> Iterator[Cell]:
    for era in ERAS:
        for size in SIZES:
            for connections in CONNECTIONS:
                yield Cell(era, size, connections)


def quietest(target: Target, cell: Cell, seconds: float, *, realtime: bool) -> Sample:
    """Of at most three samples the first quiet one, else the one with the least company.

    Where others have to wait for us, what they do in our pauses is no reason to try again.
    """
    tries = []
    for _ in range(1 if realtime else TRIES):
        tries.append(take(target, cell, seconds, realtime=realtime))
        if tries[-1].foreign <= QUIET:
            break
    return min(tries, key=lambda sample: sample.foreign)


def measure(targets: dict[str, Target], options: argparse.Namespace) -> Figures:
    """All rounds. The order of the targets is drawn anew for each cell of each round, from a fixed seed."""
    order, figures = random.Random(options.seed), Figures()  # noqa: S311 (an order, not a secret)
    for round_ in range(options.rounds):
        for cell in cells():
            names = [name for name in targets if name in ERAS[cell.era]]
            order.shuffle(names)
            for name in names:
                seconds = options.seconds / 2 if name in SLOW else options.seconds
                figures.add(cell, name, quietest(targets[name], cell, seconds, realtime=options.realtime))
            if options.verbose:
                print(f"round {round_ + 1}: {cell}", file=sys.stderr)
    return figures


def run(options: argparse.Namespace) -> int:
    for program in ("upstream", "load"):
        build(program)
    if len(os.sched_getaffinity(0)) < 2:
        quit_with("two cores are needed", "one for the gateway, one for the load and the upstream")
    with tempfile.TemporaryDirectory(prefix="doorward-bench-") as work:
        plan = Plan(Path(work), doorward_program(options.doorward), options.realtime)
        with started(options.only, plan) as targets:
            figures = measure(targets, options)
            weights = {name: weight(target.pids()) for name, target in targets.items() if name != "alone"}
    limits, void = judge(figures), reasons_void(figures)
    policy = (HERE / "doorward.toml").read_text()
    if options.json != "-":
        print(f"{python_of(doorward_program(options.doorward))}\n")
        print(f"doorward.toml of this run:\n\n{policy}")
        show(figures, limits, weights)
    if options.json:
        text = json.dumps(report(figures, limits, void, weights, policy, options), indent=2)
        print(text) if options.json == "-" else Path(options.json).write_text(text + "\n")
    for reason in void:
        print(f"void: {reason}", file=sys.stderr)
    if void:
        return 2
    return 0 if all(limit.held for limit in limits) else 1


def report(
    figures: Figures,
    limits: list[Limit],
    void: list[str],
    weights: dict[str, tuple[float, str]],
    policy: str,
    options: argparse.Namespace,
) -> dict[str, Any]:
    machine = {
        "python": python_of(doorward_program(options.doorward)),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
    }
    return {
        "machine": machine,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "realtime": options.realtime,
        "policy": policy,
        "void": void,
        "limits": [{**limit._asdict(), "held": limit.held} for limit in limits],
        "memory_mb": {name: {"size": size, "kind": kind} for name, (size, kind) in weights.items()},
        "samples": [
            {**cell._asdict(), "target": name, "samples": [sample._asdict() for sample in samples]}
            for (cell, name), samples in figures.items()
        ],
    }


def python_of(program: tuple[str, ...]) -> str:
    """Which build of Python runs what is measured: they differ by a third."""
    python = Path(program[0]).with_name("python")
    told = subprocess.run([python, "-VV"], capture_output=True, text=True, timeout=10, check=False)
    return told.stdout.strip() or "unknown"


def parse() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="rounds over everything (7)")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="of each load; slow peers half (1)")
    parser.add_argument("--quick", action="store_true", help="one round of 0.3 s, to see that it runs")
    parser.add_argument("--only", metavar="NAMES", help=f"targets besides direct and alone, of {', '.join(NAMES)}")
    parser.add_argument("--doorward", metavar="PROGRAM", help="the doorward to measure (the one of this environment)")
    parser.add_argument("--realtime", action="store_true", help="others on this machine wait meanwhile; needs root")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the order of targets (0)")
    parser.add_argument("--json", metavar="FILE", help="write every sample to FILE, - for stdout")
    parser.add_argument("--verbose", action="store_true", help="say on stderr which cell was measured")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 0.3
    chosen = set(options.only.split(",")) if options.only else set(NAMES)
    if unknown := chosen - set(NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    options.only = tuple(name for name in NAMES if name in chosen | {"alone", "direct"})
    return options


if __name__ == "__main__":
    sys.exit(run(parse()))

"""Whether a flood takes anything from an honest client of `doorward serve`. Prints a table; ends with 1 when missed.

    make bench-flood                    thirty seconds for each cell
    make bench-flood ARGS=--quick       a tenth of that

One core has the gateway, the other its upstream and all clients. The honest client has a session and makes twenty
calls a second. In each cell eight attackers do what they can on eight connections each, in a closed loop; in the last
one five hundred connections send a byte of their head each second. The gateway runs as shipped, but for whom it listens
to: a reverse proxy on this machine, through which attackers come as another principal, and as nobody at all.

    promised    the honest client's p99 is at most twice what it is without a flood, or 20 ms; none of its calls is
                refused and none fails; and a flood demands at least five times what it is granted

A stall of the machine's own is a stall of the honest client's too: on a machine that others use, see `cpu`, the part of
the gateway's core that the gateway itself used, and repeat.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from processes import GATEWAY_CORE, HERE, LOAD_CORE, Started, build, cpu_ns, free_port
from targets import Plan, doorward_program, start_upstream

SECONDS, QUICK = 30.0, 3.0
FLOOR_MS, TIMES, DEMAND = 20.0, 2.0, 5.0
POLICY = '[serve]\ntrusted_proxies = ["127.0.0.0/8"]\n'
LIMIT_S = 60.0
NICE = -15
TASKSET = shutil.which("taskset") or "taskset"


class Cell(NamedTuple):
    """One flood: what it is, and how `flooding.py` is told. ``demands``: whether it is measured by what it demands."""

    title: str
    argv: tuple[str, ...]
    demands: bool = True


class Result(NamedTuple):
    """What the honest client had of it, and what the attackers got."""

    title: str
    p50: float
    p99: float
    calls: int
    wrong: dict[str, int]
    attackers: dict[str, Any]
    cpu: float


class House(NamedTuple):
    """A running gateway, its upstream's own port, and the token that lets a proxy in."""

    gateway: Started
    port: int
    upstream: int
    token: str


@contextmanager
def house(doorward: str | None, *, first: bool) -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="doorward-bench-") as work:
        plan = Plan(Path(work), doorward_program(doorward))
        port, upstream = free_port(), free_port()
        policy = Path(work) / "doorward.toml"
        policy.write_text(POLICY)
        policy.chmod(0o600)
        state = Path(work) / "state"
        general = ("-c", str(policy), "--state", str(state))
        url = f"http://127.0.0.1:{upstream}/mcp"
        argv = (*plan.doorward, *general, "serve", "--listen", f"127.0.0.1:{port}", "--upstream", url)
        with (
            start_upstream(plan, upstream, "--streams") as server,
            plan.start("doorward", argv, GATEWAY_CORE) as gateway,
        ):
            for one in (server, gateway):
                if first:
                    go_first(one.pid)
            gateway.wait_for_port(port)
            (token,) = state.glob("serve-token-*")
            yield House(gateway, port, upstream, token.read_text().strip())


def cells(house: House) -> tuple[Cell, ...]:
    forwarded = ("--header", "X-Forwarded-For=203.0.113.7")
    another = (*forwarded, "--header", f"Authorization=Bearer {house.token}")
    told = ("flood", "--sessions", "--listen", "--tell", str(house.upstream))
    return (
        Cell("separate addresses, no credentials", ("flood", "--addresses", *forwarded)),
        Cell("one address, separate principals", ("flood", "--sessions", *another)),
        Cell("one principal, separate sessions", ("flood", "--sessions")),
        Cell("notifications from the server", told, demands=False),
        Cell("slow-loris, 500 connections", ("loris", "--connections", "500"), demands=False),
    )


class Client:
    """One `flooding.py`, beside the upstream on its core."""

    def __init__(self, house: House, seconds: float, argv: tuple[str, ...]) -> None:
        words = (*argv, "--port", str(house.port), "--seconds", str(seconds), "--path", "/mcp")
        self._process = subprocess.Popen(
            (TASKSET, "-c", str(LOAD_CORE), sys.executable, str(HERE / "flooding.py"), *words),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip

    def ready(self) -> None:
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            sys.exit(2)

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")

    def told(self) -> dict[str, Any]:
        out, _ = self._process.communicate(timeout=LIMIT_S + SECONDS)
        told: dict[str, Any] = json.loads(out)
        return told

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def go_first(pid: int) -> None:
    """Its whole session, where Linux weighs sessions and not processes (sched(7), "The autogroup feature")."""
    group = Path(f"/proc/{pid}/autogroup")
    if group.exists():
        group.write_text(str(NICE))


def play(house: House, title: str, argv: tuple[str, ...], seconds: float) -> Result:
    with ExitStack() as ending:
        client = Client(house, seconds, ("honest",))
        ending.callback(client.kill)
        client.ready()
        attackers = None
        if argv:
            attackers = Client(house, seconds + 2, argv)
            ending.callback(attackers.kill)
            attackers.ready()
            attackers.go()
            time.sleep(1.0)  # the flood is there first
        cpu, began = cpu_ns(house.gateway.processes()), time.monotonic()
        client.go()
        told = client.told()
        used = (cpu_ns(house.gateway.processes()) - cpu) / 1e9 / (time.monotonic() - began)
        waits = sorted(told["waits"])
        return Result(
            title,
            waits[len(waits) // 2],
            waits[-(-len(waits) * 99 // 100) - 1],
            len(waits),
            told["wrong"],
            attackers.told() if attackers else {},
            used,
        )


def missed(quiet: Result, cell: Cell, found: Result) -> list[str]:
    """What of the promise did not hold."""
    most = max(TIMES * quiet.p99, FLOOR_MS)
    why = [f"p99 {found.p99:.1f} ms, at most {most:.1f}"] if found.p99 > most else []
    why += [f"{count} x {what}" for what, count in found.wrong.items()]
    answered: dict[str, int] = found.attackers.get("answered", {})
    granted, demanded = answered.get("200", 0), sum(answered.values())
    if cell.demands and demanded < DEMAND * granted:
        why.append(f"the flood demanded {demanded} and was granted {granted}: less than {DEMAND:g} times")
    return why


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the time")
    parser.add_argument("--first", action="store_true", help="as root: before whatever else this machine does")
    parser.add_argument("--only", default="", help="play only cells whose title has this word")
    parser.add_argument("--doorward", help="the program to measure")
    parser.add_argument("--json", type=Path, help="write all that was measured to this file")
    options = parser.parse_args()
    seconds = QUICK if options.quick else SECONDS
    build("upstream")
    results, failures = [], 0
    if options.first:  # not as real time: then nothing of the gateway's own would come beside its event loop
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
        go_first(os.getpid())
    with house(options.doorward, first=options.first) as here:
        quiet = play(here, "nothing beside it", (), seconds)
        show(quiet, [])
        for cell in (cell for cell in cells(here) if options.only in cell.title):
            found = play(here, cell.title, cell.argv, seconds)
            why = missed(quiet, cell, found)
            failures += bool(why)
            show(found, why)
            results.append({**found._asdict(), "missed": why})
    if options.json:
        options.json.write_text(json.dumps({"quiet": quiet._asdict(), "cells": results}))
    return 1 if failures else 0


def show(found: Result, why: list[str]) -> None:
    words = "; ".join(f"{name} {value}" for name, value in found.attackers.items())
    verdict = "MISSED" if why else "held"
    print(f"{found.title:<36} p50 {found.p50:6.2f} p99 {found.p99:6.2f} ms of {found.calls} calls  {verdict}")
    print(f"    gateway {found.cpu:.0%} of its core; {words}")
    for one in why:
        print(f"    {one}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

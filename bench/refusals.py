"""What a refusal by rate costs: microseconds of the gateway's processor for each, and what a call among them waits.

    python bench/refusals.py            five seconds for each
    python bench/refusals.py --seconds 1

A client that runs away has so many requests `ping` under way on one pipe (`wrap`) or on connections of one session
(`serve`), each repeated as soon as it was answered; all but one a second are refused. Five times a second it calls a
tool beside them. Times of the processor are the whole process's, so that what is read, written, recorded and signed
is in them; with a machine that others use they say nearly the same, the waits do not. It asserts that calls are
answered, and no time.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from flooding import Connection, call, post
from peer import cpu_clock_ns
from processes import HERE, build, free_port
from targets import Plan, doorward_program, start_upstream

AT_ONCE = 32
CALLS_EVERY_S = 0.2
POLICY = "[rates]\nmethod_per_second = 1\nmethod_burst = 1\n"
HELLO = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
}


class Cost(NamedTuple):
    """What one flood was answered with, the gateway's processor time in nanoseconds, and waits of calls beside it."""

    title: str
    refused: int
    granted: int
    cpu_ns: int
    waits_ms: list[float]

    def __str__(self) -> str:
        waits = sorted(self.waits_ms)
        each = self.cpu_ns / 1e3 / max(1, self.refused)
        middle, late = waits[len(waits) // 2], waits[-(-len(waits) * 99 // 100) - 1]
        return (
            f"{self.title:<34} {each:6.1f} us for each of {self.refused} refused ({self.granted} granted);"
            f" a call p50 {middle:.1f} p99 {late:.1f} ms"
        )


def general(plan: Plan) -> tuple[str, ...]:
    policy = plan.work / "doorward.toml"
    policy.write_text(POLICY)
    policy.chmod(0o600)
    return (*plan.doorward, "-c", str(policy), "--state", str(plan.work / "state"))


@contextmanager
def wrapped(plan: Plan) -> Iterator[subprocess.Popen[bytes]]:
    argv = (*general(plan), "wrap", "--", sys.executable, "-I", "-S")
    with (plan.work / "wrap.log").open("wb") as log:
        process = subprocess.Popen(
            (*argv, str(HERE / "instant.py")), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            env=plan.env, cwd=plan.work, bufsize=0,
        )  # fmt: skip
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


class Pipe:
    """The one client of a pipe."""

    def __init__(self, gateway: subprocess.Popen[bytes]) -> None:
        assert gateway.stdin is not None
        assert gateway.stdout is not None
        self._in, self.out = gateway.stdin.fileno(), gateway.stdout.fileno()
        self._pending = b""

    def tell(self, *messages: dict[str, object]) -> None:
        os.write(self._in, b"".join(json.dumps(message).encode() + b"\n" for message in messages))

    def flood(self, numbers: range) -> None:
        os.write(self._in, b"".join(b'{"jsonrpc":"2.0","id":"flood%d","method":"ping"}\n' % n for n in numbers))

    def lines(self) -> list[bytes]:
        data = os.read(self.out, 1 << 16)
        assert data, "the gateway ended"
        *whole, self._pending = (self._pending + data).split(b"\n")
        return whole

    def greet(self) -> None:
        self.tell(HELLO)
        while not self.lines():
            pass
        self.tell({"jsonrpc": "2.0", "method": "notifications/initialized"}, call(1))
        while not any(b'"id":1,' in line for line in self.lines()):
            pass


def of_a_pipe(plan: Plan, seconds: float) -> Cost:
    with wrapped(plan) as gateway:
        pipe = Pipe(gateway)
        pipe.greet()
        refused = granted = 0
        waits: list[float] = []
        asked_at, number, sent = 0.0, 1, AT_ONCE
        began, cpu = time.monotonic(), cpu_clock_ns(gateway.pid)
        pipe.flood(range(AT_ONCE))
        while (now := time.monotonic()) < began + seconds or asked_at:
            if not asked_at and now > began + (len(waits) + 1) * CALLS_EVERY_S:
                number += 1
                pipe.tell(call(number))
                asked_at = now
            lines = pipe.lines() if select.select([pipe.out], [], [], 0.01)[0] else []
            answers = [line for line in lines if b'"id":"flood' in line[:40]]
            refused += sum(b"-31003" in line for line in answers)
            granted += sum(b"result" in line for line in answers)
            if any(b'"id":%d,' % number in line[:40] and b"result" in line for line in lines):
                waits.append((time.monotonic() - asked_at) * 1e3)
                asked_at = 0.0
            if now < began + seconds:
                pipe.flood(range(sent, sent + len(answers)))
                sent += len(answers)
        cpu = cpu_clock_ns(gateway.pid) - cpu
    return Cost(f"a pipe, {AT_ONCE} under way", refused, granted, cpu, waits)


def of_a_session(plan: Plan, seconds: float) -> Cost:
    port, upstream = free_port(), free_port()
    url = f"http://127.0.0.1:{upstream}/mcp"
    argv = (*general(plan), "serve", "--listen", f"127.0.0.1:{port}")
    with start_upstream(plan, upstream), plan.start("serve", (*argv, "--upstream", url)) as gateway:
        gateway.wait_for_port(port)
        honest = Connection(port)
        known = honest.open(port, "/mcp", {})
        waiting = select.epoll()
        asking: dict[int, tuple[socket.socket, bytes]] = {}
        for number in range(AT_ONCE):
            one = Connection(port)
            request = post(port, "/mcp", {"jsonrpc": "2.0", "id": f"flood{number}", "method": "ping"}, known)
            asking[one.fileno()] = (one.hand_over(), request)
            waiting.register(one.fileno(), select.EPOLLIN)
        (pid,) = gateway.processes()[:1]
        refused = granted = 0
        waits: list[float] = []
        began, cpu = time.monotonic(), cpu_clock_ns(pid)
        for one_socket, request in asking.values():
            one_socket.send(request)
        calls = honest.hand_over()
        waiting.register(calls.fileno(), select.EPOLLIN)
        asked_at = 0.0
        while (now := time.monotonic()) < began + seconds or asked_at:
            if not asked_at and now > began + (len(waits) + 1) * CALLS_EVERY_S:
                calls.send(post(port, "/mcp", call(len(waits)), known))
                asked_at = now
            for ready, _ in waiting.poll(0.01, 256):
                if ready == calls.fileno():
                    answer = calls.recv(1 << 16)
                    assert answer.startswith(b"HTTP/1.1 200"), answer
                    waits.append((time.monotonic() - asked_at) * 1e3)
                    asked_at = 0.0
                    continue
                one_socket, request = asking[ready]
                status = one_socket.recv(1 << 16)[9:12]
                refused += status == b"429"
                granted += status == b"200"
                one_socket.send(request)
        cpu = cpu_clock_ns(pid) - cpu
    return Cost(f"a session, {AT_ONCE} connections", refused, granted, cpu, waits)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--doorward", help="the program to measure")
    options = parser.parse_args()
    build("upstream")
    for measure in (of_a_pipe, of_a_session):
        with tempfile.TemporaryDirectory(prefix="doorward-bench-") as work:
            print(measure(Plan(Path(work), doorward_program(options.doorward)), options.seconds), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

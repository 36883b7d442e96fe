"""One started server, direct or behind Doorward, and what it has cost so far."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ANSWER_LIMIT_S = 60.0
END_LIMIT_S = 30.0


class Peer:
    """A process that is spoken to in lines. ``born`` is the moment before it was started, in ``perf_counter_ns``."""

    def __init__(self, argv: tuple[str, ...], env: dict[str, str], stderr: Path) -> None:
        with stderr.open("ab") as log:
            self.born = time.perf_counter_ns()
            self._process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=env, bufsize=0, cwd=stderr.parent
            )
        self._stderr = stderr
        self._pending = b""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._readable = select.poll()
        self._readable.register(self._out, select.POLLIN | select.POLLHUP)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, line: bytes) -> None:
        while line:
            line = line[os.write(self._in, line) :]

    def receive(self) -> bytes:
        """The next line that answers something; notifications are read over."""
        while True:
            line, found, rest = self._pending.partition(b"\n")
            if found:
                self._pending = rest
                if b'"id"' in line:
                    return line
                continue
            if not self._readable.poll(ANSWER_LIMIT_S * 1000):
                raise TimeoutError(f"no answer within {ANSWER_LIMIT_S:g} s: {self._said()}")
            received = os.read(self._out, 65536)
            if not received:
                raise EOFError(f"it ended: {self._said()}")
            self._pending += received

    def ask(self, method: str, params: dict[str, Any], key: int) -> dict[str, Any]:
        self.send(request(method, params, key))
        answer: dict[str, Any] = json.loads(self.receive())
        assert answer["id"] == key, answer
        assert "result" in answer, answer
        return answer

    def initialize(self) -> int:
        """Do the handshake; returns the nanoseconds from the start of the process to the answer to ``initialize``."""
        told = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
        self.ask("initialize", told, 1)
        took = time.perf_counter_ns() - self.born
        self.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        return took

    def processes(self) -> tuple[int, ...]:
        """This process and all below it, parents first."""
        found = [self.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        return tuple(found)

    def cpu_ns(self) -> int:
        """CPU time of this process and all below it that still run, with the threads that have ended."""
        return sum(cpu_clock_ns(pid) for pid in self.processes())

    def _said(self) -> str:
        return self._stderr.read_text(errors="replace")[-2000:]


def request(method: str, params: dict[str, Any], key: int) -> bytes:
    message = {"jsonrpc": "2.0", "id": key, "method": method, "params": params}
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def call_of(size: int, key: int) -> bytes:
    """A ``tools/call`` of exactly ``size`` bytes without its newline."""
    empty = request("tools/call", {"name": "echo", "arguments": {"text": ""}}, key)
    return request("tools/call", {"name": "echo", "arguments": {"text": "x" * (size + 1 - len(empty))}}, key)


def cpu_clock_ns(pid: int) -> int:
    """CPU time of a process: of all its threads, also of those that ended. Not of its children."""
    # The kernel's number for another process's CPU clock (clock_getcpuclockid(3)): 2 is CPUCLOCK_SCHED.
    return time.clock_gettime_ns(~pid << 3 | 2)


def memory_bytes(pid: int) -> tuple[int, str]:
    """The process's share of memory (PSS), else what it has mapped in (RSS, never less), and which of the two it is.

    The launcher cannot be inspected by its own user (``PR_SET_DUMPABLE``); root can.
    """
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024, "PSS"
    except PermissionError:
        pass
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"), "RSS"

"""``doorward wrap`` as its client meets it: a process with two pipes, an exit code and a stderr."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

BOUND_SECONDS = 30.0
CRAFTED = Path(__file__).with_name("crafted_server.py")
DOORWARD = (sys.executable, "-m", "doorward")

Answer = dict[str, Any]


def crafted(mode: str = "plain", *arguments: object) -> tuple[str, ...]:
    """The command line of the crafted server."""
    return (sys.executable, "-I", "-S", str(CRAFTED), mode, *map(str, arguments))


class Wrapped:
    """One ``wrap`` that runs. Everything that is waited for is waited for with a bound."""

    def __init__(self, argv: tuple[str, ...], env: Mapping[str, str], cwd: Path, stderr: Path, **options: Any) -> None:
        with stderr.open("wb") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=dict(env), cwd=cwd, bufsize=0,
                **options,
            )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._stdin, self._stdout = self.process.stdin, self.process.stdout
        self._stderr = stderr
        self._pending = b""
        self._keys = 0
        self.lines: list[bytes] = []

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        return self._stderr.read_text(errors="backslashreplace")

    def write(self, data: bytes) -> None:
        """Send bytes as they are. Fails when they are not taken in time."""
        assert self._fits(data, BOUND_SECONDS), f"doorward does not read: {self.stderr}"

    def send(self, message: object) -> None:
        self.write(json.dumps(message).encode() + b"\n")

    def offer(self, message: object, seconds: float = 3.0) -> bool:
        """Send a message if doorward takes it; false when nothing of it was read for so long."""
        return self._fits(json.dumps(message).encode() + b"\n", seconds)

    def _fits(self, data: bytes, seconds: float) -> bool:
        os.set_blocking(self._stdin.fileno(), False)
        writable = select.poll()
        writable.register(self._stdin, select.POLLOUT)
        left = memoryview(data)
        while left:
            if not writable.poll(seconds * 1000):
                return False
            with contextlib.suppress(BlockingIOError):
                left = left[os.write(self._stdin.fileno(), left) :]
        return True

    def start_asking(self, method: str, params: dict[str, Any] | None = None) -> int:
        """Send a request without waiting for its answer; returns its id."""
        self._keys += 1
        self.send({"jsonrpc": "2.0", "id": self._keys, "method": method, "params": params or {}})
        return self._keys

    def ask(self, method: str, params: dict[str, Any] | None = None) -> Answer:
        return self.answer_to(self.start_asking(method, params))

    def call(self, tool: str, **arguments: object) -> Answer:
        return self.ask("tools/call", {"name": tool, "arguments": arguments})

    def text(self, tool: str, **arguments: object) -> str:
        """The text of a tool's result, which must be one."""
        answer = self.call(tool, **arguments)
        assert "result" in answer, f"{answer}\n{self.stderr}"
        text: str = answer["result"]["content"][0]["text"]
        return text

    def initialize(self, capabilities: dict[str, Any] | None = None) -> Answer:
        info = {"name": "test", "version": "1"}
        told = {"protocolVersion": "2025-11-25", "capabilities": capabilities or {}, "clientInfo": info}
        answer = self.ask("initialize", told)
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer

    def answer_to(self, key: int | str | None) -> Answer:
        """The answer with this id; what comes before it stays in ``lines``."""
        while True:
            line = self.line()
            assert line is not None, f"doorward ended before it answered {key}: {self.stderr}"
            message: Answer = json.loads(line)
            if "method" not in message and message.get("id") == key:
                return message

    def line(self) -> bytes | None:
        """The next line from doorward; None at the end of its output."""
        readable = select.poll()
        readable.register(self._stdout, select.POLLIN)
        while True:
            line, found, rest = self._pending.partition(b"\n")
            if found:
                self._pending = rest
                self.lines.append(line)
                return line
            assert readable.poll(BOUND_SECONDS * 1000), f"nothing came within {BOUND_SECONDS:g} s: {self.stderr}"
            received = os.read(self._stdout.fileno(), 1 << 20)
            if not received:
                return None
            self._pending += received

    def close_stdin(self) -> None:
        self._stdin.close()

    def close_stdout(self) -> None:
        self._stdout.close()

    def wait(self) -> int:
        """The exit code; negative for a signal that ended doorward itself."""
        return self.process.wait(BOUND_SECONDS)

    def end(self) -> int:
        """Leave as a client does; returns the exit code."""
        self.close_stdin()
        return self.wait()

    def descendants(self) -> tuple[int, ...]:
        """Every process below this one, parents first: the launcher, the server, and what it started."""
        found = [self.pid]
        for pid in found:
            try:
                for task in Path(f"/proc/{pid}/task").iterdir():
                    found += [int(child) for child in (task / "children").read_text().split()]
            except OSError:
                continue
        return tuple(found[1:])

    def stop(self) -> None:
        """For the end of a test: whatever still runs is killed."""
        for stream in (self._stdin, self._stdout):
            stream.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(BOUND_SECONDS)


class World:
    """A home, a state directory, a folder for the server, and every wrap that a test started."""

    def __init__(self, top: Path, runtime: Path) -> None:
        self.top = top
        self.home, self.state, self.folder, self.cwd = (top / name for name in ("home", "state", "folder", "cwd"))
        for place in (self.home, self.folder, self.cwd):
            place.mkdir()
        self.env = {"HOME": str(self.home), "PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(runtime)}
        self._started: list[Wrapped] = []

    def wrap(
        self, command: tuple[str, ...], *, before: tuple[str, ...] = (), after: tuple[str, ...] = (), **options: Any
    ) -> Wrapped:
        """Start ``doorward BEFORE --state STATE wrap AFTER -- COMMAND``."""
        argv = (*DOORWARD, "--state", str(self.state), *before, "wrap", *after, "--", *command)
        return self.run(argv, **options)

    def run(self, argv: tuple[str, ...], **options: Any) -> Wrapped:
        stderr = self.top / f"stderr-{len(self._started)}"
        wrapped = Wrapped(argv, self.env | options.pop("env", {}), options.pop("cwd", self.cwd), stderr, **options)
        self._started.append(wrapped)
        return wrapped

    def doorward(self, *words: str, seconds: float = BOUND_SECONDS) -> subprocess.CompletedProcess[str]:
        """Another verb on the same state, to its end."""
        return subprocess.run(
            [*DOORWARD, "--state", str(self.state), *words],
            env=self.env, cwd=self.cwd, capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip

    def logs(self, seconds: float = BOUND_SECONDS) -> list[dict[str, Any]]:
        """What ``audit verify`` says of each log, within ``seconds``."""
        done = self.doorward("audit", "verify", "--json", seconds=seconds)
        logs: list[dict[str, Any]] = json.loads(done.stdout)["logs"]
        assert (done.returncode == 0) == all(log["verified"] for log in logs), done
        return logs

    def stop(self) -> None:
        for wrapped in self._started:
            wrapped.stop()


@contextlib.contextmanager
def world_in(top: Path) -> Iterator[World]:
    """Whatever was started is gone at the end. Sockets have short paths, so they get a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="dw-") as runtime:
        made = World(top, Path(runtime))
        try:
            yield made
        finally:
            made.stop()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not yet reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(holds: Callable[[], bool], what: str, seconds: float = BOUND_SECONDS) -> None:
    until = time.monotonic() + seconds
    never = select.poll()
    while not holds():
        assert time.monotonic() < until, f"not within {seconds:g} s: {what}"
        never.poll(5)


def wait_gone(*pids: int) -> None:
    wait_until(lambda: not any(is_alive(pid) for pid in pids), f"the end of {pids}")

"""Programs of the bench: built from C, started on one core, ended with all below them, and what they have cost."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from peer import cpu_clock_ns, memory_bytes

HERE = Path(__file__).parent
ROOT = HERE.parent
BUILT = ROOT / ".cache" / "bench"

LOAD_CORE = 0
"""Where the load generator and every upstream run."""
GATEWAY_CORE = 1
"""Where whatever stands between them runs, alone."""

REALTIME = ("chrt", "--rr", "1")
"""Before everything that is measured, alike: whatever else this machine does then waits (sched(7); needs root)."""

START_LIMIT_S = 60.0
END_LIMIT_S = 15.0


def quit_with(problem: str, hint: str) -> NoReturn:
    """The bench cannot measure here: 2, as for a void run."""
    print(f"doorward: error: {problem}\ndoorward: hint: {hint}", file=sys.stderr)
    sys.exit(2)


def build(name: str) -> Path:
    """Compile ``bench/NAME.c``, unless that was done since it last changed."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        quit_with("there is no C compiler", "apt-get install -y gcc libc6-dev, or: sh tools/bench.sh --install")
    BUILT.mkdir(parents=True, exist_ok=True)
    source, program = HERE / f"{name}.c", BUILT / name
    newest = max(file.stat().st_mtime for file in (source, *HERE.glob("*.h")))
    if not program.exists() or program.stat().st_mtime < newest:
        fresh = program.with_suffix(".new")
        argv = [compiler, "-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", str(fresh), str(source)]
        subprocess.run(argv, check=True)
        fresh.replace(program)
    return program


def free_port() -> int:
    """A port that the kernel gave and that nobody listens at; another may take it before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Started:
    """One process on one core, with all that it starts itself. What it says goes into ``log``."""

    def __init__(
        self, argv: tuple[str, ...], core: int, log: Path, env: dict[str, str], *, realtime: bool = False
    ) -> None:
        self.log = log
        pinned = ("taskset", "-c", str(core), *(REALTIME if realtime else ()), *argv)
        with log.open("ab") as told:
            self._process = subprocess.Popen(
                pinned, stdin=subprocess.DEVNULL, stdout=told, stderr=told, env=env, cwd=log.parent,
                start_new_session=True,
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Ask it to end, then make sure of it. Its session's group takes along what it left behind."""
        self._process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_LIMIT_S)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for_port(self, port: int) -> None:
        """Until somebody listens at the port."""
        until = time.monotonic() + START_LIMIT_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            if self._process.poll() is not None or time.monotonic() > until:
                quit_with(f"{self.log.stem} does not listen at {port}", f"it said: {self.said() or 'nothing'}")
            time.sleep(0.05)

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]

    def processes(self) -> tuple[int, ...]:
        """This process and all below it, parents first."""
        found = [self.pid]
        for pid in found:
            try:
                for task in Path(f"/proc/{pid}/task").iterdir():
                    found += [int(child) for child in (task / "children").read_text().split()]
            except OSError:
                continue  # it ended while we looked
        return tuple(found)


def runs(pid: int, program: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/exe").readlink() == program
    except OSError:
        return False  # it ended while we looked


def cpu_ns(pids: tuple[int, ...]) -> int:
    """User and system time of these processes, all threads, so far."""
    return sum(cpu_clock_ns(pid) for pid in pids)


def weight(pids: tuple[int, ...]) -> tuple[float, str]:
    """Megabytes that these processes hold, and whether that is PSS, or RSS where one may not be inspected."""
    weighed = [memory_bytes(pid) for pid in pids]
    return sum(size for size, _ in weighed) / 1e6, "PSS" if all(kind == "PSS" for _, kind in weighed) else "RSS"


def busy_s(core: int) -> float:
    """Seconds that a core has worked, for anybody, or was taken from this machine (proc(5); steal is counted)."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, line.split()[1:])
            return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    raise RuntimeError(f"this machine has no core {core}")

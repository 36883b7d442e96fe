"""The reference server and Doorward before it, as processes that listen on loopback."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

HERE: Final = Path(__file__).parent
POLICY: Final = HERE / "doorward.toml"
READY_LIMIT_SECONDS: Final = 30.0
STOP_LIMIT_SECONDS: Final = 20.0

_SERVING = re.compile(r"serving (\S+) at (http://\S+)")
_PACKAGE = "mcp_everything_server"
_T = TypeVar("_T")


class Fixture:
    """The reference server: unpacked by ``make setup``, copied to where a server of one's own would lie."""

    def __init__(self, unpacked: Path, folder: Path) -> None:
        assert (unpacked / _PACKAGE).is_dir(), "the reference server is not there: run `make setup`"
        shutil.copytree(unpacked / _PACKAGE, folder / _PACKAGE)
        shutil.copy(HERE / "stdio_server.py", folder)
        self.folder = folder

    @property
    def command(self) -> tuple[str, ...]:
        """How it is started on a pipe."""
        return (sys.executable, str(self.folder / "stdio_server.py"))

    @contextmanager
    def listening(self) -> Iterator[str]:
        """The server's URL while it runs."""
        port = _free_port()
        argv = (sys.executable, "-m", _PACKAGE, "--port", str(port))
        with _running(argv, self.folder / "http.log", cwd=self.folder) as told:
            told.wait(lambda: _accepts(port) or None)
            yield f"http://127.0.0.1:{port}/mcp"


@contextmanager
def served(home: Path, upstream: str, *, policy: Path | None = POLICY) -> Iterator[Served]:
    """``doorward serve`` before ``upstream`` (a URL or a command line), as long as the block lasts."""
    for place in (home, home / "run"):
        place.mkdir(mode=0o700, exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_RUNTIME_DIR": str(home / "run"),
    }
    front = (sys.executable, "-m", "doorward", *(("-c", str(policy)) if policy else ()))
    argv = (*front, "serve", "--listen", "127.0.0.1:0", "--upstream", upstream)
    with _running(argv, home / "serve.log", cwd=home, env=environment) as told:
        said = told.wait(lambda: _SERVING.search(told.words()))
        yield Served(said[1], said[2], environment, told)


class Told:
    """A process, and what it wrote so far."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log

    def words(self) -> str:
        return self._log.read_text(errors="backslashreplace")

    def wait(self, condition: Callable[[], _T | None]) -> _T:
        """The condition's first answer that is not None, as long as the process lives."""
        limit = time.monotonic() + READY_LIMIT_SECONDS
        while True:
            found = condition()
            if found is not None:
                return found
            assert self.process.poll() is None, f"{self.process.args!r} ended: {self.words()}"
            assert time.monotonic() < limit, f"{self.process.args!r} did not get ready: {self.words()}"
            time.sleep(0.02)


class Served:
    """A gateway that runs: its server's name and URL, the environment that it shares with its person, what it wrote."""

    def __init__(self, name: str, url: str, environment: Mapping[str, str], told: Told) -> None:
        self.name, self.url, self.environment, self.told = name, url, environment, told


@contextmanager
def _running(argv: tuple[str, ...], log: Path, *, cwd: Path, env: Mapping[str, str] | None = None) -> Iterator[Told]:
    with log.open("wb") as out:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, env=env)
    try:
        yield Told(process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _free_port() -> int:
    """The reference server cannot take a port from the kernel itself, so the kernel names one first."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
    return port


def _accepts(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0

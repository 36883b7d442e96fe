"""Processes that listen on loopback, `doorward serve` among them: started, waited for within a bound, ended."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

READY_LIMIT_SECONDS: Final = 30.0
STOP_LIMIT_SECONDS: Final = 20.0

_SERVING = re.compile(r"serving (\S+) at (http://\S+)")
_T = TypeVar("_T")
_P = ParamSpec("_P")


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
    """A gateway that runs: its servers' URLs, the environment that it shares with its person, what it wrote."""

    def __init__(self, urls: Mapping[str, str], environment: Mapping[str, str], told: Told) -> None:
        self.urls, self.environment, self.told = urls, environment, told

    @property
    def only(self) -> tuple[str, str]:
        """The name and the URL of the one server that it has."""
        ((name, url),) = self.urls.items()
        return name, url


@contextmanager
def served(home: Path, *options: str, policy: Path | None = None, servers: int = 1) -> Iterator[Served]:
    """``doorward serve`` at home in ``home``, as long as the block lasts; entered once it serves so many servers.

    It reads a copy of ``policy``, since it keeps what it learns of its servers beside it.
    """
    for place in (home / "run", home / "etc"):
        place.mkdir(mode=0o700, parents=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_RUNTIME_DIR": str(home / "run"),
    }
    front: tuple[str, ...] = (sys.executable, "-m", "doorward")
    if policy:
        own = home / "etc" / "doorward.toml"
        own.write_bytes(policy.read_bytes())
        own.chmod(0o600)
        front = (*front, "-c", str(own))
    argv = (*front, "serve", "--listen", "127.0.0.1:0", *options)
    with running(argv, home / "serve.log", cwd=home, env=environment) as told:

        def urls() -> dict[str, str] | None:
            found = dict(_SERVING.findall(told.words()))
            return found if len(found) == servers else None

        yield Served(told.wait(urls), environment, told)


@contextmanager
def running(argv: tuple[str, ...], log: Path, *, cwd: Path, env: Mapping[str, str] | None = None) -> Iterator[Told]:
    """A process as long as the block lasts. ``log`` gets all that it writes."""
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


def once(work: Callable[_P, _T]) -> Callable[_P, _T]:
    """``work``, done once for each of its arguments; a failure is kept too, and fails whoever asks again at once."""
    came: dict[tuple[object, ...], _T | Exception] = {}

    @wraps(work)
    def ask(*args: _P.args, **named: _P.kwargs) -> _T:
        if args not in came:
            try:
                came[args] = work(*args, **named)
            except Exception as failure:  # noqa: BLE001 - kept, and raised again below
                came[args] = failure
        found = came[args]
        if isinstance(found, Exception):
            raise found.with_traceback(None)
        return found

    return ask


def free_port() -> int:
    """A port for a program that cannot take one from the kernel itself."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
    return port


def accepts(port: int) -> bool | None:
    """True once something listens on ``port``."""
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0 or None

"""The reference server of the official suite: unpacked by ``make setup`` from the SDK's source distribution."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.listening import accepts, free_port, running

HERE: Final = Path(__file__).parent
POLICY: Final = HERE / "doorward.toml"
_PACKAGE = "mcp_everything_server"


class Reference:
    """The server in a folder of its own, where a server of somebody's own would lie."""

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
        """Its URL while it runs."""
        port = free_port()
        argv = (sys.executable, "-m", _PACKAGE, "--port", str(port))
        with running(argv, self.folder / "http.log", cwd=self.folder) as told:
            told.wait(lambda: accepts(port))
            yield f"http://127.0.0.1:{port}/mcp"

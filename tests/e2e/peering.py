"""A real client and a real server, once directly and once with Doorward between them: what each answer looked like."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel, ValidationError

from doorward.lab.targets.published import Installed

BOUND_SECONDS = 60.0
EVERYTHING, FILESYSTEM, GIT = "server-everything", "server-filesystem", "mcp-server-git"

Answer = dict[str, Any]
Peers = Callable[[str], Installed]


class Place:
    """A home, a state directory, and a folder that is a git repository, with something outside of it."""

    def __init__(self, top: Path, peers: Peers) -> None:
        self.top = top.resolve()
        self.home, self.state, self.folder = (self.top / name for name in ("home", "state", "folder"))
        for place in (self.home, self.folder):
            place.mkdir()
        self.stderr = self.top / "stderr"
        self.outside = self.top / "outside.txt"
        self.outside.write_text("nobody's business\n")
        self._peers = peers
        (self.folder / "a.txt").write_text("hello\n")
        self.git("init", "--quiet", "--initial-branch=trunk")
        self.git("config", "user.name", "Ada")
        self.git("config", "user.email", "ada@example.org")
        self.git("add", "a.txt")
        self.git("commit", "--quiet", "--message=first")
        (self.folder / "link.txt").symlink_to(self.outside)

    def git(self, *words: str) -> str:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "GIT_CONFIG_NOSYSTEM": "1"}
        command = ["git", *words]
        done = subprocess.run(command, cwd=self.folder, env=environment, check=True, capture_output=True, text=True)
        return done.stdout

    def command(self, peer: str) -> tuple[str, ...]:
        """How a client's configuration would start this server on the folder."""
        own = {EVERYTHING: ("stdio",), FILESYSTEM: (str(self.folder),), GIT: ("--repository", str(self.folder))}
        return (*self._peers(peer).argv, *own[peer])

    def wrapped(self, peer: str, *options: str) -> tuple[str, ...]:
        """The same with Doorward before it, and nothing else changed."""
        front = (sys.executable, "-m", "doorward", "--state", str(self.state), "wrap", "--name", peer, *options)
        return (*front, "--", *self.command(peer))

    @asynccontextmanager
    async def connect(self, command: tuple[str, ...], mode: str, **callbacks: Any) -> AsyncIterator[Client]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home)}
        parameters = StdioServerParameters(
            command=command[0], args=list(command[1:]), env=environment, cwd=str(self.folder)
        )
        with self.stderr.open("a") as stderr:
            async with Client(stdio_client(parameters, errlog=stderr), mode=mode, **callbacks) as client:
                yield client


def bounded(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a conversation to its end, or fail when it does not come."""

    async def run() -> Any:
        async with asyncio.timeout(BOUND_SECONDS):
            return await work

    return asyncio.run(run())


async def outcome(question: Awaitable[BaseModel]) -> Answer:
    """What came of one request: its result, or the error's code and text, or that it was no answer of this revision."""
    try:
        return (await question).model_dump(mode="json", by_alias=True, exclude_none=True)
    except MCPError as refused:
        return {"error": refused.error.code, "message": refused.error.message, "data": refused.error.data}
    except ValidationError as malformed:
        return {"malformed": malformed.title}

"""A real client and a real server, once directly and once with Doorward between them: what each answer looked like."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel, ValidationError
from tests.listening import accepts, free_port, running

from doorward.lab.targets.published import Installed

BOUND_SECONDS = 60.0
EVERYTHING, FILESYSTEM, MEMORY = "server-everything", "server-filesystem", "server-memory"
GIT, TIME, FETCH = "mcp-server-git", "mcp-server-time", "mcp-server-fetch"

PAGE_SAYS = "what the quiet page says"
# The everything server listens on every address unless it is told otherwise, and has no option for it.
_ON_LOOPBACK = (
    "data:text/javascript,import net from 'node:net'; const listen = net.Server.prototype.listen;"
    "net.Server.prototype.listen = function (port, then) { return listen.call(this, +port, '127.0.0.1', then); };"
)

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
        own = {
            EVERYTHING: ("stdio",),
            FILESYSTEM: (str(self.folder),),
            GIT: ("--repository", str(self.folder)),
            FETCH: ("--allow-private-ips",),
        }
        return (*self._peers(peer).argv, *own.get(peer, ()))

    @contextmanager
    def listening(self, transport: str) -> Iterator[str]:
        """The URL of the everything server while it listens, as ``streamableHttp`` or as ``sse`` of 2024-11-05."""
        node, *program = self._peers(EVERYTHING).argv
        port = free_port()
        argv = (node, "--import", _ON_LOOPBACK, *program, transport)
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "PORT": str(port)}
        with running(argv, self.top / f"{transport}.log", cwd=self.top, env=environment) as told:
            told.wait(lambda: accepts(port))
            yield f"http://127.0.0.1:{port}/{'sse' if transport == 'sse' else 'mcp'}"

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


@contextmanager
def page() -> Iterator[str]:
    """The URL of a page that says ``PAGE_SAYS``; whatever else is asked for is not there.

    Plain text: for HTML, mcp-server-fetch has its library install what node needs at its first use, if there is node.
    That runs what no lock names, and works only where nobody confines it, so the order of tests would decide.
    """

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/page"
            body = PAGE_SAYS.encode() if found else b""
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            """Nothing: stderr is pytest's."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/page"
        finally:
            server.shutdown()
            thread.join()


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

"""Who holds a socket is asked anew for each connection, and of a caller that was seen before it is found at once."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

# In front of its own children, as a gateway; whoever started it is outside. Tells of each connection whether somebody
# outside holds it, and which folders were looked through for that.
GATE = """
import json, os, socket, subprocess, sys
from doorward.gateway.identity.holders import Holders
from doorward.gateway.identity.owners import inode_of_peer

inside = "import socket, sys; c = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); sys.stdin.read()"
server = socket.create_server(("127.0.0.1", 0))
port = server.getsockname()[1]
print(port, flush=True)
holders, kept, children, listed, listdir = Holders(), [], [], [], os.listdir
for line in sys.stdin:
    if line == "child\\n":
        argv = [sys.executable, "-c", inside, str(port)]
        children.append(subprocess.Popen(argv, stdin=subprocess.PIPE))
    kept.append(server.accept()[0])
    inode = inode_of_peer(kept[-1])
    listed.clear()
    os.listdir = lambda folder: listed.append(str(folder)) or listdir(folder)
    believed = holders.is_held_outside(inode)
    os.listdir = listdir
    print(json.dumps([believed, listed]), flush=True)
    if line == "forget\\n":
        kept.pop().close()
for child in children:
    child.communicate()
"""


class Gate:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self._line())

    def ask(self, word: str) -> tuple[bool, list[str]]:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        told: tuple[bool, list[str]] = json.loads(self._line())
        return told

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port))

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def gate() -> Iterator[Gate]:
    how: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", GATE], **how) as process:
        try:
            yield Gate(process)
        finally:
            process.communicate(timeout=20)


def test_a_caller_outside_is_believed_and_a_child_is_not() -> None:
    with gate() as here, here.connected():
        assert here.ask("outside")[0]
        assert not here.ask("child")[0]
        with here.connected():
            assert here.ask("outside")[0]


def test_a_known_caller_that_uses_a_descriptor_again_is_found_without_looking_through_any_other_process() -> None:
    with gate() as here:
        with here.connected():
            believed, looked = here.ask("forget")
        assert believed
        assert "/proc" in looked
        for _ in range(5):
            with here.connected():
                believed, looked = here.ask("forget")
            assert believed
            assert not [folder for folder in looked if folder == "/proc" or folder.endswith("/fd")]


def test_a_known_caller_with_more_connections_than_before_is_found_before_others_are_looked_at() -> None:
    looked: list[str] = []
    with gate() as here, ExitStack() as kept:
        for _ in range(3):
            kept.enter_context(here.connected())
            believed, looked = here.ask("outside")
            assert believed
        assert "/proc" not in looked


def test_what_a_descriptor_held_before_says_nothing_of_what_it_holds_now() -> None:
    with gate() as here:
        with here.connected():
            assert here.ask("forget")[0]
        with open("/dev/null", "rb"):  # the number is something else's by now
            assert not here.ask("child")[0]

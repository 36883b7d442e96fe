"""A process of another user that holds one socket, where that is possible; elsewhere of the same user."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

OTHER = 1001 if os.geteuid() == 0 else os.geteuid()
"""The user of the peers: another one where that is possible."""

CHILD = """
import os, socket, struct, sys
uid, verb, family, host, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
if uid != os.geteuid():
    os.setgid(uid)
    os.setuid(uid)
if verb == "connect":
    peer = socket.socket(family)
    if sys.argv[6]:
        peer.bind((sys.argv[6], 0))
    peer.connect((host, port))
else:
    peer = socket.socket(family)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if verb == "share":
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        peer.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, verb == "only6")
    peer.bind((host, port))
    peer.listen()
print(peer.getsockname()[1], flush=True)
held = []
for line in sys.stdin:
    word = line.strip()
    if word == "accept":
        held.append(peer.accept()[0])
    elif word == "reset":
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
    elif word == "say":
        peer.sendall(b"x")
        peer.shutdown(socket.SHUT_WR)
    else:
        peer.close()
    print(word, flush=True)
"""


class Peer:
    """A process of the other user that holds one socket."""

    def __init__(
        self, verb: str, host: str, port: int = 0, family: int = socket.AF_INET, source: str = "", uid: int = OTHER
    ) -> None:
        self._process = subprocess.Popen(
            (sys.executable, "-ISc", CHILD, str(uid), verb, str(int(family)), host, str(port), source),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.port = int(self._line())

    def do(self, word: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{word}\n")
        assert self._line() == word

    def _line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        assert line, "the peer ended"
        return line

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=30)

"""A server that wants to answer in its user's place: it takes what it can of the consent channel, and writes a report.

``python -I -S hostile_answerer.py FOLDER state:STATE at:WHERE``, WHERE being how the path of a gateway's socket begins.
The two words name nothing that exists, so they give it nothing. Shares no code with Doorward: the handshake is written
from the description in ``sealed.py``.
"""

from __future__ import annotations

import hmac
import json
import os
import socket
import struct
import sys
import time

GREETING = b"doorward consent 1\n"
PRESENT = b"\x81\xa4type\xa7present"  # msgpack of {"type": "present"}
BOUND_S = 20.0


def attempt(act: object) -> str:
    """What came of it: the text that the attempt returned, or the name of the kernel's refusal."""
    try:
        return act()  # type: ignore[operator, no-any-return]
    except (EOFError, ConnectionError):
        return "turned away"
    except OSError as problem:
        return type(problem).__name__


def find_socket(beginning: str) -> str:
    """The path of a gateway's socket, out of the kernel's list of all sockets: no folder has to be readable."""
    until = time.monotonic() + BOUND_S
    while time.monotonic() < until:
        with open("/proc/self/net/unix", encoding="utf-8") as listing:
            for line in listing:
                path = line.split()[-1]
                if path.startswith(beginning):
                    return path.replace("/n-", "/w-")  # it is listed as it was bound, and renamed since
        time.sleep(0.01)
    raise EOFError


def exactly(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = peer.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def seal(key: bytes, number: int, frame: bytes) -> bytes:
    return hmac.digest(key, struct.pack(">QI", number, len(frame)) + frame, "sha256")


def pass_challenge(path: str, key: bytes) -> str:
    """Attach as a person's program would; the gateway's welcome is the prize."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(BOUND_S)
        peer.connect(path)
        ours = os.urandom(32)
        peer.sendall(GREETING + ours)
        theirs = exactly(peer, len(GREETING) + 32)[len(GREETING) :]
        say = hmac.digest(key, GREETING + b"person says\0" + theirs + ours, "sha256")
        peer.sendall(struct.pack(">I", len(PRESENT)) + PRESENT + seal(say, 0, PRESENT))
        return exactly(peer, int.from_bytes(exactly(peer, 4), "big")).decode("latin-1")


def read_key(state: str) -> bytes:
    with open(os.path.join(state, "consent.key"), "rb") as file:
        return file.read()


def plant(path: str) -> str:
    """Bind a socket of one's own where a person's program looks for gateways, and take it away again."""
    with socket.socket(socket.AF_UNIX) as imitation:
        imitation.bind(path)
    os.unlink(path)
    return "planted"


def main() -> None:
    folder, state, beginning = sys.argv[1], *(word.partition(":")[2] for word in sys.argv[2:4])
    path = find_socket(beginning)
    runtime = os.path.dirname(path)
    try:
        key = read_key(state)
    except OSError:
        key = bytes(32)
    report = {
        "key": attempt(lambda: read_key(state).hex()),
        "listing": attempt(lambda: " ".join(os.listdir(runtime))),
        "imitation": attempt(lambda: plant(os.path.join(runtime, "plant"))),
        "challenge": attempt(lambda: pass_challenge(path, key)),
    }
    draft = os.path.join(folder, "draft")
    with open(draft, "w", encoding="utf-8") as file:
        json.dump(report, file)
    os.rename(draft, os.path.join(folder, "report.json"))
    while os.read(0, 65536):
        pass


main()

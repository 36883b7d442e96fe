"""A server that keeps every place at the consent channel taken: ``python -I -S hostile_flooder.py at:WHERE FOLDER``."""

from __future__ import annotations

import itertools
import os
import socket
import sys
import time

PROCESSES = 60
ROUNDS = 100  # of each, before the flood counts as one
HELD = 5  # connections of each process; a gateway hears 128 strangers at a time, and 100 wait in the kernel


def find_socket(beginning: str) -> bytes:
    while True:
        with open("/proc/self/net/unix", encoding="utf-8") as listing:
            for line in listing:
                path = line.split()[-1]
                if path.startswith(beginning):
                    return path.replace("/n-", "/w-").encode()
        time.sleep(0.01)


def flood(path: bytes, ready: int) -> None:
    held: list[socket.socket] = []
    for attempt in itertools.count():
        if attempt == ROUNDS:
            os.write(ready, b".")
        peer = socket.socket(socket.AF_UNIX)
        peer.setblocking(False)
        try:
            peer.connect(path)
        except OSError:
            time.sleep(0.001)
        held.append(peer)
        if len(held) > HELD:
            held.pop(0).close()


def main() -> None:
    path = find_socket(sys.argv[1].partition(":")[2])
    flooding, ready = os.pipe()
    for _ in range(PROCESSES):
        if os.fork() == 0:
            flood(path, ready)
    for _ in range(PROCESSES):
        os.read(flooding, 1)
    with open(os.path.join(sys.argv[2], "flooding"), "w", encoding="ascii"):
        pass
    while os.read(0, 65536):
        pass


main()

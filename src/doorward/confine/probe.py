"""What the walls hold on this machine: found out by trying them, with a canary that wants out.

A version number says what a kernel promises. A container's seccomp filter, an odd file system or a patched kernel may
hold less, so the canary is started exactly as a server is, and tells what it got at.
"""

from __future__ import annotations

import os
import select
import sys
import tempfile

import msgspec

from doorward.confine import landlock
from doorward.confine.process import start
from doorward.confine.profile import SandboxProfile, derive
from doorward.errors import ConfinementError

_CANARY = """
import os, signal, socket, sys
def tried(name, attempt):
    try:
        attempt()
    except OSError:
        return
    print(name)
outside, abstract, pid = sys.argv[1], "\\0" + sys.argv[2], int(sys.argv[3])
tried("read", lambda: open(outside).close())
tried("list", lambda: os.listdir(os.path.dirname(outside)))
tried("write", lambda: open(outside + ".new", "w").close())
tried("truncate", lambda: os.truncate(outside, 0))
tried("signal", lambda: os.kill(pid, 0))
tried("memory", lambda: open(f"/proc/{pid}/mem", "rb").close())
tried("abstract-socket", lambda: socket.socket(socket.AF_UNIX).connect(abstract))
print("done")
"""
_WAYS_OUT = ("read", "list", "write", "truncate", "signal", "memory", "abstract-socket")


class Holds(msgspec.Struct, frozen=True, gc=False):
    """``abi`` is Landlock's; ``closed`` and ``open`` are the ways out that the canary failed and managed to take."""

    abi: int
    closed: tuple[str, ...]
    open: tuple[str, ...]


def landlock_abi() -> int:
    """The Landlock ABI of the running kernel, 0 where there is none. Raises ConfinementError if it cannot be asked."""
    try:
        return landlock.detect_abi()
    except OSError as error:
        raise ConfinementError(f"the kernel does not say whether it has landlock: {error.strerror}") from error


def probe(timeout_seconds: float = 10.0) -> Holds:
    """Start the canary as a server would be, and report; leaves nothing behind.

    Raises ConfinementError when it cannot be confined at all, or does not come to its end in time.
    """
    import socket  # only here: the canary's way out by an abstract socket needs someone to listen

    with tempfile.TemporaryDirectory(prefix="doorward-probe-") as place, socket.socket(socket.AF_UNIX) as listener:
        secret = os.path.join(place, "outside", "secret")
        os.mkdir(os.path.dirname(secret), 0o755)
        with open(secret, "w", encoding="ascii") as planted:
            planted.write("canary")
        name = os.path.basename(place)
        listener.bind("\0" + name)
        listener.listen()
        argv = (sys.executable, "-I", "-S", "-c", _CANARY, secret, name, str(os.getpid()))
        taken = _run(argv, _profile(argv, place), timeout_seconds)
    return Holds(
        landlock_abi(),
        closed=tuple(way for way in _WAYS_OUT if way not in taken),
        open=tuple(way for way in _WAYS_OUT if way in taken),
    )


def _profile(argv: tuple[str, ...], place: str) -> SandboxProfile:
    home, state, config = (os.path.join(place, name) for name in ("home", "state", "config"))
    # Strict: the canary's arguments name what it must not get.
    return derive(argv, environ={}, cwd=place, home=home, state=state, config=config, server="probe", profile="strict")


def _run(argv: tuple[str, ...], profile: SandboxProfile, timeout_seconds: float) -> list[str]:
    with start(argv, profile) as child:
        os.close(child.stdin)
        with open(child.stdout, "rb", buffering=0) as said, open(child.stderr, "rb", buffering=0):
            child.started(timeout_seconds)
            answer = b""
            while select.select([said], [], [], timeout_seconds)[0] and (piece := said.read(4096)):
                answer += piece
    words = answer.decode().split()
    if words[-1:] != ["done"]:
        raise ConfinementError("the canary did not come to its end, so it is unknown what the walls hold")
    return words

"""What the walls hold on this machine: found out by trying them, with a canary that wants out.

A version number says what a kernel promises. A container's seccomp filter, an odd file system or a patched kernel may
hold less, so the canary is started exactly as a server is, and tells what it got at. The same canary is played without
walls too: a way that is not open there was not closed by us, and says nothing of them.

Does not try what would harm the machine if it worked: modules, the clock, another kernel.
"""

from __future__ import annotations

import os
import select
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from doorward.confine import cgroups, landlock
from doorward.confine.process import Child, start
from doorward.confine.profile import Mechanism, SandboxProfile, derive
from doorward.confine.usage import throttled_seconds
from doorward.errors import ConfinementError

if TYPE_CHECKING:
    import socket

MECHANISMS: Final[tuple[Mechanism, ...]] = ("namespaces", "landlock")
"""In the order in which they are tried for a server."""

_CANARY = """
import ctypes, os, socket, sys
def tried(name, attempt):
    try:
        attempt()
    except OSError:
        return
    print(name)
libc = ctypes.CDLL(None, use_errno=True)
def call(x86, arm, *arguments):
    number = x86 if os.uname().machine == "x86_64" else arm
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result
def in_child(attempt):
    def inside():
        child = os.fork()
        if child == 0:
            try:
                attempt()
            except OSError:
                os._exit(1)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            raise OSError(1, "refused")
    return inside
def ring():
    parameters = ctypes.create_string_buffer(256)
    os.close(call(425, 425, 4, ctypes.addressof(parameters)))
def limited(pid):
    limits = ctypes.create_string_buffer(16)
    call(302, 261, pid, 7, 0, ctypes.addressof(limits))
def said(family, kind, address):
    with socket.socket(family, kind) as one:
        one.settimeout(2)
        one.connect(address)
        one.send(b"canary")
outside, name, pid, tcp, udp = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
folder = os.path.dirname(outside)
tried("read", lambda: open(outside).close())
tried("list", lambda: os.listdir(folder))
tried("write", lambda: open(outside + ".new", "w").close())
tried("truncate", lambda: os.truncate(outside + ".victim", 0))
tried("signal", lambda: os.kill(pid, 0))
tried("memory", lambda: open(f"/proc/{pid}/mem", "rb").close())
tried("arguments", lambda: open(f"/proc/{pid}/cmdline").close())
tried("limits", lambda: limited(pid))
tried("abstract-socket", lambda: socket.socket(socket.AF_UNIX).connect("\\0" + name))
if libc.prctl(39, 0, 0, 0, 0) == 0:
    print("privileges")
if any(int(line.split()[1], 16) for line in open("/proc/self/status") if line.startswith(("CapEff", "CapBnd"))):
    print("capabilities")
tried("keyring", lambda: call(250, 219, 0, -3, 1))
tried("user-namespace", in_child(lambda: call(272, 97, 0x10000000)))
tried("io-uring", ring)
tried("packets", lambda: socket.socket(17, socket.SOCK_RAW).close())
tried("netlink", lambda: socket.socket(16, socket.SOCK_RAW, 15).close())
tried("path-socket", lambda: (os.chdir(folder), socket.socket(socket.AF_UNIX).connect("socket")))
tried("tcp", lambda: said(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", tcp)))
try:
    said(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", udp))
except OSError:
    pass
print("done")
"""

SPINNERS = """
import os, sys
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        while sum(os.times()[:2]) < 0.03: pass
        os._exit(0)
for _ in range(int(sys.argv[1])):
    os.wait()
print("worked", flush=True)
os.read(0, 1)
"""
"""So many processes that each use up thirty milliseconds of a processor."""
SPINNERS_PERCENT = 4
"""The share that they want more than: so little that they have it on a busy machine too."""


class Way(msgspec.Struct, frozen=True, gc=False):
    """A way out: its id, what takes it, and the control that closes it."""

    id: str
    what: str
    control: str


WAYS: Final = (
    Way("read", "reads a file outside its folders", "confine-files"),
    Way("list", "lists a folder that is not its own", "confine-files"),
    Way("write", "makes a file outside its folders", "confine-files"),
    Way("truncate", "empties a file outside its folders", "confine-files"),
    Way("signal", "signals a process of the same user", "confine-processes"),
    Way("memory", "opens the memory of another process", "confine-processes"),
    Way("arguments", "reads the command line of another process", "confine-files"),
    Way("limits", "asks for the limits of another process", "confine-calls"),
    Way("abstract-socket", "reaches an abstract socket", "confine-calls"),
    Way("privileges", "may gain privileges (no no_new_privs)", "confine-privileges"),
    Way("capabilities", "has a capability of root", "confine-privileges"),
    Way("keyring", "opens the session's keyring", "confine-calls"),
    Way("user-namespace", "makes a user namespace, in which it is root", "confine-calls"),
    Way("io-uring", "makes an io_uring, whose operations no filter sees", "confine-calls"),
    Way("packets", "opens a socket for raw packets", "confine-calls"),
    Way("netlink", "listens to the kernel by netlink", "confine-calls"),
    Way("path-socket", "reaches a socket that has a path, of another program", "confine-calls"),
    Way("tcp", "reaches a service on this machine by TCP", "confine-network"),
    Way("udp", "sends datagrams on this machine (UDP)", "confine-network"),
)


class Holds(msgspec.Struct, frozen=True, gc=False):
    """``mechanism`` is the one that was tried, and ``abi`` Landlock's in it. ``closed`` and ``open`` are the ways out
    that the canary failed and managed to take, by id; ``untried`` those that are not open on this machine without any
    walls, so that nothing was proven by failing.
    """

    mechanism: str
    abi: int
    closed: tuple[str, ...]
    open: tuple[str, ...]
    untried: tuple[str, ...] = ()

    @property
    def as_promised(self) -> bool:
        """Whether every way is closed."""
        return not self.open


def landlock_abi() -> int:
    """The Landlock ABI of the running kernel, 0 where there is none. Raises ConfinementError if it cannot be asked."""
    try:
        return landlock.detect_abi()
    except OSError as error:
        raise ConfinementError(f"the kernel does not say whether it has landlock: {error.strerror}") from error


def probe(mechanism: Mechanism = "auto", timeout_seconds: float = 10.0) -> Holds:
    """Start the canary as a server would be, and once without walls, and report; leaves nothing behind.

    Raises ConfinementError when it cannot be confined by this mechanism, or does not come to its end in time.
    """
    with tempfile.TemporaryDirectory(prefix="doorward-probe-") as place, _outside(place) as (words, datagrams):
        argv = (sys.executable, "-I", "-S", "-c", _CANARY, *words)
        profile = msgspec.structs.replace(_profile(argv, place), mechanism=mechanism)
        child, taken = _run(argv, profile, timeout_seconds, walls=True)
        taken += _arrived(datagrams)
        _, bare = _run(argv, profile, timeout_seconds, walls=False)
        bare += _arrived(datagrams)
    shut = tuple(way.id for way in WAYS if way.id not in taken)
    return Holds(
        child.mechanism or "",
        child.abi or 0,
        closed=tuple(id for id in shut if id in bare),
        open=tuple(way.id for way in WAYS if way.id in taken),
        untried=tuple(id for id in shut if id not in bare),
    )


def held(timeout_seconds: float = 10.0) -> tuple[str, ...]:
    """What a control group caps here of a server's whole tree: ``memory``, ``pids``, ``cpu``. The last is tried: a few
    processes want more than their share, and must have stood still. Raises ConfinementError where they do not start.
    """
    made = cgroups.held()
    return made if "cpu" not in made or _stand_still(timeout_seconds) else tuple(one for one in made if one != "cpu")


def spinners(processors: int) -> int:
    """How many processes want more than their share of so many processors, in one tenth of a second or spread over
    two.
    """
    return processors // 2 + 1


def _stand_still(timeout_seconds: float) -> bool:
    argv = (sys.executable, "-I", "-S", "-c", SPINNERS, str(spinners(os.cpu_count() or 1)))
    with tempfile.TemporaryDirectory(prefix="doorward-probe-") as place:
        profile = msgspec.structs.replace(_profile(argv, place), processor_percent=SPINNERS_PERCENT)
        child = start(argv, profile, unsafe_no_sandbox=True)
        with child, open(child.stdin, "wb"), open(child.stdout, "rb", buffering=0) as said, open(child.stderr, "rb"):
            child.started(timeout_seconds)
            done = select.select([said], [], [], timeout_seconds)[0] and said.read(16)
            return bool(done) and throttled_seconds(child.groups) > 0


@contextmanager
def _outside(place: str) -> Iterator[tuple[tuple[str, ...], socket.socket]]:
    """What the canary wants to get at: the words that name it, and where its datagrams arrive."""
    import socket  # only here: somebody must listen where the canary knocks

    secret = os.path.join(place, "outside", "secret")
    os.mkdir(os.path.dirname(secret), 0o755)
    for planted in (secret, f"{secret}.victim"):
        with open(planted, "w", encoding="ascii") as file:
            file.write("canary")
    name = os.path.basename(place)
    with socket.socket(socket.AF_UNIX) as abstract, socket.socket(socket.AF_UNIX) as path:
        abstract.bind("\0" + name)
        _bind_in(os.path.dirname(secret), "socket", path)
        for listener in (abstract, path):
            listener.listen()
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", 0))
            udp.setblocking(False)
            yield (secret, name, str(os.getpid()), _port(tcp), _port(udp)), udp


def _bind_in(folder: str, name: str, listener: socket.socket) -> None:
    """By a short way: an address has 107 bytes (unix(7)), and a temporary folder may lie deeper."""
    opened = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{opened}/{name}")
    finally:
        os.close(opened)


def _arrived(datagrams: socket.socket) -> list[str]:
    """Sending proves nothing: in a network where nobody is, it succeeds."""
    try:
        datagrams.recv(64)
    except BlockingIOError:
        return []
    return ["udp"]


def _port(listener: socket.socket) -> str:
    return str(listener.getsockname()[1])


def _profile(argv: tuple[str, ...], place: str) -> SandboxProfile:
    home, state, config = (os.path.join(place, name) for name in ("home", "state", "config"))
    # Strict: the canary's arguments name what it must not get.
    return derive(argv, environ={}, cwd=place, home=home, state=state, config=config, server="probe", profile="strict")


def _run(
    argv: tuple[str, ...], profile: SandboxProfile, timeout_seconds: float, *, walls: bool
) -> tuple[Child, list[str]]:
    with start(argv, profile, unsafe_no_sandbox=not walls) as child:
        os.close(child.stdin)
        with open(child.stdout, "rb", buffering=0) as said, open(child.stderr, "rb", buffering=0):
            child.started(timeout_seconds)
            answer = b""
            while select.select([said], [], [], timeout_seconds)[0] and (piece := said.read(4096)):
                answer += piece
    words = answer.decode().split()
    if words[-1:] != ["done"]:
        raise ConfinementError("the canary did not come to its end, so it is unknown what the walls hold")
    return child, words

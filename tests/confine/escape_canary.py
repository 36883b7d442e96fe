"""A program in the place of a server that tries to get out in every way it knows (``escape_stage`` runs it).

Its first line of input is the plan: a JSON object with what it is to get at. It answers with a line for each attempt,
then waits while the stage looks at what only lasts as long as it does. It imports nothing of Doorward or of the tests.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

BOUND_SECONDS = 20
P: dict[str, Any] = {}
ATTEMPTS: dict[str, Callable[[], object]] = {}
LASTING: dict[str, Callable[[], object]] = {}
KEPT: list[socket.socket] = []
LISTENING: dict[str, socket.socket] = {}
NEW_USER, NEW_NETWORK, NEW_MOUNTS = 0x10000000, 0x40000000, 0x00020000
MS_REMOUNT, MS_BIND = 32, 4096
X86 = os.uname().machine == "x86_64"

libc = ctypes.CDLL(None, use_errno=True)


def attempt(name: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Tried in a process of its own, which the attempt may ruin."""
    return lambda tried: ATTEMPTS.setdefault(name, tried)


def lasting(name: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Tried in the canary itself, which keeps what it got until the stage has looked."""
    return lambda tried: LASTING.setdefault(name, tried)


def check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def call(x86: int, arm: int, *arguments: object) -> int:
    converted = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    libc.syscall.restype = ctypes.c_long
    return check(int(libc.syscall(ctypes.c_long(x86 if X86 else arm), *converted)))


def read(path: str) -> str:
    with open(path, errors="replace") as file:
        return file.read(1 << 20)


def write(path: str, content: str = "written") -> None:
    with open(path, "w") as file:
        file.write(content)


def say(probe: str, **found: object) -> None:
    os.write(1, json.dumps({"probe": probe, **found}).encode() + b"\n")


def tried(probe: str, tries: Callable[[], object]) -> None:
    try:
        found = tries()
    except Exception as error:  # noqa: BLE001 - each is an attempt that failed, and how is told
        say(probe, error=f"{type(error).__name__} {error}")
    else:
        say(probe, said=found if isinstance(found, (str, list)) else True)


def fork() -> int:
    """A bound of a user's processes counts those of the same user beside us, which may be many for a moment."""
    for _ in range(BOUND_SECONDS * 20):
        with contextlib.suppress(BlockingIOError):
            return os.fork()
        time.sleep(0.05)
    return os.fork()


def main() -> None:
    P.update(json.loads(sys.stdin.readline()))
    P["self"], P["parent"] = os.getpid(), os.getppid()
    for probe, tries in ATTEMPTS.items():
        child = fork()
        if child == 0:
            signal.alarm(BOUND_SECONDS)
            tried(probe, tries)
            os._exit(0)
        ended = os.waitpid(child, 0)[1]
        if os.WIFSIGNALED(ended):
            say(probe, error=f"ended by signal {os.WTERMSIG(ended)}")
    for probe, tries in LASTING.items():
        tried(probe, tries)
    say("", ready=True)
    sys.stdin.readline()
    for probe, listener in LISTENING.items():
        listener.settimeout(0.2)
        with contextlib.suppress(OSError):
            listener.accept()[0].sendall(probe.encode())
    if P.get("watch") is not None:
        os.set_blocking(P["watch"], False)
        tried("events of a folder outside", lambda: os.read(P["watch"], 4096).decode(errors="replace"))
    say("", done=True)
    sys.stdin.read()
    with contextlib.suppress(OSError):
        if not P["supervised"]:
            return
        os.kill(P["parent"], signal.SIGKILL)  # only the first process of a namespace can live on


# Files


@attempt("a file outside")
def _() -> object:
    return read(P["outside"] + "/secret")


@attempt("a folder outside")
def _() -> object:
    return os.listdir(P["outside"])


@attempt("the home")
def _() -> object:
    return os.listdir(P["home"])


@attempt("doorward's keys")
def _() -> object:
    return read(P["state"] + "/consent.key")


@attempt("a link in its folder")
def _() -> object:
    os.symlink(P["outside"] + "/secret", P["folder"] + "/link")
    return read(P["folder"] + "/link")


@attempt("a hard link in its folder")
def _() -> object:
    os.link(P["outside"] + "/secret", P["folder"] + "/hard")
    return read(P["folder"] + "/hard")


@attempt("the temporary folder of all")
def _() -> object:
    return os.listdir(P["temp"])


@attempt("a setuid program")
def _() -> object:
    done = subprocess.run([P["suid"], P["closed"]], capture_output=True, text=True, check=True)
    return done.stdout


@attempt("sudo")
def _() -> object:
    return subprocess.run(["sudo", "-n", "cat", P["closed"]], capture_output=True, text=True, check=True).stdout


@attempt("make a file outside")
def _() -> None:
    write(P["outside"] + "/made")


@attempt("change a file outside")
def _() -> None:
    write(P["outside"] + "/changed")


@attempt("empty a file outside")
def _() -> None:
    os.truncate(P["outside"] + "/emptied", 0)


@attempt("remove a file outside")
def _() -> None:
    os.unlink(P["outside"] + "/removed")


@attempt("move a file out of its place")
def _() -> None:
    os.rename(P["outside"] + "/moved", P["folder"] + "/moved")


@attempt("move a file of its own outside")
def _() -> None:
    write(P["folder"] + "/mine")
    os.rename(P["folder"] + "/mine", P["outside"] + "/arrived")


@attempt("change a file that it may read")
def _() -> None:
    write(P["given"] + "/changed")


@attempt("change modes outside")
def _() -> None:
    os.chmod(P["outside"] + "/modes", 0o700)


@attempt("change times outside")
def _() -> None:
    os.utime(P["outside"] + "/times", (1, 1))


@attempt("change access lists outside")
def _() -> None:
    # Its owner, user 12345, the group, the mask, all others: each a tag, rights and who (struct posix_acl_xattr_entry)
    entries = ((1, 6, -1), (2, 4, 12345), (4, 4, -1), (16, 4, -1), (32, 0, -1))
    packed = b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr(P["outside"] + "/lists", "system.posix_acl_access", struct.pack("<I", 2) + packed)


@attempt("change modes of a device")
def _() -> None:
    os.chmod("/dev/null", os.stat("/dev/null").st_mode & 0o7777)


@attempt("leave a setuid program")
def _() -> object:
    path = P["folder"] + "/planted"
    write(path)
    with contextlib.suppress(OSError):
        os.chmod(path, 0o4755)  # noqa: S103 - the attempt itself
    with open(path) as file, contextlib.suppress(OSError):
        os.fchmod(file.fileno(), 0o4755)
    with contextlib.suppress(OSError):
        call(268, 53, -100, ctypes.c_char_p(path.encode()), 0o4755)  # fchmodat
    return call(452, 452, -100, ctypes.c_char_p(path.encode()), 0o4755, 0)  # fchmodat2


@attempt("make a device")
def _() -> None:
    os.mknod(P["folder"] + "/disk", 0o60666, os.makedev(7, 250))


@attempt("a file above the cap")
def _() -> object:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with open(P["folder"] + "/large", "wb", buffering=0) as file:
        for _ in range(3):
            file.write(bytes(1 << 20))
    return True


# Other processes


@attempt("the list of processes")
def _() -> object:
    return next(name for name in os.listdir("/proc") if name == str(P["gateway"]))


@attempt("arguments of another process")
def _() -> object:
    return read(f"/proc/{P['victims']['read']}/cmdline")


@attempt("environment of another process")
def _() -> object:
    return read(f"/proc/{P['victims']['read']}/environ")


@attempt("files of another process")
def _() -> object:
    return read(f"/proc/{P['gateway']}/fd/{P['held']}")


@attempt("root of another process")
def _() -> object:
    return read(f"/proc/{P['gateway']}/root{P['outside']}/secret")


@attempt("root of the first process")
def _() -> object:
    return read(f"/proc/1/root{P['outside']}/secret")


@attempt("root of its supervisor")
def _() -> object:
    return read(f"/proc/{P['parent']}/root{P['outside']}/secret")


@attempt("memory of the first process")
def _() -> object:
    with open("/proc/1/mem", "rb"):
        return True


@attempt("environment of the first process")
def _() -> object:
    with open("/proc/1/environ", "rb") as file:
        return len(file.read()) >= 0


@attempt("take a descriptor of another process")
def _() -> object:
    taken = call(438, 438, os.pidfd_open(P["gateway"]), P["held"], 0)
    return os.pread(taken, 4096, 0).decode()


@attempt("forge a report of its supervisor")
def _() -> object:
    taken = call(438, 438, os.pidfd_open(P["parent"]), 4, 0)
    return os.write(taken, b"started 1 forged 0\n")


@attempt("read another's memory")
def _() -> object:
    return vectors(310, 270, P["secret memory"])


@attempt("write another's memory")
def _() -> object:
    return vectors(311, 271, P["memory"])


def vectors(x86: int, arm: int, address: int) -> str:
    class Vector(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

    here = ctypes.create_string_buffer(b"written!".ljust(64), 64)
    mine, theirs = Vector(ctypes.addressof(here), 64), Vector(address, 64)
    call(x86, arm, P["gateway"], ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0)
    return here.raw.decode(errors="replace")


@attempt("write another's memory by its file")
def _() -> object:
    with open(f"/proc/{P['gateway']}/mem", "r+b", buffering=0) as file:
        file.seek(P["memory file"])
        return file.write(b"written!")


@attempt("trace another process")
def _() -> object:
    pid = P["victims"]["trace"]
    check(libc.ptrace(16, pid, None, None))
    os.waitpid(pid, 0)
    return check(libc.ptrace(7, pid, None, signal.SIGKILL))


@attempt("trace its supervisor")
def _() -> object:
    check(libc.ptrace(0x4206, P["parent"], None, None))
    return True


@attempt("kill another process")
def _() -> None:
    os.kill(P["victims"]["kill"], signal.SIGKILL)


@attempt("kill another process by its descriptor")
def _() -> None:
    signal.pidfd_send_signal(os.pidfd_open(P["victims"]["pidfd"]), signal.SIGKILL)


@attempt("kill another process by a queued signal")
def _() -> object:
    information = struct.pack("iiii", signal.SIGTERM, 0, -1, 0).ljust(128, b"\0")
    return call(129, 138, P["victims"]["queue"], signal.SIGTERM, ctypes.c_char_p(information))


@attempt("kill another process as owner of a pipe")
def _() -> object:
    reading, writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, P["victims"]["owner"])
    fcntl.fcntl(reading, 10, signal.SIGKILL)  # F_SETSIG
    fcntl.fcntl(reading, fcntl.F_SETFL, fcntl.fcntl(reading, fcntl.F_GETFL) | os.O_ASYNC)
    return os.write(writing, b"x")


@attempt("signal everybody")
def _() -> None:
    if not P["walls"]:
        raise PermissionError("other people's programs as well")
    os.kill(-1, signal.SIGURG)  # which nobody minds who did not ask for it


@attempt("kill a group of processes")
def _() -> None:
    os.killpg(P["victims"]["group"], signal.SIGKILL)


@attempt("limit another process")
def _() -> object:
    return resource.prlimit(P["victims"]["limit"], resource.RLIMIT_NOFILE, (7, 7))


@attempt("slow another process down")
def _() -> None:
    os.setpriority(os.PRIO_PROCESS, P["victims"]["nice"], 7)


@attempt("starve another process")
def _() -> None:
    os.sched_setscheduler(P["victims"]["idle"], os.SCHED_IDLE, os.sched_param(0))


# The network and what else others listen at


def connect(name: str, family: int, address: Any, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> None:
    with socket.socket(family, kind, protocol) as one:
        one.settimeout(2)
        one.connect(address)
        one.send(name.encode())
        if kind == socket.SOCK_STREAM:
            one.shutdown(socket.SHUT_WR)


def connecting(name: str, target: Callable[[], Any], *how: int) -> None:
    attempt(name)(lambda: connect(name, how[0], target(), *how[1:]))


V4, V6, UNIX = socket.AF_INET, socket.AF_INET6, socket.AF_UNIX
connecting("tcp", lambda: ("127.0.0.1", P["tcp"]), V4)
connecting("tcp of IPv6", lambda: ("::1", P["tcp6"]), V6)
connecting("tcp of IPv4 in IPv6", lambda: ("::ffff:127.0.0.1", P["tcp"]), V6)
connecting("tcp to the machine's own address", lambda: (P["address"], P["tcp any"]), V4)
connecting("tcp to a target", lambda: ("127.0.0.1", P["target"]), V4)
connecting("tcp through the proxy", lambda: ("127.0.0.1", 3128), V4)
connecting("multipath tcp", lambda: ("127.0.0.1", P["tcp"]), V4, socket.SOCK_STREAM, 262)
connecting("sctp", lambda: ("127.0.0.1", P["sctp"]), V4, socket.SOCK_STREAM, 132)
connecting("udp", lambda: ("127.0.0.1", P["udp"]), V4, socket.SOCK_DGRAM)
connecting("udp of IPv6", lambda: ("::1", P["udp6"]), V6, socket.SOCK_DGRAM)
connecting("a socket with a path", lambda: P["outside"] + "/stream", UNIX)
connecting("a socket with a path in its folder", lambda: P["folder"] + "/stream", UNIX)
connecting("a datagram socket with a path", lambda: P["folder"] + "/datagram", UNIX, socket.SOCK_DGRAM)
connecting("a packet socket with a path", lambda: P["folder"] + "/packet", UNIX, socket.SOCK_SEQPACKET)
connecting("an abstract socket", lambda: "\0" + P["abstract"], UNIX)
connecting("an abstract datagram socket", lambda: "\0" + P["abstract"] + "d", UNIX, socket.SOCK_DGRAM)


@attempt("tcp with fast open")
def _() -> object:
    with socket.socket(V4) as one:  # waiting, since there is no connection yet
        return one.sendto(b"tcp with fast open", socket.MSG_FASTOPEN, ("127.0.0.1", P["tcp"]))


@attempt("tcp with fast open by sendmsg")
def _() -> object:
    with socket.socket(V4) as one:
        return one.sendmsg([b"tcp with fast open by sendmsg"], [], socket.MSG_FASTOPEN, ("127.0.0.1", P["tcp"]))


@attempt("tcp with fast open on connect")
def _() -> object:
    with socket.socket(V4) as one:
        one.settimeout(2)
        one.setsockopt(socket.IPPROTO_TCP, 30, 1)
        one.connect(("127.0.0.1", P["tcp"]))
        return one.send(b"tcp with fast open on connect")


@attempt("a pair turned to a path")
def _() -> object:
    one, _other = socket.socketpair(UNIX, socket.SOCK_DGRAM)
    return one.sendto(b"a pair turned to a path", P["folder"] + "/datagram")


@attempt("a raw pair turned to a path")
def _() -> object:
    one, _other = socket.socketpair(UNIX, socket.SOCK_RAW)  # which the kernel makes a pair of datagrams
    return one.sendto(b"a raw pair turned to a path", P["folder"] + "/datagram")


@attempt("a raw socket")
def _() -> object:
    with socket.socket(V4, socket.SOCK_RAW, socket.IPPROTO_UDP) as one:
        content = b"a raw socket"
        header = struct.pack("!HHHH", 9, P["udp"], 8 + len(content), 0)
        return one.sendto(header + content, ("127.0.0.1", 0))


def opened(name: str, family: int, kind: int, protocol: int = 0) -> None:
    attempt(name)(lambda: os.close(check(int(libc.socket(family, kind, protocol)))))


opened("a packet socket", 17, socket.SOCK_RAW, 0x0300)
opened("netlink", 16, socket.SOCK_RAW, 0)
opened("netlink events", 16, socket.SOCK_RAW, 15)
opened("the machine's host (vsock)", 40, socket.SOCK_STREAM)
opened("the kernel's ciphers", 38, socket.SOCK_SEQPACKET)


@attempt("tables of the network")
def _() -> object:
    return read(f"/proc/{P['self']}/net/unix")


@lasting("listen on a port")
def _() -> object:
    KEPT.append(one := socket.socket(V4))
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", P["free port"]))
    one.listen()
    LISTENING["listen on a port"] = one
    return str(P["free port"])


@lasting("listen without a port")
def _() -> object:
    KEPT.append(one := socket.socket(V4))
    one.listen()
    LISTENING["listen without a port"] = one
    return str(one.getsockname()[1])


@attempt("shared memory of another process")
def _() -> object:
    libc.shmat.restype = ctypes.c_void_p
    place = libc.shmat(P["shared"], None, 0o10000)
    if place in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "shmat")
    return ctypes.string_at(place, 64).decode(errors="replace")


@attempt("a message queue")
def _() -> object:
    message = ctypes.create_string_buffer(struct.pack("l", 1) + b"a message queue")
    return check(libc.msgsnd(P["messages"], message, len(b"a message queue"), 0))


@attempt("a semaphore")
def _() -> object:
    return check(libc.semctl(P["semaphore"], 0, 16, 7))


@attempt("a queue with a name")
def _() -> object:
    queue = call(240, 180, ctypes.c_char_p(P["queue"].encode()), os.O_WRONLY, 0, None)
    return call(242, 182, queue, ctypes.c_char_p(b"a queue with a name"), len(b"a queue with a name"), 0, None)


@attempt("a terminal")
def _() -> None:
    write(P["terminal"], "a terminal\n")


@attempt("input to a terminal")
def _() -> object:
    with open(P["terminal"], "r+b", buffering=0) as terminal:
        for byte in b"input to a terminal\n":
            fcntl.ioctl(terminal, 0x5412, bytes([byte]))
    return True


@attempt("shared memory with a name")
def _() -> None:
    write("/dev/shm/" + P["word"])


# The kernel


def namespace(name: str, flags: int, *, clone: bool = False) -> None:
    def made() -> object:
        if not clone:
            return call(272, 97, flags)
        child = call(56, 220, flags | signal.SIGCHLD, 0, 0, 0, 0)
        if child == 0:
            os._exit(0)
        return os.waitpid(child, 0) is not None

    attempt(name)(made)


namespace("a user namespace", NEW_USER)
namespace("a user namespace, high bits set", NEW_USER | 1 << 40)
namespace("a user namespace by clone", NEW_USER, clone=True)
namespace("a user namespace by clone, high bits set", NEW_USER | 1 << 45, clone=True)
namespace("a user namespace with a network", NEW_USER | NEW_NETWORK)
namespace("a network namespace", NEW_NETWORK)
namespace("a mount namespace", NEW_MOUNTS)


@attempt("clone3")
def _() -> object:
    # struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack …
    arguments = struct.pack("QQQQQ", NEW_USER, 0, 0, 0, signal.SIGCHLD).ljust(88, b"\0")
    child = call(435, 435, ctypes.c_char_p(arguments), 88)
    if child == 0:
        os._exit(0)
    return os.waitpid(child, 0) is not None


def entered(kind: str) -> Callable[[], object]:
    return lambda: call(308, 268, os.open(f"/proc/1/ns/{kind}", os.O_RDONLY), 0)


for one_kind in ("mnt", "net", "user", "pid"):
    attempt(f"namespace of the first process ({one_kind})")(entered(one_kind))


def mount(source: str, target: str, kind: str = "", flags: int = 0) -> int:
    named = (ctypes.c_char_p(word.encode()) for word in (source, target, kind))
    return check(libc.mount(*named, ctypes.c_ulong(flags), None))


@attempt("mount in its folder")
def _() -> object:
    os.makedirs(P["folder"] + "/mounted", exist_ok=True)
    return mount("none", P["folder"] + "/mounted", "tmpfs")


@attempt("bind a folder outside over its own")
def _() -> object:
    os.makedirs(P["folder"] + "/bound", exist_ok=True)
    mount(P["outside"], P["folder"] + "/bound", flags=MS_BIND)
    return read(P["folder"] + "/bound/secret")


@attempt("a mount of the machine's by descriptor")
def _() -> None:
    tree = call(428, 428, -100, ctypes.c_char_p(P["given"].encode()), 1)
    os.close(tree)


@attempt("make a read-only mount writable")
def _() -> None:
    mount("", P["fixed"], flags=MS_REMOUNT | MS_BIND)
    write(P["fixed"] + "/remounted")


@attempt("take a mount away")
def _() -> object:
    return check(libc.umount2(ctypes.c_char_p((P["given"] if P["walls"] else P["mounted"]).encode()), 2))


@attempt("a new file system")
def _() -> object:
    return call(430, 430, ctypes.c_char_p(b"tmpfs"), 0)


@attempt("another root folder")
def _() -> None:
    os.chroot(P["folder"])


@attempt("io_uring")
def _() -> object:
    return call(425, 425, 4, ctypes.create_string_buffer(256))


@attempt("userfaultfd")
def _() -> object:
    return call(323, 282, 1)


@attempt("bpf")
def _() -> object:
    # BPF_MAP_CREATE: an array with a key and a value of four bytes and one entry
    return call(321, 280, 0, ctypes.c_char_p(struct.pack("IIII", 2, 4, 4, 1).ljust(128, b"\0")), 128)


@attempt("perf")
def _() -> object:
    # struct perf_event_attr: software, its size, task clock; excludes the kernel
    attributes = struct.pack("IIQQQQQ", 1, 112, 1, 0, 0, 0, 1 << 5 | 1 << 6).ljust(112, b"\0")
    return call(298, 241, ctypes.c_char_p(attributes), 0, -1, -1, 0)


@attempt("a key of the user's")
def _() -> object:
    found = call(250, 219, 10, -4, ctypes.c_char_p(b"user"), ctypes.c_char_p(P["key"].encode()), 0)
    content = ctypes.create_string_buffer(64)
    call(250, 219, 11, found, content, 64)
    return content.value.decode()


@attempt("leave a key")
def _() -> object:
    return call(248, 217, ctypes.c_char_p(b"user"), ctypes.c_char_p(b"doorward-left"), ctypes.c_char_p(b"x"), 1, -4)


@attempt("a file by its handle")
def _() -> object:
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0).ljust(136, b"\0"))
    call(303, 264, -100, ctypes.c_char_p(P["given"].encode()), handle, ctypes.byref(ctypes.c_int()), 0)
    return call(304, 265, os.open(P["given"], os.O_RDONLY), handle, 0)


@attempt("the kernel's log")
def _() -> object:
    return call(103, 116, 10, None, 0)


@attempt("the clock")
def _() -> object:
    return call(164, 170, None, None)  # sets nothing, and asks for the right to


@attempt("the host's name")
def _() -> object:
    name = socket.gethostname()
    return check(libc.sethostname(ctypes.c_char_p(name.encode()), len(name)))


@attempt("modules")
def _() -> object:
    try:
        return call(176, 106, ctypes.c_char_p(b"doorward_none"), 0)
    except FileNotFoundError:
        return True  # it was allowed to try


@attempt("swap")
def _() -> object:
    try:
        return call(168, 225, ctypes.c_char_p(b"/doorward-none"))
    except FileNotFoundError:
        return True


@attempt("calls of another architecture")
def _() -> object:
    # mov eax, 20 (getpid); int 0x80; ret
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("b814000000cd80c3"))
    place = ctypes.addressof(ctypes.c_char.from_buffer(code))
    check(ctypes.CFUNCTYPE(ctypes.c_int)(place)())
    return True


@attempt("the core pattern")
def _() -> None:
    path = "/proc/sys/kernel/core_pattern"
    write(path, read(path))


@attempt("settings of the kernel")
def _() -> None:
    path = "/proc/sys/vm/overcommit_memory"
    write(path, read(path))


@attempt("files of the kernel")
def _() -> object:
    below = ["/proc", "/sys"] if P["walls"] else []
    found = []
    for path in ("/proc/sysrq-trigger", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/profiling"):
        with contextlib.suppress(OSError):
            found += may_write(path)
    while below:
        with contextlib.suppress(OSError):
            for entry in os.scandir(below.pop()):
                if entry.is_dir(follow_symlinks=False):
                    below += [entry.path] if not entry.name.isdecimal() and entry.name != "self" else []
                elif entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(OSError):
                        found += may_write(entry.path)
    if not found:
        raise PermissionError("none")
    return found


def may_write(path: str) -> list[str]:
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    return [path]


@attempt("memory of the machine")
def _() -> object:
    found = []
    for path in (
        *("/proc/kcore", "/proc/kpageflags", "/proc/kpagecount", "/proc/slabinfo", "/proc/vmallocinfo"),
        *("/proc/timer_list", "/proc/pagetypeinfo", "/dev/mem", "/dev/port", "/dev/kmsg"),
    ):
        with contextlib.suppress(OSError):
            found += [path] if os.read(os.open(path, os.O_RDONLY | os.O_NONBLOCK), 64) else []
    if not found:
        raise PermissionError("none")
    return found


@attempt("devices")
def _() -> object:
    found = []
    harmless = {"null", "zero", "full", "random", "urandom"}
    names = os.listdir("/dev") if P["walls"] else ["ptmx", "tty"]
    for name in sorted({*names, "ptmx", "tty", "fuse", "net/tun", "kvm", "uinput", "loop-control"} - harmless):
        with contextlib.suppress(OSError):
            if not os.path.islink(f"/dev/{name}") and not os.path.isdir(f"/dev/{name}"):
                os.close(os.open(f"/dev/{name}", os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY))
                found.append(name)
    if not found:
        raise PermissionError("none")
    return found


@attempt("a control group")
def _() -> None:
    os.mkdir(P["groups"] + "/" + P["word"])


@attempt("move to another control group")
def _() -> None:
    write(P["groups"] + "/cgroup.procs", str(os.getpid()))


# What it was started with, and what it may use up


@attempt("secrets of the environment")
def _() -> object:
    return json.dumps(dict(os.environ))


@attempt("inherited descriptors")
def _() -> object:
    found = []
    for name in os.listdir("/proc/self/fd") if not P["walls"] else map(str, range(3, 1024)):
        with contextlib.suppress(OSError):
            found.append(os.pread(int(name), 4096, 0).decode(errors="replace"))
    return found


@attempt("memory above the cap")
def _() -> object:
    return mmap.mmap(-1, P["too much"], flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)[0] == 0


@attempt("memory above the cap, in shared pages")
def _() -> object:
    kept = mmap.mmap(-1, P["too much"], flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    for page in range(0, len(kept), mmap.PAGESIZE):
        kept[page] = 1
    return True


@attempt("a limit raised")
def _() -> object:
    for kind, most in ((resource.RLIMIT_DATA, P["too much"]), (resource.RLIMIT_NOFILE, 2048)):
        resource.setrlimit(kind, (most, most))
    return True


@attempt("forks without end")
def _() -> object:
    started: list[int] = []
    try:
        for _ in range(200):
            child = os.fork()
            if child == 0:
                time.sleep(BOUND_SECONDS)
                os._exit(0)
            started.append(child)
    finally:
        for child in started:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return True


@lasting("events of a folder outside")
def _() -> object:
    watch = check(libc.inotify_init1(0))
    check(libc.inotify_add_watch(watch, ctypes.c_char_p(P["outside"].encode()), 0x100))
    P["watch"] = watch
    return "watches"


@lasting("keep others from writing what it may read")
def _() -> object:
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # by which the kernel says that somebody waits
    leased = os.open(P["given"] + "/leased", os.O_RDONLY)
    return fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_RDLCK) == 0


@lasting("take a name from others")
def _() -> None:
    one, other = socket.socketpair(UNIX)
    KEPT.extend((one, other))
    one.bind("\0" + P["name"])


@lasting("all watches of its user")
def _() -> object:
    return use_up(lambda: libc.inotify_init1(0))


@lasting("all marks of its user")
def _() -> object:
    return use_up(lambda: call(300, 262, 0x200, os.O_RDONLY))  # fanotify_init, FAN_REPORT_FID: anybody may


@lasting("all signals of its user")
def _() -> object:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN + 1])
    return use_up(lambda: libc.sigqueue(os.getpid(), signal.SIGRTMIN + 1, None))


def use_up(one_more: Callable[[], int]) -> object:
    if not P["may use up"]:
        raise PermissionError("of all programs of root's as well")
    count = 0
    while count < 1 << 20 and check(one_more()) >= 0:
        count += 1
    return True


@lasting("a pipe planted for the parent")
def _() -> None:
    os.mkfifo(P["own temp"] + "/pipe")
    os.mkfifo(P["folder"] + "/pipe")


@lasting("a link planted for the next start")
def _() -> None:
    os.rename(P["folder"] + "/inner", P["folder"] + "/was")
    os.symlink(P["outside"], P["folder"] + "/inner")


@lasting("its temporary folder made a link")
def _() -> None:
    os.symlink(P["outside"] + "/kept", P["own temp"] + "/link")
    os.rename(P["own temp"], P["own temp"] + ".old")
    os.symlink(P["outside"] + "/kept", P["own temp"])


if __name__ == "__main__":
    main()

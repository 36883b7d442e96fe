"""What the canary (``escape_canary``) is to get at, how it is started, and what was seen of it from outside.

A program of its own, since it becomes an ordinary user where it is told to: ``python escape_stage.py PLAN``, with JSON
of ``package`` (a folder that holds doorward.confine), ``python`` (the canary's), ``user``, ``mechanism``, ``network``
and ``bare``. It prints, by probe, how it was proven: ``told`` (the canary knows a secret that stands only where it was
to look), ``heard`` (a listener of ours got the probe's name), ``changed`` (something of ours is not as it was),
``died`` (a process of ours is gone) and ``word`` (the canary says so; nothing more can be seen of it from here).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import pty
import resource
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

ORDINARY, OWNER_OF_SUID = 65534, 65533
BOUND_SECONDS = 60.0
VICTIMS = ("read", "trace", "kill", "pidfd", "queue", "owner", "everybody", "group", "limit", "nice", "idle")
LISTENS_TO_SIGNALS = """
import signal, sys
def arrived(number, frame):
    open(sys.argv[1], "w").close()
signal.signal(signal.SIGURG, arrived)
print("ready", flush=True)
while True:
    signal.pause()
"""
WITHOUT_LANDLOCK = """
import sys
sys.path.append(%r)
import landlock
landlock.detect_abi = lambda: 0
import launch
launch.main()
"""
FANOTIFY = {"x86_64": 300, "aarch64": 262}
NEW_MOUNTS, NEW_NAMES = 0x00020000, 0x04000000
MS_READ_ONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
MS_PRIVATE, MS_RECURSIVE = 1 << 18, 1 << 14
MEBIBYTE = 1 << 20
MEMORY_BYTES = 96 * MEBIBYTE

libc = ctypes.CDLL(None, use_errno=True)


class Stage:
    """The outside: files, processes, listeners; and what became of them."""

    def __init__(self, top: Path, *, closed: Path, suid: Path) -> None:
        self.top = top
        self.word = f"doorward-{os.urandom(8).hex()}"
        self.secrets: list[str] = []
        self.home, self.state, self.config, self.folder, self.outside, self.given, self.fixed, self.temp = (
            top / name for name in ("home", "state", "config", "folder", "outside", "given", "fixed", "temp")
        )
        for place in (self.home, self.state, self.config, self.folder, self.outside, self.given, self.fixed, self.temp):
            place.mkdir(mode=0o755)
        (self.folder / "inner" / "deep").mkdir(parents=True)
        (self.outside / "deep").mkdir()
        (self.outside / "kept").mkdir()
        for path in (
            *(self.outside / "secret", self.outside / "deep" / "secret", self.state / "consent.key"),
            *(self.outside / self.secret(), self.home / self.secret(), self.temp / self.secret()),
        ):
            path.write_text(self.secret())
        (self.given / "leased").write_text("")
        self.lasting: set[str] = set()
        for name in ("changed", "emptied", "removed", "moved", "modes", "lists", "times", "kept/file"):
            (self.outside / name).write_text("as it was")
            (self.outside / name).chmod(0o644)
        (self.given / "changed").write_text("as it was")
        self.secrets.append(closed.read_text() if os.access(closed, os.R_OK) else "the closed file")
        self.closed, self.suid = closed, suid
        self.held = os.open(self.outside / "secret", os.O_RDONLY)
        os.dup2(self.held, 900, inheritable=True)
        self.secret_memory = ctypes.create_string_buffer(self.secret().encode(), 64)
        self.memory, self.memory_file = (ctypes.create_string_buffer(b"as it was", 64) for _ in range(2))
        self.listeners: list[tuple[socket.socket, bool]] = []
        self.heard: set[str] = set()
        self.victims: dict[str, subprocess.Popen[bytes]] = {}
        (top / "mounted").mkdir()
        self.has_mount = os.getuid() == 0
        if self.has_mount:
            fixed = str(self.fixed).encode()
            for target, kind, flags in (
                (str(top / "mounted").encode(), b"tmpfs", 0),
                (fixed, None, MS_BIND),
                (fixed, None, MS_BIND | MS_REMOUNT | MS_READ_ONLY),
            ):
                assert libc.mount(fixed, target, kind, ctypes.c_ulong(flags), None) == 0
        self.terminal, self.typed = pty.openpty()
        for descriptor in (self.terminal, self.typed):
            os.set_blocking(descriptor, False)

    def secret(self) -> str:
        """One more word that nobody else knows."""
        self.secrets.append(f"secret-{os.urandom(12).hex()}")
        return self.secrets[-1]

    def listen(self, family: int, address: Any, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> Any:
        """Listen there; the port, or the address of what has none."""
        one = socket.socket(family, kind, protocol)
        one.bind(address)
        if kind != socket.SOCK_DGRAM:
            one.listen(64)
        one.setblocking(False)
        self.listeners.append((one, kind != socket.SOCK_DGRAM))
        return one.getsockname()[1] if isinstance(address, tuple) else address

    def plan(self) -> dict[str, Any]:
        """What the canary is told."""
        v4, v6, unix, datagram = socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.SOCK_DGRAM
        for name in VICTIMS:
            command = ["/bin/sh", "-c", 'read -r _; : "$0"', self.secret()]
            if name == "everybody":
                command = [sys.executable, "-c", LISTENS_TO_SIGNALS, str(self.top / "signalled")]
            self.victims[name] = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={"SECRET": self.secrets[-1]},
                start_new_session=True,
            )
        everybody = self.victims["everybody"].stdout
        assert everybody is not None
        everybody.readline()
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            free = unused.getsockname()[1]
        abstract = self.secret()
        for kind, name in ((socket.SOCK_STREAM, "stream"), (datagram, "datagram"), (socket.SOCK_SEQPACKET, "packet")):
            self.listen(unix, str(self.folder / name), kind)
        self.listen(unix, str(self.outside / "stream"))
        self.listen(unix, "\0" + abstract)
        self.listen(unix, "\0" + abstract + "d", datagram)
        plan = {
            **{
                name: str(getattr(self, name))
                for name in ("outside", "home", "state", "folder", "given", "fixed", "temp")
            },
            "closed": str(self.closed),
            "suid": str(self.suid),
            "word": self.word,
            "gateway": os.getpid(),
            "held": self.held,
            "victims": {name: victim.pid for name, victim in self.victims.items()},
            "secret memory": ctypes.addressof(self.secret_memory),
            "memory": ctypes.addressof(self.memory),
            "memory file": ctypes.addressof(self.memory_file),
            "tcp": self.listen(v4, ("127.0.0.1", 0)),
            "tcp any": self.listen(v4, ("", 0)),
            "address": own_address(),
            "target": self.listen(v4, ("127.0.0.1", 0)),
            "udp": self.listen(v4, ("127.0.0.1", 0), datagram),
            "free port": free,
            "abstract": abstract,
            "name": f"{self.word}-name",
            "terminal": os.ttyname(self.typed),
            "groups": next((str(p) for p in GROUPS if (p / "cgroup.procs").exists()), "/sys/fs/cgroup"),
            "mounted": str(self.top / "mounted"),
            "shared": self._shared_memory(),
            "messages": libc.msgget(0, 0o1600),
            "semaphore": libc.semget(0, 1, 0o1600),
            "queue": self.word,
            "key": self._key(),
            "too much": MEMORY_BYTES + 32 * MEBIBYTE,
            "tcp6": 1,
            "udp6": 1,
            "sctp": 1,
        }
        with contextlib.suppress(OSError):
            plan["tcp6"] = self.listen(v6, ("::1", 0))
            plan["udp6"] = self.listen(v6, ("::1", 0), datagram)
        with contextlib.suppress(OSError):
            plan["sctp"] = self.listen(v4, ("127.0.0.1", 0), socket.SOCK_STREAM, 132)
        self.shared, self.messages, self.semaphore = plan["shared"], plan["messages"], plan["semaphore"]
        librt = ctypes.CDLL("librt.so.1", use_errno=True)
        self.queue = librt.mq_open(b"/" + self.word.encode(), os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o600, None)
        return plan

    def _shared_memory(self) -> int:
        shared = libc.shmget(0, 4096, 0o1600)
        libc.shmat.restype = ctypes.c_void_p
        place = libc.shmat(shared, None, 0)
        content = self.secret().encode()
        ctypes.memmove(place, content, len(content))
        return int(shared)

    def _key(self) -> str:
        number = {"x86_64": (248, 250), "aarch64": (217, 219)}[os.uname().machine]
        name, content = self.word.encode(), self.secret().encode()
        libc.syscall.restype = ctypes.c_long
        key = libc.syscall(number[0], b"user", name, content, len(content), -4)
        libc.syscall(number[1], 5, key, 0x3F3F0000)
        return self.word

    def hear(self, more: Iterable[socket.socket] = ()) -> None:
        """Take in what arrived at the listeners, and at the server's own ways out."""
        for listener, connects in (*self.listeners, *((one, True) for one in more)):
            with contextlib.suppress(BlockingIOError):
                while True:
                    peer = listener.accept()[0] if connects else listener
                    if connects:
                        peer.settimeout(2)
                    content = peer.recv(4096)
                    self.heard.update(content.decode(errors="replace").splitlines())
        with contextlib.suppress(OSError):
            while content := os.read(self.terminal, 4096):
                self.heard.update(content.decode(errors="replace").splitlines())
        with contextlib.suppress(OSError):
            while content := os.read(self.typed, 4096):
                self.heard.update(content.decode(errors="replace").splitlines())
        message = ctypes.create_string_buffer(512)
        if (length := libc.msgrcv(self.messages, message, 500, 0, 0o4000)) > 0:
            self.heard.add(message.raw[8 : 8 + length].decode())
        if libc.semctl(self.semaphore, 0, 12) == 7:
            self.heard.add("a semaphore")
        librt = ctypes.CDLL("librt.so.1", use_errno=True)
        content_of_queue = ctypes.create_string_buffer(1 << 16)
        if self.queue >= 0 and (length := librt.mq_receive(self.queue, content_of_queue, 1 << 16, None)) > 0:
            self.heard.add(content_of_queue.raw[:length].decode())

    def knock(self, said: dict[str, Any]) -> dict[str, socket.socket]:
        """Connect to where the canary says that it listens."""
        knocked = {}
        for probe in ("listen on a port", "listen without a port"):
            if isinstance(said.get(probe), str):
                knocked[probe] = one = socket.socket()
                one.settimeout(2)
                one.connect_ex(("127.0.0.1", int(said[probe])))
        return knocked

    def look(self) -> None:
        """What holds only as long as the canary is there: what others of its user are kept from."""
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN + 1])
        attempts: dict[str, Callable[[], int]] = {
            "all watches of its user": lambda: int(libc.inotify_init1(os.O_CLOEXEC)),
            "all marks of its user": lambda: int(libc.syscall(FANOTIFY[os.uname().machine], 0x201, os.O_RDONLY)),
            "all signals of its user": lambda: int(libc.sigqueue(os.getpid(), signal.SIGRTMIN + 1, None)),
        }
        for probe, attempt in attempts.items():
            number = attempt()
            if number > 0:
                os.close(number)
            elif number < 0 and ctypes.get_errno() in (errno.EMFILE, errno.EAGAIN):
                self.lasting.add(probe)
        with socket.socket(socket.AF_UNIX) as one:
            try:
                one.bind(f"\0{self.word}-name")
            except OSError:
                self.lasting.add("take a name from others")
        try:
            os.close(os.open(self.given / "leased", os.O_WRONLY | os.O_NONBLOCK))
        except BlockingIOError:
            self.lasting.add("keep others from writing what it may read")

    def changed(self) -> set[str]:
        """What is not as it was."""
        outside = self.outside
        text = {name: read(outside / name) for name in ("changed", "emptied", "removed", "moved")}
        found = {
            "make a file outside": (outside / "made").exists(),
            "change a file outside": text["changed"] != "as it was",
            "empty a file outside": text["emptied"] != "as it was",
            "remove a file outside": text["removed"] is None,
            "move a file out of its place": text["moved"] is None,
            "move a file of its own outside": (outside / "arrived").exists(),
            "change a file that it may read": read(self.given / "changed") != "as it was",
            "make a read-only mount writable": (self.fixed / "remounted").exists(),
            "change modes outside": stat.S_IMODE((outside / "modes").stat().st_mode) != 0o644,
            "change access lists outside": stat.S_IMODE((outside / "lists").stat().st_mode) != 0o644,
            "change times outside": (outside / "times").stat().st_mtime == 1,
            "leave a setuid program": bool(mode(self.folder / "planted") & stat.S_ISUID),
            "make a device": stat.S_ISBLK(mode(self.folder / "disk")),
            "a file above the cap": (self.folder / "large").exists()
            and (self.folder / "large").stat().st_size > MEBIBYTE,
            "its temporary folder made a link": read(outside / "kept" / "file") != "as it was",
            "write another's memory": self.memory.value != b"as it was",
            "write another's memory by its file": self.memory_file.value != b"as it was",
            "take a mount away": self.has_mount and not os.path.ismount(self.top / "mounted"),
            "mount in its folder": os.path.ismount(self.folder / "mounted"),
            "signal everybody": (self.top / "signalled").exists(),
            "shared memory with a name": Path("/dev/shm", self.word).exists(),
            "a control group": any((place / self.word).exists() for place in GROUPS),
            "limit another process": self._of(
                "limit", lambda pid: resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] == 7
            ),
            "slow another process down": self._of("nice", lambda pid: os.getpriority(os.PRIO_PROCESS, pid) == 7),
            "starve another process": self._of("idle", lambda pid: os.sched_getscheduler(pid) == os.SCHED_IDLE),
        }
        return {probe for probe, is_so in found.items() if is_so} | self.lasting

    def died(self) -> set[str]:
        """Whose victim is gone."""
        of = {
            "trace another process": "trace",
            "kill another process": "kill",
            "kill another process by its descriptor": "pidfd",
            "kill another process by a queued signal": "queue",
            "kill another process as owner of a pipe": "owner",
            "kill a group of processes": "group",
        }
        return {probe for probe, victim in of.items() if self.victims[victim].poll() is not None}

    def _of(self, victim: str, question: Callable[[int], bool]) -> bool:
        return self.victims[victim].poll() is None and question(self.victims[victim].pid)

    def clear(self) -> None:
        """Leave nothing on the machine."""
        for victim in self.victims.values():
            victim.kill()
            victim.communicate()
        libc.shmctl(self.shared, 0, None)
        libc.msgctl(self.messages, 0, None)
        libc.semctl(self.semaphore, 0, 0)
        ctypes.CDLL("librt.so.1").mq_unlink(b"/" + self.word.encode())
        with contextlib.suppress(OSError):
            os.unlink(f"/dev/shm/{self.word}")
        for place in GROUPS:
            with contextlib.suppress(OSError):
                (place / self.word).rmdir()


GROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


def read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def mounts_below(top: Path) -> list[str]:
    """What is mounted below a folder; others mount elsewhere while we look."""
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {top}/" in line]


def mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except OSError:
        return 0


def own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.connect(("192.0.2.1", 9))  # sends nothing; says by which address it would
        except OSError:
            return "127.0.0.1"
        return str(one.getsockname()[0])


class Talk:
    """The canary's two pipes, line by line."""

    def __init__(self, stdin: int, stdout: int) -> None:
        self._stdin, self._stdout, self._unread = stdin, stdout, b""
        self.said: dict[str, Any] = {}
        self.failed: dict[str, str] = {}

    def tell(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._stdin, line.encode() + b"\n")

    def until(self, word: str) -> None:
        while True:
            while b"\n" in self._unread:
                line, _, self._unread = self._unread.partition(b"\n")
                found = json.loads(line)
                if word in found:
                    return
                if "said" in found:
                    self.said[found["probe"]] = found["said"]
                else:
                    self.failed[found["probe"]] = found["error"]
            if not select.select([self._stdout], [], [], BOUND_SECONDS)[0]:
                raise TimeoutError(f"the canary stands still after {list(self.failed)[-1:]}")
            piece = os.read(self._stdout, 1 << 16)
            if not piece:
                raise EOFError(f"the canary ended after {[*self.said, *self.failed][-1:]}")
            self._unread += piece

    def end(self) -> None:
        os.close(self._stdin)


def observe(stage: Stage, talk: Talk, plan: dict[str, Any], listeners: tuple[socket.socket, ...] = ()) -> None:
    """The dialogue with one canary, whoever started it."""
    talk.tell(json.dumps(plan))
    talk.until("ready")
    (stage.outside / stage.secret()).write_text("for whoever watches")
    knocked = stage.knock(talk.said)
    stage.look()
    talk.tell("go")
    talk.until("done")
    for probe, connection in knocked.items():
        with connection, contextlib.suppress(OSError):
            if connection.recv(100).decode() == probe:
                stage.heard.add(probe)
    stage.hear(listeners)
    talk.end()


def run(told: dict[str, Any], stage: Stage) -> dict[str, Any]:
    """Start the canary as it was told, and say what was proven."""
    from doorward.confine import process
    from doorward.confine.profile import derive

    stage.secrets += [os.environ["SERVICE_TOKEN"], os.environ["DOORWARD_SECRET"]]
    plan = stage.plan()
    argv = [told["python"], "-I", "-S", str(told["canary"])]
    profile = derive(
        argv,
        environ=dict(os.environ),
        cwd=str(stage.folder),
        home=str(stage.home),
        state=str(stage.state),
        config=str(stage.config),
        server="canary",
        profile="standard" if told["network"] == "public" else "strict",
        network="public" if told["network"] == "public" else "none",
        connect=[("127.0.0.1", plan["target"])] if told["network"] == "target" else [],
        parent_pid=os.getpid(),
        read=[str(stage.given), str(stage.fixed), str(stage.suid), told["canary"]],
        write=[str(stage.folder)],
    )
    later = msgspec.structs.replace(
        profile,
        folders=(msgspec.structs.replace(profile.folders[0], path=str(stage.folder / "inner" / "deep"), write=True),),
        cwd="/",
    )
    # Else all of root's programs on this machine would do without for a moment.
    plan["may use up"] = os.getuid() != 0 or (told["mechanism"] != "landlock" and not told["bare"])
    profile = msgspec.structs.replace(
        profile,
        mechanism=told["mechanism"].removesuffix(" alone"),
        temp=str(stage.temp),
        memory_bytes=MEMORY_BYTES,
        file_bytes=MEBIBYTE,
        descriptors=1024,
        processes=100,
    )
    if told["mechanism"].endswith("alone"):
        script = stage.top / "launcher.py"
        script.write_text(WITHOUT_LANDLOCK % os.path.dirname(process.__file__))
        process._LAUNCHER = ("-I", "-S", str(script))  # noqa: SLF001 - as on a kernel without Landlock
    status, is_forged = 0, False
    counted: list[str] = []
    mounts = mounts_below(stage.top)
    talk: Talk
    if told["bare"] == "as a client":
        with subprocess.Popen(argv, stdin=-1, stdout=-1, cwd=stage.folder, close_fds=False) as canary:
            assert canary.stdin is not None
            assert canary.stdout is not None
            talk = Talk(os.dup(canary.stdin.fileno()), canary.stdout.fileno())
            canary.stdin.close()
            own = stage.temp / "own"
            own.mkdir()
            observe(stage, talk, plan | {"walls": False, "supervised": False, "own temp": str(own)})
    else:
        with process.start(argv, profile, unsafe_no_sandbox=bool(told["bare"])) as child:
            child.started(BOUND_SECONDS)
            counted = sorted(child.groups)
            talk = Talk(child.stdin, child.stdout)
            ways = tuple(socket.socket(fileno=one.descriptor) for one in child.listeners)
            for way in ways:
                way.setblocking(False)
            confined = {"walls": not told["bare"], "supervised": True, "own temp": child.temp}
            observe(stage, talk, plan | confined, ways)
            status = child.wait(BOUND_SECONDS) or 0
            is_forged = child.mechanism == "forged"
            said_last = os.read(child.stderr, 1 << 16).decode(errors="replace")
            if said_last:
                talk.failed["stderr"] = said_last
    proven = {
        "told": sorted(
            probe for probe, said in talk.said.items() if any(one in json.dumps(said) for one in stage.secrets)
        ),
        "word": sorted(talk.said),
        "heard": sorted(stage.heard),
        "changed": sorted(stage.changed()),
        "died": sorted(stage.died()),
    }
    if is_forged:
        proven["changed"].append("forge a report of its supervisor")
    if status == 128 + signal.SIGKILL:
        proven["died"].append("kill what keeps it")
    if mounts != mounts_below(stage.top):
        proven["changed"].append("mounts of the machine")
    if read_of_next_start(told, later, stage):
        proven["told"].append("a link planted for the next start")
    return {**proven, "failed": talk.failed, "said": talk.said, "counted": counted}


def read_of_next_start(told: dict[str, Any], profile: Any, stage: Stage) -> bool:
    """Whether a server gets at the secret whose profile was derived before its folder's parent became a link."""
    from doorward.confine import process

    if not (stage.folder / "inner").is_symlink():
        raise AssertionError("the canary may change its folder, and did not")
    target = stage.folder / "inner" / "deep" / "secret"
    profile = msgspec.structs.replace(profile, mechanism=told["mechanism"].removesuffix(" alone"), program="/bin/sh")
    script = f'cat "{target}" "{target.resolve()}"; :'
    with process.start(["/bin/sh", "-c", script], profile, unsafe_no_sandbox=bool(told["bare"])) as child:
        child.started(BOUND_SECONDS)
        os.close(child.stdin)
        child.wait(BOUND_SECONDS)
        said = os.read(child.stdout, 4096).decode()
        return any(secret in said for secret in stage.secrets)


def become(user: str) -> None:
    """An ordinary user, or a root whose mounts and names are its own: what a probe without walls does is gone then."""
    if user == "ordinary" and os.getuid() == 0:
        os.setgroups([])
        os.setgid(ORDINARY)
        os.setuid(ORDINARY)
        libc.prctl(4, 1, 0, 0, 0)
    elif user == "root":
        assert libc.unshare(NEW_MOUNTS | NEW_NAMES) == 0
        assert libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_PRIVATE | MS_RECURSIVE), None) == 0


def main() -> None:
    told = json.loads(sys.argv[1])
    sys.path.insert(0, told["package"])
    from doorward.confine import landlock, process  # noqa: F401 - loaded while it can be read
    from doorward.confine import profile as _profile  # noqa: F401 - the same

    sys.executable = told["python"]
    with tempfile.TemporaryDirectory(dir=told["top"]) as folder:
        top = Path(folder)
        closed, suid = top / "closed", top / "suid"
        closed.write_text(f"secret-{os.urandom(12).hex()}")
        word = closed.read_text()
        shutil.copy("/bin/cat", suid)
        if os.getuid() == 0:
            for path, its_mode in ((closed, 0o600), (suid, 0o4755)):
                os.chown(path, OWNER_OF_SUID, OWNER_OF_SUID)
                path.chmod(its_mode)
        top.chmod(0o777)
        own = top / "world"
        own.mkdir()
        own.chmod(0o777)
        become(told["user"])
        stage = Stage(own, closed=closed, suid=suid)
        stage.secrets.append(word)
        try:
            found = run(told, stage)
        finally:
            stage.clear()
            if told["user"] == "root":
                for place in (stage.top / "mounted", stage.folder / "mounted", stage.folder / "bound", stage.fixed):
                    libc.umount2(str(place).encode(), 2)
        sys.stdout.write(json.dumps(found))
        if told["user"] == "ordinary":
            shutil.rmtree(own, ignore_errors=True)


if __name__ == "__main__":
    main()

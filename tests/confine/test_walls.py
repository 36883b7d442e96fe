"""A canary in the place of a server tries to get out; the same canary without walls is the proof that it could."""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.confine.conftest import World, finish

from doorward.confine import landlock, process
from doorward.confine.probe import landlock_abi, probe
from doorward.confine.removal import remove_tree

CANARY = r"""
import ctypes, json, os, socket, sys
plan = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result
def peek(pid):
    here, there = ctypes.create_string_buffer(8), plan["address"]
    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
    mine, theirs = Vector(ctypes.addressof(here), 8), Vector(there, 8)
    check(libc.process_vm_readv(pid, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0))
    return here.raw.hex()
def attach(pid):
    check(libc.ptrace(16, pid, None, None))
    os.waitpid(pid, 0)
    check(libc.ptrace(17, pid, None, None))
def steal(pid):
    pidfd = os.pidfd_open(pid)
    return os.fdopen(check(libc.syscall(438, pidfd, plan["descriptor"], 0))).read()
def connect(name):
    socket.socket(socket.AF_UNIX).connect(name)
def read(path):
    with open(path) as f:
        return f.read()
def write(path):
    with open(path, "w") as f:
        f.write("written")
attempts = {
    "read outside": lambda: read(plan["canary"]),
    "list outside": lambda: os.listdir(os.path.dirname(plan["canary"])),
    "read the key": lambda: read(plan["key"]),
    "read through a link": lambda: read(plan["folder"] + "/link"),
    "read through the gateway's root": lambda: read("/proc/%d/root%s" % (plan["gateway"], plan["canary"])),
    "read the gateway's environment": lambda: read("/proc/%d/environ" % plan["gateway"]),
    "read another's arguments": lambda: read("/proc/%d/cmdline" % plan["gateway"]),
    "open the gateway's descriptor": lambda: read("/proc/%d/fd/%d" % (plan["gateway"], plan["descriptor"])),
    "take the gateway's descriptor": lambda: steal(plan["gateway"]),
    "read the gateway's memory": lambda: peek(plan["gateway"]),
    "trace the gateway": lambda: attach(plan["victim"]),
    "signal the gateway": lambda: os.kill(plan["gateway"], 0),
    "signal the supervisor": lambda: os.kill(os.getppid(), 0),
    "write outside": lambda: write(os.path.dirname(plan["canary"]) + "/new"),
    "truncate outside": lambda: os.truncate(plan["victim file"], 0),
    "link the canary into the folder": lambda: (os.link(plan["canary"], plan["folder"] + "/hard"),
                                                read(plan["folder"] + "/hard")),
    "move the canary into the folder": lambda: os.rename(plan["victim file"], plan["folder"] + "/moved"),
    "reach an abstract socket": lambda: connect("\0" + plan["socket"]),
    "list the home": lambda: check(len(os.listdir(plan["home"])) - 1),
    "read the users": lambda: read("/etc/passwd").index("daemon:") if "daemon:" in read("/etc/passwd") else check(-1),
    "write the folder": lambda: write(plan["folder"] + "/new"),
    "rename in the folder": lambda: (os.mkdir(plan["folder"] + "/sub"),
                                     os.rename(plan["folder"] + "/new", plan["folder"] + "/sub/newer")),
    "read the folder": lambda: read(plan["folder"] + "/sub/newer"),
    "write its temp": lambda: write(os.environ["TMPDIR"] + "/x"),
    "write its cache": lambda: (os.makedirs(os.environ["npm_config_cache"]),
                                write(os.environ["npm_config_cache"] + "/x")),
    "list the system": lambda: os.listdir("/usr/bin"),
    "write /dev/null": lambda: write("/dev/null"),
    "read /proc/self": lambda: read("/proc/self/status"),
}
results = {}
for name in plan["attempts"] or attempts:
    try:
        results[name] = attempts[name]() or True
    except OSError:
        results[name] = False
results["no_new_privs"] = libc.prctl(39, 0, 0, 0, 0) == 1
print(json.dumps(results, default=str))
"""

OUT = (
    *("read outside", "list outside", "read the key", "read through a link", "read through the gateway's root"),
    *("read the gateway's environment", "read another's arguments", "open the gateway's descriptor"),
    *("take the gateway's descriptor", "read the gateway's memory", "trace the gateway", "signal the gateway"),
    *("signal the supervisor", "write outside", "truncate outside", "link the canary into the folder"),
    *("move the canary into the folder", "reach an abstract socket", "list the home", "read the users"),
)
ALLOWED = (
    *("write the folder", "rename in the folder", "read the folder", "write its temp", "write its cache"),
    *("list the system", "write /dev/null", "read /proc/self"),
)


# The product's launcher on a kernel that has no Landlock: the namespaces stand alone.
ALONE = """
import sys
sys.path.append(%r)
import landlock
landlock.detect_abi = lambda: 0
import launch
launch.main()
"""


@pytest.fixture(params=["namespaces", "landlock", "namespaces alone"])
def world(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    """What holds, holds in each mechanism, and each wall of the first holds without the other."""
    mechanism, _, alone = request.param.partition(" ")
    if alone:
        script = tmp_path / "launcher.py"
        script.write_text(ALONE % os.path.dirname(landlock.__file__))
        monkeypatch.setattr(process, "_LAUNCHER", ("-I", "-S", str(script)))
    return World(tmp_path, mechanism)


def run_canary(world: World, *, unsafe_no_sandbox: bool) -> dict[str, object]:
    (world.folder / "link").symlink_to(world.canary)
    script = world.server / "canary.py"
    script.write_text(CANARY)
    victim_file = world.outside / "victim.txt"
    victim_file.write_text("keep me")
    (world.home / "notes").write_text("private")
    memory = ctypes.create_string_buffer(b"gateways", 8)
    name = f"doorward-{os.urandom(8).hex()}"
    victim = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
    with socket.socket(socket.AF_UNIX) as listener, world.key.open() as held:
        os.set_inheritable(held.fileno(), True)
        listener.bind("\0" + name)
        listener.listen()
        plan = {
            "canary": str(world.canary),
            "victim file": str(victim_file),
            "key": str(world.key),
            "folder": str(world.folder),
            "home": str(world.home),
            "gateway": os.getpid(),
            "victim": victim.pid,
            "descriptor": held.fileno(),
            "address": ctypes.addressof(memory),
            "socket": name,
            "attempts": None,
        }
        argv = [sys.executable, str(script), json.dumps(plan)]
        try:
            status, out, err = world.run(argv, unsafe_no_sandbox=unsafe_no_sandbox, write=[str(world.folder)])
        finally:
            victim.communicate()
    assert (status, err) == (0, "")
    results: dict[str, object] = json.loads(out)
    return results


def test_a_confined_server_finds_every_way_out_closed_and_its_own_places_open(world: World) -> None:
    results = run_canary(world, unsafe_no_sandbox=False)
    if "launcher.py" in process._LAUNCHER[-1]:  # noqa: SLF001 - the one of the fixture
        results["signal the supervisor"] = False  # it is the first process: the kernel keeps signals of its own from it
    assert {name: results[name] for name in OUT} == dict.fromkeys(OUT, False)
    assert {name for name in ALLOWED if results[name] is False} == set()
    assert results["no_new_privs"] is True
    assert world.canary.read_text() == "the canary sings"
    assert (world.outside / "victim.txt").read_text() == "keep me"


def test_the_same_canary_without_walls_gets_out_everywhere(world: World) -> None:
    results = run_canary(world, unsafe_no_sandbox=True)
    # The supervisor cannot be dumped, but may be signalled; root may do all of this to a process of its own.
    assert {name for name in OUT if results[name] is False} == set()
    assert results["read outside"] == "the canary sings"
    assert results["read the key"] == "the key"
    assert results["no_new_privs"] is False


@pytest.mark.parametrize("unsafe_no_sandbox", [False, True])
def test_no_descriptor_of_the_gateway_reaches_the_server_even_an_inheritable_one(
    world: World, unsafe_no_sandbox: bool
) -> None:
    code = "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"
    with world.key.open() as held:
        os.set_inheritable(held.fileno(), True)
        high = os.dup2(held.fileno(), 900, inheritable=True)
        try:
            answer = world.run([sys.executable, "-c", code], unsafe_no_sandbox=unsafe_no_sandbox)
        finally:
            os.close(high)
    assert answer == (0, "[0, 1, 2, 3]\n", "")  # 3 is the listing itself


def test_a_single_file_is_readable_and_nothing_beside_it(world: World) -> None:
    (world.outside / "beside.txt").write_text("beside")
    argv = ["/bin/sh", "-c", 'cat "$1"; cat "$2"', "sh", str(world.canary), str(world.outside) + "//beside.txt"]
    profile = world.profile(argv[:5])
    assert [(f.path, f.write, f.is_file) for f in profile.folders] == [(str(world.canary), False, True)]
    child = process.start(argv, profile)
    os.close(child.stdin)
    with child, open(child.stdout) as out, open(child.stderr):
        assert out.read() == "the canary sings"
        assert child.wait(20) == 1


def test_what_only_root_reads_of_the_kernel_is_empty_for_roots_server_too(tmp_path: Path) -> None:
    world = World(tmp_path, "namespaces")
    named = [entry.path for entry in os.scandir("/proc") if entry.is_file() and entry.stat().st_mode & 0o444 == 0o400]
    code = (
        "import sys\nfor path in sys.argv[1:]:\n try: print(len(open(path, 'rb').read(1)))\n except OSError: print(0)"
    )
    status, out, _ = world.run([sys.executable, "-c", code, *named], profile="strict")
    assert named
    assert (status, set(out.split())) == (0, {"0"})


KERNEL = """
import json, os
found = {"read": [], "listed": [], "written": [], "system": []}
def tried(attempt):
    try:
        return attempt()
    except OSError:
        return None
def first(path):
    with open(path, "rb") as file:
        return file.read(1)
for top in ("/proc", "/sys"):
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if not name.isdigit() and name not in ("self", "thread-self")]
        for path in (os.path.join(folder, name) for name in files):
            if tried(lambda: os.close(os.open(path, os.O_WRONLY)) or True):
                found["written"].append(path)
for name in ("keys", "key-users", "kallsyms", "iomem", "ioports", "interrupts", "modules", "timer_list", "kcore"):
    found["read"] += [name] if tried(lambda: first("/proc/" + name)) else []
for name in ("acpi", "asound", "bus", "driver", "fs", "irq", "scsi", "tty"):
    found["listed"] += tried(lambda: os.listdir("/proc/" + name)) or []
found["system"] = tried(lambda: os.listdir("/sys")) or []
print(json.dumps(found))
"""


def test_of_the_kernel_and_the_machine_a_server_sees_no_more_than_in_a_container(each_world: World) -> None:
    status, out, _ = each_world.run([sys.executable, "-I", "-S", "-c", KERNEL], profile="strict")
    found = json.loads(out)
    assert (status, found["read"], found["listed"], found["written"]) == (0, [], [], [])
    assert set(found["system"]) <= {"devices", "kernel"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server changes who it is")
def test_a_tree_of_any_depth_in_the_cache_keeps_no_server_from_another_owner(tmp_path: Path) -> None:
    for above in (tmp_path, *list(tmp_path.parents)[:-2]):
        above.chmod(0o755)
    world = World(tmp_path, "auto")
    argv = ["/bin/sh", "-c", "id -u", "sh", str(world.folder)]
    assert finish(process.start(argv, world.profile(argv)))[0] == 0
    cache = world.profile(argv).cache
    deep = "import os, sys\nos.chdir(sys.argv[1])\nfor _ in range(2500): os.mkdir('a'), os.chdir('a')"
    subprocess.run([sys.executable, "-c", deep, cache], timeout=60, check=True)
    os.symlink(world.canary, os.path.join(cache, "link"))
    os.chown(world.folder, 12345, 12345)
    child = process.start(argv, world.profile(argv))
    try:
        assert (finish(child), child.mechanism) == ((0, "12345\n", ""), "namespaces")
        owners = [os.stat(path).st_uid for path in (cache, os.path.join(cache, "a", "a"), world.canary)]
        assert owners == [12345, 12345, 0]
    finally:
        remove_tree(cache)  # nothing else gets rid of it


def test_the_name_of_a_home_adds_nobody_to_the_table_of_users(tmp_path: Path) -> None:
    world = World(tmp_path, "namespaces")
    world.home = world.top / "home\nroot::0:0::"
    world.home.mkdir()
    status, out, _ = world.run(["/bin/cat", "/etc/passwd"])
    assert (status, out.count("\n"), out.split(":")[5]) == (0, 1, "/")


def test_a_read_folder_cannot_be_written(world: World) -> None:
    argv = ["/bin/sh", "-c", 'cat "$0/canary.txt" && echo x > "$0/new"', str(world.outside)]
    status, out, _ = world.run(argv, profile="strict", read=[str(world.outside)])
    assert (status != 0, out) == (True, "the canary sings")
    assert not (world.outside / "new").exists()


def test_node_starts_and_sees_the_machine(world: World) -> None:
    code = "console.log(require('os').cpus().length > 0 && process.memoryUsage().rss > 0)"
    assert world.run(["node", "-e", code]) == (0, "true\n", "")


def test_a_node_package_with_a_hoisted_dependency_runs_through_several_processes(world: World) -> None:
    dependency = world.server / "node_modules" / "dep"
    package = world.server / "packages" / "tool"
    for place, name in ((dependency, "dep"), (package, "tool")):
        place.mkdir(parents=True)
        (place / "package.json").write_text(json.dumps({"name": name, "main": "index.js", "type": "commonjs"}))
    (dependency / "index.js").write_text("module.exports = 'hoisted'")
    (package / "lib").mkdir()
    (package / "lib" / "part.js").write_text("module.exports = require('dep')")
    (package / "bin").mkdir()
    script = package / "bin" / "tool.js"
    script.write_text(
        "const {spawnSync} = require('child_process');"
        "if (process.argv[2] === 'inner') console.log(require('../lib/part.js'));"
        "else process.stdout.write("
        "spawnSync('/bin/sh', ['-c', `\"${process.execPath}\" \"${__filename}\" inner`]).stdout)"
    )
    assert world.run(["node", str(script)]) == (0, "hoisted\n", "")


def test_python_in_a_virtual_environment_imports_what_is_installed_there_and_starts_itself_again(world: World) -> None:
    code = (
        "import msgspec, ssl, mimetypes, subprocess, sys, tempfile\n"
        "mimetypes.guess_type('a.txt'); ssl.create_default_context()\n"
        "tempfile.TemporaryFile().close()\n"
        "print(subprocess.run([sys.executable, '-c', 'print(6 * 7)'], capture_output=True, text=True).stdout, end='')\n"
    )
    assert world.run([sys.executable, "-c", code]) == (0, "42\n", "")


def test_git_works_although_it_may_not_see_the_settings_in_the_home(world: World) -> None:
    (world.home / ".gitconfig").write_text("[user]\n\tname = Hidden\n")
    environ = {"PATH": os.environ["PATH"], "HOME": str(world.home)}
    script = 'git init -q -b main "$0" && git -C "$0" config --get user.name; git -C "$0" branch --show-current'
    status, out, err = world.run(["/bin/sh", "-c", script, str(world.folder)], environ=environ)
    assert (status, out, err) == (0, "main\n", "")


def test_the_probe_finds_all_ways_out_closed_that_this_abi_closes() -> None:
    holds = probe()
    assert holds.abi == landlock_abi()
    promised = {"read", "list", "write", "memory", "arguments", "limits", "privileges"}
    promised |= {"truncate"} if holds.abi >= 3 else set()
    promised |= {"signal", "abstract-socket"} if holds.abi >= 6 else set()
    assert set(holds.closed) >= promised


WITHOUT_LANDLOCK = """
import ctypes, msgspec, struct, sys
from doorward.confine import landlock, process
from doorward.confine.profile import derive
from doorward.errors import ConfinementError
instructions = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000)]
code = b"".join(struct.pack("=HBBI", *i) for i in instructions)
buffer = ctypes.create_string_buffer(code)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
program = Program(len(instructions), ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(program)) == 0
top = sys.argv[1]
argv = ["/bin/sh", "-c", "echo ran > " + top + "/ran-$0", sys.argv[2]]
profile = derive(argv, environ={"PATH": "/usr/bin"}, cwd=top, home=top + "/home", state=top + "/state",
                 config=top + "/config", server="s")
profile = msgspec.structs.replace(profile, mechanism=sys.argv[3])
child = process.start(argv, profile, unsafe_no_sandbox=sys.argv[2] == "unsafe")
try:
    child.started(20)
    print(child.mechanism, child.abi, child.wait(20))
except ConfinementError as error:
    print(landlock.detect_abi(), error, "|", error.hint)
"""


@pytest.mark.parametrize(
    ("choice", "mechanism", "holds"),
    [("confined", "landlock", ""), ("confined", "auto", "namespaces 0 2\n"), ("unsafe", "landlock", " 0 0\n")],
)
def test_where_landlock_is_missing_only_namespaces_are_left_or_what_the_operator_wrote(
    tmp_path: Path, choice: str, mechanism: str, holds: str
) -> None:
    world = World(tmp_path)
    command = [sys.executable, "-c", WITHOUT_LANDLOCK, str(world.top), choice, mechanism]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    if holds:
        assert said == holds
    else:
        assert "neither namespaces nor landlock" in said
        assert "--unsafe-no-sandbox" in said
    assert (world.top / f"ran-{choice}").exists() == (choice == "unsafe")


def test_a_seventeenth_wall_is_refused_by_the_kernel_and_said_so() -> None:
    code = (
        "import sys; from doorward.confine import landlock\n"
        "landlock.prctl(landlock.PR_SET_NO_NEW_PRIVS, 1)\n"
        "for _ in range(16): landlock.restrict([], ['/'])\n"
        "try: landlock.restrict([], ['/'])\n"
        "except OSError as error: print(error.errno)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "7\n"


UNPRIVILEGED = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from doorward.confine import landlock, process
from doorward.confine.profile import derive
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
top = sys.argv[2]
sys.executable = sys.argv[3]
for name in ("state", "home", "config", "folder"):
    os.mkdir(f"{top}/{name}")
with open(f"{top}/state/consent.key", "w", opener=lambda p, f: os.open(p, f, 0o600)) as key:
    key.write("key")
script = '''
read -r _
cat "$1/canary"; cat "$1/state/consent.key"; ls "$1"; kill -0 "$2"; cat "/proc/$2/environ"; cat "/proc/$2/cmdline"
echo x > "$1/new"; echo kept > "$1/folder/x"; cat "$1/folder/x"; echo t > "$TMPDIR/t"; cat "$TMPDIR/t"
(setsid sleep 1000 &) ; grep NoNewPrivs /proc/$$/status
'''
argv = ["/bin/sh", "-c", script, "sh", "", str(os.getpid())]
argv[4] = top
profile = derive(argv, environ={"PATH": "/usr/bin:/bin"}, cwd=top, home=top + "/home", state=top + "/state",
                 config=top + "/config", server="s", profile="strict", write=[top + "/folder"])
process.become_subreaper()
child = process.start(argv, profile)
child.started(20)
# What cannot be dumped belongs to root: nobody else may trace it or look into its memory.
owner = os.stat(f"/proc/{child.supervisor}/environ").st_uid
os.close(child.stdin)
status, said = child.wait(20), os.read(child.stdout, 65536).decode()
print(json.dumps([os.getuid(), owner, status, said, os.path.exists(child.temp)]))
try:
    os.waitpid(-1, os.WNOHANG)
    print("something is left")
except ChildProcessError:
    print("nothing is left")
"""


def test_an_unprivileged_user_is_confined_and_supervised_just_so() -> None:
    with tempfile.TemporaryDirectory() as top:
        # Whatever root's interpreter lies in may be closed to others: the launcher needs one that is not.
        python = shutil.which("python3", path="/usr/bin:/usr/local/bin") if os.getuid() == 0 else sys.executable
        assert python is not None
        package = Path(top, "lib", "doorward")
        shutil.copytree(
            Path(landlock.__file__).parent, package / "confine", ignore=shutil.ignore_patterns("__pycache__")
        )
        for name in ("__init__.py", "errors.py"):
            shutil.copy(Path(landlock.__file__).parent.parent / name, package / name)
        world = Path(top, "world")
        world.mkdir()
        (world / "canary").write_text("the canary sings")
        for place in (Path(top), world):
            place.chmod(0o777)
        command = [sys.executable, "-c", UNPRIVILEGED, str(package.parent), str(world), python]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.stderr == ""
        answer, rest = done.stdout.splitlines()
    uid, owner, status, said, temp_left = json.loads(answer)
    assert uid != 0
    assert owner == 0
    assert (status, temp_left, rest) == (0, False, "nothing is left")
    assert said.split() == ["kept", "t", "NoNewPrivs:", "1"]


def test_a_server_outlives_the_thread_that_started_it_and_not_the_process(each_world: World) -> None:
    from concurrent.futures import ThreadPoolExecutor

    argv = ["/bin/cat"]
    profile = each_world.profile(argv)
    with ThreadPoolExecutor(1) as pool:
        child = pool.submit(process.start, argv, profile).result()
    with child:  # its thread has ended
        child.started(20)
        os.write(child.stdin, b"still here")
        assert os.read(child.stdout, 100) == b"still here"
        os.close(child.stdin)
        assert child.wait(20) == 0


STARTS_IN_A_THREAD = """
import msgspec, os, sys, threading
from doorward.confine import process
from doorward.confine.profile import derive
top = sys.argv[1]
argv = ["/bin/sh", "-c", "echo here; sleep 1000"]
profile = derive(argv, environ={"PATH": "/usr/bin:/bin"}, cwd=top, home=top + "/home", state=top + "/state",
                 config=top + "/config", server="s")
started = []
thread = threading.Thread(target=lambda: started.append(process.start(argv, profile)))
thread.start()
thread.join()
started[0].started(20)
os.read(started[0].stdout, 10)
print(started[0].supervisor, flush=True)
sys.stdin.read()
"""


def test_what_a_thread_started_ends_with_the_process_though_that_is_killed(tmp_path: Path) -> None:
    world = World(tmp_path)
    command = [sys.executable, "-c", STARTS_IN_A_THREAD, str(world.top)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as gateway:
        assert gateway.stdout is not None
        supervisor = os.pidfd_open(int(gateway.stdout.readline()))
        gateway.kill()
    try:
        ended, _, _ = select.select([supervisor], [], [], 20)
        assert ended == [supervisor], "the supervisor is gone, which ends only when nothing of the server is left"
    finally:
        os.close(supervisor)

"""Whatever happens to a server, its supervisor or its gateway: nothing is left, and the status is told."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.confine.conftest import BOUND_SECONDS, World, finish

from doorward.confine import cgroups, process, shortfalls, tree
from doorward.errors import ConfinementError


@pytest.fixture
def world(each_world: World) -> World:
    """All of this holds in both mechanisms."""
    return each_world


# Makes a storm of daemons: each forks twice, leaves its session, closes its streams and will not hear of signals.
STORM = """
import os, signal, sys
count = int(sys.argv[1])
reader, writer = os.pipe()
for _ in range(count):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        for stream in (0, 1, 2):
            os.close(stream)
        os.write(writer, b"%d\\n" % os.getpid())
        while True:
            signal.pause()
lines = b""
while lines.count(b"\\n") < count:
    lines += os.read(reader, 4096)
for _ in range(count):
    os.wait()  # those in between: whoever is asked for the processes now sees the same ones later
print(os.getpid(), *lines.decode().split(), flush=True)
sys.stdin.read()
while len(sys.argv) > 2:  # deaf: the end of its input does not end it
    signal.pause()
"""

GATEWAY = """
import json, msgspec, os, signal, sys
from doorward.confine import process, tree
from doorward.confine.profile import derive
top, argv = sys.argv[1], json.loads(sys.argv[2])
process.become_subreaper()
profile = derive(argv, environ={"PATH": os.environ["PATH"]}, cwd=top, home=top + "/home", state=top + "/state",
                 config=top + "/config", server="s")
child = process.start(argv, msgspec.structs.replace(profile, mechanism=sys.argv[3]))
child.started(20)
open(child.stdout, closefd=False).readline()  # the storm has gathered; its own numbers may be of its own namespace
print(child.supervisor, child.temp, *tree.descendants(child.supervisor), flush=True)
order = sys.stdin.readline().strip()
if order == "end the server":
    os.close(child.stdin)
elif order == "kill the server":
    os.kill(child.pid, signal.SIGKILL)
elif order == "kill the supervisor":
    os.kill(child.supervisor, signal.SIGKILL)
elif order == "terminate the supervisor":
    os.kill(child.supervisor, signal.SIGTERM)
elif order == "kill the tree":
    child.kill_tree()
elif order == "stop the supervisor and kill the tree":
    os.kill(child.supervisor, signal.SIGSTOP)
    child.kill_tree(timeout_seconds=0.3)
elif order == "crash":
    os.kill(os.getpid(), signal.SIGKILL)
elif order == "crash while another holds the pipe":
    import subprocess
    print(subprocess.Popen(["/bin/sleep", "60"], pass_fds=[child._orders]).pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
elif order == "leave":
    sys.exit(3)
print(child.wait(20), flush=True)
"""

STORM_SIZE = 50


@contextmanager
def watched(pids: list[int]) -> Iterator[list[int]]:
    descriptors = [os.pidfd_open(pid) for pid in pids]
    try:
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def still_there(descriptors: list[int]) -> set[int]:
    waiting = set(descriptors)
    while waiting:
        ended, _, _ = select.select(list(waiting), [], [], BOUND_SECONDS)
        if not ended:
            break
        waiting -= set(ended)
    return waiting


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ("end the server", "0"),
        ("kill the server", "137"),
        ("kill the supervisor", "137"),
        ("terminate the supervisor", "137"),
        ("kill the tree", "137"),
        ("stop the supervisor and kill the tree", "137"),
        ("crash", ""),
        ("leave", ""),
    ],
)
def test_of_a_storm_of_daemons_nothing_is_left(world: World, order: str, status: str) -> None:
    script = world.server / "storm.py"
    script.write_text(STORM)
    argv = [sys.executable, "-I", "-S", str(script), str(STORM_SIZE)]
    if order != "end the server":
        argv.append("deaf")
    with subprocess.Popen(
        [sys.executable, "-c", GATEWAY, str(world.top), json.dumps(argv), world.mechanism],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as gateway:
        assert gateway.stdout is not None
        supervisor, temp, *pids = gateway.stdout.readline().split()
        assert len(pids) > STORM_SIZE
        assert Path(temp).is_dir()
        with watched([int(supervisor), *map(int, pids)]) as descriptors:
            said, _ = gateway.communicate(order + "\n", timeout=60)
            assert said.strip() == status
            assert still_there(descriptors) == set()
    assert not Path(temp).exists()


def test_a_process_that_hops_from_fork_to_fork_is_caught(world: World) -> None:
    hopper = "import os, time\nwhile True:\n    if os.fork(): os._exit(0)\n    os.setsid()\n"
    code = f"import os, sys\nif os.fork() == 0:\n    exec({hopper!r})\nprint('up', flush=True)\nsys.stdin.read()\n"
    argv = [sys.executable, "-I", "-S", "-c", code]
    child = process.start(argv, world.profile(argv))
    with child, open(child.stdout) as out, open(child.stderr), open(child.stdin, "w"):
        child.started(BOUND_SECONDS)
        assert out.readline() == "up\n"
        child.kill_tree(BOUND_SECONDS)
        # The supervisor ended by itself, which it does only when the kernel knows of no child of its own.
        assert child.status == 137
        assert out.read() == ""


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$", 143)]
)
def test_the_status_is_the_servers_own(world: World, script: str, status: int) -> None:
    assert world.run(["/bin/sh", "-c", script])[0] == status


HANDLERS = """
import os, signal, sys
inner = os.fork() == 0
number = int(sys.argv[1])
def handle(*_):
    os.write(1, b"inner " if inner else b"outer ")
    if not inner:
        os.wait()
    os._exit(0 if inner else 5)
signal.signal(number, handle)
os.write(1, b"up\\n")
while True:
    signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_reaches_the_server_and_its_group_and_its_own_handler_decides(world: World, number: int) -> None:
    argv = [sys.executable, "-I", "-S", "-c", HANDLERS, str(int(number))]
    child = process.start(argv, world.profile(argv))
    with child, open(child.stdout) as out, open(child.stderr), open(child.stdin, "w"):
        child.started(BOUND_SECONDS)
        assert [out.readline(), out.readline()] == ["up\n", "up\n"]
        child.send_signal(number)
        assert sorted(out.read().split()) == ["inner", "outer"]
        assert child.wait(BOUND_SECONDS) == 5


def test_a_signal_after_the_end_does_nothing(world: World) -> None:
    argv = ["/bin/true"]
    child = process.start(argv, world.profile(argv))
    assert finish(child) == (0, "", "")
    child.send_signal(signal.SIGTERM)
    child.kill_tree()
    child.close()
    assert child.status == 0


def test_signals_that_the_gateway_ignores_or_blocks_act_in_the_server(world: World) -> None:
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        status, out, _ = world.run(["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGHUP, ignored)
    _, blocked_there, _, ignored_there = out.split()
    # Of those with a name: glibc ignores its own two, 32 and 33, in whatever it spawns.
    assert (status, int(blocked_there, 16), int(ignored_there, 16) & 0x7FFFFFFF) == (0, 0, 0)


def test_the_server_has_its_own_session_working_directory_and_umask(world: World) -> None:
    argv = ["/bin/sh", "-c", "pwd; umask; cut -d' ' -f5,6 < /proc/$$/stat; echo $$"]
    child = process.start(argv, world.profile(argv), umask=0o027)
    status, out, _ = finish(child)
    cwd, umask, group, session, pid = out.split()
    assert (status, cwd, umask) == (0, str(world.top), "0027")
    assert group == session == pid
    assert (pid == str(child.pid)) == (world.mechanism == "landlock")


def test_what_cannot_be_executed_is_an_error_with_a_hint_and_leaves_nothing(world: World) -> None:
    script = world.server / "no-shebang"
    script.write_text("echo never\n")
    script.chmod(0o755)
    argv = [str(script)]
    child = process.start(argv, world.profile(argv))
    with (
        child,
        open(child.stdin, "w"),
        open(child.stdout),
        open(child.stderr),
        pytest.raises(ConfinementError) as refused,
    ):
        child.started(BOUND_SECONDS)
    assert "first line" in refused.value.hint
    assert (child.ended, child.status, Path(child.temp).exists()) == (True, None, False)


def test_a_script_runs_by_its_first_line(world: World) -> None:
    script = world.server / "server"
    script.write_text("#!/usr/bin/env node\nconsole.log('ran')\n")
    script.chmod(0o755)
    assert world.run([str(script)]) == (0, "ran\n", "")


def test_a_large_environment_and_many_arguments_arrive_whole(world: World) -> None:
    environ = {"PATH": os.environ["PATH"], **{f"V{n}": "x" * 1000 for n in range(500)}}
    argv = ["/bin/sh", "-c", 'echo $# ${#V499}; env | grep -c "^V"', *["ü"] * 5000]
    assert world.run(argv, environ=environ) == (0, "4999 1000\n500\n", "")


def test_nothing_of_the_environment_or_arguments_stands_in_the_launchers_command_line(world: World) -> None:
    argv = ["/bin/cat", "--", "/dev/stdin", "secret-argument"]
    child = process.start(argv, world.profile(argv, environ={"PATH": "/usr/bin", "PLAIN": "secret-value"}))
    with child, open(child.stdin, "w"), open(child.stdout), open(child.stderr):
        child.started(BOUND_SECONDS)
        for name in ("cmdline", "environ"):
            assert b"secret" not in Path(f"/proc/{child.supervisor}/{name}").read_bytes()


def test_the_temporary_folder_is_private_named_and_removed_with_everything_in_it(world: World) -> None:
    (world.folder / "kept").write_text("kept")
    script = (
        'test "$TMPDIR" = "$TMP" && test "$TMP" = "$TEMP" && stat -c %a "$TMPDIR" && mkdir -p "$TMPDIR/a/b" && '
        'ln -s "$0" "$TMPDIR/a/link" && ln -s "$0/kept" "$TMPDIR/a/b/link" && echo x > "$TMPDIR/a/b/c"; echo "$TMPDIR"'
    )
    status, out, err = world.run(["/bin/sh", "-c", script, str(world.folder)])
    mode, temp = out.split()
    assert (status, mode, err) == (0, "700", "")
    assert not Path(temp).exists()
    assert (world.folder / "kept").read_text() == "kept"


def test_the_cache_lies_in_the_state_directory_private_and_another_server_cannot_see_it(world: World) -> None:
    status, out, _ = world.run(["/bin/sh", "-c", 'mkdir "$npm_config_cache"; echo mine > "$npm_config_cache/x"; env'])
    cache = world.state / "cache" / "test"
    assert status == 0
    assert f"npm_config_cache={cache}/npm" in out.splitlines()
    assert f"UV_CACHE_DIR={cache}/uv" in out.splitlines()
    assert cache.stat().st_mode & 0o777 == cache.parent.stat().st_mode & 0o777 == 0o700
    other = world.profile(["/bin/cat"])
    assert str(cache) in other.writable()
    status, out, err = world.run(["/bin/sh", "-c", f"ls {world.state}; ls {world.state}/cache"])
    assert (status != 0, out) == (True, "")
    assert err.count("Permission denied") == 2


def test_descendants_are_found_by_the_kernels_list_and_by_search_alike(world: World) -> None:
    argv = ["/bin/sh", "-c", "/bin/sh -c 'sleep 1000 & echo up; wait' & wait"]
    child = process.start(argv, world.profile(argv))
    with child, open(child.stdin, "w"), open(child.stdout) as out, open(child.stderr):
        server = child.started(BOUND_SECONDS)
        assert out.readline() == "up\n"
        above = tree.parent(server)
        assert above is not None
        assert (above == child.supervisor) == (world.mechanism == "landlock")
        assert tree.children(above) == tree.children_by_search(above) == [server]
        assert tree.descendants(above) == tree.descendants(child.supervisor)[-3:]


def test_without_its_supervisor_the_server_dies_even_when_no_gateway_is_left_to_sweep(world: World) -> None:
    argv = ["/bin/cat"]
    child = process.start(argv, world.profile(argv))
    with child, open(child.stdin, "w"), open(child.stdout), open(child.stderr):
        # This process is no subreaper: nobody but the kernel is left to end the server.
        with watched([child.started(BOUND_SECONDS)]) as descriptors:
            os.kill(child.supervisor, signal.SIGKILL)
            assert still_there(descriptors) == set()
        assert child.wait(BOUND_SECONDS) == 137


def test_a_gateway_whose_pipe_another_holds_open_is_missed_all_the_same(world: World) -> None:
    argv = [sys.executable, "-I", "-S", "-c", STORM, "1", "deaf"]
    with subprocess.Popen(
        [sys.executable, "-c", GATEWAY, str(world.top), json.dumps(argv), world.mechanism],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as gateway:
        assert gateway.stdin is not None
        assert gateway.stdout is not None
        supervisor, _, *pids = gateway.stdout.readline().split()
        with watched([int(supervisor), *map(int, pids)]) as descriptors:
            gateway.stdin.write("crash while another holds the pipe\n")
            gateway.stdin.flush()
            holder = int(gateway.stdout.readline())
            try:
                assert still_there(descriptors) == set()
            finally:
                os.kill(holder, signal.SIGKILL)


def test_the_end_of_the_order_pipe_alone_ends_the_server(world: World) -> None:
    argv = ["/bin/cat"]
    child = process.start(argv, world.profile(argv))
    with child, open(child.stdin, "w"), open(child.stdout), open(child.stderr):
        child.started(BOUND_SECONDS)
        os.close(child._orders)  # noqa: SLF001 - what the kernel does when the gateway is gone
        child._orders = -1  # noqa: SLF001
        assert child.wait(BOUND_SECONDS) == 137


WAITING = """
import os, signal, sys, time
from doorward.confine import process, tree
launcher = process.boot()
until = time.monotonic() + 20
while not (waiting := tree.children(launcher.supervisor)) and time.monotonic() < until:
    pass
print(launcher.supervisor, *waiting, flush=True)
sys.stdin.readline()
os.kill(int(launcher.supervisor if sys.argv[1] == "launcher" else os.getpid()), signal.SIGKILL)
sys.stdin.readline()
"""


@pytest.mark.parametrize("who", ["launcher", "gateway"])
def test_of_a_launcher_that_waits_for_its_plan_nothing_is_left_when_it_or_its_gateway_is_killed(who: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITING, who], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as gateway:
        assert gateway.stdin is not None
        assert gateway.stdout is not None
        pids = [int(pid) for pid in gateway.stdout.readline().split()]
        assert len(pids) == 2
        with watched(pids) as descriptors:
            gateway.stdin.write("\n")
            gateway.stdin.flush()
            assert still_there(descriptors) == set()
        gateway.kill()


def test_a_launcher_that_was_killed_while_it_waited_is_an_error(world: World) -> None:
    launcher = process.boot()
    os.kill(launcher.supervisor, signal.SIGKILL)
    argv = ["/bin/cat"]
    child = process.start(argv, world.profile(argv), launcher=launcher)
    with child, open(child.stdin, "w"), open(child.stdout), open(child.stderr):
        with pytest.raises(ConfinementError, match="before the server ran"):
            child.started(BOUND_SECONDS)
        assert (child.ended, child.status, os.path.exists(child.temp)) == (True, None, False)


SWEEPING = """
import os, signal, subprocess, sys
from doorward.confine import process
from doorward.confine.profile import derive
top = sys.argv[1]
argv = ["/bin/cat"]
profile = derive(argv, environ={"PATH": "/usr/bin"}, cwd=top, home=top + "/home", state=top + "/state",
                 config=top + "/config", server="s")
process.become_subreaper()
spared, foreign = (subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) for _ in range(2))
process.spared.add(spared.pid)
first, second, third = (process.start(argv, profile) for _ in range(3))
for child in (first, second, third):
    child.started(20)
first.kill_tree()
print(first.status, spared.poll(), foreign.poll())
os.kill(second.supervisor, signal.SIGKILL)
print(second.wait(20), spared.poll(), foreign.poll() is None, third.status)
third.send_signal(signal.SIGTERM)
print(third.wait(20))
spared.communicate()
"""


def test_only_a_killed_supervisor_makes_the_gateway_sweep_and_then_it_spares_what_was_named(world: World) -> None:
    command = [sys.executable, "-c", SWEEPING, str(world.top)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["137 None None", "137 None False None", "143"]


def test_what_the_lesser_mechanism_leaves_open_or_closes_is_said(world: World) -> None:
    strict, standard, ports = (
        world.profile(["/bin/true"], **options)
        for options in ({"profile": "strict"}, {}, {"profile": "strict", "connect": [("db", 5432), ("::1", 5432)]})
    )
    assert [len(shortfalls.gaps("landlock", abi, strict)) for abi in (1, 3, 5, 6, 7)] == [3, 2, 1, 0, 0]
    assert "none at all" in shortfalls.gaps("landlock", 7, standard)[0]
    assert "TCP to port 5432, of any host" in shortfalls.gaps("landlock", 7, ports)[0]
    for nothing in ("namespaces", ""):
        assert shortfalls.gaps(nothing, 0, standard) == ()


REAL_TIME = """
import os, sys
from doorward.confine import process
from tests.confine.conftest import World
from pathlib import Path
os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
print(World(Path(sys.argv[1])).run(("/bin/cat", "/proc/self/cgroup"))[1])
"""


def test_a_gateway_in_real_time_starts_its_servers_and_caps_their_memory(tmp_path: Path) -> None:
    argv = (sys.executable, "-c", REAL_TIME, str(tmp_path))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=Path(__file__).parents[2])
    if "PermissionError" in done.stderr:
        pytest.skip("only root may run in real time")
    assert done.returncode == 0, done.stderr
    assert "doorward-" in done.stdout or "memory" not in cgroups.held()

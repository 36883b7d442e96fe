"""Programs of a tool inside walls of their own: the same canary with and without, from any thread."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests import descendants

from doorward import guard
from doorward.errors import ConfinementError, RefusedError
from doorward.guard.sandbox import Profile

CANARY = """
import json, os, socket, sys
outside, folder, port, secret = sys.argv[1:]
def tried(attempt):
    try:
        attempt()
    except OSError:
        return False
    return True
print(json.dumps({
    "read": tried(lambda: open(outside).read()),
    "write": tried(lambda: open(outside + ".new", "w")),
    "connect": tried(lambda: socket.create_connection(("127.0.0.1", int(port)), 2)),
    "own": tried(lambda: open(folder + "/made", "w").write("x")),
    "temporary": tried(lambda: open(os.environ["TMPDIR"] + "/made", "w").write("x")),
    "environment": sorted(name for name in os.environ if "TOKEN" in name),
    "processes": os.path.exists("/proc/" + secret),
}))
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield one


def test_a_confined_program_has_its_folder_and_nothing_else(
    tmp_path: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "secret")
    secret, folder = tmp_path / "secret", tmp_path / "folder"
    secret.write_text("secret")
    folder.mkdir()
    operands = [str(secret), str(folder), str(listener.getsockname()[1]), str(os.getpid())]
    profile = Profile(write=[folder])
    done = guard.run(sys.executable, ["-c", CANARY], operands, terminator=None, confine=profile).check()
    assert json.loads(done.stdout) == {
        **dict.fromkeys(("read", "write", "connect"), False),
        **dict.fromkeys(("own", "temporary"), True),
        "environment": [],
        "processes": json.loads(done.stdout)["processes"],
    }
    assert (folder / "made").read_text() == "x"
    bare = guard.run(
        sys.executable,
        ["-c", CANARY],
        operands,
        terminator=None,
        inherit=("PATH", "TMPDIR"),
        env={"TMPDIR": str(tmp_path)},
    )
    assert {name for name, got in json.loads(bare.check().stdout).items() if got is True} >= {
        "read",
        "write",
        "connect",
    }


def test_its_input_output_and_status_are_those_of_run(tmp_path: Path) -> None:
    script = "import sys; print(sys.stdin.read().upper()); print('oh', file=sys.stderr); sys.exit(3)"
    done = guard.run(sys.executable, ["-c", script], stdin=b"words", confine=Profile())
    assert done == guard.Finished(3, b"WORDS\n", b"oh\n", "exited")
    assert guard.run("cat", (), ["given"], cwd=tmp_path, confine=Profile()).status == 1, "its cwd is not given by it"
    (tmp_path / "given").write_text("given")
    assert guard.run("cat", (), ["given"], cwd=tmp_path, confine=Profile(read=["given"])).check().stdout == b"given"


def test_time_output_memory_and_files_are_bounded(tmp_path: Path) -> None:
    assert guard.run("sleep", ["1000"], timeout_seconds=1, confine=Profile()).ended == "timeout"
    assert guard.run("cat", ["/dev/zero"], max_output_bytes=1000, confine=Profile()).ended == "output"
    eats = guard.run(sys.executable, ["-c", "bytearray(200 << 20)"], confine=Profile(memory_bytes=100 << 20))
    assert (eats.status, b"MemoryError" in eats.stderr) == (1, True)
    script = f"open({str(tmp_path / 'large')!r}, 'wb', 0).write(bytes(4096))"
    guard.run(sys.executable, ["-c", script], confine=Profile(write=[tmp_path], file_bytes=1024))
    assert (tmp_path / "large").stat().st_size == 1024


def test_what_it_started_and_its_temporary_folder_are_gone_with_it(tmp_path: Path) -> None:
    long = str(time.time_ns())
    script = (
        "import os, subprocess\n"
        f"subprocess.Popen(['sleep', '{long}'], start_new_session=True, stdin=-3, stdout=-3, stderr=-3)\n"
        "print(os.environ['TMPDIR'])"
    )
    before = descendants.below(os.getpid())
    done = guard.run(sys.executable, ["-c", script], env={"TMPDIR": str(tmp_path)}, confine=Profile()).check()
    assert not os.path.exists(done.stdout.decode().strip())
    assert descendants.below(os.getpid()) <= before, "not even one that nobody has waited for"
    assert not descendants.called_with(long)
    reads = [sys.executable, "-c", "print(flush=True); input()", long]
    with subprocess.Popen(reads, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as bare:
        assert bare.stdin is not None
        assert bare.stdout is not None
        bare.stdout.readline()
        assert descendants.called_with(long) == [bare.pid], "it would have been found"
        bare.stdin.write(b"\n")


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (Profile(read=["/"]), "the whole file system"),
        (Profile(write=[os.path.expanduser("~")]), "a whole home directory"),
        (Profile(read=["/no/such/folder"]), "does not exist"),
    ],
)
def test_what_no_program_may_have_is_a_mistake(profile: Profile, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        guard.run("true", confine=profile)


def test_operands_of_a_caller_give_nothing_and_their_faults_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    assert guard.run("cat", (), [str(secret)], confine=Profile()).status == 1
    with pytest.raises(RefusedError, match="longer than the system takes"):
        guard.run("true", (), ["x" * (1 << 18)], confine=Profile())
    with pytest.raises(RefusedError, match="no character"):
        guard.run("true", (), ["\ud800"], confine=Profile())


def test_an_operand_is_no_part_of_the_program(tmp_path: Path) -> None:
    """Of an interpreter the first file among its words is its script, shown to it with all that lies beside."""
    for name in ("package.json", "operand", "beside"):
        (tmp_path / name).write_text("secret")
    script = b"""
import os, sys
for path in (sys.argv[1], os.path.dirname(sys.argv[1]) + "/beside"):
    try:
        print(open(path).read())
    except OSError:
        print("closed")
"""

    def read(profile: Profile) -> list[str]:
        words = (["-I", "-"], [str(tmp_path / "operand")])
        done = guard.run(sys.executable, *words, terminator=None, stdin=script, confine=profile)
        return done.check().stdout.decode().split()

    assert read(Profile()) == ["closed", "closed"]
    assert read(Profile(read=[tmp_path / "operand"])) == ["secret", "closed"]


def test_nothing_is_run_where_there_are_no_walls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from doorward.confine import process

    monkeypatch.setattr(process, "_LAUNCHER", ("-I", "-S", "-c", "raise SystemExit(1)"))
    with pytest.raises(ConfinementError, match="before the server ran"):
        guard.run("touch", (), [str(tmp_path / "ran")], confine=Profile(write=[tmp_path]))
    assert list(tmp_path.iterdir()) == []


def test_worker_threads_and_loops_run_confined_programs_side_by_side() -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: guard.run("echo", [str(n)], confine=Profile()).stdout, range(4)))
    assert found == [b"0\n", b"1\n", b"2\n", b"3\n"]

    async def both() -> list[bytes]:
        runs = (guard.run_async("echo", [str(n)], confine=Profile()) for n in range(2))
        return [one.stdout for one in await asyncio.gather(*runs)]

    assert asyncio.run(both()) == [b"0\n", b"1\n"]


def test_a_cancelled_caller_takes_the_program_along(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    script = f"held = open({str(pipe)!r}, 'wb'); import time; time.sleep(1000)"

    async def cancelled() -> bytes:
        run = asyncio.create_task(
            guard.run_async(sys.executable, ["-c", script], confine=Profile(write=[tmp_path]), timeout_seconds=60)
        )
        with await asyncio.to_thread(open, pipe, "rb") as held:  # it has been started, and opened the other end
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
            return await asyncio.wait_for(asyncio.to_thread(held.read), 60)

    assert asyncio.run(cancelled()) == b"", "the other end is closed, by the end of the program"


BEHIND_WRAP = """
import sys
from doorward import guard
done = guard.run("cat", (), [sys.argv[1]], confine=guard.Profile(read=[sys.argv[1]]))
other = guard.run("cat", (), [sys.argv[2]], confine=guard.Profile())
late = guard.run("sleep", ["1000"], timeout_seconds=1, confine=guard.Profile())
print(done.stdout.decode(), other.status, late.ended)
"""


@pytest.mark.parametrize("mechanism", ["namespaces", "landlock"])
def test_inside_the_walls_of_a_server_they_stand_as_well(tmp_path: Path, mechanism: str) -> None:
    for name in ("given", "other"):
        (tmp_path / name).write_text(name)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "DOORWARD_STATE": str(tmp_path / "state"),
        "XDG_RUNTIME_DIR": str(tmp_path),
    }
    reads = [word for name in ("given", "other") for word in ("--read", str(tmp_path / name))]
    learn = [sys.executable, "-m", "doorward", "sandbox", "learn", "--sandbox", mechanism, *reads]
    server = [sys.executable, "-c", BEHIND_WRAP, "given", "other"]
    done = subprocess.run(
        [*learn, "--", *server],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.stdout == "given 1 timeout\n", done.stderr

"""A program runs from a list, with little of our environment, for a bounded time, and leaves nothing of its group."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doorward.errors import ConfinementError
from doorward.guard import Finished, RefusedError, run, run_async

TOLD = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ), sorted(os.listdir('/proc/self/fd'))]))"
# Leaves a child behind, in its group, which tells its number and would outlive it.
LEAVING = """
import os, time
told, telling = os.pipe()
if os.fork() == 0:
    print(os.getpid(), flush=True)
    os.close(telling)
    time.sleep(600)
os.close(telling)
os.read(told, 1)
"""
# Tells its number in a file that is there all at once.
PID_TOLD = (
    "import os, sys, time\n"
    "with open(sys.argv[2] + '.new', 'w') as new: new.write(str(os.getpid()))\n"
    "os.rename(sys.argv[2] + '.new', sys.argv[2])\n"
    "time.sleep(600)"
)


def python(
    code: str, *operands: str, timeout_seconds: float = 30.0, stdin: bytes = b"", most: int = 1 << 20
) -> Finished:
    return run(
        sys.executable,
        ["-c", code],
        operands,
        terminator="--",
        timeout_seconds=timeout_seconds,
        stdin=stdin,
        max_output_bytes=most,
    )


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        os.sched_yield()


def is_gone(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"  # nobody of ours is its parent


def test_an_operand_is_one_argument_whatever_stands_in_it() -> None:
    hostile = ["; touch /tmp/x", "$(id)", "`id`", "--upload-pack=x", "-c", "a b", "", "\n", "*", "é"]
    arguments, _, _ = json.loads(python(TOLD, *hostile).check().stdout)
    assert arguments == ["--", *hostile]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20), max_size=5))
def test_operands_arrive_as_they_were_given(operands: list[str]) -> None:
    done = run("/usr/bin/printf", ["%s\\0"], operands, terminator="--")
    expected = ["--", *operands] if operands else [""]  # printf takes the second -- for an operand like any other
    assert done.stdout.split(b"\0")[:-1] == [one.encode() for one in expected]


def test_without_a_terminator_nothing_may_look_like_an_option() -> None:
    assert run("/bin/echo", ["a"], ["b"], terminator=None).stdout == b"a b\n"
    with pytest.raises(RefusedError, match="dash"):
        run("/bin/echo", [], ["-n"], terminator=None)


@pytest.mark.parametrize("operand", ["a\0b", "\ud800", "x" * 300_000])
def test_what_no_program_can_be_given_is_refused(operand: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        run("/bin/echo", [], [operand])
    assert refusal.value.rule == "run"


@pytest.mark.parametrize("shell", ["sh", "/bin/sh", "bash", "/bin/bash", "/usr/bin/dash", "busybox"])
def test_there_is_no_way_to_run_a_shell(shell: str) -> None:
    with pytest.raises(ValueError, match=r"shell|no program"):
        run(shell, ["-c", "id"])


def test_a_shell_under_another_name_is_still_one(tmp_path: Path) -> None:
    (tmp_path / "innocent").symlink_to("/bin/sh")
    with pytest.raises(ValueError, match="shell"):
        run(tmp_path / "innocent", ["-c", "id"])


@pytest.mark.parametrize("program", ["./x", "bin/x", "there-is-no-such-program", "/there/is/none", "/etc/passwd", "/"])
def test_a_program_that_cannot_be_run_is_an_authors_mistake(program: str) -> None:
    with pytest.raises(ValueError, match=r"program"):
        run(program)


def test_a_line_is_no_list() -> None:
    with pytest.raises(ValueError, match="a list"):
        run("echo", "a b")


def test_relative_folders_of_path_are_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted").write_text("#!/bin/true\n")
    (tmp_path / "planted").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f":.:{tmp_path.name}:/usr/bin")
    with pytest.raises(ValueError, match="no program"):
        run("planted")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run("planted").ok


def test_only_what_was_allowed_of_the_environment_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    monkeypatch.setenv("LD_PRELOAD", "")
    monkeypatch.setenv("TZ", "UTC")
    _, variables, _ = json.loads(python(TOLD).check().stdout)
    assert variables["TZ"] == "UTC"
    assert not {"GITHUB_TOKEN", "LD_PRELOAD"} & variables.keys()
    given = run(sys.executable, ["-c", TOLD], env={"MINE": "1"}, inherit=())
    _, variables, _ = json.loads(given.check().stdout)
    assert variables.keys() - {"LC_CTYPE"} == {"MINE"}  # the interpreter sets that one itself


def test_no_descriptor_of_ours_arrives() -> None:
    with open("/etc/hostname", "rb") as ours:
        os.set_inheritable(ours.fileno(), True)
        _, _, descriptors = json.loads(python(TOLD).check().stdout)
    assert descriptors == ["0", "1", "2", "3"]  # the last is the listing's own


def test_stdin_is_what_was_given_and_then_ends() -> None:
    everything = b"x" * 300_000
    echoed = python("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())", stdin=everything)
    assert echoed.stdout == everything
    assert python("import sys; print(len(sys.stdin.read()))").stdout == b"0\n"
    assert python("import os; os.close(0)", stdin=everything).ok  # who does not read is not waited for


def test_a_program_that_takes_too_long_ends_with_its_group() -> None:
    done = python(LEAVING + "time.sleep(600)", timeout_seconds=1.0)
    assert (done.ended, done.status, done.ok) == ("timeout", 128 + 9, False)
    wait_until(lambda: is_gone(int(done.stdout)))
    with pytest.raises(RefusedError, match="too long"):
        done.check()


def test_a_program_that_writes_without_end_is_ended_and_not_kept() -> None:
    for stream in ("stdout", "stderr"):
        done = python(f"import sys\nwhile True: sys.{stream}.write('x' * 1000)", most=100_000)
        assert (done.ended, len(done.stdout) + len(done.stderr)) == ("output", 100_000)
        with pytest.raises(RefusedError, match="more than is allowed"):
            done.check()


def test_exactly_as_much_as_is_allowed_is_allowed() -> None:
    done = python("print('x' * 99, end='')", most=99)
    assert (done.ended, len(done.stdout)) == ("exited", 99)
    assert python("print('x' * 100, end='')", most=99).ended == "output"


def test_what_a_program_leaves_behind_ends_with_it_and_is_not_waited_for() -> None:
    done = python(LEAVING)  # the child still holds our pipes open
    assert done.ok
    wait_until(lambda: is_gone(int(done.stdout)))


def test_a_failure_is_a_value_and_its_output_is_kept_from_the_caller() -> None:
    done = python("import sys; print('secret'); sys.exit(3)")
    assert (done.status, done.ended, done.ok) == (3, "exited", False)
    with pytest.raises(RefusedError) as refusal:
        done.check()
    assert str(refusal.value) == "the program ended with 3"


def test_a_folder_that_is_not_there_is_an_authors_mistake(tmp_path: Path) -> None:
    assert run("/bin/pwd", cwd=tmp_path).stdout.decode().strip() == str(tmp_path)
    with pytest.raises(ValueError, match="cannot be run"):
        run("/bin/pwd", cwd=tmp_path / "none")


def test_nothing_is_left_of_many_runs() -> None:
    before, children = sorted(os.listdir("/proc/self/fd")), _children()
    for _ in range(20):
        run("/bin/true")
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert _children() <= children  # other tests of this process may have left theirs


def _children() -> set[str]:
    """Of every thread, those that were not waited for too."""
    return {pid for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()}


def test_a_server_that_ignores_its_children_gets_answers_as_well() -> None:
    program = """
import signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
from doorward import guard
for _ in range(40):
    assert guard.run("/bin/echo", ["a"]).stdout == b"a\\n"
print(guard.run("/bin/echo", ["a"]).stdout, guard.run("/bin/sleep", ["600"], timeout_seconds=0.2).ended)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)
    assert done.stdout == b"b'a\\n' timeout\n"


@pytest.mark.parametrize("program", ["/bin/true", "/bin/false"])
def test_an_end_that_somebody_else_took_is_no_success(program: str) -> None:
    ignoring = f"""
import signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
from doorward import guard
done = guard.run({program!r})
print(done.ended, done.ok, done.status)
"""
    done = subprocess.run([sys.executable, "-c", ignoring], capture_output=True, timeout=60, check=True)
    assert done.stdout == b"unknown False 255\n"


def test_how_a_program_ended_is_told_as_a_shell_would() -> None:
    for code, status in (("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 15)", 143), ("pass", 0)):
        done = python(code)
        assert (done.status, done.ended, done.ok) == (status, "exited", status == 0)


# --- async -----------------------------------------------------------------------------------------------------------


def test_async_tools_do_not_stop_their_loop() -> None:
    async def both() -> list[Finished]:
        return await asyncio.gather(*(run_async("/bin/echo", [], [str(n)]) for n in range(3)))

    assert [done.stdout for done in asyncio.run(both())] == [b"-- 0\n", b"-- 1\n", b"-- 2\n"]


def test_a_cancelled_caller_takes_the_program_along(tmp_path: Path) -> None:
    told = tmp_path / "pid"

    async def cancelled() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: run_async(sys.executable, ["-c", PID_TOLD], [told]))
            while not told.exists():
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

    anyio.run(cancelled)
    wait_until(lambda: is_gone(int(told.read_text())))


def test_without_anyio_asyncio_does_the_same(tmp_path: Path) -> None:
    program = f"""
import asyncio, sys
from pathlib import Path
from doorward import guard

async def main():
    assert (await guard.run_async("/bin/echo", ["a"])).stdout == b"a\\n"
    task = asyncio.create_task(guard.run_async(sys.executable, ["-c", {PID_TOLD!r}], [sys.argv[1]]))
    while not Path(sys.argv[1]).exists():
        await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        assert "anyio" not in sys.modules
        print("cancelled")

asyncio.run(main())
"""
    told = tmp_path / "pid"
    done = subprocess.run([sys.executable, "-c", program, str(told)], capture_output=True, timeout=60, check=True)
    assert done.stdout == b"cancelled\n"
    wait_until(lambda: is_gone(int(told.read_text())))


def test_a_lone_surrogate_in_a_text_is_refused_and_in_a_path_is_a_name(tmp_path: Path) -> None:
    for operand in ("\ud800", "\udcff", "a\udc80b"):
        with pytest.raises(RefusedError, match="no character"):
            python("pass", operand)
    odd = tmp_path / "odd-\udcff"
    odd.write_text("it is there")
    assert run("/bin/cat", (), (odd,)).stdout == b"it is there"


@pytest.mark.parametrize("seconds", [1e7, 1e12, float("inf")])
def test_a_time_beyond_all_patience_is_taken(seconds: float) -> None:
    assert python("print('here')", timeout_seconds=seconds).stdout == b"here\n"


def test_a_program_that_became_another_users_is_no_riddle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel lets nobody end what ``sudo`` started: here it says so of our own child."""
    monkeypatch.chdir(tmp_path)

    def forbidden(_group: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "killpg", forbidden)
    assert python("print('here')") == Finished(0, b"here\n", b"", "exited")
    telling = (
        "import os, time\nopen('pid', 'w').write(str(os.getpid()))\nwhile True: print(flush=True); time.sleep(0.1)"
    )
    with pytest.raises(ConfinementError, match="another user's"):
        python(telling, timeout_seconds=2)
    pid = (tmp_path / "pid").read_text()
    wait_until(lambda: not Path("/proc", pid).exists())  # nobody reads what it says, and it is no zombie

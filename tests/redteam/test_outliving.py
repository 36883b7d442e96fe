"""A server cannot disable what would end it, nor leave behind what cannot be removed."""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

from tests.confine.conftest import World, finish

from doorward.confine.process import start
from doorward.confine.removal import remove_tree

# Asks for limits that it could set as well: under RLIMIT_NOFILE none who ends processes finds one any more.
LIMITER = """
import json, os, resource, sys
def tried(pid, name):
    try:
        return resource.prlimit(pid, getattr(resource, name))
    except PermissionError:
        return "refused"
pids = {"gateway": int(sys.argv[1]), "supervisor": os.getppid(), "itself": 0}
report = {who: [tried(pid, name) for name in ("RLIMIT_NOFILE", "RLIMIT_CPU")] for who, pid in pids.items()}
print(json.dumps(report))
"""


def run(walls: World, program: str, *arguments: object, **options: bool) -> tuple[int, str, str]:
    return walls.run((sys.executable, "-I", "-S", "-c", program, *map(str, arguments)), **options)


def test_a_server_sets_limits_on_itself_and_on_nobody_else(walls: World) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    status, said, error = run(walls, LIMITER, os.getpid())
    assert (status, error) == (0, "")
    report = json.loads(said)
    assert report["gateway"] == report["supervisor"] == ["refused", "refused"]
    assert "refused" not in report["itself"]
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_the_same_program_reaches_everybody_without_the_walls(walls: World) -> None:
    report = json.loads(run(walls, LIMITER, os.getpid(), unsafe_no_sandbox=True)[1])
    assert "refused" not in report["gateway"] + report["supervisor"]


KEYRINGS_AND_CLOCK = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"x86_64": (250, 227), "aarch64": (219, 112)}[os.uname().machine]
for number, arguments in zip(numbers, ((0, -4, 0), (0, None))):
    libc.syscall(number, *arguments)
    print(errno.errorcode[ctypes.get_errno()])
"""


def test_keyrings_and_the_clock_are_out_of_reach(walls: World) -> None:
    assert run(walls, KEYRINGS_AND_CLOCK)[1].split() == ["EPERM", "EPERM"]


def test_a_descriptor_above_the_limit_is_not_inherited(walls: World) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    high = os.dup2(os.open(walls.canary, os.O_RDONLY), soft - 1, inheritable=True)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft // 2, hard))
    try:
        said = run(walls, "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])")[1]
    finally:
        os.close(high)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert said == "[0, 1, 2]\n"


BURROW = """
import os
os.chdir(os.environ["TMPDIR"])
os.symlink("/", "link")
for _ in range(3000):
    os.mkdir("d")
    os.chdir("d")
"""


def test_a_temporary_folder_deeper_than_python_recurses_is_removed(walls: World) -> None:
    argv = (sys.executable, "-I", "-S", "-c", BURROW)
    child = start(argv, walls.profile(argv))
    assert finish(child)[0] == 0
    assert not os.path.lexists(child.temp)


def test_a_tree_is_removed_whatever_it_holds_and_what_its_links_name_stays(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o755)
    (kept / "file").write_text("kept")
    top = tmp_path / "top"
    for folder in ("a/b/c", "a/closed/inner", "same/same/same"):
        (top / folder).mkdir(parents=True)
        (top / folder / "file").write_text("gone")
        (top / folder / "link").symlink_to(kept)
    (top / "a" / "closed").chmod(0)
    remove_tree(str(top))
    assert not top.exists()
    assert (kept / "file").read_text() == "kept"
    assert kept.stat().st_mode & 0o777 == 0o755
    remove_tree(str(top))  # what is not there is removed already

"""Where a control group can be made, by what a machine says of itself: trees of files stand in for other machines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from doorward.confine import cgroups

V2 = "31 23 0:27 {top} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "3{n} 31 0:3{n} {top} /sys/fs/cgroup/{name} rw shared:9 - cgroup cgroup rw,{name}\n"
SCOPE = "user.slice/user-1000.slice/user@1000.service/app.slice/app-term.scope"

PROCESSORS = len(os.sched_getaffinity(0))


class Machine:
    """A root folder with what ``/proc`` says of control groups, and their folders."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "proc" / "self").mkdir(parents=True)
        self.tops = root / "sys/fs/cgroup"

    def say(self, own: str, mounts: str) -> None:
        (self.root / "proc/self/cgroup").write_text(own)
        (self.root / "proc/self/mountinfo").write_text(mounts)

    def folder(self, path: str, shared: str | None = None) -> Path:
        folder = self.tops / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.procs").write_text("")
        if shared is not None:
            (folder / "cgroup.subtree_control").write_text(shared)
        return folder

    def make(self, memory_bytes: int = 1 << 30, processes: int = 99, percent: int = 50) -> cgroups.Groups:
        made = cgroups.make(root=str(self.root))
        assert cgroups.cap(made, memory_bytes, processes, percent) == tuple(made)
        return made


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def unified(machine: Machine) -> Path:
    """Version 2 as systemd leaves it to a user; returns the folder that a group is made in."""
    machine.say(f"0::/{SCOPE}\n", V2.format(top="/"))
    machine.folder(SCOPE, "")
    app = machine.folder(os.path.dirname(SCOPE), "cpu memory pids\n")
    for above in ("user.slice/user-1000.slice/user@1000.service", "user.slice/user-1000.slice", "user.slice", ""):
        machine.folder(above, "cpu memory pids\n")
    return app


def test_version_2_makes_one_group_beside_ours_and_caps_all(machine: Machine) -> None:
    app = unified(machine)
    made = machine.make()
    folder = Path(made["memory"])
    assert made == dict.fromkeys(("memory", "pids", "cpu"), str(folder))
    assert folder.parent == app
    caps = {name: (folder / name).read_text() for name in ("memory.max", "memory.swap.max", "pids.max")}
    assert caps == {"memory.max": str(1 << 30), "memory.swap.max": "0", "pids.max": "99"}
    assert (folder / "cpu.max").read_text() == f"{PROCESSORS * 50_000} 100000"


def test_a_share_is_of_what_the_groups_above_leave(machine: Machine) -> None:
    app = unified(machine)
    (app / "cpu.max").write_text("max 100000\n")
    (app.parent / "cpu.max").write_text("80000 200000\n")
    assert Path(machine.make(percent=50)["cpu"], "cpu.max").read_text() == "20000 100000"
    assert Path(machine.make(percent=1)["cpu"], "cpu.max").read_text() == "1000 100000", "the kernel takes no less"


def test_where_processors_are_not_shared_out_the_rest_is_held(machine: Machine) -> None:
    app = unified(machine)
    (app / "cgroup.subtree_control").write_text("memory pids\n")
    made = machine.make()
    assert set(made) == {"memory", "pids"}
    assert Path(made["memory"]).parent == app
    assert not Path(made["memory"], "cpu.max").exists()


def test_no_cap_counts_and_does_not_bound(machine: Machine) -> None:
    unified(machine)
    folder = Path(machine.make(0, 0, 0)["memory"])
    files = ("memory.max", "pids.max", "cpu.max")
    assert {file.name: file.read_text() for file in folder.iterdir()} == dict.fromkeys(files, "max")


def test_an_ancestor_that_shares_out_only_one_is_passed_by(machine: Machine) -> None:
    app = unified(machine)
    (app / "cgroup.subtree_control").write_text("memory\n")
    assert Path(machine.make()["pids"]).parent == app.parent


def test_where_nothing_is_shared_out_there_is_no_group(machine: Machine) -> None:
    unified(machine)
    for control in machine.tops.rglob("cgroup.subtree_control"):
        control.write_text("io\n")
    assert machine.make() == {}
    assert list(machine.tops.rglob("doorward-*")) == []


def test_a_group_that_is_the_top_of_what_is_mounted_can_hold_none_beside_it(machine: Machine) -> None:
    machine.say("0::/\n", V2.format(top="/"))
    machine.folder("", "memory pids\n")
    assert machine.make() == {}


def test_version_1_makes_a_group_for_each_below_ours_also_where_only_a_part_is_mounted(machine: Machine) -> None:
    machine.say(
        "5:pids:/docker/abc/inner\n4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/docker/abc\n",
        "".join(
            V1.format(n=n, top="/docker/abc", name=name) for n, name in enumerate(("memory", "pids", "cpu,cpuacct"))
        ),
    )
    memory, pids, cpu = machine.folder("memory"), machine.folder("pids/inner"), machine.folder("cpu,cpuacct")
    for name, value in (("quota", "-1"), ("period", "100000")):
        (cpu / f"cpu.cfs_{name}_us").write_text(f"{value}\n")
    made = {name: Path(folder) for name, folder in machine.make().items()}
    assert {name: folder.parent for name, folder in made.items()} == {"memory": memory, "pids": pids, "cpu": cpu}
    assert (made["memory"] / "memory.limit_in_bytes").read_text() == str(1 << 30)
    assert (made["memory"] / "memory.memsw.limit_in_bytes").read_text() == str(1 << 30)
    assert (made["pids"] / "pids.max").read_text() == "99"
    assert (made["cpu"] / "cpu.cfs_quota_us").read_text() == str(PROCESSORS * 50_000)


def test_what_one_hierarchy_does_not_give_the_other_still_does(machine: Machine) -> None:
    """Hybrid: memory of version 1, which is not to be had, and processes of version 2."""
    app = unified(machine)
    own = (machine.root / "proc/self/cgroup").read_text()
    machine.say("4:memory:/../elsewhere\n" + own, V1.format(n=0, top="/..", name="memory") + V2.format(top="/"))
    made = machine.make()
    assert {name: Path(folder).parent for name, folder in made.items()} == {"pids": app, "cpu": app}


@pytest.mark.parametrize("missing", ["proc/self/cgroup", "proc/self/mountinfo"])
def test_a_machine_that_says_nothing_has_no_group(machine: Machine, missing: str) -> None:
    unified(machine)
    (machine.root / missing).unlink()
    assert machine.make() == {}


AS_SOMEBODY = """
import os, sys
from doorward.confine import caps, cgroups
if os.getuid() == 0:
    os.setgroups([]); os.setgid(64321); os.setuid(64321)
root, most = sys.argv[1], int(sys.argv[2])
print(len(cgroups.make(root=root)), flush=True)
caps.restrict(0, 0, 0, most)
count = 0
try:
    while count < 300:
        if os.fork() == 0:
            os.read(0, 1)
            os._exit(0)
        count += 1
except BlockingIOError:
    pass
print(count, caps.bound_of_user(most) > 0, flush=True)
"""


def test_without_a_group_the_processes_of_the_user_are_bounded(machine: Machine) -> None:
    """Root, whom that would not bind, becomes somebody else for it; folders of others are no place for a group."""
    unified(machine)
    machine.root.chmod(0o755)
    for folder in (machine.tops, *machine.tops.rglob("*")):
        folder.chmod(0o555 if folder.is_dir() else 0o444)
    with subprocess.Popen(
        [sys.executable, "-c", AS_SOMEBODY, str(machine.root), "60"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as done:
        assert done.stdout is not None
        groups, (count, bounded) = done.stdout.readline().strip(), done.stdout.readline().split()
        done.communicate(timeout=60)
    assert groups == "0"
    assert bounded == "True"
    assert 20 < int(count) <= 60

"""What the tree of a server uses, with a control group and without."""

from __future__ import annotations

import os
import sys

import pytest
from tests.confine.conftest import BOUND_SECONDS, World

from doorward.confine.process import start
from doorward.confine.usage import Usage, measure, top

BUSY = """
import os, sys
held = bytearray(64 << 20)
opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
if os.fork() == 0:
    while os.times().user < 0.2: pass
    os._exit(0)
os.wait()
if os.fork() == 0:
    os.read(0, 1)
    os._exit(0)
print("up", flush=True)
os.read(0, 1)
"""


@pytest.mark.parametrize("grouped", [True, False])
def test_it_is_of_the_whole_tree_and_of_what_has_ended(each_world: World, grouped: bool) -> None:
    argv = [sys.executable, "-I", "-S", "-c", BUSY]
    child = start(argv, each_world.profile(argv))
    with child, open(child.stdin, "w"), open(child.stdout) as out, open(child.stderr):
        child.started(BOUND_SECONDS)
        assert out.readline() == "up\n"
        used = measure(top(child.supervisor, each_world.mechanism), child.groups if grouped else {})
        assert used.processes == 2
        assert 64 << 20 <= used.memory_bytes < 1 << 30
        assert 0.2 <= used.processor_seconds < 60
        assert 46 <= used.descriptors < 200
        child.kill_tree(BOUND_SECONDS)
        assert measure(child.supervisor, {}) == Usage(0, 0.0, 0, 0)


def test_nothing_is_used_by_a_process_that_is_not_there() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert measure(child, {"memory": "/nowhere", "pids": "/nowhere"}) == Usage(0, 0.0, 0, 0)

"""Of a server and all that it started nothing outlives its gateway, whoever is ended or stopped in whatever order.

The storm of ``tests/confine``: daemons that fork twice, leave their session and hear no signal, behind a real `wrap`.
Each seed draws who gets which signal, one after the other and without a rest or with one; at last the gateway is
killed. `make test` plays a tenth of the seeds, `make soak` all (``DOORWARD_WHOLE=1``).

A supervisor that somebody stopped ends nothing. With namespaces the kernel ends what a killed one leaves; without them
a daemon outlives its gateway and its supervisor when both are killed at once. In either case what is left ends when the
next gateway starts: then that start is part of the sequence.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.confine.test_supervision import STORM, still_there
from tests.descendants import below
from tests.gateway.wrapping import World, Wrapped, wait_until, world_in
from tests.lab.drawing import DRAW, WHOLE

from doorward.confine import cgroups, tree

SEEDS = range(200) if WHOLE else sorted(random.Random(DRAW).sample(range(200), 20))  # noqa: S311 - a choice
MECHANISMS = ("namespaces", "landlock")
DAEMONS = 6
SIGNALS = (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM)
GATHERED = re.compile(rf"(?:\d+ ){{{DAEMONS}}}\d+")

WRAP_BY = """
import msgspec, sys
from doorward.confine import process
start, mechanism = process.start, sys.argv.pop(1)
process.start = lambda argv, walls, **more: start(argv, msgspec.structs.replace(walls, mechanism=mechanism), **more)
from doorward.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with world_in(tmp_path) as made:
        yield made


@contextmanager
def watched(pids: set[int]) -> Iterator[dict[int, int]]:
    """Descriptors of processes; whatever of them is left at the end is killed."""
    descriptors = {pid: os.pidfd_open(pid) for pid in sorted(pids)}
    try:
        yield descriptors
    finally:
        for descriptor in descriptors.values():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            os.close(descriptor)


def play(seed: int, gateway: Wrapped, launcher: int, descriptors: dict[int, int]) -> list[tuple[int, int]]:
    """Who got which signal; the last is the end of the gateway."""
    draw = random.Random(seed)  # noqa: S311 - a choice, not a secret
    done = []
    others = sorted(descriptors.keys() - {gateway.pid, launcher})
    for _ in range(draw.randrange(2, 8)):
        pid = draw.choice((gateway.pid, launcher, draw.choice(others), draw.choice(others)))
        number = draw.choice(SIGNALS)
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptors[pid], number)
        done.append((pid, number))
        if number == signal.SIGKILL and draw.random() < 0.5:
            assert still_there([descriptors[pid]]) == set()
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptors[gateway.pid], signal.SIGKILL)
    return [*done, (gateway.pid, signal.SIGKILL)]


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_outlives_its_gateway(seed: int, world: World) -> None:
    mechanism = MECHANISMS[seed % 2]
    command = (sys.executable, "-I", "-S", "-c", STORM, str(DAEMONS), "deaf")
    argv = (sys.executable, "-c", WRAP_BY, mechanism, "--state", str(world.state), "wrap", "--", *command)
    gateway = world.run(argv, start_new_session=True)
    wait_until(lambda: GATHERED.search(gateway.stderr) is not None, f"the storm has gathered: {gateway.stderr}")
    (launcher,) = tree.children(gateway.pid)
    with watched({gateway.pid, *below(gateway.pid)}) as descriptors:
        assert len(descriptors) >= 1 + 1 + 1 + DAEMONS
        played = play(seed, gateway, launcher, descriptors)
        gateway.wait()
        helpless = {signal.SIGSTOP, signal.SIGKILL} if mechanism == "landlock" else {signal.SIGSTOP}
        if any((launcher, number) in played for number in helpless):
            assert cgroups.held(), "the next start finds what nobody was left to end"
        left = still_there([*descriptors.values()])
        assert {pid for pid, one in descriptors.items() if one in left} == set(), (launcher, played)

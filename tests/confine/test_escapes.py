"""Every way out that we know, tried by a canary in each mechanism, as root and as an ordinary user, and without walls.

The table says how a success would be seen. Wherever there is harm outside, it is looked for outside: a listener that
heard, a file that changed, a process that died, a secret that the canary can only know from where it was not to look.
Its own word (``word``) counts where there is nothing else to see: a capability of the kernel that it got hold of.

Each probe is played without walls as well, where it must succeed, or the table says why that proves nothing here:
then a failure inside is worth less. ``gap`` is what a mechanism does not close, as its module says too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from doorward.confine import landlock

LANDLOCK = "landlock"
ROOT_ONLY = "only root may do this, whoever keeps it from others"
PERHAPS = "not every kernel or machine has it, or lets anybody use it"
FIRST = "the first process is often somebody else's, even for root"
ONLY_METADATA = "Landlock has no right for it: what can be read and written stays the same"


class Probe(NamedTuple):
    """How success shows; why it proves nothing without walls, as ``root`` and as ``ordinary`` user; what is open."""

    proof: str
    root: str = ""
    ordinary: str = ""
    gap: dict[str, str] = {}  # noqa: RUF012 - nobody changes it


SIGNALS = frozenset(
    {
        "kill another process",
        "kill another process by its descriptor",
        "kill another process by a queued signal",
        "kill another process as owner of a pipe",
        "kill a group of processes",
        "kill what keeps it",
        "signal everybody",
    }
)
ABI_WITH_PORTS, ABI_WITH_SIGNALS = 4, 6
"""What Landlock closes since then only; it says so at the start (``landlock.GAPS``), and the doctor too."""


def unproven(proof: str, why: str) -> Probe:
    return Probe(proof, root=why, ordinary=why)


FILES = {
    "a file outside": Probe("told"),
    "a folder outside": Probe("told"),
    "the home": Probe("told"),
    "doorward's keys": Probe("told"),
    "a link in its folder": Probe("told"),
    "a hard link in its folder": Probe("told"),
    "the temporary folder of all": Probe("told"),
    "a setuid program": Probe("told", ordinary="nobody but root can set up another user's program"),
    "sudo": unproven("told", "only where sudo is installed and asks for nothing"),
    "make a file outside": Probe("changed"),
    "change a file outside": Probe("changed"),
    "empty a file outside": Probe("changed"),
    "remove a file outside": Probe("changed"),
    "move a file out of its place": Probe("changed"),
    "move a file of its own outside": Probe("changed"),
    "change a file that it may read": Probe("changed"),
    "change modes outside": Probe("changed", gap={LANDLOCK: ONLY_METADATA}),
    "change access lists outside": Probe("changed", PERHAPS, PERHAPS, {LANDLOCK: ONLY_METADATA}),
    "change times outside": Probe("changed", gap={LANDLOCK: ONLY_METADATA}),
    "change modes of a device": Probe("word", ordinary=ROOT_ONLY, gap={LANDLOCK: ONLY_METADATA}),
    "events of a folder outside": Probe("told", gap={LANDLOCK: "inotify asks for no right of Landlock's"}),
    "leave a setuid program": Probe("changed"),
    "make a device": Probe("changed", ordinary=ROOT_ONLY),
    "a file above the cap": Probe("changed"),
    "its temporary folder made a link": unproven("changed", "who removes it follows no link, whoever made it"),
    "a link planted for the next start": Probe("told"),
    "a pipe planted for the parent": unproven("changed", "the stage would stand still, and its bound end it"),
}
PROCESSES = {
    "the list of processes": Probe("word"),
    "arguments of another process": Probe("told"),
    "environment of another process": Probe("told", ordinary=PERHAPS),
    "files of another process": Probe("told", ordinary=PERHAPS),
    "root of another process": Probe("told", ordinary=PERHAPS),
    "root of its supervisor": Probe("told"),
    "root of the first process": unproven("told", FIRST),
    "memory of the first process": unproven("word", FIRST),
    "environment of the first process": unproven("word", FIRST),
    "take a descriptor of another process": Probe("told", ordinary=PERHAPS),
    "forge a report of its supervisor": Probe("changed", ordinary="it may not be looked into by others of its user"),
    "read another's memory": Probe("told", ordinary=PERHAPS),
    "write another's memory": Probe("changed", ordinary=PERHAPS),
    "write another's memory by its file": Probe("changed", ordinary=PERHAPS),
    "trace another process": Probe("died", ordinary=PERHAPS),
    "trace its supervisor": Probe("word", ordinary="it may not be looked into by others of its user"),
    "kill another process": Probe("died"),
    "kill another process by its descriptor": Probe("died"),
    "kill another process by a queued signal": Probe("died"),
    "kill another process as owner of a pipe": Probe("died"),
    "kill a group of processes": Probe("died"),
    "kill what keeps it": Probe("died"),
    "signal everybody": unproven("changed", "it is not tried: everybody on the machine would be signalled"),
    "limit another process": Probe("changed"),
    "slow another process down": Probe("changed"),
    "starve another process": Probe("changed"),
}
NETWORK = {
    "tcp": Probe("heard"),
    "tcp of IPv6": unproven("heard", PERHAPS),
    "tcp of IPv4 in IPv6": unproven("heard", PERHAPS),
    "tcp to the machine's own address": Probe("heard"),
    "tcp to a target": Probe("heard"),
    "tcp through the proxy": unproven("heard", "without walls there is no proxy, and none is needed"),
    "tcp with fast open": Probe("heard"),
    "tcp with fast open by sendmsg": Probe("heard"),
    "tcp with fast open on connect": Probe("heard"),
    "multipath tcp": unproven("heard", PERHAPS),
    "sctp": unproven("heard", PERHAPS),
    "udp": Probe("heard"),
    "udp of IPv6": unproven("heard", PERHAPS),
    "a raw socket": Probe("heard", ordinary=ROOT_ONLY),
    "a packet socket": Probe("word", ordinary=ROOT_ONLY),
    "netlink": Probe("word"),
    "netlink events": Probe("word"),
    "the machine's host (vsock)": unproven("word", PERHAPS),
    "the kernel's ciphers": unproven("word", PERHAPS),
    "tables of the network": Probe("told", gap={LANDLOCK: "they lie in its own entry of /proc"}),
    "listen on a port": Probe("heard"),
    "listen without a port": Probe("heard"),
    "a socket with a path": Probe("heard"),
    "a socket with a path in its folder": Probe("heard"),
    "a datagram socket with a path": Probe("heard"),
    "a packet socket with a path": Probe("heard"),
    "an abstract socket": Probe("heard"),
    "an abstract datagram socket": Probe("heard"),
    "take a name from others": Probe("changed"),
    "a pair turned to a path": Probe("heard"),
    "a raw pair turned to a path": Probe("heard"),
    "shared memory of another process": Probe("told"),
    "a message queue": Probe("heard"),
    "a semaphore": Probe("heard"),
    "a queue with a name": unproven("heard", PERHAPS),
    "shared memory with a name": Probe("changed"),
    "a terminal": Probe("heard"),
    "input to a terminal": unproven("heard", PERHAPS),
}
KERNEL = {
    "a user namespace": unproven("word", PERHAPS),
    "a user namespace, high bits set": unproven("word", "the kernel refuses the bits itself"),
    "a user namespace by clone": unproven("word", PERHAPS),
    "a user namespace by clone, high bits set": unproven("word", PERHAPS),
    "a user namespace with a network": unproven("word", PERHAPS),
    "clone3": unproven("word", PERHAPS),
    "a network namespace": Probe("word", ordinary=ROOT_ONLY),
    "a mount namespace": Probe("word", ordinary=ROOT_ONLY),
    "namespace of the first process (mnt)": unproven("word", FIRST),
    "namespace of the first process (net)": unproven("word", FIRST),
    "namespace of the first process (user)": unproven("word", FIRST),
    "namespace of the first process (pid)": unproven("word", FIRST),
    "mount in its folder": Probe("changed", ordinary=ROOT_ONLY),
    "mounts of the machine": Probe("changed", ordinary=ROOT_ONLY),
    "bind a folder outside over its own": Probe("told", ordinary=ROOT_ONLY),
    "a mount of the machine's by descriptor": Probe("word", ordinary=ROOT_ONLY),
    "make a read-only mount writable": Probe("changed", ordinary=ROOT_ONLY),
    "take a mount away": Probe("changed", ordinary=ROOT_ONLY),
    "a new file system": Probe("word", ordinary=ROOT_ONLY),
    "another root folder": Probe("word", ordinary=ROOT_ONLY),
    "io_uring": unproven("word", PERHAPS),
    "userfaultfd": unproven("word", PERHAPS),
    "bpf": unproven("word", PERHAPS),
    "perf": unproven("word", PERHAPS),
    "a key of the user's": unproven("told", PERHAPS),
    "leave a key": unproven("word", PERHAPS),
    "a file by its handle": Probe("word", ordinary=ROOT_ONLY),
    "the kernel's log": unproven("word", PERHAPS),
    "the clock": unproven("word", PERHAPS),
    "the host's name": Probe("word", ordinary=ROOT_ONLY),
    "modules": unproven("word", PERHAPS),
    "swap": unproven("word", PERHAPS),
    "calls of another architecture": unproven("word", PERHAPS),
    "the core pattern": unproven("word", PERHAPS),
    "settings of the kernel": unproven("word", PERHAPS),
    "files of the kernel": unproven("word", PERHAPS),
    "memory of the machine": unproven("word", PERHAPS),
    "devices": Probe("word"),
    "a control group": unproven("changed", PERHAPS),
    "move to another control group": unproven("word", PERHAPS),
}
COUNTED = {"memory above the cap, in shared pages": "memory", "forks without end": "pids"}
"""What only a control group keeps from every user in every mechanism, and by which of its resources (``caps``)."""

OTHERS = "root's other programs would do without for a moment"
OWN = {
    "keep others from writing what it may read": Probe("changed"),
    "all watches of its user": Probe("changed", root=OTHERS, gap={LANDLOCK: "the kernel counts them by user"}),
    "all marks of its user": Probe("changed", root=OTHERS, ordinary=PERHAPS),
    "all signals of its user": Probe("changed", root=OTHERS),
    "secrets of the environment": Probe("told"),
    "inherited descriptors": Probe("told"),
    "memory above the cap": Probe("word"),
    "a limit raised": Probe("word"),
    "memory above the cap, in shared pages": Probe("word"),
    "forks without end": Probe("word"),
}
PROBES = {**FILES, **PROCESSES, **NETWORK, **KERNEL, **OWN}

MECHANISMS = ("namespaces", "landlock")
USERS = ("root", "ordinary")
OPEN = {
    "none": frozenset[str](),
    "public": frozenset({"tcp through the proxy"}),
    "target": frozenset({"tcp to a target"}),
}
"""What each profile allows: strict without a network, the default, and strict with a target that was named. Without
namespaces there is no proxy.
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that every user may enter, with the room of walls and the canary in it."""
    with tempfile.TemporaryDirectory(prefix="escapes-") as folder:
        top = Path(folder)
        top.chmod(0o777)
        room = Path(landlock.__file__).parent
        package = top / "lib" / "doorward"
        shutil.copytree(room, package / "confine", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("__init__.py", "errors.py"):
            shutil.copy(room.parent / name, package / name)
        shutil.copy(Path(__file__).with_name("escape_canary.py"), top / "canary.py")
        played.cache_clear()
        yield top


@cache
def played(place: Path, user: str, mechanism: str, network: str, bare: str) -> dict[str, Any]:
    """One run of the stage: by how it is proven, the probes that were."""
    # Whatever root's interpreter lies in may be closed to others: the canary needs one that is not.
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") if os.getuid() == 0 else sys.executable
    told = {
        "package": str(place / "lib"),
        "canary": str(place / "canary.py"),
        "top": str(place),
        "python": python,
        "user": user,
        "mechanism": mechanism,
        "network": network,
        "bare": bare,
    }
    words = {name: f"secret-{os.urandom(12).hex()}" for name in ("SERVICE_TOKEN", "DOORWARD_SECRET")}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("escape_stage.py")), json.dumps(told)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | words,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def succeeded(found: dict[str, Any]) -> set[str]:
    return {name for name, probe in PROBES.items() if name in found[probe.proof]}


def as_user(user: str) -> str:
    if user == "root" and os.getuid() != 0:
        pytest.skip("whoever is not root cannot be it")
    return user


@pytest.mark.parametrize(
    ("mechanism", "network"),
    [*((mechanism, network) for mechanism in MECHANISMS for network in OPEN), ("namespaces alone", "public")],
)
@pytest.mark.parametrize("user", USERS)
def test_no_probe_gets_out(place: Path, user: str, mechanism: str, network: str) -> None:
    if mechanism == LANDLOCK and network == "target" and landlock.detect_abi() < ABI_WITH_PORTS:
        pytest.skip("this kernel's Landlock knows no ports, so a server that wants one is not started")
    found = played(place, as_user(user), mechanism, network, "")
    tried = {*found["said"], *found["failed"]}
    assert {*PROBES} - tried <= {"kill what keeps it", "mounts of the machine"}, "each was tried"
    assert tried <= {*PROBES}, "what was tried stands in the table"
    gaps = {name for name, probe in PROBES.items() if mechanism in probe.gap}
    if mechanism == LANDLOCK and landlock.detect_abi() < ABI_WITH_SIGNALS:
        gaps |= SIGNALS
    gaps |= {name for name, resource in COUNTED.items() if resource not in found["counted"]}
    allowed = OPEN[network] - ({"tcp through the proxy"} if mechanism == LANDLOCK else set())
    assert succeeded(found) - gaps == allowed


@pytest.mark.parametrize("user", USERS)
def test_each_probe_succeeds_without_walls_or_the_table_says_why_not(place: Path, user: str) -> None:
    runs = [played(place, as_user(user), LANDLOCK, "none", bare) for bare in ("supervised", "as a client")]
    proven = set.union(*map(succeeded, runs))
    expected = {name for name, probe in PROBES.items() if not getattr(probe, user)}
    assert expected - proven == set()
    assert len(proven) >= 24

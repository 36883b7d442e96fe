"""What a server may use up of the machine is bounded, and it cannot lift that; the same server without is the proof."""

from __future__ import annotations

import json
import os
import signal
import sys
import textwrap
from typing import Any

import msgspec
from tests.confine.conftest import World, finish

from doorward.confine.process import start

MIB = 1 << 20
HOARD = f"held = bytearray({400 * MIB}); print('held', len(held))"
LIFT = """
import resource
try:
    resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print("lifted")
except (ValueError, OSError) as refused:
    print("refused")
"""


def run(world: World, script: str, *, unsafe_no_sandbox: bool = False, **caps: Any) -> tuple[int, str, str]:
    argv = [sys.executable, "-I", "-c", script]
    profile = msgspec.structs.replace(world.profile(argv, write=[str(world.folder)]), **caps)
    return finish(start(argv, profile, unsafe_no_sandbox=unsafe_no_sandbox))


def limits(world: World, **caps: Any) -> dict[str, Any]:
    names = "('DATA', 'FSIZE', 'NOFILE', 'CORE')"
    script = (
        f"import json, resource as r; print(json.dumps({{n: r.getrlimit(getattr(r, 'RLIMIT_' + n)) for n in {names}}}))"
    )
    status, out, err = run(world, script, **caps)
    assert status == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_over_its_memory_a_server_gets_no_more(world: World) -> None:
    status, out, err = run(world, HOARD, memory_bytes=256 * MIB)
    assert (status, out) == (1, "")
    assert "MemoryError" in err


def test_without_a_cap_the_same_server_holds_it_all(world: World) -> None:
    assert run(world, HOARD) == (0, f"held {400 * MIB}\n", "")


def test_what_a_server_starts_has_the_cap_too(world: World) -> None:
    script = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-I', '-c', {HOARD!r}]).returncode)"
    status, _, err = run(world, script, memory_bytes=256 * MIB)
    assert status == 1
    assert "MemoryError" in err


def test_nobody_lifts_the_cap_again_not_even_root(world: World) -> None:
    assert run(world, LIFT, memory_bytes=256 * MIB)[1] == "refused\n"
    assert run(world, LIFT, memory_bytes=256 * MIB, unsafe_no_sandbox=True)[1] == "refused\n"


def test_a_file_that_grows_beyond_the_cap_ends_whoever_writes_it(world: World) -> None:
    script = textwrap.dedent(
        f"""
        import os, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        f = os.open({str(world.folder / "log")!r}, os.O_CREAT | os.O_WRONLY)
        for _ in range(3):
            os.write(f, b"x" * {MIB})
        """
    )
    status, _, _ = run(world, script, file_bytes=2 * MIB)
    assert status == 128 + signal.SIGXFSZ
    assert os.stat(world.folder / "log").st_size == 2 * MIB


def test_a_cap_lowers_a_limit_and_never_raises_one(world: World) -> None:
    usual = limits(world)
    capped = limits(world, memory_bytes=512 * MIB, file_bytes=1 << 62, descriptors=200)
    assert capped["DATA"] == [512 * MIB, 512 * MIB]
    assert capped["NOFILE"] == [min(200, usual["NOFILE"][0]), 200]
    assert usual["CORE"] == capped["CORE"] == [0, 0]
    assert usual["DATA"] != capped["DATA"]

"""Another program of the same user, without walls, looks into Doorward: its memory, environment, descriptors."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from tests.gateway.serving import ACCEPT, Client, by_command, by_url, initialize
from tests.gateway.wrapping import DOORWARD, World, Wrapped, crafted, wait_until

# Root could look into anything, and into itself no program that has less: so nobody here has what makes root more.
UNPRIVILEGED = """
import os, sys
from doorward.confine import privileges
privileges.drop()
os.execv(sys.argv[1], sys.argv[1:])
"""
ONLOOKER = """
import ctypes, json, os, sys
pid = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
def attach():
    if libc.ptrace(0x4206, int(pid), None, None):  # PTRACE_SEIZE: ATTACH would stop it
        raise OSError(ctypes.get_errno(), "ptrace")
tries = {
    "memory": lambda: open(f"/proc/{pid}/mem", "rb").close(),
    "environment": lambda: open(f"/proc/{pid}/environ", "rb").read(1),
    "descriptors": lambda: os.readlink(f"/proc/{pid}/fd/0"),
    "program": lambda: os.readlink(f"/proc/{pid}/exe"),
    "attach": attach,
}
seen = {}
for name, act in tries.items():
    try:
        act()
    except PermissionError:
        seen[name] = "refused"
    else:
        seen[name] = "open"
print(json.dumps(seen))
"""
LOOKED_AT = {"memory", "environment", "descriptors", "program"}  # whether others may attach, Yama decides as well


def unprivileged(*argv: str) -> tuple[str, ...]:
    return (sys.executable, "-c", UNPRIVILEGED, *argv)


def looked_into(pid: int) -> dict[str, str]:
    argv = unprivileged(sys.executable, "-I", "-S", "-c", ONLOOKER, str(pid))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)
    seen: dict[str, str] = json.loads(done.stdout)
    return seen


def is_closed(pid: int) -> bool:
    return set(looked_into(pid).values()) == {"refused"}


def is_open(pid: int) -> bool:
    return {name for name, how in looked_into(pid).items() if how == "open"} >= LOOKED_AT


def serving(world: World, name: str, policy: str) -> tuple[Wrapped, int]:
    path = world.top / f"{name}.toml"
    path.write_text(policy)
    general = ("-c", str(path), "--state", str(world.state))
    serve = world.run(unprivileged(*DOORWARD, *general, "serve", "--listen", "127.0.0.1:0"))
    ready = re.compile(r"^doorward: serving \w+ at http://127\.0\.0\.1:(\d+)/", re.MULTILINE)
    wait_until(lambda: ready.search(serve.stderr) is not None, "a gateway that serves")
    (port,) = set(ready.findall(serve.stderr))
    return serve, int(port)


def test_an_ordinary_program_is_open_to_others_of_its_user() -> None:
    argv = unprivileged(sys.executable, "-I", "-S", "-c", "print(flush=True); input()")
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as ordinary:
        assert ordinary.stdout is not None
        ordinary.stdout.readline()
        seen = is_open(ordinary.pid)
        ordinary.kill()
    assert seen


def test_wrap_is_closed_to_them(world: World) -> None:
    wrapped = world.run(unprivileged(*DOORWARD, "--state", str(world.state), "wrap", "--", *crafted()))
    wrapped.initialize()
    assert is_closed(wrapped.pid)
    assert wrapped.text("echo", text="and works") == "and works"


def test_serve_is_closed_to_them(world: World) -> None:
    serve, _ = serving(world, "closed", by_command(crafted()))
    assert is_closed(serve.pid)


def test_whoever_calls_a_gateway_on_this_machine_can_be_seen_by_it(world: World) -> None:
    _, behind = serving(world, "behind", by_command(crafted()))
    serve, port = serving(world, "before", by_url(f"http://127.0.0.1:{behind}/child/mcp"))
    assert is_open(serve.pid)
    client = Client(port)
    opened = client.ask("POST", {"Accept": ACCEPT}, initialize("2025-11-25", None))
    client.close()
    assert opened.status == 200, (opened, serve.stderr)

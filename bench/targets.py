"""What is measured: the upstream itself, and six ways to it. Each is started once, and stays for the whole run."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from processes import GATEWAY_CORE, HERE, LOAD_CORE, ROOT, Started, build, free_port, quit_with, runs

from doorward.lab.targets.published import Installed, NotInstalled, find

os.environ.setdefault("DOORWARD_TARGETS", str(ROOT / ".cache" / "targets"))

NAMES = ("alone", "direct", "nginx", "doorward", "fastmcp", "supergateway", "mcp-proxy")
"""``direct`` shares the load's core, as every upstream does; ``alone`` is the same server asked from the other core."""

NPM = ("supergateway", "mcp-proxy")
SLOW = ("fastmcp", *NPM)
ERAS = {"legacy": NAMES, "modern": ("alone", "direct", "nginx", "doorward")}
"""Who is measured in which era. The peers are compared in the one that all of them speak by default."""


class Target(NamedTuple):
    """Somebody who answers at a port, and the server behind; for ``direct`` and ``alone`` the two are one."""

    name: str
    port: int
    process: Started
    upstream: Started

    @property
    def load_core(self) -> int:
        return GATEWAY_CORE if self.name == "alone" else LOAD_CORE

    @property
    def cores(self) -> tuple[int, ...]:
        """Those that work for it, the load included."""
        return (LOAD_CORE,) if self.name == "direct" else (LOAD_CORE, GATEWAY_CORE)

    def pids(self) -> tuple[int, ...]:
        """Whose cost is measured: without the children that are its upstream."""
        if self.process is self.upstream:
            return (self.process.pid,)
        return tuple(pid for pid in self.process.processes() if not runs(pid, build("upstream")))

    def beside(self) -> tuple[int, ...]:
        """What works for it on the load's core, besides the load."""
        children = (pid for pid in self.process.processes() if runs(pid, build("upstream")))
        return tuple({self.upstream.pid, *children})


class Plan(NamedTuple):
    """How targets are started: a directory of their own, the doorward to measure, and the scheduler's favour."""

    work: Path
    doorward: tuple[str, ...]
    realtime: bool = False

    @property
    def env(self) -> dict[str, str]:
        return {
            "HOME": str(self.work),
            "PATH": os.environ.get("PATH", os.defpath),
            "XDG_RUNTIME_DIR": str(self.work),
            "NODE_ENV": "production",
        }

    def start(self, name: str, argv: tuple[str, ...], core: int = GATEWAY_CORE) -> Started:
        return Started(argv, core, self.work / f"{name}.log", self.env, realtime=self.realtime)


@contextmanager
def started(names: tuple[str, ...], plan: Plan) -> Iterator[dict[str, Target]]:
    """Start the upstream and these targets; end them all."""
    with ExitStack() as stack:
        upstream_port = free_port()
        upstream = stack.enter_context(start_upstream(plan, upstream_port))
        targets = {}
        for name in names:
            if name in {"alone", "direct"}:
                targets[name] = Target(name, upstream_port, upstream, upstream)
                continue
            port = free_port()
            process = stack.enter_context(plan.start(name, command(name, plan, upstream_port, port)))
            process.wait_for_port(port)
            targets[name] = Target(name, port, process, upstream)
        yield targets


def start_upstream(plan: Plan, port: int, *options: str) -> Started:
    process = plan.start("upstream", (str(build("upstream")), "--port", str(port), *options), LOAD_CORE)
    process.wait_for_port(port)
    return process


def command(name: str, plan: Plan, upstream: int, port: int) -> tuple[str, ...]:
    """The command line of a gateway that stands at ``port``."""
    url, server = f"http://127.0.0.1:{upstream}/mcp", (str(build("upstream")), "--stdio", "--core", str(LOAD_CORE))
    if name == "nginx":
        return nginx(plan.work, upstream, port)
    if name == "doorward":
        return serve(plan, port, url)
    if name == "fastmcp":
        return (str(_installed("fastmcp").root / "venv/bin/python"), str(HERE / "fastmcp_proxy.py"), url, str(port))
    argv = _installed(name).argv
    if name == "supergateway":
        how = ("--outputTransport", "streamableHttp", "--stateful", "--logLevel", "none", "--port", str(port))
        return (*argv, "--stdio", " ".join(server), *how)
    how = ("--server", "stream", "--no-eventStore", "--host", "127.0.0.1", "--port", str(port))
    return (*argv, *how, "--", *server)


def serve(plan: Plan, port: int, upstream: str) -> tuple[str, ...]:
    """``doorward serve``, with a state of its own and the bench's policy, copied, since pins are kept beside it."""
    policy = shutil.copy(HERE / "doorward.toml", plan.work)
    general = ("-c", str(policy), "--state", str(plan.work / "state"))
    return (*plan.doorward, *general, "serve", "--listen", f"127.0.0.1:{port}", "--upstream", upstream)


def nginx(work: Path, upstream: int, port: int) -> tuple[str, ...]:
    """nginx by its path, with a configuration of its own: no service of this machine is touched."""
    unpacked = ROOT / ".cache" / "nginx" / "usr" / "sbin" / "nginx"
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:{unpacked.parent}")
    if program is None:
        quit_with("there is no nginx", "sh tools/bench.sh --install")
    text = (HERE / "nginx.conf").read_text()
    for word, value in {"@WORK@": str(work), "@UPSTREAM@": str(upstream), "@PORT@": str(port)}.items():
        text = text.replace(word, value)
    user = "user root;\n" if os.getuid() == 0 else ""  # its directories are ours; nobody else has to enter them
    conf = work / "nginx.conf"
    conf.write_text(user + text)
    return (program, "-p", str(work), "-c", str(conf))


def doorward_program(chosen: str | None) -> tuple[str, ...]:
    program = chosen or shutil.which("doorward", path=str(Path(sys.executable).parent))
    return (program,) if program else (sys.executable, "-m", "doorward")


def _installed(name: str) -> Installed:
    found = find(name, locks=HERE / "peers")
    if isinstance(found, NotInstalled):
        quit_with(f"{name}: {found.reason}", "make bench-http installs it")
    return found

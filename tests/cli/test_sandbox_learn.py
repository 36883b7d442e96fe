"""`doorward sandbox learn`: real programs run inside their walls, and what they wanted beyond them is proposed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

MECHANISMS = ("namespaces", "landlock")


class Learner:
    """A home, a server's folder, and something outside of it."""

    def __init__(self, top: Path) -> None:
        self.top = top.resolve()
        self.home, self.notes, self.data, self.out = (self.top / name for name in ("home", "notes", "data", "out"))
        for folder in (self.home / ".ssh", self.notes, self.data, self.out):
            folder.mkdir(parents=True)
        for name in "abc":
            (self.data / f"{name}.csv").write_text(name)
        self.single = self.top / "single.txt"
        self.single.write_text("single\n")
        self.key = self.home / ".ssh" / "id_ed25519"
        self.key.write_text("the key")

    def start(self, *words: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "doorward", "sandbox", "learn", "--name", "notes", *words]
        return subprocess.Popen(
            ["env", "--default-signal", *argv],  # under nohup one would be ignored
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.notes,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "DOORWARD_STATE": str(self.top / "state"),
                "XDG_RUNTIME_DIR": str(self.top),
            },
        )

    def learn(self, *words: str, said: str = "") -> tuple[str, str]:
        running = self.start(*words)
        out, err = running.communicate(said, timeout=120)
        assert running.returncode == 0, err
        return out, err

    def wishes(self, *words: str) -> dict[str, dict[str, Any]]:
        """By what is wanted; what every Python looks for in /etc is left out."""
        _, err = self.learn("--json", *words)
        found = json.loads(err.splitlines()[-1])["wishes"]
        return {one["what"]: one for one in found if not one["what"].startswith(("/etc/python", "/etc/locale"))}


@pytest.fixture
def learner(tmp_path: Path) -> Learner:
    return Learner(tmp_path)


READS = """
import os, sys
for path in sys.argv[1].split(","):
    try:
        open(path).read()
        print("read", path)
    except OSError:
        pass
print(sys.stdin.read(), end="")
"""


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_python_that_reads_outside_is_refused_and_what_it_wanted_is_named(learner: Learner, mechanism: str) -> None:
    paths = [
        *map(str, sorted(learner.data.iterdir())),
        str(learner.single),
        str(learner.key),
        str(learner.top / "none"),
    ]
    command = ("--sandbox", mechanism, "--", sys.executable, "-c", READS, ",".join(paths))
    out, _ = learner.learn(*command, said="a line of its client's\n")
    assert out == "a line of its client's\n", "its input and output pass, and it read nothing"
    found = learner.wishes(*command)
    assert found[str(learner.data)] == {
        "access": "read",
        "what": str(learner.data),
        "rather_not": "",
        "files": ["a.csv", "b.csv", "c.csv"],
    }
    assert found[str(learner.single)]["access"] == "read"
    assert found[str(learner.key)]["rather_not"] == "keys of ssh"
    assert str(learner.top / "none") not in found


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_what_is_proposed_suffices_and_then_nothing_is_wanted(learner: Learner, mechanism: str) -> None:
    script = f"echo more > {learner.out}/new && cat {learner.single} && ls {learner.data}"
    command = ("--sandbox", mechanism)
    out, err = learner.learn(*command, "--", "/bin/sh", "-c", script)
    assert out == ""
    flags = ["--write", str(learner.out)]
    assert f"doorward: note:   {' '.join(flags)}\n" in err
    assert not (learner.out / "new").exists(), "nothing is given while it is learnt"
    wanted = [*flags, "--read", str(learner.single)]
    out, err = learner.learn(*command, *wanted, "--", "/bin/sh", "-c", script)
    assert out == "single\n"
    assert f"doorward: note:   --read {learner.data}\n" in err
    out, err = learner.learn(*command, *wanted, "--read", str(learner.data), "--", "/bin/sh", "-c", script)
    assert out == "single\na.csv\nb.csv\nc.csv\n"
    assert err.splitlines()[-1] == "doorward: note: notes wanted nothing beyond what it has"


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_node_and_git_are_watched_through_all_that_they_start(learner: Learner, mechanism: str) -> None:
    code = (
        "const fs = require('fs'), {spawnSync} = require('child_process');"
        f"try {{ fs.writeFileSync('{learner.out}/node.txt', 'x') }} catch {{}}"
        f"spawnSync('cat', ['{learner.single}'])"
    )
    found = learner.wishes("--sandbox", mechanism, "--", "node", "-e", code)
    assert found[str(learner.out)]["access"] == "write"
    assert found[str(learner.single)]["access"] == "read"
    repository = learner.top / "repository"
    subprocess.run(["git", "init", "-q", str(repository)], check=True, timeout=60)
    found = learner.wishes("--sandbox", mechanism, "--", "/bin/sh", "-c", f"git -C {repository} status")
    assert any(what.startswith(str(repository)) for what in found), found


def test_an_address_that_the_proxy_refused_is_named_and_one_that_was_tried_without_it(learner: Learner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = (
            "import socket, urllib.request\n"
            f"for tried in (lambda: urllib.request.urlopen('http://127.0.0.9:{port}/'),\n"
            "              lambda: socket.create_connection(('10.1.2.3', 5432), 1)):\n"
            "    try: tried()\n"
            "    except OSError: pass\n"
        )
        command = ("--sandbox", "namespaces", "--", sys.executable, "-c", code)
        found = {what for what, one in learner.wishes(*command).items() if one["access"] == "connect"}
        assert found == {f"127.0.0.9:{port}", "10.1.2.3:5432"}
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_the_table_is_one_that_a_policy_may_have(learner: Learner) -> None:
    _, err = learner.learn("--", "/bin/sh", "-c", f"cat {learner.single}; echo x > {learner.out}/new")
    said = [line.removeprefix("doorward: note:   ") for line in err.splitlines()]
    table = tomllib.loads("\n".join(said[said.index("[servers.notes]") :]))
    assert table == {"servers": {"notes": {"read": [str(learner.single)], "write": [str(learner.out)]}}}


def test_without_walls_it_gets_what_it_wants_and_that_is_said(learner: Learner) -> None:
    out, err = learner.learn("--unsafe-no-sandbox", "--", "/bin/sh", "-c", f"cat {learner.single}")
    assert out == "single\n"
    assert "doorward: note: unsafe: the server runs without a sandbox (--unsafe-no-sandbox)\n" in err
    assert f"--read {learner.single}\n" in err


def test_calls_that_name_no_place_in_memory_go_on_and_hold_nothing_up(learner: Learner) -> None:
    script = """
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
openat, connect, openat2 = (257, 42, 437) if platform.machine() == "x86_64" else (56, 203, 437)
for place in (-1, -4096, 1, 1 << 62):
    for call in ((openat, -100, place, 0), (openat2, -100, place, place, 24), (connect, 0, place, 16)):
        print(libc.syscall(*map(ctypes.c_long, call)), ctypes.get_errno())
"""
    out, err = learner.learn("--", sys.executable, "-I", "-S", "-c", script)
    assert out.split("\n")[0] == "-1 14"
    assert out.count("-1 ") == 12
    assert "Error" not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_the_run_and_what_was_seen_is_said(learner: Learner, number: signal.Signals) -> None:
    """Clients whose server does not end by itself send SIGTERM: it stands in the place of one, in their mcp.json."""
    running = learner.start("--", "/bin/sh", "-c", f"cat {learner.single}; echo here; read -r _; sleep 1000")
    assert running.stdout is not None
    assert running.stdout.readline() == "here\n"
    running.send_signal(number)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 0
    assert f"--read {learner.single}\n" in err


def test_what_cannot_be_started_is_said_as_wrap_says_it(learner: Learner) -> None:
    script = learner.notes / "script"
    script.write_text("no first line")
    script.chmod(0o755)
    running = learner.start("--", str(script))
    _, err = running.communicate("", timeout=60)
    assert (running.returncode, "cannot be executed" in err) == (2, True)

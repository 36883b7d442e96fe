"""Programs that the lab starts to listen: they end with it, however it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.gateway.wrapping import wait_gone

LAB = """
import sys
from pathlib import Path
import anyio
from doorward.lab.listening import listening, plain_url

async def main():
    argv = (sys.executable, "-c", "import time; print('http://127.0.0.1:9/mcp', flush=True); time.sleep(600)")
    async with listening(argv, env={}, cwd=Path("/"), words=Path(sys.argv[1]), read=plain_url) as found:
        print(found.pid, found.url, flush=True)
        sys.stdin.read()

anyio.run(main)
"""


@pytest.mark.parametrize("end", ["eof", signal.SIGKILL, signal.SIGTERM])
def test_what_was_started_to_listen_ends_with_the_lab(tmp_path: Path, end: signal.Signals | str) -> None:
    """Most of these are open to every attack that we know, and anybody on this machine could reach them."""
    with subprocess.Popen(
        [sys.executable, "-c", LAB, str(tmp_path / "words")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as lab:
        assert lab.stdin is not None
        assert lab.stdout is not None
        pid, url = lab.stdout.readline().split()
        assert url == "http://127.0.0.1:9/mcp"
        assert Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:2] == [sys.executable.encode(), b"-c"]
        if isinstance(end, signal.Signals):
            lab.send_signal(end)
        lab.stdin.close()
        lab.wait(30)
        wait_gone(int(pid))

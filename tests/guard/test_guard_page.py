"""The page for authors works as it stands: its blocks are run in order, as one program, and its table names what is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from doorward import guard

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-server.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_every_block_of_the_page_runs_in_order(tmp_path: Path) -> None:
    program = "\n".join(BLOCK.findall(PAGE.read_text()))
    assert program.count("assert ") >= 6
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_the_page_speaks_of_every_name_that_is_promised() -> None:
    said = set(re.findall(r"\w+", PAGE.read_text()))
    of_interest = {name for name in guard.__all__ if name[0].islower()} | {"Root", "FeatureGate", "ServiceControl"}
    left_to_docstrings = {"check", "violation", "masker", "has_hidden"}
    assert of_interest - said <= left_to_docstrings

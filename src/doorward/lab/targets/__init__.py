"""Servers to attack: honest fools of our own, each one script, and published ones in ``published``.

A fool is an ordinary server on the SDK's own classes whose author made one well-known mistake. Each is started as
``python SCRIPT …`` and imports nothing of Doorward, so that it is the same program with and without a door in front.
"""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def script(name: str) -> str:
    """The path of one of our own targets."""
    return str(FOLDER / f"{name}.py")


def python() -> tuple[str, ...]:
    """How our own targets are started: by the interpreter that runs the lab."""
    return (sys.executable,)

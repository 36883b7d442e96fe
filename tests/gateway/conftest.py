"""What the tests of the doors share."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.foreign import Peer
from tests.gateway.wrapping import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Whatever a test started is gone at its end. Sockets have short paths, so they get a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="dw-") as runtime:
        world = World(tmp_path, Path(runtime))
        yield world
        world.stop()


@pytest.fixture
def peers() -> Iterator[Callable[..., Peer]]:
    with contextlib.ExitStack() as stack:

        def start(*words: Any) -> Peer:
            peer = Peer(*words)
            stack.callback(peer.stop)
            return peer

        yield start

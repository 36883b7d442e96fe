"""What the attacks share: a world for ``doorward wrap``, and one for a server's walls alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.confine.conftest import World as Walls
from tests.gateway.wrapping import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Whatever a test started is gone at its end. Sockets have short paths, so they get a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="dw-") as runtime:
        world = World(tmp_path, Path(runtime))
        yield world
        world.stop()


@pytest.fixture
def walls(tmp_path: Path) -> Walls:
    return Walls(tmp_path)

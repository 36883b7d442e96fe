"""What the attacks share: a world for ``doorward wrap``, and one for a server's walls alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.confine.conftest import World as Walls
from tests.gateway.wrapping import World, world_in


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with world_in(tmp_path) as made:
        yield made


@pytest.fixture
def walls(tmp_path: Path) -> Walls:
    return Walls(tmp_path)

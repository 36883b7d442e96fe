"""What the tests of the doors share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.foreign import Peer
from tests.gateway.scripted_upstream import Upstream
from tests.gateway.serving import Place, place
from tests.gateway.wrapping import World, world_in


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with world_in(tmp_path) as made:
        yield made


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path) as made:
        yield made


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.stop()


@pytest.fixture
def peers() -> Iterator[Callable[..., Peer]]:
    with contextlib.ExitStack() as stack:

        def start(*words: Any) -> Peer:
            peer = Peer(*words)
            stack.callback(peer.stop)
            return peer

        yield start

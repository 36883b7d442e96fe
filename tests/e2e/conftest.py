"""What the tests with real peers share."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.peering import Peers, Place


@pytest.fixture
def place(tmp_path: Path, peers: Peers) -> Place:
    return Place(tmp_path, peers)

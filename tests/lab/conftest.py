"""What tests of the lab that set stages by themselves must leave as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.descendants import below


@pytest.fixture
def no_process_or_folder_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test gets its own place for stages, and leaves nothing of them behind."""
    stages = Path("/tmp", f"lab-{os.getpid()}-{tmp_path.parent.name[-8:]}")  # short, for sockets
    stages.mkdir(mode=0o711, exist_ok=True)  # a second user passes through
    monkeypatch.setattr("tempfile.tempdir", str(stages))
    before = below(os.getpid())
    yield
    after = below(os.getpid())
    left = list(stages.iterdir())
    stages.rmdir()
    assert (after - before, left) == (set(), [])

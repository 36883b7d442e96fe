"""The lock that says whether a log has a living owner."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from doorward.audit.stores.directory import Lock


@pytest.fixture
def eager_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_a_lock_has_one_owner(tmp_path: Path) -> None:
    path = tmp_path / "log.lock"
    owner = Lock.take(path)
    assert owner is not None
    assert Lock.take(path) is None
    owner.release(remove=False)
    assert path.exists()
    heir = Lock.take(path)
    assert heir is not None
    heir.release(remove=True)
    heir.release(remove=True)
    assert not path.exists()


def test_a_lock_is_no_link_to_another_file(tmp_path: Path) -> None:
    (tmp_path / "log.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic link"):
        Lock.take(tmp_path / "log.lock")
    assert not (tmp_path / "precious").exists()


@pytest.mark.usefixtures("eager_threads")
def test_a_lock_file_that_vanishes_between_open_and_lock_never_gives_two_owners(tmp_path: Path) -> None:
    path = tmp_path / "log.lock"
    owners: list[int] = []
    together: list[int] = []
    there: list[bool] = []

    def compete(me: int) -> None:
        for _ in range(400):
            lock = Lock.take(path)
            if lock is None:
                continue
            owners.append(me)
            for _ in range(20):
                there.append(path.exists())  # also lets the others run
                together.append(len(owners))
            owners.remove(me)
            lock.release(remove=True)

    threads = [threading.Thread(target=compete, args=(me,)) for me in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert (set(together), set(there)) == ({1}, {True})

"""An operator who takes the salts out of a log takes away what its commitments prove; the verifier says so."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from doorward.audit.entry import Entry, commit
from doorward.audit.stores.sqlite import Item, SqliteLog
from doorward.audit.verify import Tampered, verify_log

NOW_US = 1_795_338_600_000_000
SALT = bytes(range(16))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    opened = SqliteLog.open(tmp_path, now_us=NOW_US, label="test")
    commitment = commit(SALT, bytes(32))
    entry = Entry(kind="intent", at=NOW_US, link="l", sender="client", body="masked", commitment=commitment)
    opened.append([Item(entry, salt=SALT)], durable=True)
    opened.close(NOW_US + 1)
    return opened.path


@pytest.mark.parametrize("salt", [None, b"", b"short", "0123456789abcdef", bytes(256)])
def test_a_commitment_whose_salt_is_gone_is_named(log: Path, salt: object) -> None:
    key = (log.parent.parent / "audit.pub").read_text()
    assert verify_log(log, key).size == 3
    with closing(sqlite3.connect(log, isolation_level=None)) as connection:
        connection.execute("UPDATE entries SET salt = ? WHERE idx = 1", (salt,))
    with pytest.raises(Tampered) as found:
        verify_log(log, key)
    assert (found.value.fault, found.value.index) == ("column", 1)

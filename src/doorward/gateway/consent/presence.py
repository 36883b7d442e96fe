"""How a starting gateway knows, without waiting, whether a `doorward consent` is running at all.

Each running consent program holds a read lock on ``consent-TAG.lock`` in the runtime directory (``key.tag_of``), and
the kernel lets go of it when the program ends, however it ends. The locks are those of open file descriptions
(``F_OFD_SETLK``): several may hold one at a time, and a gateway can ask whether one is held *without taking it*, so ten
gateways that start together never mistake each other for a person. Presence is a hint about waiting, never about trust.
"""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

from doorward.errors import ConsentError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux: type, whence, start, length, pid


@contextmanager
def announced(runtime: Path, tag: str) -> Iterator[None]:
    """Announce a running consent program for as long as the block lasts.

    Raises ConsentError when the lock file cannot be made.
    """
    path = _lock_path(runtime, tag)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as problem:
        raise ConsentError(f"cannot open {path}: {problem.strerror}") from problem
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _lock(fcntl.F_RDLCK))
        yield
    finally:
        os.close(descriptor)


def is_announced(runtime: Path, tag: str) -> bool:
    """Whether any consent program with this key runs right now and looks into this runtime directory."""
    try:
        descriptor = os.open(_lock_path(runtime, tag), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        conflict = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _lock(fcntl.F_WRLCK))
    finally:
        os.close(descriptor)
    return bool(struct.unpack(_FLOCK, conflict)[0] != fcntl.F_UNLCK)


def _lock_path(runtime: Path, tag: str) -> Path:
    return runtime / f"consent-{tag}.lock"


def _lock(kind: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, 0, 1, 0)

"""The secret that makes a consent program a consent program: 32 random bytes in ``STATE/consent.key``.

Whoever can read this file may answer for the user; whoever cannot, may not. A confined server cannot (its profile does
not contain the state directory), and another user of the machine cannot (mode 0600). It does NOT protect against an
unconfined process of the same user: that one is the user, as far as the kernel can tell.
"""

from __future__ import annotations

import hmac
import os
import stat
from typing import TYPE_CHECKING

from doorward.errors import ConsentError

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES = 32
KEY_NAME = "consent.key"


def load_key(state: Path) -> bytes:
    """The key of this state directory, created by whichever process comes first.

    Raises ConsentError when it cannot be read or created, or when somebody else could have read or written it.
    """
    path = state / KEY_NAME
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    try:
        _create(path)
        return _read(path)
    except OSError as problem:
        raise ConsentError(f"cannot create {path}: {problem.strerror}", hint=_writable_hint(state)) from problem


def tag_of(key: bytes) -> str:
    """Eight letters for the names of sockets: gateways and people with different keys share a directory and never meet.

    They tell nothing about the key, and prove nothing either.
    """
    return hmac.digest(key, b"doorward consent 1, the name of this key", "sha256")[:4].hex()


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as problem:
        raise ConsentError(f"cannot read {path}: {problem.strerror}", hint=_writable_hint(path.parent)) from problem
    try:
        _require_private(path, os.fstat(descriptor))
        key = os.read(descriptor, KEY_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(key) != KEY_BYTES:
        raise ConsentError(f"{path} is not a key of {KEY_BYTES} bytes", hint=f"remove it, a new one is made: rm {path}")
    return key


def _require_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise ConsentError(
            f"{path} is not a private file of yours",
            hint=f"it may be known to others; remove it, a new one is made: rm {path}",
        )


def _create(path: Path) -> None:
    """Make the whole file under another name first: nobody ever reads half a key, and the first to link it wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{KEY_NAME}.{os.getpid()}-{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, os.urandom(KEY_BYTES))
        os.fsync(descriptor)
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first: its key is the key
    finally:
        os.close(descriptor)
        os.unlink(draft)


def _writable_hint(state: Path) -> str:
    return f"the state directory {state} must belong to you and be writable, or name another with --state"

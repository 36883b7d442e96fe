"""A token for the time that one gateway runs: who can read our state directory may use it.

It is for machines on which the kernel cannot say who connects. It lies in a file that only this user (and root) can
read, and dies with the process.

Does not protect against another program of the same user, nor against whoever sees the client's configuration or
environment in which it was put.
"""

from __future__ import annotations

import contextlib
import fcntl
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from doorward.errors import DoorwardError

_RANDOM_BYTES: Final = 32
_PREFIX: Final = "serve-token-"
_SCHEME: Final = b"bearer"  # RFC 6750 §2.1; a scheme's case does not matter, RFC 9110 §11.1


class StartToken:
    """32 random bytes as 64 hexadecimal digits in ``STATE/serve-token-PID-XXXX`` (0600), until `remove`.

    Tokens of gateways that were killed are removed on the way: each is locked while its gateway lives.

    Raises:
        DoorwardError: the file cannot be written.
    """

    def __init__(self, state: Path) -> None:
        self.text = secrets.token_hex(_RANDOM_BYTES)
        try:
            _remove_dead(state)
            self.path, self._descriptor = _make(state)
            os.write(self._descriptor, f"{self.text}\n".encode())
        except OSError as problem:
            reason = (problem.strerror or str(problem)).lower()
            raise DoorwardError(f"cannot write a token to {state}: {reason}") from None

    def __repr__(self) -> str:
        return f"StartToken({str(self.path)!r})"

    def matches(self, authorization: Sequence[bytes]) -> bool:
        """Whether a request with these values of ``Authorization``, one for each such header, brings the token.

        Exactly one header, ``Bearer`` and one space; how far a wrong token is right does not show in the time taken.
        """
        if len(authorization) != 1:
            return False
        scheme, _, token = authorization[0].partition(b" ")
        return scheme.lower() == _SCHEME and hmac.compare_digest(token, self.text.encode())

    def remove(self) -> None:
        """Remove the file. The token stays valid for as long as somebody asks `matches`. Idempotent."""
        if self._descriptor >= 0:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


def _make(state: Path) -> tuple[Path, int]:
    """A new file of this user's alone, and the descriptor that locks it."""
    while True:
        path = state / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(2)}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)  # another gateway that starts took it for a dead one's before it was locked


def _remove_dead(state: Path) -> None:
    for path in state.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # one that is not ours to open is not ours to remove
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)

"""The runtime directory and the sockets in it: who may come, under which name, and what is left of the dead.

A socket is bound and given mode 0600 under one name and renamed once it listens. So whoever sees ``w-….sock`` can
connect to it, and a refused connection means that its process is gone: that is the only reason to remove one.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from doorward.errors import ConsentError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# sockaddr_un.sun_path has 108 bytes and the last one is NUL, see unix(7)
MAX_PATH_BYTES = 107
BACKLOG = 100
_ABANDONED_DRAFT_S = 60.0


def prepare(runtime: Path) -> None:
    """Make the runtime directory, 0700, or raise ConsentError if somebody else could put something into it.

    The rule for one that is there is that of ``cli.places``: ours, and writable by nobody else.
    """
    try:
        runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = runtime.lstat()
    except OSError as problem:
        raise ConsentError(f"cannot make {runtime}: {problem.strerror}") from problem
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise ConsentError(
            f"{runtime} is not a directory that only you can write in",
            hint=f"check who made it, then: chmod 700 {runtime}",
        )


def listen(runtime: Path, tag: str) -> tuple[socket.socket, Path]:
    """A listening socket of our own, and where it is. Raises ConsentError when it cannot be made there."""
    prepare(runtime)
    name = f"{tag}-{os.urandom(4).hex()}.sock"
    draft, path = runtime / f"n-{name}", runtime / f"w-{name}"
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise ConsentError(
            f"the path of the consent socket is longer than {MAX_PATH_BYTES} bytes: {path}",
            hint="set XDG_RUNTIME_DIR to a short directory, or name a shorter one with --state",
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        listener.bind(os.fsencode(draft))
        draft.chmod(0o600)
        listener.listen(BACKLOG)
        draft.rename(path)
    except OSError as problem:
        listener.close()
        draft.unlink(missing_ok=True)
        raise ConsentError(f"cannot listen at {path}: {problem.strerror}") from problem
    return listener, path


def connect(path: Path, *, patience_s: int = 0) -> socket.socket | None:
    """Connected to the gateway at `path`, or None: it is gone (then its socket is removed) or too busy just now.

    With `patience_s` it blocks so long while others fill the queue: whoever waits in the kernel is let in in turn,
    whoever only tries again loses against those who try more often.
    """
    kind = socket.SOCK_STREAM | socket.SOCK_CLOEXEC | (0 if patience_s else socket.SOCK_NONBLOCK)
    peer = socket.socket(socket.AF_UNIX, kind)
    try:
        if patience_s:
            peer.setblocking(True)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", patience_s, 0))
        peer.connect(os.fsencode(path))
        peer.setblocking(False)
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
    except OSError:
        pass
    else:
        return peer
    peer.close()
    return None


def listening(runtime: Path, tag: str = "*") -> Iterator[Path]:
    """The sockets of gateways in the runtime directory, dead ones included; those with this key's `tag`, or all."""
    with suppress(FileNotFoundError):
        yield from sorted(runtime.glob(f"w-{tag}-*.sock"))


def sweep(runtime: Path) -> None:
    """Remove what dead gateways left behind. Living ones see one connection that says nothing."""
    for path in listening(runtime):
        peer = connect(path)
        if peer is not None:
            peer.close()
    for draft in runtime.glob("n-*.sock"):
        with suppress(FileNotFoundError):
            if time.time() - draft.lstat().st_mtime > _ABANDONED_DRAFT_S:
                draft.unlink()


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """Process id and user id at the other end, as the kernel recorded them at connect (``SO_PEERCRED``, unix(7))."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _gid = struct.unpack("3i", credentials)
    return pid, uid

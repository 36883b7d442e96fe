"""What the processes of one user share in STATE: the folder of logs, the signing key, and who is alive.

    STATE/audit/            0700
    STATE/audit/ID.sqlite   0600  a log; appears whole, by rename
    STATE/audit/ID.lock     0600  held (flock) by the writer of that log while it lives; gone once the log is closed
    STATE/audit.key         0600  signs the checkpoints of all logs here; made once, by whoever came first
    STATE/audit.pub         0644  its public half

Nothing waits for anybody: a lock that is held means that its log has an owner. The lock is a file of its own because
closing *any* descriptor of a database file would drop the locks that SQLite holds on it in this process. No mode here
depends on the umask. A state directory on a network file system is not supported.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from doorward.audit import checkpoint
from doorward.errors import AuditError, StorageError

_PRIVATE_FOLDER = 0o700
_PRIVATE_FILE = 0o600
_PUBLIC_FILE = 0o644


def audit_folder(state: Path) -> Path:
    """STATE/audit, made with mode 0700 if it is not there, and put back to 0700 if it was opened wider.

    ``StorageError``: it cannot be made, is no folder, or belongs to another user.
    """
    folder = state / "audit"
    try:
        state.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        if _make_folder(folder):
            sync_folder(state)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise StorageError(f"{folder} is not a folder of this user")
        if stat.S_IMODE(found.st_mode) != _PRIVATE_FOLDER:
            folder.chmod(_PRIVATE_FOLDER)
    except OSError as error:
        raise StorageError(f"the audit folder {folder} cannot be used: {error.strerror}") from error
    return folder


def _make_folder(folder: Path) -> bool:
    try:
        folder.mkdir(mode=_PRIVATE_FOLDER)
    except FileExistsError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Make names that were created, renamed or removed in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create_private(path: Path, mode: int = _PRIVATE_FILE) -> int:
    """A descriptor of a new file with exactly this mode. ``FileExistsError`` if the name is taken."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    os.fchmod(descriptor, mode)
    return descriptor


def signing_key(state: Path) -> checkpoint.SigningKey:
    """The key of this state directory; made, with its public half, if there is none.

    Of several processes that come first at once one wins and all use its key. ``StorageError``: the key cannot be read
    or made, may be read by others, is no key, or ``audit.pub`` does not belong to it (nobody could verify the log).
    """
    path = state / "audit.key"
    try:
        text = _read_key(path)
        if text is None:
            made = checkpoint.generate(os.urandom(checkpoint.SEED_BYTES))
            _publish(path, checkpoint.private_text(made), _PRIVATE_FILE)
            text = _read_key(path) or ""
        key = checkpoint.read_private(text)
        _agree_on_public_half(state / "audit.pub", key)
    except OSError as error:
        raise StorageError(f"the signing key {path} cannot be used: {error.strerror}") from error
    except (AuditError, UnicodeDecodeError) as error:
        raise StorageError(f"the signing key {path} cannot be used: {error}") from error
    return key


def _read_key(path: Path) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, encoding="utf-8") as file:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise StorageError(f"{path} can be read by others", hint=f"chmod 600 {path}, and consider a new key")
        return file.read()


def _agree_on_public_half(path: Path, key: checkpoint.SigningKey) -> None:
    try:
        published = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        _publish(path, checkpoint.public_text(key), _PUBLIC_FILE)
        published = path.read_text(encoding="utf-8")
    if not published.startswith(f"{key.name}+{key.key_id.hex()}+"):
        raise StorageError(f"{path} is not the public half of audit.key")


def _publish(path: Path, text: str, mode: int) -> None:
    """Give ``path`` this content at once and durably, unless it exists: a link, unlike a rename, never replaces."""
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    descriptor = create_private(draft, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(draft, path)
        except FileExistsError:
            return
        sync_folder(path.parent)
    finally:
        draft.unlink()


class Lock:
    """The sign that a log has a living owner. The kernel takes it back when the owner ends, however it ends."""

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Lock | None:
        """The lock on ``path``, or None if somebody holds it."""
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE_FILE)
            try:
                os.fchmod(descriptor, _PRIVATE_FILE)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            except OSError:
                os.close(descriptor)
                raise
            if _same_file(path, descriptor):
                return cls(path, descriptor)
            os.close(descriptor)  # its last owner removed it between our open and our lock

    def release(self, *, remove: bool) -> None:
        """Give it up. ``remove`` only when the log is closed: a lock file that lies there free asks to be recovered."""
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            if remove:
                self.path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _same_file(path: Path, descriptor: int) -> bool:
    try:
        named = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(descriptor))

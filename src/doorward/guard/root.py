"""A folder that a server may use, and nothing outside of it: paths from elsewhere are opened here, never joined.

``Root`` holds the folder's descriptor and lets the kernel resolve every path beneath it (``confine.beneath``), so that
no ``..``, no absolute path and no symbolic link, also not one that is swapped in between, leads out. What was opened is
examined by its descriptor before a byte of it is read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO, Final, NamedTuple, Self, cast

from doorward.confine.beneath import open_beneath
from doorward.errors import RefusedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

MAX_READ_BYTES: Final = 1 << 20
"""What a model can make use of, and a message of JSON carries."""
MAX_ENTRIES: Final = 1_000
CHUNK_BYTES: Final = 64 << 10

_MODES: Final = {
    "rb": os.O_RDONLY,
    "wb": os.O_WRONLY | os.O_CREAT,
    "xb": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
    "ab": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "r+b": os.O_RDWR,
}
# Nothing here waits for the other end of a pipe, or makes a terminal ours.
_HARMLESS: Final = os.O_NONBLOCK | os.O_NOCTTY
_LEADS_OUT: Final = "the path leads out of the folder"


class Entry(NamedTuple):
    """One entry of a folder: its name, what it is (``file``, ``folder``, ``link``, ``other``), its size in bytes."""

    name: str
    kind: str
    size: int


class Root:
    """A folder, and everything below it: the only place that paths from elsewhere may lead to.

    Paths are texts relative to the folder; an absolute path or a ``file:`` URI is taken as well when it begins with the
    folder's own, as models often write it. ``links`` lets relative symbolic links be followed that stay below (default:
    as a person would expect of a folder of theirs; one whose target is absolute is refused wherever it leads); without
    it any link on the way refuses. On a kernel before 5.6 links are never followed (``confine.beneath`` says why that
    is no weaker).

    Every method raises RefusedError (rule ``root``) for a path that leads out, a link that may not be followed, and
    what is neither file nor folder; rule ``size`` for more than was allowed; and OSError as usual for what is not
    there. Close it, or use it in ``with``.

    Does not protect: hard links to files elsewhere, and what is mounted below the folder (whoever can make those could
    read the files anyway); against other processes that write in the folder while you read it, other than that they
    lead you out; nor what stands in the files.
    """

    def __init__(self, folder: str | os.PathLike[str], *, links: bool = True) -> None:
        self.path = os.path.abspath(os.fspath(folder))
        self._links = links
        self._folder = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Root({self.path!r})"

    def close(self) -> None:
        """Give back the folder's descriptor; what was opened stays open."""
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def open(self, path: str, mode: str = "rb") -> BinaryIO:
        """Open a regular file for bytes: ``rb``, ``wb``, ``xb`` (must be new), ``ab`` or ``r+b``.

        New files are 0600 less the umask, since what a server writes is its user's. Folders are not made on the way.
        Does not bound what you then read or write: ``read`` and ``write`` do.
        """
        if mode not in _MODES:
            raise ValueError(f"a file is opened as one of {', '.join(_MODES)}")
        descriptor = self._open(path, _MODES[mode] | _HARMLESS, 0o600)
        try:
            _must_be_a_file(os.fstat(descriptor))
            if mode == "wb":
                os.ftruncate(descriptor, 0)  # only now: what is no file of ours was not touched
            os.set_blocking(descriptor, True)
            return cast("BinaryIO", os.fdopen(descriptor, mode))
        except BaseException:
            os.close(descriptor)
            raise

    def read(self, path: str, max_bytes: int = MAX_READ_BYTES) -> bytes:
        """All of a file of at most ``max_bytes`` (default: a megabyte); a larger one is refused before it is read.

        The size is asked of the opened file, and a file that grows meanwhile is refused as well: never more than
        ``max_bytes`` and one byte are in memory.
        """
        with self.open(path) as file:
            if os.fstat(file.fileno()).st_size > max_bytes:
                raise _too_large(max_bytes)
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise _too_large(max_bytes)
        return content

    def read_text(self, path: str, max_bytes: int = MAX_READ_BYTES) -> str:
        """``read``, decoded from UTF-8. What is not UTF-8 is refused (rule ``root``) rather than guessed.

        Does not protect against what the text says: it may hold hidden characters (``guard.reveal``) and instructions.
        """
        try:
            return self.read(path, max_bytes).decode("utf-8")
        except UnicodeDecodeError:
            raise RefusedError("root", "the file is not text in UTF-8") from None

    def chunks(self, path: str, max_bytes: int, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
        """A file piece by piece, for what should not be in memory at once. The file is opened at the first piece.

        Ends with RefusedError (rule ``size``) instead of a piece that would go beyond ``max_bytes``; a file that is
        larger from the start yields nothing.
        """
        if chunk_bytes < 1:
            raise ValueError("a piece has at least one byte")
        with self.open(path) as file:
            if os.fstat(file.fileno()).st_size > max_bytes:
                raise _too_large(max_bytes)
            left = max_bytes
            while piece := file.read(chunk_bytes):
                left -= len(piece)
                if left < 0:
                    raise _too_large(max_bytes)
                yield piece

    def write(self, path: str, content: bytes | str, *, replace: bool = True) -> None:
        """Write a whole file, or nothing of it: beside the old one first, then in its place in one step.

        A link at ``path`` is replaced, not followed. ``replace=False`` refuses (rule ``root``) when something is there.
        A new file is 0600, another keeps its mode. Does not bound the number or the sum of the files: a quota of the
        file system does.
        """
        try:
            data = content.encode("utf-8") if isinstance(content, str) else content
        except UnicodeEncodeError:
            raise RefusedError("root", "the content holds what is no character") from None
        with _Parent(self, path) as parent:
            new = f".doorward-{os.urandom(8).hex()}"
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=parent.folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    os.fchmod(descriptor, parent.mode_of_file(0o600))
                if replace:
                    os.rename(new, parent.name, src_dir_fd=parent.folder, dst_dir_fd=parent.folder)
                    return
                # A link is made only where nothing is, which a renaming would put away. Of what stands under the new
                # name itself: whoever may write in the folder could have put a link to a file elsewhere there.
                os.link(new, parent.name, src_dir_fd=parent.folder, dst_dir_fd=parent.folder, follow_symlinks=False)
            except FileExistsError:
                raise RefusedError("root", "there is something of that name already") from None
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(new, dir_fd=parent.folder)

    def make_folder(self, path: str) -> None:
        """Make one folder (0700); the one that it lies in must be there. Raises FileExistsError where one is."""
        with _Parent(self, path) as parent:
            os.mkdir(parent.name, 0o700, dir_fd=parent.folder)

    def remove(self, path: str) -> None:
        """Remove one file or link (not what it leads to). Folders are not removed: that is rarely meant."""
        with _Parent(self, path) as parent:
            os.unlink(parent.name, dir_fd=parent.folder)

    def entries(self, path: str = ".", max_entries: int = MAX_ENTRIES) -> tuple[Entry, ...]:
        """What a folder holds, by name. A folder of more than ``max_entries`` is refused (rule ``size``).

        Links are told as links, whether or not they could be followed. Names that are not UTF-8 hold surrogates, which
        no message of JSON can carry. Does not protect against what a name hides (``guard.reveal``).
        """
        descriptor = self._open(path, os.O_RDONLY | os.O_DIRECTORY | _HARMLESS)
        try:
            found: list[Entry] = []
            with os.scandir(descriptor) as listing:
                for entry in listing:
                    if len(found) >= max_entries:
                        raise RefusedError("size", f"the folder holds more than {max_entries} entries")
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue  # removed since
                    found.append(Entry(entry.name, _kind(status.st_mode), status.st_size))
        finally:
            os.close(descriptor)
        return tuple(sorted(found))

    def resource_link(self, path: str, *, uri: str = "", name: str = "") -> dict[str, Any]:
        """A content item of MCP that names the file instead of holding it: for what is too large for a result.

        ``uri`` is what a client will give to ``resources/read`` (default: the file's own ``file:`` URI, which tells the
        client where the folder lies). ``size`` is what the opened file has. The type is guessed by the name alone. A
        path that leads back over a link is refused (rule ``root``): who reads the URI would find another file. Does not
        make the file readable: your server must serve the URI, through the same ``Root``.
        """
        relative = os.path.normpath(os.fsdecode(self._relative(path)))
        with self.open(path) as file, self.open(relative) as named:
            size = os.fstat(file.fileno()).st_size
            if not os.path.sameopenfile(file.fileno(), named.fileno()):
                raise RefusedError("root", "the path leads back over a symbolic link")
        link: dict[str, Any] = {
            "type": "resource_link",
            "uri": uri or _file_uri(os.path.join(self.path, relative)),
            "name": name or os.path.basename(relative),
            "size": size,
        }
        from mimetypes import guess_type  # reads files of the system at its first use

        kind = guess_type(link["name"])[0]
        return link | ({"mimeType": kind} if kind else {})

    def read_or_link(self, path: str, max_bytes: int = MAX_READ_BYTES, *, uri: str = "") -> bytes | dict[str, Any]:
        """The file's content where it is small enough, else its ``resource_link``."""
        try:
            return self.read(path, max_bytes)
        except RefusedError as refusal:
            if refusal.rule != "size":
                raise
            return self.resource_link(path, uri=uri)

    def _open(self, path: str, flags: int, mode: int = 0) -> int:
        if self._folder < 0:
            raise ValueError("the root was closed")
        return self._descend(path, self._relative(path), flags, mode)

    def _descend(self, path: str, relative: bytes, flags: int, mode: int = 0) -> int:
        try:
            return open_beneath(self._folder, relative, flags, mode, links=self._links)
        except OSError as error:
            raise _explained(error, path) from None

    def _relative(self, path: str) -> bytes:
        text = path
        if text[:5].lower() == "file:":
            text = _path_of_uri(text)
        if text == self.path:
            text = "."
        elif text.startswith("/"):
            prefix = self.path.rstrip("/") + "/"
            if not text.startswith(prefix):
                raise RefusedError("root", _LEADS_OUT)
            text = text[len(prefix) :].lstrip("/") or "."
        if "\0" in text:
            raise RefusedError("root", "the path holds a NUL")
        try:
            return os.fsencode(text)
        except UnicodeEncodeError:
            raise RefusedError("root", "the path holds what is no character") from None


class _Parent:
    """The folder that a path's last part lies in, opened beneath the root, and that part."""

    def __init__(self, root: Root, path: str) -> None:
        whole = root._relative(path)  # noqa: SLF001 - one thought with Root
        parent, _, last = whole.rstrip(b"/").rpartition(b"/")
        if last in (b"", b".", b".."):
            raise RefusedError("root", "the path names no entry of a folder")
        self.name = os.fsdecode(last)
        self.folder = root._descend(path, parent or b".", os.O_PATH | os.O_DIRECTORY)  # noqa: SLF001 - as above

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.folder)

    def mode_of_file(self, otherwise: int) -> int:
        """The permissions of the regular file that is there now."""
        try:
            mode = os.stat(self.name, dir_fd=self.folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return otherwise
        return mode & 0o777 if stat.S_ISREG(mode) else otherwise


def _explained(error: OSError, path: str) -> Exception:
    if error.errno == errno.EXDEV:
        return RefusedError("root", _LEADS_OUT)
    if error.errno == errno.ELOOP:
        return RefusedError("root", "the path leads over a symbolic link")
    if error.errno in (errno.ENXIO, errno.ENODEV):  # a pipe that nobody reads, a socket, a device without a driver
        return RefusedError("root", "the path names no regular file")
    return OSError(error.errno, error.strerror, path)


def _must_be_a_file(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError("root", "the path names no regular file")


def _too_large(max_bytes: int) -> RefusedError:
    return RefusedError("size", f"the file is larger than {max_bytes} bytes")


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "other"


def _path_of_uri(uri: str) -> str:
    from urllib.parse import unquote_to_bytes  # only for URIs

    rest = uri[5:]
    for host in ("///", "//localhost/"):
        if rest.startswith(host):
            rest = rest[len(host) - 1 :]
            break
    if not rest.startswith("/") or rest.startswith("//") or "?" in rest or "#" in rest:
        raise RefusedError("root", "the URI names no file of this machine")
    return os.fsdecode(unquote_to_bytes(rest))


def _file_uri(path: str) -> str:
    from urllib.parse import quote_from_bytes

    return "file://" + quote_from_bytes(os.fsencode(os.path.normpath(path)))

"""Walls for the programs that a tool runs: what one program may read and write, and nothing else of this machine.

``Profile`` is what you write; ``guard.run(…, confine=Profile(…))`` enforces it with the same walls that ``doorward
wrap`` puts around servers: namespaces where the machine allows them, else Landlock and seccomp. A server that itself
runs behind ``doorward wrap`` has no namespaces to give, so its programs are confined by the latter, within its own
walls.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from typing import BinaryIO, Final, NamedTuple

from doorward.errors import ConfinementError, RefusedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

    from doorward.confine.process import Child

MEMORY_BYTES: Final = 512 << 20
FILE_BYTES: Final = 64 << 20
DESCRIPTORS: Final = 256
PROCESSES: Final = 64
PROCESSOR_PERCENT: Final = 50
_START_SECONDS: Final = 10.0
_UMASK: Final = 0o077

Text = str | os.PathLike[str]


class Profile(NamedTuple):
    """What a program may touch and use up; each default is a small one.

    ``read`` and ``write`` are files and folders, absolute or below the program's ``cwd``; what may be written may be
    read. Beside them it has the system's libraries and programs, its own installation, and a temporary folder (TMPDIR)
    that is gone with it. It has no network, no other processes, no sockets of others, none of your descriptors, an
    empty home. ``memory_bytes`` is for each process (for all together where control groups can be had), ``file_bytes``
    for each file that it writes; ``processes`` counts threads as well; ``processor_percent`` is its share of all
    processors' time (where control groups can be had; else it yields to others).

    Does not protect what lies in the folders that you name: whoever may write a folder may fill it, and may leave files
    in it that others trust. Nor against a program that takes its time: ``timeout_seconds`` of ``run`` ends it. Nor the
    kernel. On a machine without namespaces the program can see whether files elsewhere exist, and change modes and
    times of your user's files (``doorward doctor`` says what holds where you are).
    """

    read: Sequence[Text] = ()
    write: Sequence[Text] = ()
    memory_bytes: int = MEMORY_BYTES
    file_bytes: int = FILE_BYTES
    descriptors: int = DESCRIPTORS
    processes: int = PROCESSES
    processor_percent: int = PROCESSOR_PERCENT


class Confined:
    """One program on its way inside its walls, as ``programs`` watches it."""

    def __init__(self, child: Child, place: TemporaryDirectory[str]) -> None:
        self._child = child
        self._place = place
        self.end = os.dup(child.control)
        self.stdin, self.stdout, self.stderr = (
            _opened(child.stdin, "wb"),
            _opened(child.stdout, "rb"),
            _opened(child.stderr, "rb"),
        )

    def has_ended(self) -> bool:
        """Whether nothing of it is left; called when ``end`` is readable, which it also is when it has begun."""
        self._child.receive()
        return self._child.ended

    def kill(self) -> None:
        """Order the end of all of it; from any thread."""
        self._child.order_end()

    def wait(self) -> int | None:
        """Wait until nothing of it is left, and tidy up; its exit code, 128+n for a signal; None if nobody told it.

        Raises ConfinementError when it was never executed, RefusedError where the operands were the reason.
        """
        try:
            with self._child:
                self._child.kill_tree()
                if self._child.pid is None:
                    self._child.started(_START_SECONDS)
                return self._child.status
        except ConfinementError as error:
            if os.strerror(errno.E2BIG) in str(error):
                raise RefusedError("run", "the operands are longer than the system takes") from None
            raise
        finally:
            for stream in (self.stdin, self.stdout, self.stderr):
                stream.close()
            self._place.cleanup()


def start(argv: Sequence[str], profile: Profile, *, words: int, env: Mapping[str, str], cwd: Text | None) -> Confined:
    """Start a program inside its walls; its environment is exactly ``env``, less what points into your home for git.

    Only the first ``words`` of ``argv`` say what belongs to it: a caller's operand is no part of the program, and what
    it names is not shown for it.

    Raises ValueError for what you wrote: a folder that is not there, or that no program may have (``/``, a whole home).
    ConfinementError when there are no walls to be had: then nothing was started.
    """
    from tempfile import TemporaryDirectory

    import msgspec

    from doorward.confine import process
    from doorward.confine.profile import derive

    if cwd is not None and not os.path.isdir(cwd):
        raise ValueError(f"there is no folder {os.fspath(cwd)}")
    place = TemporaryDirectory(prefix="doorward-run-")
    try:
        state = os.path.join(place.name, "state")
        try:
            walls = derive(
                argv,
                environ={**env, "TMPDIR": place.name},
                cwd=os.path.abspath(cwd or "."),
                home=os.path.expanduser("~"),
                state=state,
                config=os.path.join(place.name, "config"),
                server="program",
                read=[os.fspath(path) for path in profile.read],
                write=[os.fspath(path) for path in profile.write],
                network="none",
                profile="strict",
                words=words,
            )
        except ConfinementError as error:
            raise ValueError(str(error)) from None
        settings = {name: value for name, value in walls.env if name.startswith("GIT_CONFIG")}
        walls = msgspec.structs.replace(
            walls,
            env=tuple((settings | dict(env)).items()),
            memory_bytes=profile.memory_bytes,
            file_bytes=profile.file_bytes,
            descriptors=profile.descriptors,
            processes=profile.processes,
            processor_percent=profile.processor_percent,
        )
        return Confined(process.start(argv, walls, umask=_UMASK), place)
    except BaseException:
        place.cleanup()
        raise


def _opened(descriptor: int, mode: str) -> BinaryIO:
    return open(descriptor, mode, buffering=0)  # type: ignore[return-value]

"""Running a program for a caller, without a shell, without more of your environment than it needs, and not for ever.

``run`` waits in the thread that calls it; ``run_async`` waits in a worker thread, under asyncio or anyio (trio), and
ends the program when the caller is cancelled. Both are the same code: a descriptor of the process and three pipes,
watched with ``poll``, so that no loop and no signal handler of yours is needed or disturbed.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock, Thread
from typing import Final, NamedTuple, Self

from doorward.errors import ConfinementError, RefusedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doorward.guard.sandbox import Confined, Profile

TIMEOUT_SECONDS: Final = 30.0
"""What somebody waits for an answer."""
MAX_OUTPUT_BYTES: Final = 1 << 20
INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
"""What nearly every program needs, and no secret stands in."""

_SHELLS: Final = frozenset("sh bash rbash dash ash zsh ksh mksh csh tcsh fish pwsh".split())
_SIGKILL: Final = 9
_UNKNOWN: Final = 255
_LOOK: Final = os.WEXITED | os.WNOWAIT
_PIECE: Final = 64 << 10
_LONGEST_LOOK_S: Final = 3600.0  # what ``poll`` takes is bounded

Text = str | os.PathLike[str]


class Finished(NamedTuple):
    """How a program ended: its exit code (128+n for a signal), what it wrote, and why it ended.

    ``ended`` is ``exited``, ``timeout`` or ``output`` (it wrote more than was allowed); after the latter two it was
    killed, and the output is what there was until then. Where your process ignores SIGCHLD, or something in it waits
    for all children, ``ended`` is ``unknown`` and the status 255: the program has ended, and nobody can say how.
    """

    status: int
    stdout: bytes
    stderr: bytes
    ended: str

    @property
    def ok(self) -> bool:
        """Whether it ended by itself, with 0."""
        return self.ended == "exited" and self.status == 0

    def check(self) -> Self:
        """This, if it is ``ok``; else RefusedError (rule ``run``), which tells the caller nothing of the output."""
        if self.ok:
            return self
        if self.ended == "timeout":
            raise RefusedError("run", "the program took too long and was ended")
        if self.ended == "output":
            raise RefusedError("run", "the program wrote more than is allowed and was ended")
        if self.ended == "unknown":
            raise RefusedError("run", "how the program ended is not known")
        raise RefusedError("run", f"the program ended with {self.status}")


def run(  # noqa: PLR0913 - each has a default that is right for most, and is named
    program: Text,
    options: Sequence[str] = (),
    operands: Sequence[Text] = (),
    *,
    terminator: str | None = "--",
    cwd: Text | None = None,
    env: Mapping[str, str] | None = None,
    inherit: Iterable[str] = INHERITED,
    stdin: bytes = b"",
    timeout_seconds: float = TIMEOUT_SECONDS,
    max_output_bytes: int = MAX_OUTPUT_BYTES,
    confine: Profile | None = None,
) -> Finished:
    """Run one program and wait until it, and what it started in its process group, is gone.

    ``options`` are what you wrote, ``operands`` what a caller gave: they stand after the ``terminator``, so that none
    of them can be an option. For a program that knows no ``--`` give ``terminator=None``: an operand with a leading
    dash is then refused. ``program`` is an absolute path, or a name that is looked for in the absolute folders of PATH.

    The program gets the variables named in ``inherit``, as far as they are set, and those of ``env``; ``stdin`` and
    then its end; a session of its own, no terminal, none of your descriptors. After ``timeout_seconds``, or more than
    ``max_output_bytes`` on stdout and stderr together, its whole group is killed, as is what it leaves behind when it
    ends.

    Raises ValueError for what you wrote: a shell (there is no way to run one), a relative program, one that is not
    there, a folder that is not. RefusedError (rule ``run``) for what a caller gave: a NUL, a lone surrogate in a text
    (a path object may hold the name of a file that is not UTF-8), a leading dash without a terminator, more than the
    kernel takes. ConfinementError on a kernel before 5.3, and for a program that had to be ended and could not be,
    since it became another user's (``sudo``).

    ``confine`` puts walls around it (``guard.Profile``): it then touches what that names and nothing else, has no
    network, and takes nothing beyond its caps; all that it started is ended with it. That costs some fifty
    milliseconds. Where no walls are to be had nothing is run, and ConfinementError says why.

    Does not protect against what the program does with operands (``sed`` and ``awk`` run them, ``find`` and ``xargs``
    run others, some read ``@file``). Without ``confine``: against what it may reach, since it has your user's files and
    the network (behind ``doorward wrap`` it has what your server has); against memory and processor time; nor against a
    program that leaves its group (a daemon), of which ``doorward wrap`` leaves nothing either.
    """
    argv = _argv(program, options, operands, terminator)
    words = 1 + len(options)
    return _Run(argv, words, _environment(env, inherit), cwd, stdin, timeout_seconds, max_output_bytes, confine).go()


async def run_async(  # noqa: PLR0913 - those of run
    program: Text,
    options: Sequence[str] = (),
    operands: Sequence[Text] = (),
    *,
    terminator: str | None = "--",
    cwd: Text | None = None,
    env: Mapping[str, str] | None = None,
    inherit: Iterable[str] = INHERITED,
    stdin: bytes = b"",
    timeout_seconds: float = TIMEOUT_SECONDS,
    max_output_bytes: int = MAX_OUTPUT_BYTES,
    confine: Profile | None = None,
) -> Finished:
    """``run`` for async tools: everything said there holds. A cancelled caller takes the program and its group along.

    Waits in a worker thread of anyio where that is loaded (every server of the Python SDK), else of asyncio. Does not
    bound how many run at once beyond their number of threads: ``guard.Concurrency`` does.
    """
    argv = _argv(program, options, operands, terminator)
    words = 1 + len(options)
    one = _Run(argv, words, _environment(env, inherit), cwd, stdin, timeout_seconds, max_output_bytes, confine)
    try:
        if "anyio" in sys.modules:
            from anyio.to_thread import run_sync

            return await run_sync(one.go, abandon_on_cancel=True)
        from asyncio import to_thread

        return await to_thread(one.go)
    except BaseException:
        one.kill()  # without effect where it has ended
        raise


class _Run:
    """One program on its way; ``words`` of ``argv`` are its author's. ``kill`` may come from another thread, at any
    time.
    """

    def __init__(
        self,
        argv: list[str],
        words: int,
        env: dict[str, str],
        cwd: Text | None,
        stdin: bytes,
        timeout_seconds: float,
        max_output_bytes: int,
        confine: Profile | None,
    ) -> None:
        self._argv, self._words, self._env, self._cwd, self._stdin = argv, words, env, cwd, stdin
        self._timeout_seconds, self._max_output_bytes = timeout_seconds, max_output_bytes
        self._confine = confine
        self._lock = Lock()
        self._running: _Bare | Confined | None = None
        self._killed = False

    def kill(self) -> None:
        with self._lock:
            self._killed = True
            if self._running:
                self._running.kill()  # not yet reaped, so it still is what was started

    def go(self) -> Finished:
        deadline = time.monotonic() + self._timeout_seconds
        program = self._start()
        try:
            watched = _Watched(program, self._stdin, self._max_output_bytes)
            try:
                ended = watched.until(deadline)
                self.kill()
                ended = watched.drain() or ended
            finally:
                watched.close()
        finally:
            with self._lock:
                self._running = None
            program.kill()
            status = program.wait()
        if status is None:
            status, ended = _UNKNOWN, "unknown" if ended == "exited" else ended
        return Finished(status, *watched.outputs(), ended)

    def _start(self) -> _Bare | Confined:
        with self._lock:
            if self._killed:
                raise RefusedError("run", "the caller has gone")
            try:
                if self._confine is None:
                    self._running = _Bare(self._argv, self._cwd, self._env)
                else:
                    from doorward.guard import sandbox

                    self._running = sandbox.start(
                        self._argv, self._confine, words=self._words, env=self._env, cwd=self._cwd
                    )
            except UnicodeEncodeError:
                raise RefusedError("run", "an operand holds what is no character") from None
            except OSError as error:
                if error.errno == 7:  # noqa: PLR2004 - E2BIG
                    raise RefusedError("run", "the operands are longer than the system takes") from None
                raise ValueError(f"the program cannot be run: {error.strerror}") from None
            return self._running


class _Bare:
    """A program without walls: its streams, and a descriptor that is readable once it has ended (None: it has)."""

    def __init__(self, argv: list[str], cwd: Text | None, env: dict[str, str]) -> None:
        from subprocess import PIPE, Popen  # only for those who run something

        self._process = Popen(
            argv, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=cwd, env=env, start_new_session=True, bufsize=0
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr  # noqa: S101, PT018 - pipes were asked for
        self.stdin, self.stdout, self.stderr = self._process.stdin, self._process.stdout, self._process.stderr
        self.end: int | None = None
        self._is_ours = True
        try:
            self.end = os.pidfd_open(self._process.pid)
        except ProcessLookupError:
            return  # whoever ignores SIGCHLD has its children reaped by the kernel: it has ended
        except OSError as error:
            self.kill()
            self.wait()
            raise ConfinementError(f"this kernel gives no descriptor of a process: {error.strerror}") from None

    def has_ended(self) -> bool:
        return True  # whatever is readable there says so

    def kill(self) -> None:
        try:
            os.killpg(self._process.pid, _SIGKILL)
        except ProcessLookupError:
            return  # whoever ignores SIGCHLD has its children reaped by the kernel
        except PermissionError:
            self._is_ours = False

    def wait(self) -> int | None:
        """The exit code, 128+n for a signal; None where somebody else took it from us."""
        try:
            how = os.waitid(os.P_PID, self._process.pid, _LOOK if self._is_ours else _LOOK | os.WNOHANG)
        except ChildProcessError:
            with self._process:
                self._process.wait()  # which makes a success of that
            return None
        if how is None:
            for stream in (self.stdin, self.stdout, self.stderr):
                stream.close()
            Thread(target=self._process.wait, name="other-user", daemon=True).start()  # or it would stay as a zombie
            raise ConfinementError("the program became another user's, and cannot be ended")
        with self._process:
            self._process.wait()
        return how.si_status if how.si_code == os.CLD_EXITED else 128 + how.si_status


class _Watched:
    """A process's end, its two outputs, and what is still to be written to it."""

    def __init__(self, program: _Bare | Confined, stdin: bytes, max_output_bytes: int) -> None:
        self._input = program.stdin
        self._left = memoryview(stdin)
        self._read = {program.stdout.fileno(): bytearray(), program.stderr.fileno(): bytearray()}
        self._room = max_output_bytes
        self._cut = False
        self._poll = select.poll()
        self._end, self._has_ended = program.end, program.has_ended
        if self._end is not None:
            self._poll.register(self._end, select.POLLIN)
        for output in self._read:
            os.set_blocking(output, False)
            self._poll.register(output, select.POLLIN)
        os.set_blocking(self._input.fileno(), False)
        if stdin:
            self._poll.register(self._input.fileno(), select.POLLOUT)
        else:
            self._input.close()

    def until(self, deadline: float) -> str:
        """Read and write until the process has ended, or must; says why."""
        if self._end is None:
            return "exited"
        while (left := deadline - time.monotonic()) > 0:
            for descriptor, _ in self._poll.poll(min(left, _LONGEST_LOOK_S) * 1000):
                if descriptor == self._end:
                    if self._has_ended():
                        return "exited"
                elif descriptor in self._read:
                    self._take(descriptor)
                else:
                    self._give()
            if self._cut:
                return "output"
        return "timeout"

    def drain(self) -> str:
        """Take what is left in the pipes of a process that has ended; ``output`` when that was too much."""
        for output in self._read:
            while not self._cut and self._take(output):
                pass
        return "output" if self._cut else ""

    def outputs(self) -> tuple[bytes, bytes]:
        stdout, stderr = self._read.values()
        return bytes(stdout), bytes(stderr)

    def close(self) -> None:
        if self._end is not None:
            os.close(self._end)

    def _take(self, output: int) -> bool:
        try:
            piece = os.read(output, _PIECE)
        except BlockingIOError:
            return False
        if not piece:
            self._poll_no_more(output)
            return False
        self._read[output] += piece[: self._room]
        self._cut = self._cut or len(piece) > self._room
        self._room = max(0, self._room - len(piece))
        return True

    def _give(self) -> None:
        try:
            self._left = self._left[os.write(self._input.fileno(), self._left[:_PIECE]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._left = self._left[:0]
        if not self._left:
            self._poll_no_more(self._input.fileno())
            self._input.close()

    def _poll_no_more(self, descriptor: int) -> None:
        try:
            self._poll.unregister(descriptor)
        except KeyError:
            return  # it was already


def _argv(program: Text, options: Sequence[str], operands: Sequence[Text], terminator: str | None) -> list[str]:
    if isinstance(options, str) or isinstance(operands, str):
        raise ValueError("arguments are a list: a line would need a shell")  # noqa: TRY004 - all mistakes are one kind
    given = [os.fspath(one) for one in operands]
    if any("\0" in one for one in given):
        raise RefusedError("run", "an operand holds a NUL")
    if not all(_is_text(one) for one in operands if isinstance(one, str)):
        raise RefusedError("run", "an operand holds what is no character")
    if terminator is None and any(one.startswith("-") for one in given):
        raise RefusedError("run", "an operand begins with a dash")
    end = [terminator] if terminator is not None and given else []
    return [_found(os.fspath(program)), *options, *end, *given]


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _found(program: str) -> str:
    path = program if "/" in program else _on_path(program)
    if not os.path.isabs(path):
        raise ValueError("a program is named by an absolute path, or by a name that PATH leads to")
    names = {os.path.basename(program), os.path.basename(os.path.realpath(path))}
    if names & _SHELLS or os.path.basename(program) == "busybox":
        raise ValueError("a shell reads its arguments as a program: run the program itself")
    return path


def _on_path(name: str) -> str:
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder, name)
        if os.path.isabs(folder) and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise ValueError(f"there is no program {name!r} in the absolute folders of PATH")


def _environment(env: Mapping[str, str] | None, inherit: Iterable[str]) -> dict[str, str]:
    return {name: os.environ[name] for name in inherit if name in os.environ} | dict(env or {})

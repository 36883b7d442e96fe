"""One pipe to a server process, shared by an honest client and an attacker.

The SDK's own ``Client`` speaks through it as through any transport. Crafted requests go into the same pipe as raw
lines, past the SDK, whose types would tidy them up before they are sent. Everything that comes back is kept as it
came: that record, and not what the SDK makes of it, is what an oracle reads.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
from mcp import types
from mcp.shared.message import SessionMessage

from doorward.lab.scenario import Era
from doorward.lab.transcript import Transcript
from doorward.wire.lines import LineSplitter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from anyio.abc import ByteReceiveStream, Process
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

ANSWER_LIMIT_SECONDS = 10.0
"""How long the lab waits for one answer. A target that works answers in milliseconds."""

POUR_LIMIT_SECONDS = 20.0
"""For one flood. Behind a limit it is over in milliseconds, on loopback a few hundred MiB take a second; a server that
stopped reading would take it for ever.
"""

CLOSE_LIMIT_SECONDS = 3.0
"""How long a process may take to end once its standard input is closed; then it is killed with its group."""

LINE_LIMIT_BYTES = 16 * 1024 * 1024

RAW = "lab-"
"""How the id of a crafted request begins."""

FLOOD = f"{RAW}flood-"
"""How the id of one of :meth:`Pipe.repeat` begins."""

_ANSWERS_FLOOD = f'"id":"{FLOOD}'.encode()
_ID_WITHIN = 64  # bytes of an answer: whoever writes the id last is taken for slow, and not for wrong

Streams = tuple["MemoryObjectReceiveStream[SessionMessage | Exception]", "MemoryObjectSendStream[SessionMessage]"]


class Flood(NamedTuple):
    """A message that is made while it is sent: ``head``, ``times`` times ``piece``, ``tail``. ``announced`` is the
    length that HTTP is told, 0 for none. ``headers`` says that it is no body, but more and more lines of headers.
    """

    head: bytes
    piece: bytes = b""
    times: int = 0
    tail: bytes = b""
    announced: int = 0
    headers: bool = False

    @property
    def size(self) -> int:
        """Its bytes, if all of it is sent."""
        return len(self.head) + self.times * len(self.piece) + len(self.tail)

    def pieces(self, enough: Callable[[], bool]) -> Iterator[bytes]:
        """All of it, or less once it is enough; the tail always, so that it stays a message."""
        yield self.head
        for _ in range(self.times):
            if enough():
                break
            yield self.piece
        yield self.tail


class Pipe:
    """A started server, or a ``wrap`` in front of one, at the other end of two pipes.

    ``streams`` is what the SDK's client takes for a transport; ``ask`` sends one crafted request, ``pour`` one whose
    size is the attack. ``lines`` are all complete lines that arrived, in order; ``pid`` is the started process;
    ``transcript`` is both directions, for reports.
    """

    def __init__(self, argv: tuple[str, ...], *, env: Mapping[str, str], cwd: Path, stderr: Path, era: Era) -> None:
        self.lines: list[bytes] = []
        self.transcript = Transcript()
        self.exit_code: int | None = None
        self.pid = 0
        self._argv, self._env, self._cwd, self._stderr, self._era = argv, env, cwd, stderr, era
        self._into_process: _Inlet | None = None
        self._waiting: dict[str, tuple[anyio.Event, list[bytes]]] = {}
        self._asked = 0
        self._sent = self._repeated = 0  # by repeat, and of these answered
        self._answered = anyio.Event()

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[Streams]:
        """Start the process, carry messages, and end it with everything that it started, however the block is left."""
        into, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](1024)
        outgoing, out = anyio.create_memory_object_stream[SessionMessage](0)
        theirs, ours = os.pipe()
        self._into_process = _Inlet(ours)
        try:
            with self._stderr.open("wb") as stderr:
                process = await anyio.open_process(
                    self._argv,
                    stdin=theirs,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    env=dict(self._env),
                    cwd=self._cwd,
                    start_new_session=True,
                )
        except BaseException:
            await self._into_process.aclose()
            raise
        finally:
            os.close(theirs)
        self.pid = process.pid
        try:
            async with anyio.create_task_group() as carriers:
                carriers.start_soon(self._receive, process.stdout, into)
                carriers.start_soon(self._send_all, out)
                try:
                    yield incoming, outgoing
                finally:
                    carriers.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._end(process)
            for stream in (into, incoming, outgoing, out):
                stream.close()

    async def ask(self, method: str, params: Mapping[str, Any], limit: float | None = None) -> bytes | None:
        """Send one request exactly as given and answer the line that came back; None if none came in time, which is
        ``limit`` seconds, or else :data:`ANSWER_LIMIT_SECONDS`.

        In the modern era the request carries the ``_meta`` that each modern request must carry, under what it says
        itself.
        """
        self._asked += 1
        key = f"{RAW}{self._asked}"
        line = json.dumps(
            {"jsonrpc": "2.0", "id": key, "method": method, "params": self._params(params)}, ensure_ascii=False
        )
        return await self.say(line.encode("utf-8", "surrogatepass"), key, limit)

    @property
    def asked(self) -> str:
        """The id of the crafted request that was sent last."""
        return f"{RAW}{self._asked}"

    async def say(self, line: bytes, key: str, limit: float | None = None) -> bytes | None:
        """Send one line as given and answer what came back for the id ``key``, which begins with :data:`RAW`."""
        done, answer = anyio.Event(), list[bytes]()
        self._waiting[key] = (done, answer)
        with anyio.move_on_after(ANSWER_LIMIT_SECONDS if limit is None else limit):
            await self._write(line)
            await done.wait()
        self._waiting.pop(key, None)
        return answer[0] if answer else None

    async def repeat(self, messages: Sequence[tuple[str, Mapping[str, Any]]], at_once: int) -> None:
        """Send these in turn without end: so many are under way, and the next follows as soon as one was answered.

        Whoever floods a pipe is its one client, so this is sent from here, as cheaply as can be. Its answers are
        counted, and neither kept nor read.
        """
        texts = [json.dumps({"jsonrpc": "2.0", "method": m, "params": self._params(p)})[1:] for m, p in messages]
        while self._into_process is not None:
            if self._sent - self._repeated >= at_once:
                self._answered = anyio.Event()
                await self._answered.wait()
            more = range(self._sent, self._repeated + at_once)
            lines = [f'{{"id": "{FLOOD}{number}", {texts[number % len(texts)]}\n' for number in more]
            self._sent = more.stop
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
                await self._into_process.send("".join(lines).encode())

    def _params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """With the ``_meta`` that each modern request carries, under what it says itself."""
        if self._era is not Era.MODERN:
            return dict(params)
        return {**params, "_meta": {**modern_meta(), **params.get("_meta", {})}}

    async def tell(self, method: str) -> None:
        """Send a notification without parameters."""
        await self._write(json.dumps({"jsonrpc": "2.0", "method": method}).encode())

    async def ready(self) -> None:
        """Be able to :meth:`pour`: there is one session on a pipe, and it is there."""

    async def pour(self, flood: Flood, enough: Callable[[], bool]) -> None:
        """Send one message that is made while it is sent, until it is whole or ``enough``; never all of it in memory.

        Returns once the server has answered the request after it, so that it has taken in what it will take in, or once
        it has taken neither in time.
        """
        if self._into_process is None:
            return
        self.transcript.sent(flood.head + flood.piece, flood.size)
        with (
            anyio.move_on_after(POUR_LIMIT_SECONDS),
            suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError),
        ):
            for piece in flood.pieces(enough):
                await self._into_process.send(piece)
            await self._into_process.send(b"\n")
        await self.ask("tools/list", {})

    async def _write(self, line: bytes) -> None:
        if self._into_process is None:
            return
        self.transcript.sent(line)
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            await self._into_process.send(line + b"\n")

    async def _send_all(self, out: MemoryObjectReceiveStream[SessionMessage]) -> None:
        async for message in out:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            await self._write(text.encode())

    async def _receive(
        self, stdout: ByteReceiveStream | None, into: MemoryObjectSendStream[SessionMessage | Exception]
    ) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            async for line in _lines(stdout):
                if _ANSWERS_FLOOD in line[:_ID_WITHIN]:
                    self._repeated += 1
                    self._answered.set()
                    continue
                self.lines.append(line)
                self.transcript.received(line)
                if not self._is_ours(line):
                    await into.send(parsed(line))
        for done, _ in self._waiting.values():
            done.set()
        into.close()

    def _is_ours(self, line: bytes) -> bool:
        """Whether this answers a crafted request, or one of several in a batch."""
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            return False
        taken = [self._takes(one, line) for one in (message if isinstance(message, list) else [message])]
        return any(taken)

    def _takes(self, message: object, line: bytes) -> bool:
        """Hand ``line`` to whoever waits for it. An error without id answers the one that waits."""
        if not isinstance(message, dict) or "method" in message:
            return False
        key = message.get("id")
        if key is None and len(self._waiting) == 1:
            key = next(iter(self._waiting))
        if not isinstance(key, str) or not key.startswith(RAW):
            return False
        if key in self._waiting:
            done, answer = self._waiting[key]
            answer.append(line)
            done.set()
        return True

    async def _end(self, process: Process) -> None:
        if self._into_process is not None:
            await self._into_process.aclose()
        with anyio.move_on_after(CLOSE_LIMIT_SECONDS):
            await process.wait()
        # It leads its own group, so this reaches whoever it left behind and nobody else.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        self.exit_code = await process.wait()
        await process.aclose()


class _Inlet:
    """Our end of a pipe into a process. Some Pythons' asyncio makes a socket there, which nobody else can open."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._one_at_a_time = anyio.Lock()

    async def send(self, data: bytes) -> None:
        """All of it, and nobody else's between.

        Raises:
            OSError: nobody reads any more.
        """
        async with self._one_at_a_time:
            left = memoryview(data)
            while left:
                try:
                    left = left[os.write(self._descriptor, left) :]
                except BlockingIOError:
                    await anyio.wait_writable(self._descriptor)

    async def aclose(self) -> None:
        if self._descriptor >= 0:
            anyio.notify_closing(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


def modern_meta() -> dict[str, Any]:
    """What a modern request says of its sender (2026-07-28, ``_meta``)."""
    return {
        "io.modelcontextprotocol/protocolVersion": Era.MODERN.value,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "lab", "version": "1"},
    }


async def _lines(stream: ByteReceiveStream | None) -> AsyncIterator[bytes]:
    """Whole lines. One that is longer than the lab is willing to hold is dropped while it comes in."""
    if stream is None:
        return
    splitter = LineSplitter(LINE_LIMIT_BYTES)
    async for chunk in stream:
        for line in splitter.feed(chunk):
            if isinstance(line, bytes):
                yield line


def parsed(line: bytes) -> SessionMessage | Exception:
    """What the SDK's client gets for a message that arrived."""
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as problem:
        return problem

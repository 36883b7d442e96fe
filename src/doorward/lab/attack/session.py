"""One session with a target, in the era that it speaks, spoken in raw messages.

The SDK's client is not used: it would refuse or tidy what a broken server says, and a broken server must be told apart
from a safe one. Sources: MCP 2025-11-25 "Lifecycle", 2026-07-28 "server/discover". No capability is declared, so an
honest server asks for nothing; what it asks all the same is answered with -32601.
"""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import msgspec

from doorward import __version__
from doorward.lab.endpoint import Endpoint
from doorward.lab.peer import Pipe, modern_meta, parsed
from doorward.lab.scenario import Era

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.shared.message import SessionMessage

    from doorward.lab.attack.aim import Aim

FIRST_ANSWER_LIMIT_SECONDS = 30.0
"""For the first answer of a target: it may have to be unpacked or compiled before."""

DISCOVER_LIMIT_SECONDS = 5.0
"""How long a server may think about a method that it does not know before it is taken for one of the legacy era."""

LAST_ANSWER_SECONDS = 0.05

LAST_WORDS = 400
LOG = "notifications/message"
_METHOD_NOT_FOUND = -32601


class UnreachedError(Exception):
    """The target was not reached; the text says why."""


class Answer(msgspec.Struct, frozen=True):
    """What came back for one request: one of ``result`` and ``error``, or neither where nothing came in time."""

    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None

    @property
    def served(self) -> bool:
        """Whether an honest user got something. A tool's result that says ``isError`` is none."""
        return self.result is not None and self.result.get("isError") is not True


class Session:
    """``ask`` sends one request exactly as given; ``lines`` is everything that arrived, in order.

    ``ended`` says that the other side is gone: nothing is waited for then. ``capabilities`` are what it declared.
    """

    def __init__(self, wire: Pipe | Endpoint, outgoing: MemoryObjectSendStream[SessionMessage]) -> None:
        self.wire = wire
        self.era = Era.LEGACY
        self.capabilities: dict[str, Any] = {}
        self.ended = False
        self._outgoing = outgoing
        self._gone = anyio.Event()

    @property
    def lines(self) -> list[bytes]:
        return self.wire.lines

    async def ask(self, method: str, params: Mapping[str, Any], limit: float | None = None) -> Answer:
        """Send one request and wait for its answer, ``limit`` seconds at most, or else as long as the wire does."""
        body = dict(params)
        if self.era is Era.MODERN:
            body["_meta"] = {**modern_meta(), "io.modelcontextprotocol/logLevel": "debug"}
        line: bytes | None = None
        if self.ended:
            return Answer()
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(self._no_longer, waiting.cancel_scope)
            line = await self.wire.ask(method, body, limit)
            waiting.cancel_scope.cancel()
        return _answer(line)

    def end(self) -> None:
        """Note that the other side is gone."""
        self.ended = True
        self._gone.set()

    async def _no_longer(self, waiting: anyio.CancelScope) -> None:
        """Nobody answers who is gone; what they said before is still taken in."""
        await self._gone.wait()
        await anyio.sleep(LAST_ANSWER_SECONDS)
        waiting.cancel()

    async def notify(self, method: str) -> None:
        await self._send({"jsonrpc": "2.0", "method": method})

    async def reply(self, id: object, method: str) -> None:
        """Answer what the server asked: a ping as it wants, anything else with the error for what was not declared."""
        refusal = {"code": _METHOD_NOT_FOUND, "message": "this client declared no such capability"}
        await self._send({"jsonrpc": "2.0", "id": id, **({"result": {}} if method == "ping" else {"error": refusal})})

    async def _send(self, message: dict[str, Any]) -> None:
        made = parsed(json.dumps(message).encode())
        if not isinstance(made, Exception):
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await self._outgoing.send(made)


@asynccontextmanager
async def connected(
    aim: Aim, *, argv: tuple[str, ...], env: Mapping[str, str], cwd: Path, words: Path
) -> AsyncIterator[Session]:
    """A session with the command ``argv``, or with the URL of ``aim`` where that is empty.

    ``words`` is a file for what a command says on stderr. Whatever was started is ended with the block.

    Raises:
        UnreachedError: nobody there, or nobody who speaks MCP.
    """
    async with AsyncExitStack() as life:
        why, trouble, session = "", "", None
        # A pipe serves both eras, unless the server did not survive the question of the modern one.
        for eras in (tuple(Era), (Era.LEGACY,)) if argv else ((Era.MODERN,), (Era.LEGACY,)):
            wire: Pipe | Endpoint
            if argv:
                wire = Pipe(argv, env=env, cwd=cwd, stderr=words, era=Era.LEGACY)
            else:
                wire = Endpoint(aim.url, era=eras[0], extra=dict(aim.headers), certificate=aim.certificate)
            async with AsyncExitStack() as attempt:
                try:
                    session = await attempt.enter_async_context(_open(wire))
                except OSError as problem:
                    reason = (problem.strerror or str(problem)).lower()
                    raise UnreachedError(f"it cannot be started: {reason}") from None
                why, trouble = await _greet(session, eras), _troubled(wire)
                if not why:
                    life.push_async_exit(attempt.pop_all())
                    break
            if argv and not session.ended:
                break
        if why or session is None:
            raise UnreachedError(why + (_said(words) if argv else trouble))
        yield session


@asynccontextmanager
async def _open(wire: Pipe | Endpoint) -> AsyncIterator[Session]:
    async with wire.streams() as (incoming, outgoing), anyio.create_task_group() as life:
        session = Session(wire, outgoing)
        life.start_soon(_attend, session, incoming)
        try:
            yield session
        finally:
            life.cancel_scope.cancel()


async def _greet(session: Session, eras: tuple[Era, ...]) -> str:
    """Agree on an era; answers why that failed."""
    if Era.MODERN in eras:
        session.era = Era.MODERN
        limit = DISCOVER_LIMIT_SECONDS if Era.LEGACY in eras else FIRST_ANSWER_LIMIT_SECONDS
        found = (await session.ask("server/discover", {}, limit)).result or {}
        versions = found.get("supportedVersions")
        if isinstance(versions, list) and Era.MODERN.value in versions:
            session.capabilities = _object(found.get("capabilities"))
            return ""
    session.era = Era.LEGACY
    if Era.LEGACY not in eras:
        return "it does not speak the modern era"
    hello = {
        "protocolVersion": Era.LEGACY.value,
        "capabilities": {},
        "clientInfo": {"name": "doorward-attack", "version": __version__},
    }
    answer = await session.ask("initialize", hello, FIRST_ANSWER_LIMIT_SECONDS)
    if answer.result is None or not isinstance(answer.result.get("protocolVersion"), str):
        return "it ended before it answered initialize" if session.ended else "it did not answer initialize as MCP says"
    session.capabilities = _object(answer.result.get("capabilities"))
    await session.notify("notifications/initialized")
    if "logging" in session.capabilities:
        await session.ask("logging/setLevel", {"level": "debug"})
    return ""


async def _attend(session: Session, incoming: MemoryObjectReceiveStream[SessionMessage | Exception]) -> None:
    """Take in whatever is no answer of ours, so that nothing is held up, and answer what the server asks."""
    async for item in incoming:
        if isinstance(item, Exception):
            continue
        message = json.loads(item.message.model_dump_json(by_alias=True, exclude_unset=True))
        if "method" in message and message.get("id") is not None:
            await session.reply(message["id"], message["method"])
    session.end()


def _troubled(wire: Pipe | Endpoint) -> str:
    """What was wrong below MCP, for people."""
    return f"; {wire.trouble}" if isinstance(wire, Endpoint) and wire.trouble else ""


def _said(words: Path) -> str:
    """The last words of a process, for people."""
    said = words.read_text("utf-8", "replace")[-LAST_WORDS:].strip() if words.exists() else ""
    return f"; it said: {said}" if said else ""


def _answer(line: bytes | None) -> Answer:
    try:
        message = json.loads(line or b"{}")
    except (ValueError, RecursionError):
        return Answer()
    if not isinstance(message, dict):
        return Answer()
    result, error = message.get("result"), message.get("error")
    return Answer(
        result if isinstance(result, dict) else None,
        error if isinstance(error, dict) else None,
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

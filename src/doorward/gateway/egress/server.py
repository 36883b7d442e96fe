"""The way out of one server: a proxy for public addresses, and relays to what the operator named (``confine.network``).

The listening sockets stand in the server's own network, which has no other way out; they are accepted on here, and
connections are made with Doorward's own network. A relay carries bytes to its one target. The proxy understands what
``request`` says.

Who may be reached by the proxy is decided in this order: the list of hosts, if there is one, before a name is resolved
(a name can carry a secret to whoever answers for it); then each address that the name has; and the connection goes to
an address that was looked at, the name is never resolved again (DNS rebinding). A target of the operator's passes by
exactly its name and port. What becomes of a refusal is for ``refusals``.

Where the operator has a proxy before Doorward (``onward``), hosts are judged in the same way, and then reached through
it: by the address that was looked at, so that it resolves nothing; by its name only where the policy lists the host,
which also may have no address here. Any other name that has none is refused: nobody could say where it leads.

The bounds: a head of 16 KiB within 10 seconds, 64 connections of a server at once, those of all within a quarter of
the process's descriptors (further ones wait, and some servers can keep others waiting, never the gateway), eight names
in resolution, 20 seconds until a connection stands (5 for each address but the last), an hour without a byte in either
direction. What one side does not read is not read from the other.

Sources: RFC 9110 sections 7.6.1 and 9.3.6, RFC 9112 section 3.2, THREATS ``ssrf-inside``.
"""

from __future__ import annotations

import asyncio
import functools
import os
import resource
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import ExitStack, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec

from doorward.confine.network import Target, spelt
from doorward.confine.process import Listener
from doorward.content.destinations import is_listed
from doorward.errors import ConfinementError
from doorward.gateway.egress.carriage import Stream, one_request, tunnel
from doorward.gateway.egress.lookups import Judge, Lookups, Resolve, why_closed
from doorward.gateway.egress.onward import Onward, ask, onward_of
from doorward.gateway.egress.request import Body, RefusedError, Request, read_request
from doorward.policy.addresses import split_target

if TYPE_CHECKING:
    from doorward.confine.profile import SandboxProfile
    from doorward.gateway.reporter import Say

_ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
_PAUSE_S: Final = 0.5
_MOST_SHARED: Final = 1024


class Limits(msgspec.Struct, frozen=True):
    """The bounds of one server's way out."""

    head_bytes: int = 16 * 1024
    head_s: float = 10.0
    connections: int = 64
    lookups: int = 8
    connect_s: float = 20.0
    attempt_s: float = 5.0
    idle_s: float = 3600.0


Refuse = Callable[[Target, str], str]
"""Keeps that a target was refused, and why; gives the reference under which, or nothing."""


def shared_room() -> asyncio.Semaphore:
    """How many connections the servers of one process may have in all: they get a quarter of its descriptors, two for
    each connection, or servers could take those that its clients and its log need.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return asyncio.Semaphore(min(_MOST_SHARED, max(1, soft // 8)) if soft != resource.RLIM_INFINITY else _MOST_SHARED)


def way_out(walls: SandboxProfile, refuse: Refuse, say: Say, *, shared: asyncio.Semaphore | None = None) -> Egress:
    """The way out that its walls leave a server, through the operator's own proxy where one is set."""
    onward = onward_of(os.environ, say) if walls.network == "public" else None
    return Egress(refuse, hosts=walls.hosts, connect=walls.connect, onward=onward, shared=shared)


class Egress:
    """The way out of one server, in one event loop. ``open`` takes over the descriptors of its listeners.

    ``refuse`` hears of what was refused. ``hosts`` limits the proxy (empty: it does not), ``closed`` are hosts that it
    does not reach, in the same form, ``connect`` are the targets, which it reaches in any case, ``onward`` is the
    operator's own proxy. ``shared`` is room that servers of one process share. ``resolve`` and ``judge`` take the place
    of the system's resolver and of ``why_closed``, in tests.
    """

    def __init__(  # noqa: PLR0913 - each is one bound, or one part that tests exchange
        self,
        refuse: Refuse,
        *,
        hosts: tuple[str, ...] = (),
        closed: tuple[str, ...] = (),
        connect: tuple[Target, ...] = (),
        onward: Onward | None = None,
        shared: asyncio.Semaphore | None = None,
        limits: Limits | None = None,
        resolve: Resolve | None = None,
        judge: Judge = why_closed,
    ) -> None:
        self._refuse = refuse
        self._hosts = hosts
        self._closed = closed
        self._connect = frozenset(connect)
        self._onward = onward
        self._limits = limits or Limits()
        self._resolve = resolve or Lookups(self._limits.lookups).resolve
        self._judge = judge
        self._room = asyncio.Semaphore(self._limits.connections)
        self._shared = shared or shared_room()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets: list[socket.socket] = []

    def open(self, listeners: Sequence[Listener]) -> None:
        """Begin to accept. Nothing happens for a server that has no way out."""
        for listener in listeners:
            listening = socket.socket(fileno=listener.descriptor)
            listening.setblocking(False)
            self._sockets.append(listening)
            serve = self._relay_to(listener.target) if listener.target else self._proxy
            self._begin(self._accept(listening, serve))

    async def close(self) -> None:
        """Nobody new, and every connection is cut."""
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
        for listening in self._sockets:
            listening.close()
        self._sockets.clear()

    # -- who comes ----------------------------------------------------------------------------------------------------

    def _begin(self, work: Coroutine[Any, Any, None], ended: Callable[[], None] = lambda: None) -> None:
        def over(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            ended()

        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(over)

    async def _accept(self, listening: socket.socket, serve: Callable[[Stream], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
                near = await self._admit(connection)
            except OSError:  # no descriptor is free, or whoever came has left: both pass
                await asyncio.sleep(_PAUSE_S)
                continue
            self._begin(self._serve(near, serve), functools.partial(self._left, near))

    async def _admit(self, connection: socket.socket) -> Stream:
        """Wait for a place. Not before somebody came: a listener that nobody comes to needs none."""
        with ExitStack() as undo:
            undo.callback(connection.close)
            for room in (self._room, self._shared):
                await room.acquire()
                undo.callback(room.release)
            near = await Stream.accepted(connection, self._limits.head_bytes)
            undo.pop_all()
            return near

    def _left(self, near: Stream) -> None:
        near.abort()
        self._shared.release()
        self._room.release()

    async def _serve(self, near: Stream, serve: Callable[[Stream], Awaitable[None]]) -> None:
        with suppress(OSError, EOFError):  # a peer that left: there is nobody to tell
            await serve(near)
            await near.finish()

    # -- what it wants ------------------------------------------------------------------------------------------------

    def _relay_to(self, named: str) -> Callable[[Stream], Awaitable[None]]:
        target = split_target(named)
        if target is None:
            raise ConfinementError(f"{named!r} is no target")

        async def relay(near: Stream) -> None:
            with suppress(RefusedError):  # it sees the end of its connection, as it would without us
                far = await self._reach(target, self._resolve(*target))
                await self._with(far, tunnel(near, far, self._limits.idle_s))

        return relay

    async def _proxy(self, near: Stream) -> None:
        try:
            request = await self._read(near)
            body = Body(request.head) if request.head else None
            far = await self._way_to(request.target)
        except RefusedError as refused:
            await near.write(_answer(refused))
            return
        if body is None:
            await near.write(_ESTABLISHED)
            await self._with(far, tunnel(near, far, self._limits.idle_s))
        else:
            await far.write(request.head)
            await self._with(far, one_request(near, far, body, self._limits.idle_s))

    async def _way_to(self, target: Target) -> Stream:
        onward = self._onward
        if onward is None or target in self._connect or onward.leaves_out(target):
            return await self._reach(target, self._open_addresses(target))
        named = await self._named_onward(target)
        try:
            far = await self._reach(onward.target, self._resolve(*onward.target))
        except RefusedError:
            raise RefusedError(502, "the proxy before doorward cannot be reached") from None
        try:
            async with asyncio.timeout(self._limits.connect_s):
                await ask(far, onward, named)
        except (OSError, EOFError):  # TimeoutError is one
            far.abort()
            raise RefusedError(502, "the proxy before doorward broke off") from None
        except RefusedError as refused:
            far.abort()
            if named == target:
                raise
            why = f"{refused} when it was asked for the address; for a host that is listed in hosts it is asked by name"
            raise self._refused(target, str(refused), why) from None
        except BaseException:
            far.abort()
            raise
        return far

    async def _read(self, near: Stream) -> Request:
        try:
            async with asyncio.timeout(self._limits.head_s):
                return read_request(await near.read_until(b"\r\n\r\n"))
        except TimeoutError:
            raise RefusedError(408, "the request did not come in time") from None
        except asyncio.LimitOverrunError:
            raise RefusedError(431, f"the head is longer than {self._limits.head_bytes} bytes") from None

    async def _reach(self, target: Target, addresses: Awaitable[list[str]]) -> Stream:
        """A connection to the first of ``addresses`` that answers. Only the last may take all the time that is left."""
        problem: OSError | None = None
        try:
            async with asyncio.timeout(self._limits.connect_s):
                *others, last = await addresses or [""]
                for address in others:
                    try:
                        async with asyncio.timeout(self._limits.attempt_s):
                            return await Stream.connected(address, target[1])
                    except OSError as error:  # TimeoutError is one
                        problem = error
                if last:
                    return await Stream.connected(last, target[1])
        except TimeoutError:
            raise RefusedError(504, f"{spelt(target)} does not answer") from None
        except OSError as error:
            problem = error
        why = _reason(problem) if problem is not None else "it has no address"
        raise RefusedError(502, f"{spelt(target)} cannot be reached: {why}")

    # -- whether it may -----------------------------------------------------------------------------------------------

    async def _open_addresses(self, target: Target) -> list[str]:
        """Those addresses of ``target`` to which the server may go."""
        host, port = target
        if target in self._connect:
            return await self._resolve(host, port)
        if self._hosts and not is_listed(host, self._hosts):
            raise self._refused(target, f"{host} is not on the list of hosts", "it is not on the list of hosts")
        if is_listed(host, self._closed):
            raise self._refused(target, f"{host} is closed", "nothing is fetched from there")
        closed = {address: self._judge(address) for address in await self._resolve(host, port)}
        found = [address for address, why in closed.items() if not why]
        if closed and not found:
            first, why = next(iter(closed.items()))
            # Where the name leads in this network is nothing that a server need learn.
            told = f"it {why}" if first == host else f"it leads to {first}, which {why}"
            raise self._refused(target, f"{host} is not public", told)
        return found

    async def _named_onward(self, target: Target) -> Target:
        """What the operator's proxy is asked for: an open address of ``target``, or a host that the policy lists."""
        host, port = target
        try:
            async with asyncio.timeout(self._limits.attempt_s):
                found = await self._open_addresses(target)
        except OSError:  # TimeoutError is one
            found = []
        if self._hosts:  # on the list, or it would have been refused
            return target
        if not found:
            why = "it has no address here, and where the proxy would go for it nobody knows; list it in hosts"
            raise self._refused(target, f"{host} has no address here", why)
        return found[0], port

    def _refused(self, target: Target, what: str, why: str) -> RefusedError:
        reference = self._refuse(target, why)
        return RefusedError(403, f"{what} (reference {reference})" if reference else what)

    async def _with(self, far: Stream, carrying: Coroutine[Any, Any, None]) -> None:
        try:
            await carrying
        finally:
            far.abort()


def _answer(refused: RefusedError) -> bytes:
    text = f"doorward: {refused}\n".encode()
    head = (
        f"HTTP/1.1 {refused.status} {HTTPStatus(refused.status).phrase}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(text)}",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + text


def _reason(problem: OSError) -> str:
    said = os.strerror(problem.errno) if problem.errno and problem.errno > 0 else problem.strerror or str(problem)
    return said.lower()

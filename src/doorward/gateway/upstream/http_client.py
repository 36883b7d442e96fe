"""A lean HTTP/1.1 client for one origin: connections are kept and used again, bounded in number, never shared further.

There is one for each link, so that neither a connection nor what was said on it is shared between principals. Redirects
are not followed: an upstream is where the operator said. Certificates and names are always verified.

Does not protect against a server that is slow on purpose: how long an answer may take is for whoever asked to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from doorward.errors import UsageError
from doorward.gateway.upstream.address import Address, resolve
from doorward.gateway.upstream.connection import Carriage, Connection

MAX_CONNECTIONS: Final = 128
"""Of one link. Each open call of a Streamable HTTP server holds one; beyond it requests wait."""
EXTRA_CONNECTIONS: Final = 16
"""For what the waiting ones may wait for: answers to the server, cancellations, the standing stream."""
MAX_QUEUED_BYTES: Final = 32 * 1024 * 1024  # as for pipes (gateway.ports)
CONNECT_TIMEOUT_S: Final = 10.0
# Servers close quiet connections after 5 s (uvicorn, Node) or later; a request that crosses with that is lost, and a
# call cannot be sent again. So we are first.
_IDLE_S: Final = 4.0
# Some servers close a connection behind their first answer without a word, and all do some seconds after an answer. In
# between, the loop hears of it long before the connection is used again, and the kernel need not be asked as well.
_TRUSTED_S: Final = 0.5
_LEAST_CONNECT_S: Final = 2.0

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")
_OURS: Final = frozenset(
    "accept accept-encoding connection content-length content-type expect host last-event-id te transfer-encoding "
    "upgrade".split()
)

Verify = Callable[[asyncio.Transport], str | None]
"""Looks at a new connection before anything is written to it; what it returns is why it is refused."""


class _UnprovenError(OSError):
    """Whoever answered did not prove to be the server."""


class HttpClient:
    """Sends carriages to one origin (see ``connection.Carriage``).

    ``tls`` must verify certificates and names; the default trusts what the system trusts. ``verify`` may refuse a
    connection by what is at its other end. Raises UsageError for a TLS context that does not verify.
    """

    def __init__(
        self,
        address: Address,
        *,
        tls: ssl.SSLContext | None = None,
        verify: Verify | None = None,
        connections: int = MAX_CONNECTIONS,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> None:
        if tls is not None and not (tls.check_hostname and tls.verify_mode == ssl.CERT_REQUIRED):
            raise UsageError("a TLS context for an upstream verifies certificates and names")
        self._address = address
        self._tls = tls
        self._verify = verify
        self._limit = connections
        self._connect_timeout_s = connect_timeout_s
        self._loop = asyncio.get_running_loop()
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._waiting: deque[Carriage] = deque()
        self._urgent: deque[Carriage] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._blocked: dict[Connection, int] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._reaper: asyncio.TimerHandle | None = None
        self._closed = False
        self.queued_bytes = 0

    @property
    def is_full(self) -> bool:
        return not self._closed and self.queued_bytes > MAX_QUEUED_BYTES

    async def room(self) -> None:
        while self.is_full:
            await self._wait()

    async def drained(self) -> None:
        while self.queued_bytes and not self._closed:
            await self._wait()

    def start(self, carriage: Carriage) -> None:
        """Send it on a connection that is free, or as soon as one is."""
        if self._closed:
            self._loop.call_soon(_fail, carriage, "the connection to the server was closed")
            return
        if not self._waiting and not self._urgent:
            connection = self._take_idle()
            if connection is not None:
                self._send(connection, carriage)
                return
        (self._urgent if carriage.urgent else self._waiting).append(carriage)
        self.queued_bytes += len(carriage.wire)
        self._pump()

    def forget(self, carriage: Carriage) -> bool:
        """Take back what was not sent yet; False when it was."""
        for queue in (self._waiting, self._urgent):
            if carriage in queue:
                queue.remove(carriage)
                self._unqueue(len(carriage.wire))
                return True
        return False

    def close(self) -> None:
        """Close everything; nobody is told. What waits is dropped."""
        self._closed = True
        for task in self._connecting:
            task.cancel()
        for connection in list(self._all):
            connection.abandon()
        self._waiting.clear()
        self._urgent.clear()
        self._idle.clear()
        self.queued_bytes = 0
        self._wake()
        if self._reaper is not None:
            self._reaper.cancel()

    # -- queue --------------------------------------------------------------------------------------------------------

    def _send(self, connection: Connection, carriage: Carriage) -> None:
        connection.send(carriage)
        if connection.blocked:
            self._blocked[connection] = len(carriage.wire)
            self.queued_bytes += len(carriage.wire)
        carriage.wire = b""  # never sent again, and its answer may be long in coming

    def _next(self) -> Carriage | None:
        while self._urgent or self._waiting:
            carriage = (self._urgent or self._waiting).popleft()
            self._unqueue(len(carriage.wire))
            if not carriage.aborted:
                return carriage
        return None

    def _pump(self) -> None:
        """Give free connections to what waits, and open as many as may be opened for the rest."""
        while self._urgent or self._waiting:
            connection = self._take_idle()
            if connection is None:
                break
            carriage = self._next()
            if carriage is None:
                self._idle.append(connection)
                return
            self._send(connection, carriage)
        limit = self._limit + (EXTRA_CONNECTIONS if self._urgent else 0)
        wanted = len(self._urgent) + len(self._waiting) - len(self._connecting)
        for _ in range(min(wanted, limit - len(self._all) - len(self._connecting))):
            task = self._loop.create_task(self._connect())
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    def _unqueue(self, size: int) -> None:
        self.queued_bytes -= size
        if self._waiters and (not self.queued_bytes or self.queued_bytes <= MAX_QUEUED_BYTES // 2):
            self._wake()

    def _wait(self) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(waiter)
        return waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # -- connections --------------------------------------------------------------------------------------------------

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            now = self._loop.time()
            usable = now < connection.expires_at and not connection.closing
            if usable and (now < connection.trusted_until or connection.is_quiet()):
                return connection
            connection.close()
        return None

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                connection = await self._reach()
        except TimeoutError:
            self._not_reached(f"no connection within {self._connect_timeout_s:g} s")
        except ssl.SSLCertVerificationError as error:
            self._not_reached(f"its certificate is not valid: {error.verify_message}", unproven=True)
        except ssl.SSLError as error:
            self._not_reached(f"TLS with it failed: {error.reason or error}", unproven=True)
        except _UnprovenError as error:
            self._not_reached(str(error), unproven=True)
        except OSError as error:
            self._not_reached(f"no connection: {error.strerror or error}")
        else:
            self._connecting.discard(_this_task())
            self.released(connection)

    async def _reach(self) -> Connection:
        """A connection to the first place that answers; a dead one must not use up the time for the others."""
        places = await resolve(self._address)
        problem: OSError = OSError("the name has no address")
        for ip, family in places:
            share = max(_LEAST_CONNECT_S, self._connect_timeout_s / len(places))
            try:
                async with asyncio.timeout(share if len(places) > 1 else None):
                    return await self._reach_one(ip, family)
            except ssl.SSLCertVerificationError:
                raise
            except OSError as error:  # TimeoutError is one
                problem = error
        raise problem

    async def _reach_one(self, ip: str, family: int) -> Connection:
        transport, connection = await self._loop.create_connection(
            functools.partial(Connection, self),
            ip,
            self._address.port,
            family=family,
            ssl=(self._tls or _system_trust()) if self._address.secure else None,
            server_hostname=self._address.host if self._address.secure else None,
        )
        reason = self._verify(transport) if self._verify is not None else None
        if reason is not None:
            connection.close()
            raise _UnprovenError(reason)
        self._all.add(connection)
        return connection

    def _not_reached(self, cause: str, *, unproven: bool = False) -> None:
        """The first that waits hears of it; each of the others has an attempt of its own."""
        self._connecting.discard(_this_task())
        carriage = self._next()
        if carriage is not None:
            if unproven:
                carriage.unproven(cause)
            carriage.failed(cause)
        self._pump()

    # -- what a connection tells --------------------------------------------------------------------------------------

    def released(self, connection: Connection) -> None:
        if self._waiting or self._urgent:
            if not connection.is_quiet():
                connection.close()  # the peer closed it behind its answer; another one is opened then
                return
            carriage = self._next()
            if carriage is not None:
                self._send(connection, carriage)
                return
        patience = _IDLE_S if connection.patience_s is None else min(_IDLE_S, connection.patience_s - 1)
        now = self._loop.time()
        connection.expires_at = now + patience
        connection.trusted_until = now + _TRUSTED_S if connection.answers > 1 else now
        self._idle.append(connection)
        if self._reaper is None:
            self._reaper = self._loop.call_later(_IDLE_S / 2, self._reap)

    def left(self, connection: Connection) -> None:
        size = self._blocked.pop(connection, 0)
        if size:
            self._unqueue(size)

    def gone(self, connection: Connection) -> None:
        self._all.discard(connection)
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)
        if not self._closed:
            self._pump()

    def _reap(self) -> None:
        """Close what was not used for a while."""
        now = self._loop.time()
        for connection in [each for each in self._idle if each.expires_at <= now]:
            self._idle.remove(connection)
            connection.close()
        self._reaper = self._loop.call_later(_IDLE_S / 2, self._reap) if self._idle else None


def request(method: str, address: Address, fields: Mapping[str, str], body: bytes = b"") -> bytes:
    """One request as bytes. ``fields`` are checked already: nothing in them ends a line."""
    if method == "POST":
        fields = {**fields, "Content-Length": str(len(body))}
    return head(method, address, fields) + b"\r\n" + body


def head(method: str, address: Address, fields: Mapping[str, str]) -> bytes:
    """The beginning of a request: its line and ``fields``, without the empty line that ends them."""
    return f"{method} {address.target} HTTP/1.1\r\nHost: {address.authority}\r\n".encode() + lines(fields)


def lines(fields: Mapping[str, str]) -> bytes:
    """Fields as bytes. They are checked already: nothing in them ends a line."""
    return "".join([f"{name}: {value}\r\n" for name, value in fields.items()]).encode("latin-1")


def checked(fields: Mapping[str, str]) -> dict[str, str]:
    """Fields that an operator gave. Raises UsageError, which does not show values, where one cannot stand in a request
    or is Doorward's to write.
    """
    for name, value in fields.items():
        ours = name.lower() in _OURS or name.lower().startswith("mcp-")
        if ours or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise UsageError(f"a field for an upstream cannot be sent: {name[:40]!r}")
    return dict(fields)


@functools.cache
def _system_trust() -> ssl.SSLContext:
    """One for the process: reading the system's certificates takes 20 ms and holds a megabyte."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _this_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - only called from within one; for the types
    return task


def _fail(carriage: Carriage, cause: str) -> None:
    if not carriage.aborted:
        carriage.failed(cause)

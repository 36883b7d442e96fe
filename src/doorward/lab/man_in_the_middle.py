"""A man in the middle: whoever means a server over HTTP reaches it through him, and he rewrites what passes.

He is an attacker on the network, on real sockets: what he gets from one side goes on to the other, byte for byte but
for what he changes. He knows MCP and not much of HTTP, since he keeps the length of whatever he replaces. Where the way
is encrypted he ends TLS himself, with the certificate that he has, and goes on to the server on his own account.
"""

from __future__ import annotations

import re
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import anyio
from anyio.streams.tls import TLSStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from anyio.abc import ByteStream, TaskGroup

_LEFT = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError, OSError)
"""How a connection ends that either side gives up."""


class Rewriting(NamedTuple):
    """What becomes of each match of ``pattern`` in what passes, to either side: its group ``what`` reads ``by``."""

    pattern: re.Pattern[bytes]
    by: bytes

    def __call__(self, passing: bytes) -> bytes:
        return self.pattern.sub(self._instead, passing)

    def _instead(self, found: re.Match[bytes]) -> bytes:
        begin, end = (at - found.start() for at in found.span("what"))
        if end - begin < len(self.by):  # it would be another length, and the message broken
            return found[0]
        return found[0][:begin] + self.by.ljust(end - begin) + found[0][end:]


NOTHING = Rewriting(re.compile(rb"(?P<what>(?!))"), b"")
"""He only passes on: a proxy of the server's own, if the certificate is the server's."""


@asynccontextmanager
async def between(url: str, rewriting: Rewriting, certificate: Path | None = None) -> AsyncIterator[str]:
    """The URL at which he stands before the server at ``url``, as long as the block lasts.

    ``certificate`` is a file with the private key and the certificate that he shows; without one he speaks plain HTTP.
    """
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    server = urlsplit(url)

    async def meet(raw: ByteStream) -> None:
        async with raw:
            try:
                near = await _encrypted(raw, context) if context else raw
                async with await anyio.connect_tcp(server.hostname or "", server.port or 0) as far:
                    await _both_ways(near, far, rewriting)
            except _LEFT:
                return

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as life:
        life.start_soon(listener.serve, meet)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - of anyio, not of Django
        yield f"http{'s' if context else ''}://127.0.0.1:{port}{server.path}"
        life.cancel_scope.cancel()


async def _encrypted(raw: ByteStream, context: ssl.SSLContext) -> ByteStream:
    return await TLSStream.wrap(raw, server_side=True, ssl_context=context, standard_compatible=False)


async def _both_ways(near: ByteStream, far: ByteStream, rewriting: Rewriting) -> None:
    """Until either side has left."""
    async with anyio.create_task_group() as ways:
        ways.start_soon(_pass_on, near, far, rewriting, ways)
        ways.start_soon(_pass_on, far, near, rewriting, ways)


async def _pass_on(source: ByteStream, sink: ByteStream, rewriting: Rewriting, ways: TaskGroup) -> None:
    try:
        while True:
            await sink.send(rewriting(await source.receive()))
    except _LEFT:
        ways.cancel_scope.cancel()

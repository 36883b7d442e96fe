"""One HTTP/1.1 connection to an upstream: one request at a time, its answer handed on while it comes in.

The rules that this file must keep:

* A request is written once. What fails afterwards is lost; nobody here sends it again, since a call may have happened.
* An answer belongs to the request before it. Bytes that nobody asked for end the connection, and a connection whose
  answer did not end cleanly is never used for another request (request and response smuggling).
* What comes is counted before it is kept: 32 KiB and 100 fields of head (and of trailers), and no content that stands
  between (informational answers, chunk extensions) may be longer than that without any content.

Source: RFC 9112. The syntax is llhttp's with no leniency switched on. Compressed content is refused: it was not asked
for, and its size would not be known.
"""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from typing import Final, Protocol, cast

import httptools

MAX_HEAD_BYTES: Final = 32 * 1024
MAX_FIELDS: Final = 100
WRITE_TIMEOUT_S: Final = 30.0
READ_BYTES: Final = 32 * 1024
"""At most so much at a time: what a stream brings in one read is parsed in one go, while everybody else waits. The
loops' own quarter of a megabyte is some three thousand events.
"""
_FIRST_FINAL_STATUS: Final = 200
_SWITCHING: Final = 101
# A peer that vanished without a word is noticed after about two minutes: a call may be silent for long, its host not.
_KEEP_ALIVE: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))

COMPRESSED: Final = "its answer is compressed, which was not asked for"


class Carriage:
    """One request and whoever takes its answer: subclasses say what is done with it.

    ``wire`` is the whole request as bytes. ``head``, then any number of ``body``, then ``done``; or ``failed``, once,
    at any time. After ``abort`` none of them is called.
    """

    urgent = False
    """Whether it may be sent beyond the limit of connections: what others wait for (answers, cancellations)."""

    def __init__(self, wire: bytes) -> None:
        self.wire = wire
        self.connection: Connection | None = None
        self.aborted = False

    def head(self, status: int, headers: dict[bytes, bytes]) -> None:
        """The final status, and the fields: names in lower case, repeated ones joined by a comma."""

    def body(self, data: bytes) -> None:
        """Some of the content."""

    def compressed(self) -> None:
        """The answer is compressed, which was not asked for: how large it is cannot be told before it was unpacked, so
        nothing of it is read. ``failed`` follows.
        """

    def unproven(self, why: str) -> None:
        """Whoever answered where the server should be did not prove to be it, so nothing of this was sent to them.
        ``failed`` follows.
        """

    def done(self) -> None:
        """The answer is complete."""

    def failed(self, cause: str) -> None:
        """It will not be complete."""

    def pause(self) -> None:
        """Take nothing more in for now."""
        if self.connection is not None:
            self.connection.pause()

    def resume(self) -> None:
        if self.connection is not None:
            self.connection.resume()

    def abort(self) -> None:
        """Take nothing more in: the connection is closed, or, where it was not sent yet, it never will be."""
        self.aborted = True
        if self.connection is not None:
            self.connection.abandon()


class Owner(Protocol):
    """The pool, as its connection sees it."""

    def released(self, connection: Connection) -> None:
        """It can carry another request."""

    def left(self, connection: Connection) -> None:
        """All that was written to it has left."""

    def gone(self, connection: Connection) -> None:
        """It is closed."""


class _Read(threading.local):
    """Where one read of a socket goes: one for each thread, since its loop takes what came out of it at once."""

    def __init__(self) -> None:
        self.room = memoryview(bytearray(READ_BYTES))


_read: Final = _Read()


class Connection(asyncio.BufferedProtocol):
    """One connection, made for an event loop's ``create_connection``."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._poll = select.poll()
        self._carriage: Carriage | None = None
        self._headers: dict[bytes, bytes] = {}
        self._fields = 0
        self._field_bytes = 0
        self._bare_bytes = 0  # that came in since there was content
        self._has_head = False
        self._finished = False
        self._reusable = False
        self._until_end = False  # whether the end of the connection is the end of the answer
        self._refusal = ""
        self._timer: asyncio.TimerHandle | None = None
        self._unwritten = 0
        self.closing = False
        self.answers = 0  # that came to their end here
        self.blocked = False  # whether not all that was written has left
        self.trusted_until = 0.0  # when a quiet one is looked at again before it is used
        self.expires_at = 0.0  # when it is not used any more
        self.patience_s: float | None = None  # for how long the peer said that it keeps a quiet connection

    # -- what the pool asks -------------------------------------------------------------------------------------------

    def is_quiet(self) -> bool:
        """Whether the peer has neither closed a quiet connection nor said anything in it. Asked before a request is
        written: what is found here was not sent, so another connection can be taken without sending anything twice. The
        loop tells the same, but only when it comes to it.
        """
        return not self.closing and not self._poll.poll(0)

    def send(self, carriage: Carriage) -> None:
        self._carriage = carriage
        carriage.connection = self
        self._has_head = self._finished = False
        if self._transport is not None:
            self._transport.write(carriage.wire)

    def close(self) -> None:
        """Close a quiet connection."""
        self.closing = True
        if self._transport is not None:
            self._transport.abort()

    def abandon(self) -> None:
        """The request's owner wants no answer any more."""
        self._carriage = None
        self.close()

    def pause(self) -> None:
        if self._transport is not None and not self.closing:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self.closing:
            self._transport.resume_reading()

    # -- what the loop says -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's are not of that class
        transport.set_write_buffer_limits(high=0)  # so that we hear when all of it has left
        bare = transport.get_extra_info("socket")
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEP_ALIVE:
            bare.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._poll.register(bare.fileno(), select.POLLIN | select.POLLRDHUP)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loops ask for more than is good
        return _read.room

    def buffer_updated(self, nbytes: int) -> None:
        if self._carriage is None:
            self.close()  # nobody asked for it
            return
        self._bare_bytes += nbytes
        try:
            self._parser.feed_data(_read.room[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._finished:
                self._fail(self._why(error))
                return
            self._reusable = False
        if self._finished:
            self._finish()
        elif self._bare_bytes > MAX_HEAD_BYTES:
            self._fail("the head of its answer is too long")

    def eof_received(self) -> bool:
        self.closing = True
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.closing = True
        self._stop_timer()
        self.blocked = False
        self._owner.left(self)
        self._owner.gone(self)
        carriage, self._carriage = self._carriage, None
        if carriage is None:
            return
        carriage.connection = None
        if self._until_end and self._has_head and error is None:
            carriage.done()
        else:
            carriage.failed("the connection was closed before the answer was complete")

    def pause_writing(self) -> None:
        self.blocked = True
        self._timer = self._loop.call_later(WRITE_TIMEOUT_S, self._check_progress)

    def resume_writing(self) -> None:
        self.blocked = False
        self._stop_timer()
        self._owner.left(self)

    def _check_progress(self) -> None:
        left = self._transport.get_write_buffer_size() if self._transport is not None else 0
        if self._unwritten and left >= self._unwritten:
            self._fail(f"nobody read the request for {WRITE_TIMEOUT_S:g} s")
            return
        self._unwritten = left
        self._timer = self._loop.call_later(WRITE_TIMEOUT_S, self._check_progress)

    def _stop_timer(self) -> None:
        self._unwritten = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- what the parser says -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._finished:
            self._reusable = False  # an answer to nothing
        self._headers = {}
        self._fields = self._field_bytes = 0
        self._until_end = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._field_bytes += len(name) + len(value) + 4
        if self._fields > MAX_FIELDS or self._field_bytes > MAX_HEAD_BYTES:
            self._refuse("the head of its answer is too long")
        if self._has_head:
            return  # a trailer: counted, and of no use to anybody here
        name = name.lower()
        self._headers[name] = value if name not in self._headers else self._headers[name] + b", " + value

    def on_headers_complete(self) -> None:
        if self._finished or self._carriage is None:
            return
        status = self._parser.get_status_code()
        if status < _FIRST_FINAL_STATUS:
            if status == _SWITCHING:
                self._refuse("it changed the protocol, which was not asked for")
            return
        headers = self._headers
        if b"content-encoding" in headers and headers[b"content-encoding"].lower() != b"identity":
            self._carriage.compressed()
            self._refuse(COMPRESSED)
        coding = headers.get(b"transfer-encoding")
        if coding and coding.lower() != b"chunked":
            self._refuse("its answer has a transfer coding that is not known")
        self._has_head = True
        self._bare_bytes = 0
        self._until_end = not coding and b"content-length" not in headers
        self._carriage.head(status, headers)

    def on_body(self, data: bytes) -> None:
        self._bare_bytes = 0
        if self._carriage is not None and not self._finished:
            self._carriage.body(data)

    def on_message_complete(self) -> None:
        if self._has_head and not self._finished:
            self._finished = True
            self._reusable = self._parser.should_keep_alive()

    def _refuse(self, why: str) -> None:
        self._refusal = why
        raise _RefusedError

    def _why(self, error: Exception) -> str:
        if self._refusal:
            return self._refusal
        if isinstance(error, httptools.HttpParserCallbackError) and error.__context__ is not None:
            raise error.__context__  # ours: a mistake of this program, not of the peer
        return "its answer is not HTTP"

    # -- how an answer ends -------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """After the parser has returned: nothing that was read before may answer the next request."""
        carriage, self._carriage = self._carriage, None
        self._bare_bytes = 0
        self.answers += 1
        self.resume()  # what was paused for this answer is not for the next one
        if self._reusable and not self.blocked and not self.closing:
            if b"keep-alive" in self._headers:
                self._note_patience(self._headers[b"keep-alive"])
            self._owner.released(self)
        else:
            self.close()
        if carriage is not None:
            carriage.connection = None
            carriage.done()

    def _fail(self, cause: str) -> None:
        carriage, self._carriage = self._carriage, None
        self.close()
        if carriage is not None:
            carriage.connection = None
            carriage.failed(cause)

    def _note_patience(self, said: bytes) -> None:
        seconds = said.lower().partition(b"timeout=")[2].partition(b",")[0].strip()
        self.patience_s = float(seconds[:4]) if seconds.isdigit() else None


class _RefusedError(Exception):
    """Ends the parser from within one of its callbacks."""

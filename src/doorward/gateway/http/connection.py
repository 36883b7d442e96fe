"""One connection: requests in order, one at a time, each with its time and its bytes.

What a client sends while its request is answered waits: 64 KiB of it stop the reading until the answer is complete and
taken, so pipelined requests are answered in order and never pile up. Until then the connection is read, because that is
how it is noticed that a client leaves; afterwards the kernel is asked in each sweep.

After a refusal the rest of what the client sends is dropped unread for a moment before the connection is cut, or many
clients would never see the answer (RFC 9112 §9.6). A client that takes its answers slowly but steadily holds their
bytes for as long as others leave room for them (``untaken``).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, Final, cast

from doorward.gateway.http.again import Heads
from doorward.gateway.http.answer import CONTINUE, refusal
from doorward.gateway.http.call import HttpCall
from doorward.gateway.http.chunks import ChunkedBody
from doorward.gateway.http.head import CHUNKED, Address, Refused, end_of_head
from doorward.gateway.http.limits import PIECE_BYTES
from doorward.gateway.http.listener import Listener
from doorward.gateway.http.outflow import Outflow
from doorward.gateway.http.pace import Pace
from doorward.gateway.http.untaken import Part

_LINGER_S: Final = 2.0
_LINGER_BYTES: Final = 16 * 1024 * 1024  # a body several times too large, sent by a client that reads only afterwards
_UNAVAILABLE: Final = 503
_FAILED: Final = 500

# What a connection is at. Plain numbers, because they are looked at several times for each request.
_HEAD: Final = 0  # a request is waited for, or its head is coming in
_BODY: Final = 1
_CALL: Final = 2  # the application has it
_SKIP: Final = 3  # answered; the rest of a small body is dropped
_ENDING: Final = 4  # nothing that comes is read any more


class Connection(asyncio.Protocol):
    """Reads requests, and carries the answers of its one call."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._app = listener.app
        self._limits = listener.limits
        self._now = listener.loop.time
        self._transport: asyncio.Transport
        self._out: Outflow
        self._heads: Heads
        self.send: Callable[[bytes], None]
        self.peer: Address = ("", 0)
        self.owner: Any = None
        self._state: int = _HEAD
        self._call: HttpCall | None = None
        self._held = b""  # came in and was not looked at
        self._seen = 0  # of these, bytes that are no whole head
        self._advancing = False
        self._resting = False
        self.pace = Pace(listener, self._its_turn)
        self._reading = True
        self._unread = 0  # bytes of a body that are still to come, or CHUNKED
        self._most = 0
        self._body = bytearray()
        self._chunks: ChunkedBody | None = None
        self._budget = 0
        self._body_began = 0.0
        self._body_came = 0
        self._dropped = 0
        self.turn = listener.turn()
        self._deadline = math.inf

    # -- what the loop tells ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._out = Outflow(self._transport, self._listener.loop, Part(self._listener.untaken, self))
        self.send = self._out.send
        self.peer = (transport.get_extra_info("peername") or self.peer)[:2]
        local: Address = (transport.get_extra_info("sockname") or ("", 0))[:2]
        self._heads = Heads(self.peer, local, self._limits)
        self._deadline = self._now() + self._limits.head_seconds
        if not self._listener.enter(self):
            self._app.malformed(self.peer, "connections", f"all {self._limits.connections} are busy")
            self.send(refusal(_UNAVAILABLE, retry_after_s=1))
            self.cut()
            return
        try:
            self.owner = self._app.connected(self._transport)
        except Exception as problem:  # noqa: BLE001 (whatever it is, nobody is served whose owner is not known)
            self._report(problem)
            self.abort()

    def data_received(self, data: bytes) -> None:
        if self._state == _ENDING:
            self._dropped += len(data)
            if self._dropped > _LINGER_BYTES:
                self.abort()
            return
        self._held = self._held + data if self._held else data
        if self.pace.slow and not self._resting:
            self.pace.go_on()
        self._advance()

    def eof_received(self) -> None:
        """The client sends nothing more, so it waits for nothing more. What was answered is still delivered."""
        self._state = _ENDING
        self._deadline = math.inf
        self._lose()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (why is of no use to anybody)
        self._state = _ENDING
        self._listener.leave(self)
        self._held = b""
        self._lose()
        self._out.resume()

    def pause_writing(self) -> None:
        self._out.pause()

    def resume_writing(self) -> None:
        self._out.resume()
        if self._held:
            self._advance_later()

    # -- what the call asks for ---------------------------------------------------------------------------------------

    @property
    def must_close(self) -> bool:
        if self._listener.draining or not 0 <= self._unread <= PIECE_BYTES:
            return True
        # Whether a body comes that was not asked for is up to the client, and cannot be told from a next request.
        return bool(self._unread and self._call is not None and self._call.head.expects)

    @property
    def buffered(self) -> int:
        return self._out.buffered

    def taken(self) -> asyncio.Future[None]:
        return self._out.taken()

    def finished(self, *, close: bool) -> None:
        if self._budget:
            self._release()
        self._call = None
        if close:
            self._end()
            return
        if self._unread:
            self._state = _SKIP
            self._deadline = self._now() + self._limits.body_seconds
        else:
            self._wait()
        if self._held:
            self._advance_later()

    def rest(self) -> None:
        self.pace.slow_down()
        if not self._resting:
            self._resting = True
            self._listener.rest(self._rested)

    def _rested(self) -> None:
        self._resting = False
        self.pace.go_on()

    # -- what the listener asks for -----------------------------------------------------------------------------------

    @property
    def is_waiting(self) -> bool:
        """Whether nothing was asked that is still to be answered."""
        return self._state == _HEAD

    @property
    def is_incomplete(self) -> bool:
        """Whether it has no whole request."""
        return self._state in (_HEAD, _BODY)

    def cut(self) -> None:
        """Close; what was answered is still delivered."""
        self._state = _ENDING
        self._deadline = math.inf
        self._transport.close()

    def give_way(self) -> None:
        """Close, and take no more of anybody's time."""
        if self._out.stalled:
            self.abort()
        else:
            self.cut()

    def abort(self) -> None:
        """Close at once."""
        self._state = _ENDING
        self._transport.abort()
        self._lose()

    def sweep(self, now: float) -> None:
        """Look whether something took too long."""
        if self._out.is_stuck(now, self._limits.write_seconds):
            self._app.malformed(self.peer, "slow-reader", f"took next to nothing in {self._limits.write_seconds:g} s")
            self.abort()
        elif now > self._deadline:
            self._late()
        elif not self._reading and self._state == _CALL and self._out.has_left():
            self.abort()

    # -- requests -----------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """As far as it goes. An answer that is given on the way comes back here, and finds that it is on the way."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._held and not (self._resting or self.pace.in_line) and self._state not in (_CALL, _ENDING):
                if not self._step():
                    break
                if self._held and self._state == _HEAD:
                    self.pace.go_on()  # others come between one request and the next
        finally:
            self._advancing = False
        waits = self._state == _CALL or self._resting or self.pace.in_line or self._out.stalled
        self._read_on(wanted=not waits or len(self._held) < PIECE_BYTES)

    def _wait(self) -> None:
        self._state = _HEAD
        self.turn = self._listener.turn()
        self._deadline = self._now() + self._limits.idle_seconds
        if self._listener.draining:
            self.cut()

    def _advance_later(self) -> None:
        """Not at once: whoever answers a call is not called for the next one in the middle of that."""
        if self.pace.slow:
            self.pace.go_on()
        elif not self._advancing:
            self._listener.loop.call_soon(self._advance)

    def _its_turn(self) -> None:
        if self._state != _ENDING:
            self._advance()

    def _step(self) -> bool:
        if self._state == _HEAD:
            return not self._out.stalled and self._step_head()
        if self._state == _SKIP or self._call is None:
            return self._step_skip()
        return self._step_body(self._call)

    def _step_head(self) -> bool:
        if not self._seen:
            self._deadline = self._now() + self._limits.head_seconds
        end = end_of_head(self._held, self._seen, self._limits)
        if end is None:
            self._seen = len(self._held)
            return False
        if isinstance(end, Refused):
            self._refuse(end)
            return False
        read = self._heads.read(self._held[:end])
        self._held = self._held[end:]
        self._seen = 0
        if isinstance(read, Refused):
            self._refuse(read)
            return False
        head, self._unread = read
        self._begin(HttpCall(head, self))
        return True

    def _begin(self, call: HttpCall) -> None:
        self._call = call
        self._state = _CALL
        self._deadline = math.inf
        try:
            takes = self._app.admit(call)
        except Exception as problem:  # noqa: BLE001 (whatever it is, this client is answered and the others go on)
            self._failed(problem)
            return
        if call.answered or call.streaming or call.gone:
            return
        self._most = min(takes, self._limits.body_bytes)
        if self._unread > self._most or (self._unread == CHUNKED and not self._most):
            self._refuse(Refused(413, "body-bytes", f"a longer body than the {self._most} bytes that are taken here"))
        elif self._unread == CHUNKED or self._unread > len(self._held):
            self._expect_body(call)
        else:
            self._receive_held(call)

    def _receive_held(self, call: HttpCall) -> None:
        """The common case: the body came along with its head, or there is none."""
        size, body = self._unread, b""
        if size:
            if not self._may_hold(size):
                return
            body, self._held = self._held[:size], self._held[size:]
            self._unread = 0
        self._receive(call, body)

    def _expect_body(self, call: HttpCall) -> None:
        self._state = _BODY
        self._body_began = self._now()
        self._body_came = 0
        self._deadline = self._body_began + self._limits.body_seconds
        self._chunks = ChunkedBody() if self._unread == CHUNKED else None
        if call.head.expects and not self._held:
            self.send(CONTINUE)

    def _step_body(self, call: HttpCall) -> bool:
        data, self._held = self._held, b""
        if self._chunks is not None:
            return self._step_chunks(call, self._chunks, data)
        if len(data) > self._unread:
            data, self._held = data[: self._unread], data[self._unread :]
        if not self._keep(data, whole=len(data) == self._unread):
            return False
        self._unread -= len(data)
        if not self._unread:
            self._have(call, data)
        return True

    def _step_chunks(self, call: HttpCall, chunks: ChunkedBody, data: bytes) -> bool:
        refused = chunks.feed(data)
        piece = b"".join(chunks.pieces)
        chunks.pieces.clear()
        if self._body_came + len(piece) > self._most:
            refused = Refused(413, "body-bytes", f"a longer body than the {self._most} bytes that are taken here")
        if refused is not None:
            self._refuse(refused)
            return False
        if not self._keep(piece, whole=chunks.ended):
            return False
        if chunks.ended:
            self._held = chunks.rest
            self._unread = 0
            self._have(call, piece)
        return True

    def _keep(self, piece: bytes, *, whole: bool) -> bool:
        """Take the piece from the budget, and keep it, unless it ends the body and is all of it."""
        if not self._may_hold(len(piece)):
            return False
        self._body_came += len(piece)
        self._deadline = (
            self._body_began + self._limits.body_seconds + self._body_came / self._limits.body_bytes_per_second
        )
        if self._body or not whole:
            self._body += piece
        return True

    def _may_hold(self, count: int) -> bool:
        if self._call is None or not self._app.take(self._call, self._budget, count):
            self._refuse(Refused(_UNAVAILABLE, "in-flight-bytes", "the bytes that may be in flight are used up"))
            return False
        self._budget += count
        return True

    def _have(self, call: HttpCall, last: bytes) -> None:
        body = bytes(self._body) if self._body else last
        self._body = bytearray()
        self._chunks = None
        self._receive(call, body)

    def _receive(self, call: HttpCall, body: bytes) -> None:
        self._state = _CALL
        self._deadline = math.inf
        try:
            self._app.receive(call, body)
        except Exception as problem:  # noqa: BLE001 (whatever it is, this client is answered and the others go on)
            self._failed(problem)
        if self._budget:
            self._release()

    def _step_skip(self) -> bool:
        dropped = min(len(self._held), self._unread)
        self._held = self._held[dropped:]
        self._unread -= dropped
        if not self._unread:
            self._wait()
        return True

    # -- how it ends --------------------------------------------------------------------------------------------------

    def _refuse(self, refused: Refused) -> None:
        """Tell the operator, answer, and end. The application is told that its call, if it had one, came to nothing."""
        self._app.malformed(self.peer, refused.rule, refused.detail)
        self._break_off(refused.status)

    def _failed(self, problem: Exception) -> None:
        self._report(problem)
        if self._call is None:
            self._end()  # it failed after its answer, which stands
        else:
            self._break_off(_FAILED)

    def _report(self, problem: Exception) -> None:
        self._listener.loop.call_exception_handler({"message": "the application failed", "exception": problem})

    def _break_off(self, status: int) -> None:
        call = self._call
        if self._state == _ENDING:
            return
        self._unread = self._unread or CHUNKED  # whatever it is, it is not understood any more
        if call is None or not call.streaming:
            self.send(refusal(status, retry_after_s=1 if status == _UNAVAILABLE else 0))
        self._end()
        self._lose()

    def _end(self) -> None:
        self._state = _ENDING
        self._deadline = math.inf
        if self._unread or self._held:
            self._deadline = self._now() + _LINGER_S
            self._out.end()
            self._read_on(wanted=True)
        else:
            self._transport.close()
        self._held = b""

    def _late(self) -> None:
        if self._state == _HEAD and self._held and not self._out.stalled:
            self._refuse(Refused(408, "slow-head", f"no whole head in {self._limits.head_seconds:g} s"))
        elif self._state == _BODY:
            self._refuse(Refused(408, "slow-body", f"no whole body after {self._body_came} bytes of it"))
        elif self._state == _HEAD:
            self.cut()
        else:
            self.abort()

    def _lose(self) -> None:
        if self._budget:
            self._release()
        call, self._call = self._call, None
        if call is not None:
            call.lose()

    def _release(self) -> None:
        self._body = bytearray()
        given, self._budget = self._budget, 0
        if self._call is not None:  # nothing is held without one
            self._app.give(self._call, given)

    def _read_on(self, *, wanted: bool) -> None:
        if wanted == self._reading or self._transport.is_closing():
            return
        self._reading = wanted
        (self._transport.resume_reading if wanted else self._transport.pause_reading)()

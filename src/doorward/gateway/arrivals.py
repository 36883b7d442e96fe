"""The way in, for every door: bytes that were counted become one message, what it names is looked up, and the relay
hears of it (architecture §4: bytes → ``wire.decode`` → ``foresee`` → ``relay.handle``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Final

from doorward.errors import MalformedMessageError
from doorward.gateway.foresight import Foresight
from doorward.gateway.perform import Performer
from doorward.gateway.pipe import Counting
from doorward.judge.vocabulary import Finding, Question, Side
from doorward.policy.amounts import Sizes
from doorward.relay.commands import Arrived, Unreadable
from doorward.wire.jsonrpc import Decoded, FrameLimits, decode
from doorward.wire.lines import Overlong

Headers = Mapping[str, tuple[str, ...]]

_SAMPLE_BYTES: Final = 512


def limits_of(sizes: Sizes) -> dict[Side, FrameLimits]:
    """What a frame from either side may hold."""
    return {
        "client": FrameLimits(sizes.to_server_bytes, sizes.depth, sizes.nodes),
        "server": FrameLimits(sizes.from_server_bytes, sizes.depth, sizes.list_nodes),
    }


class Arrivals:
    """What arrives on one link. Each method returns what must be awaited before the same source is read any further:
    what the message made us look up, or room for what it caused; or None. ``decoded`` asks for no room, and counts
    nothing: that is for whoever reads a stream.
    """

    def __init__(self, performer: Performer, sizes: Sizes) -> None:
        self._performer = performer
        self._limits = limits_of(sizes)
        self._foresight = Foresight()
        self._counting = Counting(performer.relay, performer.facts().principal.id)

    def take(self, frame: bytes | Overlong, sender: Side, exchange: int = 0) -> Awaitable[None] | None:
        """One frame, as its transport delimits it."""
        limits = self._limits[sender]
        if isinstance(frame, Overlong):
            problem = MalformedMessageError(
                "frame-bytes", f"{frame.size} bytes in one line, at most {limits.max_bytes}"
            )
            return self.unreadable(problem, frame.head + frame.tail, sender, exchange)
        try:
            decoded = decode(frame, limits)
        except MalformedMessageError as problem:
            return self.unreadable(problem, frame, sender, exchange)
        too_much = self._counting.too_much(decoded.message, sender)
        if too_much is not None and self._performer.counted(decoded, sender, exchange, too_much):
            return self._performer.full()
        return self.decoded(decoded, sender, exchange, too_much=too_much) or self._performer.full()

    def decoded(
        self,
        frame: Decoded,
        sender: Side,
        exchange: int,
        headers: Headers | None = None,
        too_much: Finding | None = None,
    ) -> Awaitable[None] | None:
        """One message that was decoded within its limits."""
        performer = self._performer
        questions = performer.relay.foresee(frame, sender)
        if questions:
            return self._informed(frame, questions, sender, exchange, headers, too_much)
        performer.feed(Arrived(frame, sender, exchange, performer.facts(headers=headers, too_much=too_much)))
        return None

    def unreadable(
        self, problem: MalformedMessageError, frame: bytes, sender: Side, exchange: int
    ) -> Awaitable[None] | None:
        """Bytes that are no message. Their two ends are kept as evidence."""
        sample = frame if len(frame) <= 2 * _SAMPLE_BYTES else frame[:_SAMPLE_BYTES] + frame[-_SAMPLE_BYTES:]
        performer = self._performer
        performer.feed(Unreadable(problem, sender, exchange, performer.facts(), sample))
        return performer.full()

    async def _informed(
        self,
        frame: Decoded,
        questions: tuple[Question, ...],
        sender: Side,
        exchange: int,
        headers: Headers | None,
        too_much: Finding | None,
    ) -> None:
        performer = self._performer
        answers = await self._foresight.answer(questions)
        performer.feed(Arrived(frame, sender, exchange, performer.facts(answers, headers, too_much)))
        waiting = performer.full()
        if waiting is not None:
            await waiting

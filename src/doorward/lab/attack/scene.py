"""What a family may use while it looks for places: the session, what the target listed, what is planted."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from doorward.content.redaction import Masker
from doorward.lab import oracles
from doorward.lab.attack import slots, words
from doorward.lab.attack.session import LOG

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from doorward.lab.attack.plant import Plant, Values
    from doorward.lab.attack.probes import Honest
    from doorward.lab.attack.session import Answer, Session
    from doorward.lab.attack.slots import Slot
    from doorward.lab.attack.surface import Surface, Tool

SCOUT_LIMIT_SECONDS = 30.0
"""For looking for the places of one family. A server that takes longer is attacked where it was looked at by then."""


class Scene:
    """``proven`` collects the honest calls that were served, for families that need any such call; ``masker``
    masks what reports show of an exchange, planted values too.
    """

    def __init__(
        self, surface: Surface, values: Values, *, plant: Plant | None, marks: Path, side_effects: bool
    ) -> None:
        self.surface, self.values, self.plant, self.marks = surface, values, plant, marks
        self.side_effects = side_effects
        self.proven: list[Honest] = []
        self.masker = Masker(os.urandom(32), (*values.secrets, values.credential))
        self.session: Session
        self._since = time.monotonic()

    def begin(self, session: Session, revive: Callable[[Session], Awaitable[Session]]) -> None:
        """A new session, and the time for looking begins anew. ``revive`` makes a new one of one that ended."""
        self.session, self._revive, self._since = session, revive, time.monotonic()

    async def awake(self) -> None:
        """Have a session, where the last honest call ended it and the target comes back."""
        if self.session.ended:
            self.session = await self._revive(self.session)

    @property
    def late(self) -> bool:
        return time.monotonic() - self._since > SCOUT_LIMIT_SECONDS

    def may_call(self, tool: Tool) -> bool:
        """Whether the owner allowed to call ``tool`` with arguments of ours."""
        return self.side_effects or words.only_reads(tool)

    def filler(self, slot: Slot) -> str:
        """Honest text for a slot that is not under attack: what is planted for honest use, where it is a path."""
        if self.plant is not None and words.names_a_path(slot.name, slot.schema):
            folder = words.names_a_folder(slot.name, slot.schema)
            return str(self.plant.folder if folder else self.plant.note)
        return slots.plain(slot)

    def restore(self) -> None:
        """Put back what was planted, where calls may have changed it."""
        if self.plant is not None and self.side_effects:
            self.plant.restore()

    async def proves(self, honest: Honest) -> bool:
        """Whether an honest call that was served is served again: else it is no measure for later."""
        self.restore()
        return await served(self.session, honest)

    def around(self, tool: Tool) -> dict[str, Any]:
        return slots.honest(tool.schema, self.filler)


def carries(answer: Answer, value: str) -> bool:
    """Whether an answer that served its user carries ``value``."""
    return answer.served and any(oracles.carries(text, value) for text in oracles.strings(answer.result))


async def served(session: Session, honest: Honest) -> bool:
    """Whether an honest call was served, by its proof."""
    mark = len(session.lines)
    answer = await session.ask(honest.method, honest.params)
    if not honest.in_log:
        return carries(answer, honest.proof)
    return answer.served and (
        any(_is_log(line) for line in session.lines[mark:])
        if not honest.proof
        else bool(oracles.arrived(session.lines[mark:], honest.proof, method=LOG))
    )


def _is_log(line: bytes) -> bool:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(message, dict) and message.get("method") == LOG

"""What went over the lab's own end of a wire, in order, for reports: an oracle reads the whole lines and not this.

Bounded, since an attack may be a flood: of a long message the beginning is kept and its size, and of very many the
first ones.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from doorward.content.redaction import MASK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.content.redaction import Masker

KEPT_BYTES = 16 * 1024
"""Of one message, while it is played."""

MOST = 20_000
"""Messages of one session."""

SHOWN_CHARACTERS = 2_000
"""Of one message in a report: a tool call with its answer is a tenth of it."""

SHOWN_FIRST, SHOWN_LAST = 8, 4
"""Messages of one variant in a report."""

_MASKED, _HIDDEN = "masked", "hidden"


class Message(msgspec.Struct, frozen=True):
    """One message as the lab's client sent (``sent``) or received it: its beginning, and its size in bytes."""

    sent: bool
    head: bytes
    size: int


class Told(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    """One message in a report. ``text`` is exact but for what is masked; ``cut`` says that it is only the beginning;
    ``size`` is that of the message in bytes. Where messages were left out, ``omitted`` of them stood before this one.
    """

    sender: str
    text: str
    size: int
    cut: bool = False
    omitted: int = 0


class Transcript:
    """The messages of one session."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def sent(self, body: bytes, size: int | None = None) -> None:
        """Note what leaves; ``size`` where it is made while it is sent."""
        self._note(Message(True, body[:KEPT_BYTES], len(body) if size is None else size))

    def received(self, body: bytes) -> None:
        """Note what arrived."""
        self._note(Message(False, body[:KEPT_BYTES], len(body)))

    def _note(self, message: Message) -> None:
        if len(self.messages) < MOST:
            self.messages.append(message)


def told(messages: Sequence[Message], masker: Masker) -> tuple[Told, ...]:
    """``messages`` for a report: masked first and cut then, so that no half of a secret is left at a cut.

    What is masked here was readable on the wire, so it is called ``hidden``: it must not look like what arrived masked.
    """
    first, last = messages[:SHOWN_FIRST], messages[SHOWN_FIRST:][-SHOWN_LAST:]
    omitted = len(messages) - len(first) - len(last)
    shown = [_told(message, masker) for message in (*first, *last)]
    if omitted:
        shown[len(first)] = msgspec.structs.replace(shown[len(first)], omitted=omitted)
    return tuple(shown)


def _told(message: Message, masker: Masker) -> Told:
    text = _masked(message, masker)
    cut = len(text) > SHOWN_CHARACTERS or len(message.head) < message.size
    return Told("client" if message.sent else "server", text[:SHOWN_CHARACTERS], message.size, cut)


def _masked(message: Message, masker: Masker) -> str:
    text = message.head.decode("utf-8", "replace")
    try:
        tree = json.loads(text)
        plain = json.dumps(tree, ensure_ascii=False)
        masked = json.dumps(masker.mask_tree(tree)[0], ensure_ascii=False)
    except (ValueError, RecursionError):
        plain = masked = text  # cut, or no JSON: masked as the text that it is
    if masked == plain:
        # Exact, and masked once more: of two members with one name, only the last is in the tree.
        masked = masker.mask_text(text)[0]
    arrived = set(MASK.findall(plain))
    return MASK.sub(lambda mask: mask[0] if mask[0] in arrived else mask[0].replace(_MASKED, _HIDDEN, 1), masked)


def records(fired: Sequence[Any]) -> tuple[dict[str, Any], ...]:
    """What the audit log says of one variant, for a report."""
    return tuple(msgspec.to_builtins(one) for one in fired[:SHOWN_FIRST])

"""What a server says that it could not open, and its walls do not show: told to the operator, with what would allow it.

A file outside the walls is simply not there, or refused, and the kernel tells nobody but the server. Where the server
passes that on (on its stderr, in a result with ``isError``, in an error of JSON-RPC) and the file is there outside, the
operator is told once, as of a host that the network refuses (``egress.refusals``).

What is heard is hearsay of whom the walls are against. It changes nothing, and nothing of it goes to the client: it is
words on the operator's stderr, and few of them. What no server should be given is told without a way to give it, and a
path that leads through what the server may write is not followed (``confine.wishes``). Paths are looked at in a thread
that nobody waits for but for a moment at the end: one can lie on a disk that does not answer.

Does not tell what a server keeps to itself: ``doorward sandbox learn`` sees that.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from doorward.confine.shortfalls import left_out
from doorward.confine.wishes import Wish, wish_behind
from doorward.content.missed import MAX_TEXT, Missed, find_missed, may_name_missed
from doorward.content.text import reveal

if TYPE_CHECKING:
    from doorward.confine.profile import SandboxProfile
    from doorward.content.redaction import Masker
    from doorward.gateway.reporter import Say

MOST_TOLD: Final = 8
MOST_LOOKED_AT: Final = 256
_MOST_HEARD: Final = 4096
_LONGEST_MESSAGE: Final = 16 * 1024
"""Failures are told in fewer words, and each message is searched for one."""
_LAST_LOOK_S: Final = 1.0

Hint = Callable[[str, str], str]
"""How a path is allowed, in words for the operator: of an access (``read`` or ``write``) and the path."""


class Unshown:
    """Of one server, however often it is started. ``own`` are Doorward's folders. Heard in an event loop."""

    def __init__(
        self, name: str, walls: SandboxProfile, *, own: tuple[str, ...], masker: Masker, say: Say, hint: Hint
    ) -> None:
        self._name = name
        self._walls = walls
        self._own = own
        self._masker = masker
        self._say = say
        self._hint = hint
        self._heard = 0
        self._known: set[Missed] = set()
        self._told: set[Wish] = set()
        self._waiting: queue.SimpleQueue[tuple[Missed, asyncio.AbstractEventLoop] | None] = queue.SimpleQueue()
        self._looking: threading.Thread | None = None

    def hear_line(self, line: bytes) -> None:
        """Of what it wrote, a line that is no message."""
        if may_name_missed(line):
            self._hear(line[:MAX_TEXT].decode("utf-8", "replace"))

    def hear_message(self, line: bytes) -> None:
        """A message; read only where it says that something failed, in the spelling of every usual encoder."""
        if len(line) > _LONGEST_MESSAGE:
            return
        if (b'"isError":true' in line or b'"isError": true' in line or b'"error"' in line) and may_name_missed(line):
            for text in _failures(line):
                self._hear(text)

    async def close(self) -> None:
        """Look at what waits, if that takes but a moment."""
        if self._looking is not None:
            self._waiting.put(None)
            await asyncio.to_thread(self._looking.join, _LAST_LOOK_S)

    def _hear(self, text: str) -> None:
        self._heard += 1
        for missed in find_missed(text) if self._heard <= _MOST_HEARD else ():
            if missed not in self._known and len(self._known) < MOST_LOOKED_AT:
                self._known.add(missed)
                self._waiting.put((missed, asyncio.get_running_loop()))
        if self._looking is None and self._known:
            self._looking = threading.Thread(target=self._look, name="unshown", daemon=True)
            self._looking.start()

    def _look(self) -> None:
        while waiting := self._waiting.get():
            missed, loop = waiting
            with suppress(OSError, ValueError):  # it is gone, or no path: then it was no wall
                if wish := wish_behind(missed.path, missed.how, self._walls, self._own):
                    with suppress(RuntimeError):  # the loop is over, and nobody is left to be told
                        loop.call_soon_threadsafe(self._tell, wish)

    def _tell(self, wish: Wish) -> None:
        if wish in self._told or len(self._told) > MOST_TOLD:
            return
        self._told.add(wish)
        if len(self._told) > MOST_TOLD:
            hint = "doorward sandbox learn -- COMMAND… names what it wants"
            self._say(f"{self._name} says that it cannot open more files than are told here", hint=hint)
            return
        named = self._masker.mask_text(wish.what)[0]
        text = f"{self._name} says that it cannot {wish.access} {named}: its walls do not allow that"
        if wish.rather_not:
            self._say(f"{text}, and rather should not ({wish.rather_not})")
        else:
            self._say(text, hint=f"{self._hint(wish.access, named)} lets it")


def tell_left_out(walls: SandboxProfile, say: Say, hint: Hint) -> None:
    """Say what was left out of a server's walls before it was started, since only a repository names it."""
    for words, path in left_out(walls):
        say(reveal(words), hint=reveal(f"{hint('read', path)} shows it, if you made that yourself"))


class _Error(msgspec.Struct):
    message: str = ""


class _Answer(msgspec.Struct):
    """Of an answer, what may say that something failed."""

    error: _Error | None = None
    result: msgspec.Raw = msgspec.Raw()


class _Content(msgspec.Struct):
    text: str = ""


class _Result(msgspec.Struct):
    is_error: bool = msgspec.field(default=False, name="isError")
    content: tuple[_Content, ...] = ()


def _failures(line: bytes) -> tuple[str, ...]:
    """The words in which an answer says that something failed; nothing where it is none, or not shaped like one."""
    try:
        answer = msgspec.json.decode(line, type=_Answer)
        if answer.error is not None:
            return (answer.error.message,)
        result = msgspec.json.decode(bytes(answer.result) or b"{}", type=_Result)
    except msgspec.DecodeError:
        return ()
    return tuple(content.text for content in result.content) if result.is_error else ()

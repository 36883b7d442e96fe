"""Keys as a person presses them, from a terminal, and only from now on.

The terminal is switched to single keys without echo, so that a page can be turned with one key and nothing that is
typed shows up inside a ticket. Ctrl-C keeps its meaning. ``forget`` throws away what was typed before: a key pressed
before a question was on the screen is no answer to it.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import termios
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_CHUNK_BYTES = 1024
# What arrow and function keys send, ECMA-48 §5.4 and the older SS3: none of them says anything here.
_SEQUENCES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[^\[O])?", re.DOTALL)


class Keyboard:
    """The terminal at `descriptor`, within ``with`` and inside an event loop. ``on_key`` is called when keys wait."""

    def __init__(self, descriptor: int, on_key: Callable[[], None]) -> None:
        self.ended = False  # hung up, or the end of the input
        self._descriptor = descriptor
        self._on_key = on_key
        self._keys: deque[bytes] = deque()
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._descriptor)
        self._single_keys()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._descriptor, self._read)
        # After ctrl-z and fg the shell has put its own settings back.
        loop.add_signal_handler(signal.SIGCONT, self._single_keys)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_signal_handler(signal.SIGCONT)
        loop.remove_reader(self._descriptor)
        with suppress(termios.error):  # the terminal may be gone
            # Flushed, so that what was typed at the end does not become a command of the shell.
            termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, self._before)

    def take(self) -> bytes | None:
        """Keys that arrived together (one key, or a paste), never an empty string, or None when none did."""
        return self._keys.popleft() if self._keys else None

    def forget(self) -> None:
        """Throw away everything typed until now, here and in the kernel."""
        with suppress(termios.error):
            termios.tcflush(self._descriptor, termios.TCIFLUSH)
        self._keys.clear()

    def _single_keys(self) -> None:
        settings = termios.tcgetattr(self._descriptor)
        settings[3] &= ~(termios.ICANON | termios.ECHO)
        settings[6][termios.VMIN], settings[6][termios.VTIME] = 1, 0
        with suppress(termios.error):
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, settings)

    def _read(self) -> None:
        try:
            keys = os.read(self._descriptor, _CHUNK_BYTES)
        except OSError:  # EIO: the other end of the terminal is closed
            keys = b""
        if keys:
            typed = _SEQUENCES.sub(b"", keys)
            if typed:
                self._keys.append(typed)
        else:
            self.ended = True
            asyncio.get_running_loop().remove_reader(self._descriptor)
        self._on_key()

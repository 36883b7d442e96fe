"""Who holds a connected socket: whether a process does that is not one of ours.

A confined server runs as our user, and until its walls bound the network it can connect to the gateway's own port. The
kernel says then that our user calls, and the server could use every other server as that user. So where servers run as
children, a caller of our own user is believed only if some process *outside* of our tree holds its socket: a child
cannot bring that about, whatever it does with its descriptors (pass them on, fork, keep them in flight), short of a
service of the user's that takes descriptors from it (SECURITY.md names those sockets).

It costs a look through the descriptors of the processes that may be looked at, the last known callers first: once for
each connection, and only while there are children. A caller whose process cannot be seen (another process namespace,
one that is not dumpable) is not believed and needs the start-up token.
"""

from __future__ import annotations

import os
from typing import Final

from doorward.confine import tree

_REMEMBERED: Final = 16
_DEEPEST: Final = 256  # ancestors that are asked for


class Holders:
    """Looks for the holders of sockets. Remembers the processes that it found, which are likely to call again."""

    def __init__(self) -> None:
        self._known: dict[int, None] = {}

    def is_held_outside(self, inode: int) -> bool:
        """Whether a process that is neither this one nor below it holds the socket with this inode."""
        wanted = f"socket:[{inode}]"
        for pid in self._candidates():
            if _holds(pid, wanted) and _is_outside(pid):
                self._remember(pid)
                return True
        return False

    def _candidates(self) -> list[int]:
        every = sorted((int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True)
        return [*self._known, *(pid for pid in every if pid not in self._known)]

    def _remember(self, pid: int) -> None:
        self._known.pop(pid, None)
        self._known = {pid: None, **self._known}
        while len(self._known) > _REMEMBERED:
            self._known.popitem()


def _holds(pid: int, wanted: str) -> bool:
    folder = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder):
            try:
                if os.readlink(f"{folder}/{name}") == wanted:
                    return True
            except OSError:
                continue  # closed while we looked
    except OSError:
        pass  # it ended, or may not be looked at
    return False


def _is_outside(pid: int) -> bool:
    """Whether its ancestors are known up to the first process, and we are none of them. Ours stay below us: we are a
    subreaper.
    """
    for _ in range(_DEEPEST):
        if pid == os.getpid():
            return False
        above = tree.parent(pid)
        if above is None:
            return False
        if above == 0:
            return True
        pid = above
    return False

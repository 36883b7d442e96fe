"""Who holds a connected socket: whether a process does that is not one of ours.

A confined server runs as our user, and until its walls bound the network it can connect to the gateway's own port. The
kernel says then that our user calls, and the server could use every other server as that user. So where servers run as
children, a caller of our own user is believed only if some process *outside* of our tree holds its socket: a child
cannot bring that about, whatever it does with its descriptors (pass them on, fork, keep them in flight), short of a
service of the user's that takes descriptors from it (SECURITY.md names those sockets).

It costs a look through the descriptors of our own tree, and then of the processes that may be looked at, the last known
callers first: once for each connection, and only while there are children. Of a known caller those descriptors come
first that held a connection before, since programs use their numbers again; so a caller that connects without end costs
little, and others do not wait for it. Nothing but where to look is remembered: what is found there is asked anew.

A caller whose process cannot be seen (another process namespace, one that is not dumpable) is not believed and needs
the start-up token.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from doorward.confine import tree

_REMEMBERED: Final = 16
_NUMBERS: Final = 64  # descriptors of each of these
_DEEPEST: Final = 256  # ancestors that are asked for


class Holders:
    """Looks for the holders of sockets. Remembers the processes that it found, which are likely to call again."""

    def __init__(self) -> None:
        self._known: dict[int, dict[str, None]] = {}  # their descriptors that held one, the last one first

    def is_held_outside(self, inode: int) -> bool:
        """Whether a process that is neither this one nor below it holds the socket with this inode."""
        wanted = f"socket:[{inode}]"
        if any(_holding(pid, wanted) for pid in tree.descendants(os.getpid())):
            return False  # so that a child that does nothing but connect costs little
        for pid in self._candidates():
            known = self._known.get(pid, {})
            name = next((name for name in known if _is(pid, name, wanted)), "") or _holding(pid, wanted)
            if name and _is_outside(pid):
                self._remember(pid, name)
                return True
        return False

    def _candidates(self) -> Iterator[int]:
        known = tuple(self._known)
        yield from known
        yield from sorted({int(name) for name in os.listdir("/proc") if name.isdigit()}.difference(known), reverse=True)

    def _remember(self, pid: int, name: str) -> None:
        names = {name: None, **self._known.pop(pid, {})}
        while len(names) > _NUMBERS:
            names.popitem()
        self._known = {pid: names, **self._known}
        while len(self._known) > _REMEMBERED:
            self._known.popitem()


def _holding(pid: int, wanted: str) -> str:
    """The descriptor by which a process holds it, or nothing."""
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:  # it ended, or may not be looked at
        return ""
    return next((name for name in names if _is(pid, name, wanted)), "")


def _is(pid: int, name: str, wanted: str) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/fd/{name}") == wanted
    except OSError:  # closed by now
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

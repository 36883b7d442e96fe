"""Doorward itself, closed to every program beside it (threat ``message-tampering``).

Does not protect the key and the log on disk, which are its user's, nor against root.
"""

from __future__ import annotations

from doorward.confine import landlock


def close_to_others() -> None:
    """Let no other process attach to this one, read its memory, its environment or its descriptors, or see them in a
    core dump; root may. For whatever holds keys and the messages of others, once, at start.

    Not for a process that calls a gateway on this machine, which looks for the caller's socket among its descriptors
    (``gateway.identity.holders``). Source: docs/threats.md, ``message-tampering``; prctl(2), PR_SET_DUMPABLE.
    """
    landlock.prctl(landlock.PR_SET_DUMPABLE, 0)

"""The state of one link: a client's connection to a server through Doorward, and how far it has been negotiated.

A value: each transition returns a new one. A link settles on one era with its first ``initialize`` that was
answered, or with its first modern request other than ``server/discover`` (which dual-era clients send to find out).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Link(msgspec.Struct, frozen=True):
    """``id`` names the connection in the archive, ``session`` what approvals are bound to (over stdio the same).

    ``unhonoured`` are capabilities that the client declared and did not honour (``protocol.honouring``).
    ``phase`` belongs to the legacy handshake: "new" → "initializing" (asked) → "answered" → "ready" (the client said
    ``notifications/initialized``). ``upstream`` is what is known of the server's era: "" until it showed.
    """

    id: str
    session: str
    era: Literal["", "legacy", "modern"] = ""
    upstream: Literal["", "legacy", "modern"] = ""
    phase: Literal["new", "initializing", "answered", "ready"] = "new"
    version: str = ""
    client_capabilities: dict[str, Any] = {}
    server_capabilities: dict[str, Any] = {}
    client_info: dict[str, Any] = {}
    server_info: dict[str, Any] = {}
    unhonoured: frozenset[str] = frozenset()

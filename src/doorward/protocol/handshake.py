"""The legacy handshake (up to 2025-11-25): how ``initialize`` moves a link.

Sources: MCP 2025-11-25 "Lifecycle": the client MUST send ``initialize`` first; the server SHOULD NOT send requests
other than ping before ``notifications/initialized``; the client SHOULD NOT send requests other than ping before the
answer. Official servers of the TypeScript SDK answer ``tools/list`` before ``initialize``, so the order is kept
here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from doorward.protocol import versions
from doorward.protocol.link import Link


def asked(link: Link, version: str, capabilities: dict[str, Any], info: dict[str, Any]) -> Link:
    """``initialize`` goes to the server: what the client declared is known from here on."""
    return msgspec.structs.replace(
        link,
        phase="initializing",
        version=version,
        client_capabilities=capabilities,
        client_info=info,
        unhonoured=frozenset(),
    )


def answered(link: Link, version: str, capabilities: dict[str, Any], info: dict[str, Any]) -> Link:
    """The server agreed: the link is legacy from here on."""
    return msgspec.structs.replace(
        link,
        era="legacy",
        upstream="legacy",
        phase="answered",
        version=version,
        server_capabilities=capabilities,
        server_info=info,
    )


def failed(link: Link) -> Link:
    """The server refused ``initialize``: the client may try again."""
    return msgspec.structs.replace(link, phase="new", version="", client_capabilities={}, client_info={})


def unheard(link: Link, method: str) -> Link:
    """The answer to ``initialize``, or the client's ``initialized``, did not go out: the handshake stands before it."""
    if method == "initialize":
        return msgspec.structs.replace(failed(link), era="", server_capabilities={}, server_info={})
    return msgspec.structs.replace(link, phase="answered") if link.phase == "ready" else link


def initialized(link: Link) -> Link:
    """The client said that it is ready."""
    return msgspec.structs.replace(link, phase="ready") if link.phase == "answered" else link


def refuses(link: Link, sender: str, method: str, *, request: bool) -> str | None:
    """Why this legacy message may not pass in this phase, or None."""
    if sender == "client":
        return _client_too_early(link, method)
    if link.phase == "ready":
        return None
    if request:
        return (
            None
            if method == "ping" and link.phase != "new"
            else f"a server request before the link is ready ({link.phase})"
        )
    early = link.phase in ("initializing", "answered") and method in ("notifications/message", "notifications/progress")
    late = link.phase == "answered"
    return None if early or late else f"a notification before initialize ({link.phase})"


def _client_too_early(link: Link, method: str) -> str | None:
    if method == "initialize":
        return None if link.phase == "new" and link.era == "" else "initialize was already sent"
    if link.phase in ("answered", "ready"):
        return None
    if method == "ping" or (method == "notifications/cancelled" and link.phase == "initializing"):
        return None
    return f"nothing but ping may come before initialize is answered ({link.phase})"


def speaks(version: str) -> bool:
    """Whether a server's answer to ``initialize`` names a legacy revision that we can judge."""
    return versions.era_of(version) == "legacy"

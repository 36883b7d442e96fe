"""The modern envelope (2026-07-28): each request carries its version and the client's capabilities in ``_meta``.

Sources: MCP 2026-07-28 "Base protocol": a request without its required ``_meta`` members is -32602; a version that
is not spoken is -32022 with ``supported`` and ``requested``. A server's claim and a client's claim are equally
claims: nothing here is believed beyond its form.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from doorward.protocol import versions
from doorward.protocol.link import Link
from doorward.wire.jsonrpc import Message, Request

UNSUPPORTED_VERSION: Final = -32022
MODERN_ERRORS: Final = frozenset({-32020, -32021, UNSUPPORTED_VERSION})  # a header mismatch, a missing capability
HOP_BY_HOP_META: Final = ("progressToken", versions.META_SUBSCRIPTION, "traceparent", "tracestate", "baggage")


def is_modern(message: Message) -> bool:
    """Whether a message carries the modern envelope. Only requests do."""
    return isinstance(message, Request) and versions.META_VERSION in meta_of(message.params)


def meta_of(params: dict[str, Any] | None) -> dict[str, Any]:
    """The ``_meta`` of params, or an empty object."""
    meta = (params or {}).get("_meta")
    return meta if isinstance(meta, dict) else {}


def settle(link: Link) -> Link:
    """The link is modern from here on."""
    return (
        link
        if link.era == link.upstream == "modern"
        else msgspec.structs.replace(link, era="modern", upstream="modern")
    )


def discovered(link: Link, capabilities: dict[str, Any], info: dict[str, Any]) -> Link:
    """The server answered ``server/discover``: it speaks the modern era."""
    return msgspec.structs.replace(link, upstream="modern", server_capabilities=capabilities, server_info=info)


def envelope(version: str) -> dict[str, Any]:
    """The ``_meta`` of a request of Doorward's own: no capabilities, so nothing can be asked of it."""
    return {
        versions.META_VERSION: version,
        versions.META_CAPABILITIES: {},
        versions.META_CLIENT_INFO: {"name": "doorward", "version": "1"},
    }

"""For authors of MCP servers: what a tool needs to do its work without becoming somebody else's.

``from doorward import guard`` costs nothing: each name below is loaded when it is first used, and none of them loads
the gateway or the MCP SDK.
"""

from __future__ import annotations

from typing import Any, Final

from doorward.errors import RefusedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doorward.guard.root import Entry as Entry
    from doorward.guard.root import Root as Root

_PLACES: Final = {
    "Entry": "doorward.guard.root",
    "Root": "doorward.guard.root",
}
"""Where each name lives."""

__all__ = ["RefusedError", *_PLACES]  # noqa: PLE0604 - the names stand in the table, once


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(place), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

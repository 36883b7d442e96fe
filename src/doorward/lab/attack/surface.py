"""What a target offers, as it says itself: tools with their schemas, resources, templates, prompts.

Nothing is believed to be well-formed: what has no name or no object for a schema is left out, and a list that did not
come is named in ``unanswered``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from doorward.lab.attack.session import Session

_NO_SUCH_METHOD = -32601
MOST_PAGES = 20
MOST_ITEMS = 500
"""Of each list. A server with more is attacked at those that it names first, and that is said."""


class Tool(msgspec.Struct, frozen=True):
    """A tool. ``read_only`` and ``destructive`` are its annotations, None where it has none."""

    name: str
    description: str
    schema: dict[str, Any]
    read_only: bool | None = None
    destructive: bool | None = None


class Prompt(msgspec.Struct, frozen=True):
    """A prompt and the names and descriptions of its arguments, all of which are strings."""

    name: str
    arguments: tuple[tuple[str, str], ...] = ()


class Surface(msgspec.Struct, frozen=True):
    """All of it. ``logs`` says that the server declared that it sends log messages."""

    tools: tuple[Tool, ...] = ()
    resources: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    logs: bool = False
    unanswered: tuple[str, ...] = ()


async def survey(session: Session) -> Surface:
    """Ask for every list that the server declared, and for its tools in any case."""
    unanswered: list[str] = []

    async def items(method: str, key: str, capability: str) -> list[dict[str, Any]]:
        if capability not in session.capabilities and capability != "tools":
            return []
        found, whole = await _pages(session, method, key, capability)
        if not whole:
            unanswered.append(method)
        return found

    tools = await items("tools/list", "tools", "tools")
    resources = await items("resources/list", "resources", "resources")
    templates = await items("resources/templates/list", "resourceTemplates", "resources")
    prompts = await items("prompts/list", "prompts", "prompts")
    return Surface(
        tools=tuple(_tool(item) for item in tools if _text(item, "name") and isinstance(_schema(item), dict)),
        resources=tuple(uri for item in resources if (uri := _text(item, "uri"))),
        templates=tuple(uri for item in templates if (uri := _text(item, "uriTemplate"))),
        prompts=tuple(_prompt(item) for item in prompts if _text(item, "name")),
        logs="logging" in session.capabilities,
        unanswered=tuple(unanswered),
    )


async def _pages(session: Session, method: str, key: str, capability: str) -> tuple[list[dict[str, Any]], bool]:
    """The items of a list, and whether it came and came to its end."""
    found: list[dict[str, Any]] = []
    params: dict[str, Any] = {}
    for _ in range(MOST_PAGES):
        answer = await session.ask(method, params)
        if answer.error is not None and answer.error.get("code") == _NO_SUCH_METHOD:
            return found, method == "resources/templates/list" or capability not in session.capabilities
        result = answer.result
        page = result.get(key) if result is not None else None
        if result is None or not isinstance(page, list):
            return found, False
        found += [item for item in page if isinstance(item, dict)]
        cursor = result.get("nextCursor")
        if not isinstance(cursor, str) or not cursor:
            return found[:MOST_ITEMS], len(found) <= MOST_ITEMS
        params = {"cursor": cursor}
    return found[:MOST_ITEMS], False


def _tool(item: dict[str, Any]) -> Tool:
    hints = item.get("annotations")
    hints = hints if isinstance(hints, dict) else {}
    return Tool(
        name=item["name"],
        description=_text(item, "description"),
        schema=_schema(item),
        read_only=_flag(hints.get("readOnlyHint")),
        destructive=_flag(hints.get("destructiveHint")),
    )


def _prompt(item: dict[str, Any]) -> Prompt:
    listed = item.get("arguments")
    arguments = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return Prompt(
        item["name"], tuple((_text(one, "name"), _text(one, "description")) for one in arguments if _text(one, "name"))
    )


def _schema(item: dict[str, Any]) -> Any:
    return item.get("inputSchema")


def _text(item: dict[str, Any], key: str) -> str:
    value = item.get(key)
    return value if isinstance(value, str) else ""


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None

"""Which resources an answer shows: what it lists, links to or embeds, and the templates that it lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from doorward.judge.vocabulary import Open
from doorward.protocol import actions
from doorward.protocol.shown import Shown

MAX_OF_ONE_RESULT: Final = 1_000
_LISTS: Final = {"resources/list": "uri", "resources/templates/list": "uriTemplate"}


def learn(shown: Shown, acts: tuple[actions.Action, ...], answered: Open, now: int) -> None:
    """An answer of the server to ``answered`` passes to the client, or is one of ours."""
    for act in acts:
        if isinstance(act, actions.Advertise) and act.what in _LISTS:
            _listed(shown, act, now)
        elif isinstance(act, actions.ReturnError) and answered.ours and answered.method in _LISTS:
            _listed(shown, actions.Advertise(answered.method, (), ""), now)
        elif isinstance(act, actions.ReturnResult):
            for number, uri in enumerate(_named(act.result)):
                if number >= MAX_OF_ONE_RESULT:
                    break
                shown.add(uri)


def _listed(shown: Shown, page: actions.Advertise, now: int) -> None:
    member = _LISTS[page.what]
    for item in page.items:
        text = item.get(member)
        if isinstance(text, str):
            (shown.add if member == "uri" else shown.add_template)(text)
    if page.cursor:
        return
    shown.at = now
    if member == "uri":
        shown.listed = True
    else:
        shown.described = True


def _named(result: dict[str, Any]) -> Iterator[str]:
    """Of a tool's content, of the messages of a prompt, of what was read."""
    for item in _objects(result.get("content")):
        yield from _linked(item)
    for message in _objects(result.get("messages")):
        content = message.get("content")
        for item in _objects(content if isinstance(content, list) else [content]):
            yield from _linked(item)
    for item in _objects(result.get("contents")):
        if isinstance(item.get("uri"), str):
            yield item["uri"]


def _linked(item: dict[str, Any]) -> Iterator[str]:
    holder = item.get("resource") if item.get("type") == "resource" else item
    if item.get("type") in ("resource", "resource_link") and isinstance(holder, dict):
        uri = holder.get("uri")
        if isinstance(uri, str):
            yield uri


def _objects(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))
